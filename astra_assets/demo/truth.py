"""What is true about the demo survey: the table that results are compared with.

Belongs here: `truth.fits`. Does not belong here: comparing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from astra_assets.demo.kinds import EXTRAGALACTIC
from astra_assets.demo.population import Target, Visit
from astra_assets.demo.tables import primary_hdu, records, table_hdu


def truth_hdus(targets: Sequence[Target], visits: Sequence[Visit], snr: Sequence[float]) -> list[bytes]:
    """SOURCES and VISITS, for the sources of the catalogue.

    SOURCES: sdss_id, kind (SnowWhite's classes, and SDB, STAR, QSO, GALAXY), teff (K) and logg (of the white
    dwarf or star, NaN where they mean nothing), v_rad (km/s, barycentric, of the centre of mass where the
    velocity varies), mwm_wd (whether a carton of that program is set). VISITS: sdss_id, fieldid, mjd,
    catalogid (the three name the spectrum), v_rad (km/s, barycentric, at that time), snr (median per pixel
    with data, as SN_MEDIAN_ALL of spAll). Velocities of galaxies and quasars are NaN: their redshift belongs
    to the template.
    """
    listed = [(visit, value) for visit, value in zip(visits, snr, strict=True) if visit.target.in_catalog]
    sources = records(
        {
            "sdss_id": [target.sdss_id for target in targets],
            "kind": [target.kind for target in targets],
            "teff": [target.template.teff for target in targets],
            "logg": [target.template.logg for target in targets],
            "v_rad": [_velocity(target, target.v_rad) for target in targets],
            "mwm_wd": [target.in_wd for target in targets],
        },
        {"sdss_id": "K", "kind": "A", "teff": "D", "logg": "D", "v_rad": "D", "mwm_wd": "L"},
    )
    rows = records(
        {
            "sdss_id": [visit.target.sdss_id for visit, _ in listed],
            "fieldid": [visit.field.fieldid for visit, _ in listed],
            "mjd": [visit.night.mjd for visit, _ in listed],
            "catalogid": [visit.catalogid for visit, _ in listed],
            "v_rad": [_velocity(visit.target, visit.v_rad) for visit, _ in listed],
            "snr": [value for _, value in listed],
        },
        {"sdss_id": "K", "fieldid": "J", "mjd": "J", "catalogid": "K", "v_rad": "D", "snr": "D"},
    )
    return [
        primary_hdu(),
        table_hdu(sources, name="SOURCES", logicals=("mwm_wd",), units={"teff": "K", "v_rad": "km s-1"}),
        table_hdu(rows, name="VISITS", units={"mjd": "d", "v_rad": "km s-1"}),
    ]


def _velocity(target: Target, v_rad: float) -> float:
    return float(np.nan) if target.kind in EXTRAGALACTIC else v_rad
