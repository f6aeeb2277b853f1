"""allVisit and allStar, the summary files of an APOGEE reduction.

SDSS-V has a pair for each telescope, the last release of SDSS-IV one pair for all. Columns are those of the real files
that say something of a spectrum; their names follow the reductions, and so differ between the releases.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from astra_assets.demo.apogee.coadds import ApogeeCoadd
from astra_assets.demo.apogee.detectors import StarPixels, VisitPixels
from astra_assets.demo.apogee.visits import Star, StarVisit
from astra_assets.demo.tables import primary_hdu, records, table_hdu
from astra_assets.files.paths import ap_star_path, ap_visit_name

STARVER = "60700"
"""The version of the coadds of SDSS-V, an MJD."""
NO_VELOCITY = 999_999.0
"""What SDSS-IV's reduction writes where there is no velocity; SDSS-V's writes NaN."""
DOPPLER_ERROR = (60.0, 0.12, 0.06)
"""Errors of the parameters of Doppler: K, dex, dex."""

Row = dict[str, Any]

_SHARED = {
    "APOGEE_ID": "A",
    "TELESCOPE": "A",
    "FIELD": "A",
    "RA": "D",
    "DEC": "D",
    "SNR": "E",
    "STARFLAG": "K",
}
_PARAMETERS = {"RV_TEFF": "E", "RV_LOGG": "E", "RV_FEH": "E"}
_VISIT = {
    "FILE": "A", "FIBERID": "I", "PLATE": "A", "MJD": "J", "DATEOBS": "A", "JD": "D", "BC": "D", "VREL": "E", "VRELERR": "E",
    **_PARAMETERS, "N_COMPONENTS": "J",
}  # fmt: skip
_CROSS = {"XCORR_VREL": "E", "XCORR_VRELERR": "E"}
VISIT_COLUMNS = {
    "sdss5": {
        **_SHARED, **_VISIT, "CATALOGID": "K", "SDSS_ID": "K", "STARVER": "A", "VRAD": "E", "CHISQ": "E", **_CROSS,
        "XCORR_VRAD": "E", "RV_COMPONENTS": "3E",
    },
    "dr17": {
        **_SHARED, **_VISIT, "VHELIO": "D", "RV_CHI2": "E", "RV_FLAG": "J", "XCORR_VHELIO": "E", **_CROSS, "RV_CCPFWHM": "E",
        "RV_AUTOFWHM": "E",
    },
}  # fmt: skip
"""Names and formats of the columns of allVisit by release."""
_STAR = {
    "FILE": "A",
    "NVISITS": "J",
    "VSCATTER": "E",
    "VERR": "E",
    **_PARAMETERS,
    "N_COMPONENTS": "J",
    "MEANFIB": "E",
    "SIGFIB": "E",
}
STAR_COLUMNS = {
    "sdss5": {
        "PK": "K", **_SHARED, **_STAR, "CATALOGID": "K", "SDSS_ID": "K", "STARVER": "A", "MJDBEG": "J", "MJDEND": "J",
        "HEALPIX": "J", "NGOODVISITS": "J", "NGOODRVS": "J", "VRAD": "E", "VMEDERR": "E", "CHISQ": "E",
    },
    "dr17": {**_SHARED, **_STAR, "VHELIO_AVG": "E", "VERR_MED": "E", "RV_CHI2": "E", "RV_FLAG": "J", "RV_CCPFWHM": "E"},
}  # fmt: skip
"""Names and formats of the columns of allStar by release."""


def visit_row(visit: StarVisit, pixels: VisitPixels, rng: np.random.Generator) -> Row:
    """The row of allVisit of one visit, with the columns of both releases."""
    none = NO_VELOCITY if visit.release == "dr17" else np.nan
    velocity, relative, error = (
        (none, none, none) if visit.failed else (visit.measured, visit.measured_relative, visit.e_v_rad)
    )
    offset = 0.0 if visit.failed else float(rng.normal(0, 2 * visit.e_v_rad))
    return {
        **_names(visit.star, pixels.snr, pixels.flags),
        **_parameters(visit.star, rng, failed=visit.failed),
        "TELESCOPE": visit.telescope,
        "FIELD": visit.field,
        "FILE": ap_visit_name(visit.row),
        "FIBERID": visit.fiber,
        "PLATE": visit.plate,
        "MJD": visit.night.mjd,
        "DATEOBS": visit.date_obs,
        "JD": visit.jd,
        "BC": visit.night.velocity,
        "VREL": relative,
        "VRELERR": error,
        "VRAD": velocity,
        "VHELIO": velocity,
        "XCORR_VREL": relative + offset,
        "XCORR_VRELERR": 2 * error if not visit.failed else none,
        "XCORR_VRAD": velocity + offset,
        "XCORR_VHELIO": velocity + offset,
        "CATALOGID": visit.catalogid,
        "SDSS_ID": visit.sdss_id,
        "STARVER": STARVER,
        "RV_COMPONENTS": [0.0 if visit.failed else velocity, 0.0, 0.0],
    }


def star_row(coadd: ApogeeCoadd, pixels: StarPixels, rng: np.random.Generator, *, key: int) -> Row:
    """The row of allStar of one coadd, with the columns of both releases; `key` is the reduction's own."""
    mjds = [visit.night.mjd for visit in coadd.visits]
    named = next((visit for visit in coadd.visits if visit.sdss_id > 0), coadd.visits[0])
    return {
        **_names(coadd.star, pixels.snr, coadd.flags),
        **_parameters(coadd.star, rng, failed=False),
        "PK": key,
        "TELESCOPE": coadd.telescope,
        "FIELD": coadd.visits[0].field,
        "FILE": ap_star_path(coadd.row).rpartition("/")[2],
        "CATALOGID": coadd.visits[-1].catalogid,
        "SDSS_ID": named.sdss_id,
        "STARVER": STARVER,
        "MJDBEG": min(mjds),
        "MJDEND": max(mjds),
        "HEALPIX": coadd.healpix,
        "NVISITS": coadd.n_visits if coadd.release == "sdss5" else len(mjds),
        "NGOODVISITS": len(mjds),
        "NGOODRVS": len(mjds),
        "VRAD": coadd.v_rad,
        "VHELIO_AVG": coadd.v_rad,
        "VSCATTER": coadd.scatter,
        "VERR": coadd.e_v_rad,
        "VMEDERR": coadd.median_error,
        "VERR_MED": coadd.median_error,
        "MEANFIB": coadd.mean_fiber,
        "SIGFIB": coadd.std_fiber,
    }


