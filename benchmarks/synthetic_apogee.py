"""Synthetic files of an APOGEE reduction: an allVisit summary, apVisit and apStar spectra of the usual size.

Values are random and the same in every run; nothing here is timed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from astra_assets.demo.tables import primary_hdu, records, table_hdu

ALL_VISIT = {
    "APOGEE_ID": "18A", "TARGET_ID": "47A", "FILE": "46A", "URI": "150A", "FIBERID": "I", "PLATE": "11A", "MJD": "J",
    "TELESCOPE": "6A", "SURVEY": "13A", "FIELD": "18A", "RA": "D", "DEC": "D", "GLON": "D", "GLAT": "D", "CATALOGID": "K",
    "SDSS_ID": "K", "SNR": "E", "STARFLAG": "K", "STARFLAGS": "130A", "DATEOBS": "23A", "JD": "D", "STARVER": "5A", "BC": "D",
    "VTYPE": "I", "VREL": "E", "VRELERR": "E", "VRAD": "E", "CHISQ": "E", "RV_TEFF": "E", "RV_LOGG": "E", "RV_FEH": "E",
    "XCORR_VREL": "E", "XCORR_VRELERR": "E", "XCORR_VRAD": "E", "N_COMPONENTS": "J", "RV_COMPONENTS": "3E",
}  # fmt: skip
"""Columns of an allVisit file of SDSS-V."""

VISITS_OF_STAR = 4
VISIT_SHAPE, STAR_PIXELS = (3, 4096), 8575


def write_all_visit(path: str, rows: int) -> dict[str, float]:
    """An allVisit file with `rows` visits, four of each star."""
    rng = np.random.default_rng(5)
    visit = np.arange(rows)
    star = visit // VISITS_OF_STAR
    given: dict[str, Any] = {
        "APOGEE_ID": np.char.mod("2M%014d", star).astype("S"),
        "FIBERID": 1 + star % 300,
        "PLATE": np.char.mod("%d", 15_000 + star // 300).astype("S"),
        "MJD": 59_600 + visit % VISITS_OF_STAR,
        "TELESCOPE": np.full(rows, b"apo25m"),
        "FIELD": np.char.mod("%d", 20_000 + star // 300).astype("S"),
        "CATALOGID": 4_000_000_000 + star,
        "SDSS_ID": 50_000_000 + star,
        "DATEOBS": np.full(rows, b"2022-01-20T06:00:00.500"),
        "JD": 2_459_600.75 + visit % VISITS_OF_STAR,
        "STARVER": np.full(rows, b"59700"),
    }
    columns = {
        name: given[name] if name in given else _random(form, rows, rng) for name, form in ALL_VISIT.items()
    }
    Path(path).write_bytes(primary_hdu() + table_hdu(records(columns, ALL_VISIT), name="ALLVISIT"))
    return {}


def _random(form: str, rows: int, rng: np.random.Generator) -> Any:
    letter, shape = form[-1], (rows, int(form[:-1])) if form[:-1] else (rows,)
    if letter == "A":
        return np.full(rows, b"synthetic")
    return rng.uniform(0, 90, shape) if letter in "ED" else rng.integers(0, 200, shape)


def write_spectra(folder: str, count: int) -> dict[str, float]:
    """`count` apVisit files of 3 x 4096 pixels and as many apStar files of 4 visits, with all their HDUs."""
    rng = np.random.default_rng(6)
    for number in range(count):
        wavelength = np.linspace(16_960.0, 15_140.0, 3 * 4096).reshape(VISIT_SHAPE)
        _write(Path(folder) / f"apVisit-{number:05d}.fits", rng, VISIT_SHAPE, {4: wavelength})
        files = {f"SFILE{n}": f"apVisit-{n}.fits" for n in range(1, VISITS_OF_STAR + 1)}
        _write(
            Path(folder) / f"apStar-{number:05d}.fits", rng, (VISITS_OF_STAR + 2, STAR_PIXELS), {}, **files
        )
    return {}


def _write(
    path: Path, rng: np.random.Generator, shape: tuple[int, int], given: dict[int, Any], **header: str
) -> None:
    """Eight images: flux, error, mask and what goes with them; some are given."""
    primary = fits.PrimaryHDU()
    primary.header.update(header)
    images = [rng.normal(10.0, 1.0, shape).astype(np.float32) for _ in range(2)]
    images += [np.zeros(shape, np.int16), *(np.ones(shape, np.float32) for _ in range(5))]
    made = [fits.ImageHDU(given.get(number, image)) for number, image in enumerate(images, 1)]
    fits.HDUList([primary, *made]).writeto(path)
