"""Small input files of an APOGEE reduction: allVisit, allStar, and headers of apVisit and apStar files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.io import fits

from astra_assets.files.paths import ap_star_path, ap_visit_name, ap_visit_path, apogee_summary_paths
from astra_assets_tests.ingest.samples import write_table

APRED = "1.5"


def visit_rows(stars: int = 3, visits: int = 2, *, telescope: str = "apo25m") -> dict[str, np.ndarray]:
    """Columns of an SDSS-V allVisit file: each star with as many visits, one a night."""
    count = stars * visits
    star, visit = np.arange(count) // visits, np.arange(count) % visits
    return {
        "APOGEE_ID": np.array([f"2M000000{number:02d}+0000000" for number in star]).astype("S18"),
        "FILE": np.full(count, b"apVisit.fits"),
        "FIBERID": (star + 10).astype(np.int16),
        "PLATE": np.full(count, b"15001"),
        "MJD": (59600 + visit).astype(np.int32),
        "TELESCOPE": np.full(count, telescope.encode()).astype("S8"),
        "FIELD": np.full(count, b"20916").astype("S12"),
        "RA": 10.0 + star,
        "DEC": np.full(count, 20.0),
        "CATALOGID": 4_000_000_000 + star.astype(np.int64),
        "SDSS_ID": 500 + star.astype(np.int64),
        "SNR": np.full(count, 80.0, dtype=np.float32),
        "STARFLAG": np.zeros(count, dtype=np.int64),
        "DATEOBS": np.array([f"2022-01-{20 + number:02d}T06:00:00.5" for number in visit]).astype("S24"),
        "JD": 2_459_600.75 + visit,
        "STARVER": np.full(count, b"59700").astype("S6"),
        "BC": np.full(count, -4.5),
        "VREL": np.full(count, 12.5, dtype=np.float32),
        "VRELERR": np.full(count, 0.1, dtype=np.float32),
        "VRAD": np.full(count, 8.0, dtype=np.float32),
        "CHISQ": np.full(count, 2.5, dtype=np.float32),
        "RV_TEFF": np.full(count, 4800.0, dtype=np.float32),
        "XCORR_VRAD": np.full(count, 8.1, dtype=np.float32),
        "N_COMPONENTS": np.ones(count, dtype=np.int32),
        "RV_COMPONENTS": np.zeros((count, 3), dtype=np.float32),
    }


def star_rows(stars: int = 3, *, telescope: str = "apo25m") -> dict[str, np.ndarray]:
    """Columns of an SDSS-V allStar file."""
    number = np.arange(stars)
    return {
        "PK": number.astype(np.int64) + 900,
        "APOGEE_ID": np.array([f"2M000000{n:02d}+0000000" for n in number]).astype("S18"),
        "STARVER": np.full(stars, b"59700").astype("S6"),
        "MJDBEG": np.full(stars, 59600, dtype=np.int32),
        "MJDEND": np.full(stars, 59601, dtype=np.int32),
        "TELESCOPE": np.full(stars, telescope.encode()).astype("S8"),
        "HEALPIX": (number + 70_000).astype(np.int32),
        "SNR": np.full(stars, 110.0, dtype=np.float32),
        "RA": 10.0 + number,
        "DEC": np.full(stars, 20.0),
        "CATALOGID": 4_000_000_000 + number.astype(np.int64),
        "SDSS_ID": 500 + number.astype(np.int64),
        "NVISITS": np.full(stars, 2, dtype=np.int32),
        "NGOODVISITS": np.full(stars, 2, dtype=np.int32),
        "NGOODRVS": np.full(stars, 2, dtype=np.int32),
        "STARFLAG": np.full(stars, 16, dtype=np.int64),
        "VRAD": np.full(stars, 8.0, dtype=np.float32),
        "VSCATTER": np.full(stars, 0.2, dtype=np.float32),
        "VERR": np.full(stars, np.nan, dtype=np.float32),
        "CHISQ": np.full(stars, 2.0, dtype=np.float32),
        "RV_TEFF": np.full(stars, 4810.0, dtype=np.float32),
        "N_COMPONENTS": np.ones(stars, dtype=np.int32),
        "MEANFIB": np.full(stars, np.nan, dtype=np.float32),
        "SIGFIB": np.full(stars, np.nan, dtype=np.float32),
    }


def dr17_visits() -> dict[str, np.ndarray]:
    """Columns of SDSS-IV's allVisit: a star from the north, one from the south, one of the 1 m telescope."""
    return {
        "APOGEE_ID": np.array([b"2M01183798+8403419", b"2M00000002-1959264", b"VESTA"]),
        "FILE": np.array([b"apVisit-dr17-5095-55844-128.fits", b"asVisit-dr17-9753-57884-007.fits",
                          b"apVisit-dr17-56654-VESTA.fits"]),
        "FIBERID": np.array([128, 7, -1], dtype=np.int16),
        "PLATE": np.array([b"5095", b"9753", b""]),
        "MJD": np.array([55844, 57884, 56654], dtype=np.int32),
        "TELESCOPE": np.array([b"apo25m", b"lco25m", b"apo1m"]),
        "FIELD": np.array([b"N1333", b"M83", b"calibration"]),
        "SNR": np.array([44.9, np.nan, -9999.99], dtype=np.float32),
        "STARFLAG": np.array([512, 0, -9999], dtype=np.int64),
        "JD": np.array([2455844.74412, 2457884.8, -9999.0]),
        "VREL": np.array([-44.4, 999999.0, 3.0], dtype=np.float32),
        "VHELIO": np.array([-33.1, np.nan, 3.5]),
        "RV_CHI2": np.array([1.9, 2.0, 3.0], dtype=np.float32),
        "RV_FLAG": np.array([0, 4, 0], dtype=np.int32),
        "CCFWHM": np.array([48.0, 50.0, 51.0], dtype=np.float32),
    }  # fmt: skip