def _names(star: Star, snr: float, flags: int) -> Row:
    return {
        "APOGEE_ID": star.obj,
        "RA": star.target.ra,
        "DEC": star.target.dec,
        "SNR": snr,
        "STARFLAG": flags,
    }


def _parameters(star: Star, rng: np.random.Generator, *, failed: bool) -> Row:
    """What the velocity code Doppler finds besides the velocity."""
    true = np.array([star.atmosphere.teff, star.atmosphere.logg, star.atmosphere.fe_h])
    found = np.full(3, np.nan) if failed else true + rng.normal(size=3) * DOPPLER_ERROR
    chi2 = np.nan if failed else float(rng.normal(1.1, 0.15))
    return {
        **dict(zip(_PARAMETERS, found.tolist(), strict=True)),
        "CHISQ": chi2,
        "RV_CHI2": chi2,
        "RV_FLAG": int(failed),
        "N_COMPONENTS": 0 if failed else 1,
        "RV_CCPFWHM": float(np.hypot(40.0, star.atmosphere.v_sini)),
        "RV_AUTOFWHM": 28.0,
    }


def table(rows: Sequence[Row], formats: Mapping[str, str]) -> list[bytes]:
    """The HDUs of a summary file with some of the columns of rows."""
    columns = {name: np.array([row[name] for row in rows]) for name in formats}
    return [primary_hdu(), table_hdu(records(columns, formats))]
