"""The true properties of the demo survey (`truth.fits`), with which results are compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from astra_assets.demo.apogee.visits import StarVisit
from astra_assets.demo.kinds import EXTRAGALACTIC
from astra_assets.demo.population import PlannedSurvey, Target, Visit
from astra_assets.demo.tables import primary_hdu, records, table_hdu

SOURCE_COLUMNS = {
    "sdss_id": "K", "kind": "A", "teff": "D", "logg": "D", "v_rad": "D", "mwm_wd": "L", "fe_h": "D", "has_boss": "L",
    "has_apogee": "L", "n_boss_visits": "J", "n_apogee_visits": "J",
}  # fmt: skip
VISIT_COLUMNS = {
    "sdss_id": "K",
    "fieldid": "J",
    "mjd": "J",
    "catalogid": "K",
    "v_rad": "D",
    "snr": "D",
    "instrument": "A",
}
APOGEE_COLUMNS = {
    "sdss_id": "K", "release": "A", "telescope": "A", "obj": "A", "field": "A", "plate": "A", "mjd": "J", "fiber": "J",
    "v_rad": "D", "snr": "D", "in_stack": "L", "has_file": "L", "instrument": "A",
}  # fmt: skip


def truth_hdus(
    survey: PlannedSurvey, snr: Sequence[float], apogee: Sequence[StarVisit], apogee_snr: Sequence[float]
) -> list[bytes]:
    """SOURCES, VISITS and APOGEE_VISITS, for the sources of the catalogue.

    SOURCES: sdss_id, kind (SnowWhite's classes, and SDB, STAR, QSO, GALAXY), teff (K) and logg (of the white
    dwarf or star, NaN where they mean nothing), v_rad (km/s, barycentric, of the centre of mass where the
    velocity varies), mwm_wd (whether a carton of that program is set), fe_h (dex, of the stars with APOGEE spectra), has_boss,
    has_apogee, n_boss_visits, n_apogee_visits. VISITS, of BOSS: sdss_id, fieldid, mjd,
    catalogid (the three name the spectrum), v_rad (km/s, barycentric, at that time), snr (median per pixel
    with data, as SN_MEDIAN_ALL of spAll). APOGEE_VISITS: sdss_id, what names the spectrum, v_rad, snr (as in allVisit), in_stack
    (whether it is in the coadd), has_file (whether there is an apVisit file). Velocities of galaxies and quasars are NaN: their
    redshift belongs to the template.
    """
    return [
        primary_hdu(),
        _sources(survey, apogee),
        _visits(survey.visits, snr),
        _apogee_visits(apogee, apogee_snr),
    ]


def _sources(survey: PlannedSurvey, apogee: Sequence[StarVisit]) -> bytes:
    targets = survey.catalogued
    boss = Counter(visit.target.number for visit in survey.visits)
    infrared = Counter(visit.star.target.number for visit in apogee)
    columns = {
        "sdss_id": [target.sdss_id for target in targets],
        "kind": [target.kind for target in targets],
        "teff": [target.template.teff for target in targets],
        "logg": [target.template.logg for target in targets],
        "v_rad": [_velocity(target, target.v_rad) for target in targets],
        "mwm_wd": [target.in_wd for target in targets],
        "fe_h": [target.fe_h for target in targets],
        "has_boss": [boss[target.number] > 0 for target in targets],
        "has_apogee": [infrared[target.number] > 0 for target in targets],
        "n_boss_visits": [boss[target.number] for target in targets],
        "n_apogee_visits": [infrared[target.number] for target in targets],
    }
    logicals = [name for name, form in SOURCE_COLUMNS.items() if form == "L"]
    units = {"teff": "K", "v_rad": "km s-1"}
    return table_hdu(records(columns, SOURCE_COLUMNS), name="SOURCES", logicals=logicals, units=units)


def _visits(visits: Sequence[Visit], snr: Sequence[float]) -> bytes:
    listed = [(visit, value) for visit, value in zip(visits, snr, strict=True) if visit.target.in_catalog]
    columns = {
        "sdss_id": [visit.target.sdss_id for visit, _ in listed],
        "fieldid": [visit.field.fieldid for visit, _ in listed],
        "mjd": [visit.night.mjd for visit, _ in listed],
        "catalogid": [visit.catalogid for visit, _ in listed],
        "v_rad": [_velocity(visit.target, visit.v_rad) for visit, _ in listed],
        "snr": [value for _, value in listed],
        "instrument": ["BOSS"] * len(listed),
    }
    return table_hdu(records(columns, VISIT_COLUMNS), name="VISITS", units={"mjd": "d", "v_rad": "km s-1"})


def _apogee_visits(visits: Sequence[StarVisit], snr: Sequence[float]) -> bytes:
    listed = [
        (visit, value) for visit, value in zip(visits, snr, strict=True) if visit.star.target.in_catalog
    ]
    names = ("release", "telescope", "obj", "field", "plate", "mjd", "fiber")
    columns = {
        "sdss_id": [visit.star.target.sdss_id for visit, _ in listed],
        **{name: [visit.row[name] for visit, _ in listed] for name in names},
        "v_rad": [visit.v_rad for visit, _ in listed],
        "snr": [value for _, value in listed],
        "in_stack": [not visit.failed for visit, _ in listed],
        "has_file": [visit.has_file for visit, _ in listed],
        "instrument": ["APOGEE"] * len(listed),
    }
    table = records(columns, APOGEE_COLUMNS)
    units = {"mjd": "d", "v_rad": "km s-1"}
    return table_hdu(table, name="APOGEE_VISITS", logicals=("in_stack", "has_file"), units=units)


def _velocity(target: Target, v_rad: float) -> float:
    return float(np.nan) if target.kind in EXTRAGALACTIC else v_rad
