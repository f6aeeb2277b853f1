"""Rows of spAll, the summary of the BOSS reduction: one for each visit.

A row is what the reduction would have said of the visit, its redshift class and XCSAO velocity included.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astra_assets.astronomy.constants import SPEED_OF_LIGHT
from astra_assets.demo.kinds import EXTRAGALACTIC, TRAITS
from astra_assets.demo.photometry import Columns
from astra_assets.demo.pixels import Pixels
from astra_assets.demo.population import UNKNOWN_ID, Visit
from astra_assets.demo.spall_columns import RUN2D, SPALL_COLUMNS
from astra_assets.demo.streams import stream
from astra_assets.demo.tables import records

UNITS = {name: unit for name, _, unit in SPALL_COLUMNS if unit}
SMALL_DELTA_CHI2, MANY_OUTLIERS = 1 << 2, 1 << 4
"""Bits of ZWARNING."""
NAMELESS_FILES = 97
"""Each so many rows have no SPEC_FILE: its name then follows from field, date and catalogid."""
OFFSET_SHARE = 0.08
"""Part of the visits with the fibre placed next to a star that is too bright."""


def stack(rows: list[dict[str, Any]]) -> NDArray[Any]:
    """Rows by column name as the records of spAll.

    Columns that a row does not give hold 0, NaN or the empty text.
    """
    columns = {}
    formats = {}
    for name, form, _ in SPALL_COLUMNS:
        given = [row.get(name, _nothing(form)) for row in rows]
        columns[name] = np.array(given)
        formats[name] = form
    return records(columns, formats)


def _nothing(form: str) -> Any:
    count, letter = form[:-1], form[-1]
    nothing: Any = {"A": "", "E": np.nan, "D": np.nan}.get(letter, 0)
    return [nothing] * int(count) if count else nothing


def row(seed: int, visit: Visit, pixels: Pixels, columns: Columns) -> dict[str, Any]:
    """The row of one visit; `columns` describe all targets of the survey."""
    rng = stream(seed, "spall", visit.number)
    return {
        **_observation(visit, rng),
        **_names(visit, columns),
        **_photometry(visit, columns, rng),
        **_quality(visit, pixels),
        **_redshift(visit, pixels.snr, rng),
        **_cross_correlation(visit, pixels.snr, rng),
    }


def _list(values: Any) -> str:
    """Numbers as the reduction lists them: separated by blanks."""
    return " ".join(str(value) for value in values)


def _observation(visit: Visit, rng: np.random.Generator) -> dict[str, Any]:
    night, pointing = visit.night, visit.field
    size = night.n_exp
    offset = float(rng.choice([0.3, 0.8, 1.2])) if rng.uniform() < OFFSET_SHARE else 0.0
    offsets = [round(offset * float(x), 3) for x in rng.choice([-1.0, 1.0], 2)]
    middles = night.tai_beg + (np.arange(size) + 0.5) * (night.tai_end - night.tai_beg) / size
    place = rng.uniform(-300, 300, 2)
    fiber = int(rng.integers(1, 501))
    return {
        "FIELD": pointing.fieldid,
        "MJD": night.mjd,
        "OBS": pointing.site.code,
        "MJD_FINAL": night.middle,
        "MJD_LIST": _list([night.mjd] * size),
        "TAI_LIST": _list(round(float(x), 1) for x in middles),
        "RUN2D": RUN2D,
        "RUN1D": RUN2D,
        "DESIGNS": _list([pointing.fieldid * 3 % 100_000] * size),
        "CONFIGS": _list([night.mjd % 20_000] * size),
        "NEXP": size,
        "EXPTIME": night.exptime,
        "TARGET_INDEX": fiber,
        "FIBERID_LIST": _list([fiber] * size),
        "SPEC_FILE": visit.spec_file if (visit.number + 1) % NAMELESS_FILES else "",
        "PROGRAMNAME": "plates" if pointing.plate else "science",
        "SURVEY": "mwm" if visit.target.cartons[0].startswith("m") else "bhm",
        "CADENCE": f"dark_{size}x1",
        "AIRMASS": night.airmass,
        "SEEING20": night.seeing[0],
        "SEEING50": night.seeing[1],
        "SEEING80": night.seeing[2],
        "MOON_DIST": _list(night.moon_distance),
        "MOON_PHASE": _list(night.moon_phase),
        "DELTA_RA_LIST": _list([offsets[0]] * size),
        "DELTA_DEC_LIST": _list([offsets[1]] * size),
        "FIBER_OFFSET": int(offset > 0),
        "XFOCAL": _list([round(float(place[0]), 3)] * size),
        "YFOCAL": _list([round(float(place[1]), 3)] * size),
        "ASSIGNED": _list([1] * size),
        "ON_TARGET": _list([1] * size),
        "VALID": _list([1] * size),
        "DECOLLIDED": _list([0] * size),
        "FIELDQUALITY": "good",
        "LAMBDA_EFF": 5400.0,
        "ZOFFSET": 0.0,
    }


def _names(visit: Visit, columns: Columns) -> dict[str, Any]:
    target, healpix = visit.target, int(columns["healpix"][visit.target.number])
    listed = target.catalogids if target.in_catalog else {}
    date = f"{visit.field.fieldid:06d}/{visit.night.mjd}"
    return {
        "CATALOGID": visit.catalogid,
        "CATALOGID_V0": listed.get(21, UNKNOWN_ID),
        "CATALOGID_V0P5": listed.get(25, UNKNOWN_ID),
        "CATALOGID_V1": listed.get(31, UNKNOWN_ID),
        "SDSS_ID": visit.sdss_id,
        "SPECOBJID": str(10**18 + visit.number),
        "FIRSTCARTON": target.cartons[0].rsplit("_", 1)[0],
        "CARTON_TO_TARGET_PK": str(30_000_000 + target.number),
        "SDSS5_TARGET_FLAGS": columns["sdss5_target_flags"][target.number],
        "OBJTYPE": "QSO",
        "TOO_ID": UNKNOWN_ID,
        "HEALPIX": healpix,
        "HEALPIXGRP": healpix // 1000,
        "HEALPIX_PATH": f"healpix/{healpix // 1000}/{healpix}/boss/{date}",
        "RACAT": target.ra,
        "DECCAT": target.dec,
        "PLUG_RA": target.ra,
        "PLUG_DEC": target.dec,
        "FIBER_RA": target.ra,
        "FIBER_DEC": target.dec,
        "RA_LIST": _list([round(target.ra, 6)] * visit.night.n_exp),
        "DEC_LIST": _list([round(target.dec, 6)] * visit.night.n_exp),
        "COORD_EPOCH": 2016.0,
    }


def _photometry(visit: Visit, columns: Columns, rng: np.random.Generator) -> dict[str, Any]:
    own = {name: values[visit.target.number] for name, values in columns.items() if values.ndim == 1}
    bands = [own["g_mag"] + offset for offset in (0.9, 0.2, 0.0, 0.1, 0.2)]
    # Three bits for each band; those that say "made from Gaia", or none where there is SDSS photometry.
    from_gaia = sum(1 << 3 * band for band in range(5))
    return {
        "MAG": bands,
        "PSFMAG": bands,
        "FIBER2MAG": [value + 0.3 for value in bands],
        "CATDB_MAG": bands,
        "CALIBFLUX": [10.0 ** (0.4 * (22.5 - value)) for value in bands],
        "OPTICAL_PROV": "gaia_psf",
        "GAIA_G_MAG": own["g_mag"],
        "BP_MAG": own["bp_mag"],
        "RP_MAG": own["rp_mag"],
        "GAIA_ID": own["gaia_dr2_source_id"],
        "GRI_GAIA_TRANSFORM": int(rng.choice([0, from_gaia, from_gaia | 1 << 15], p=[0.55, 0.4, 0.05])),
        "WISE_MAG": [own["w1_mag"], own["w2_mag"], np.nan, np.nan],
        "TWOMASS_MAG": [own["j_mag"], own["h_mag"], own["k_mag"]],
        "EBV": own["ebv_sfd"],
        "EBV_TYPE": "SFD",
        "PMRA": own["pmra"],
        "PMDEC": own["pmde"],
        "PARALLAX": own["plx"],
    }


def _quality(visit: Visit, pixels: Pixels) -> dict[str, Any]:
    size = visit.night.n_exp
    each = [round(10.0 * visit.night.n_exp / visit.night.seeing[1], 2)] * size
    camera = visit.field.site.spectrograph
    return {
        "SN_MEDIAN": pixels.bands,
        "SN_MEDIAN_ALL": pixels.snr,
        "ANYANDMASK": pixels.and_mask,
        "ANYORMASK": pixels.or_mask,
        "WAVEMIN": pixels.wavelengths[0],
        "WAVEMAX": pixels.wavelengths[1],
        "WCOVERAGE": 1e-4 * len(pixels.table),
        "SPECPRIMARY": 1,
        "SPECBOSS": 1,
        "BOSS_SPECOBJ_ID": visit.target.number + 1,
        "NSPECOBS": 1,
        "FIELDSN2": sum(each),
        "FIELDSNR2G_LIST": _list(each),
        "FIELDSNR2R_LIST": _list(each),
        "FIELDSNR2I_LIST": _list(each),
        **{f"SPEC{camera}_{band}": sum(each) for band in "GRI"},
    }


def _redshift(visit: Visit, snr: float, rng: np.random.Generator) -> dict[str, Any]:
    """Class, redshift and its warnings; the warnings are more common where the S/N is low."""
    traits = TRAITS[visit.target.kind]
    warning = 0
    if rng.uniform() < 0.015 + 0.25 * np.exp(-snr / 3.0):
        warning = int(
            rng.choice([SMALL_DELTA_CHI2, MANY_OUTLIERS, SMALL_DELTA_CHI2 | MANY_OUTLIERS], p=[0.6, 0.3, 0.1])
        )
    redshift = visit.v_rad / SPEED_OF_LIGHT + rng.normal(0, 1e-4)
    if visit.target.kind in EXTRAGALACTIC:
        redshift = float(rng.uniform(0.02, 0.3))
    return {
        "CLASS": traits.spectral_class,
        "SUBCLASS": traits.subclass,
        "Z": redshift,
        "Z_ERR": 1e-4,
        "ZWARNING": warning,
        "RCHI2": float(rng.normal(1.05, 0.08)),
        "DOF": 4500,
        "RCHI2DIFF": 0.005 if warning & SMALL_DELTA_CHI2 else float(rng.uniform(0.02, 2.0)),
        "TFILE": f"spEigen{traits.spectral_class.capitalize()}.fits",
        "TCOLUMN": [0] + [-1] * 9,
        "NPOLY": 4,
    }


def _cross_correlation(visit: Visit, snr: float, rng: np.random.Generator) -> dict[str, Any]:
    """Velocity and parameters as XCSAO finds them with templates of normal stars.

    White dwarfs correlate poorly, so R is small; the velocity still scatters around the true one by its error
    of 10 to 35 km/s (featureless and extragalactic objects: by hundreds). One in a hundred visits has none.
    """
    traits = TRAITS[visit.target.kind]
    strength = traits.correlation * rng.uniform(0.6, 1.4)
    r_value = 1.8 + 10.0 * strength * (1.0 - np.exp(-snr / 15.0))
    error = traits.error * float(np.clip(np.hypot(10.0, 200.0 / snr), 10.0, 35.0))
    velocity = visit.v_rad + rng.normal(0, error)
    if snr < 6.0 and rng.uniform() < 0.05:
        velocity, r_value = float(rng.uniform(-400, 400)), 1.9
    if rng.uniform() < 0.01:
        return {}
    hot = visit.target.kind == "STAR" and np.isfinite(visit.target.template.teff)
    teff = visit.target.template.teff if hot else float(rng.uniform(7000, 9700))
    return {
        "XCSAO_RV": velocity,
        "XCSAO_ERV": error,
        "XCSAO_RXC": r_value,
        "XCSAO_TEFF": teff + rng.normal(0, 60),
        "XCSAO_ETEFF": float(rng.uniform(30, 250)),
        "XCSAO_LOGG": float(rng.uniform(3.5, 5.0)),
        "XCSAO_ELOGG": float(rng.uniform(0.1, 0.5)),
        "XCSAO_FEH": float(rng.uniform(-2.0, 0.2)),
        "XCSAO_EFEH": float(rng.uniform(0.1, 0.4)),
    }