def dr17_stars() -> dict[str, np.ndarray]:
    """Columns of SDSS-IV's allStar, the same stars."""
    visits = dr17_visits()
    return {
        **{name: visits[name] for name in ("APOGEE_ID", "TELESCOPE", "FIELD", "SNR", "STARFLAG")},
        "RA": np.array([19.658251, 0.001, 50.0]),
        "DEC": np.array([84.061646, -19.99, 10.0]),
        "NVISITS": np.ones(3, dtype=np.int32),
        "VHELIO_AVG": np.array([-33.1, 5.0, 3.5], dtype=np.float32),
        "MEANFIB": np.array([128.0, 7.0, np.nan], dtype=np.float32),
    }


def write_summaries(
    root: Path, visits: dict, stars: dict, *, apred: str = APRED, telescope: int = 0
) -> tuple[Path, Path]:
    """allVisit and allStar of a reduction and a telescope (by its place among the paths)."""
    return (
        write_table(root / apogee_summary_paths("allVisit", apred)[telescope], visits),
        write_table(root / apogee_summary_paths("allStar", apred)[telescope], stars),
    )


def write_ap_visit(root: Path, row: dict, *, n_pixels: int = 4096, **header: object) -> Path:
    """The first headers of an apVisit file, with an image of the size that they say."""
    path = root / ap_visit_path(row)
    path.parent.mkdir(parents=True, exist_ok=True)
    primary = fits.PrimaryHDU()
    primary.header.update({"EXPTIME": 2002.04, "NCOMBINE": 8, **header})
    image = fits.ImageHDU(np.ones((3, n_pixels), dtype=np.float32))
    fits.HDUList([primary, image]).writeto(path, overwrite=True)
    return path


def write_ap_star(root: Path, star: dict, visits: list[dict], **header: object) -> Path:
    """The primary header of an apStar file with these visits."""
    path = root / ap_star_path(star)
    path.parent.mkdir(parents=True, exist_ok=True)
    primary = fits.PrimaryHDU()
    cards = {
        "SNR": 111.0,
        "MEANFIB": 10.5,
        "SIGFIB": 0.5,
        "VERR": 0.05,
        "VHBARY": 9.0,
        "NVISITS": len(visits),
    }
    files = {f"SFILE{number}": ap_visit_name(visit) for number, visit in enumerate(visits, 1)}
    primary.header.update(cards | files | header)
    primary.writeto(path, overwrite=True)
    return path
