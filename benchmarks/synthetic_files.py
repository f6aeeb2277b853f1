"""Synthetic files of a BOSS reduction: an spAll summary and specFull spectra, with DR20's columns.

Values are random and the same in every run. Tables of a database are made in `synthetic.py`; nothing here is
timed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from isal import igzip

from astra_assets.demo.spall_columns import SPALL_COLUMNS
from astra_assets.demo.tables import primary_hdu, records, table_hdu

PIXELS = 4_600
"""Pixels of a specFull spectrum, about."""

MOST_EXPOSURES = 6

COADD_FORMATS = {
    **dict.fromkeys(("FLUX", "LOGLAM", "IVAR"), "E"),
    **dict.fromkeys(("AND_MASK", "OR_MASK"), "J"),
    **dict.fromkeys(("WDISP", "SKY", "WRESL", "MODEL"), "E"),
}
"""Columns of HDU 1 of a specFull file."""

EXPOSURE_LISTS = frozenset(
    {
        "DELTA_RA_LIST",
        "DELTA_DEC_LIST",
        "MOON_DIST",
        "MOON_PHASE",
        "RA_LIST",
        "DEC_LIST",
        "MJD_LIST",
        "TAI_LIST",
    }
)
"""Columns of spAll that are texts with a number for each exposure."""


def write_spall(path: str, rows: int) -> dict[str, float]:
    """An spAll file (gzip) with `rows` rows of different spectra."""
    rng = np.random.default_rng(3)
    exposures = rng.integers(1, MOST_EXPOSURES + 1, rows)
    columns = {name: _spall_column(name, form, rng, exposures) for name, form, _ in SPALL_COLUMNS}
    data = records(columns, {name: form for name, form, _ in SPALL_COLUMNS})
    with igzip.open(path, "wb", compresslevel=1) as stream:  # type: ignore[no-untyped-call]
        stream.write(primary_hdu())
        stream.write(table_hdu(data, name="SPALL"))
    return {}


def _spall_column(
    name: str, form: str, rng: np.random.Generator, exposures: npt.NDArray[np.int64]
) -> npt.NDArray[Any]:
    rows = len(exposures)
    numbers = np.arange(rows)
    special: dict[str, Any] = {
        "FIELD": 15_000 + numbers // 500 % 80_000,
        "MJD": 59_000 + numbers // 500 % 1_500,
        "OBS": np.where(numbers % 3 == 0, b"LCO", b"APO"),
        "CATALOGID": 4_375_924_413 + numbers,
        "HEALPIX": rng.integers(0, 196_608, rows),
        "NEXP": exposures,
        "ZWARNING": np.zeros(rows, np.int64),
        "SPEC_FILE": np.char.add("spec-015000-59146-", (4_375_924_413 + numbers).astype("U")),
    }
    if name in special:
        return np.asarray(special[name])
    if name in EXPOSURE_LISTS:
        lists = [
            " ".join(f"{value:.3f}" for value in rng.uniform(0, 100, 6)) for _ in range(50 * MOST_EXPOSURES)
        ]
        cut = [" ".join(text.split()[: 1 + number // 50]) for number, text in enumerate(lists)]
        chosen: npt.NDArray[Any] = np.array(cut, "S")[50 * (exposures - 1) + rng.integers(0, 50, rows)]
        return chosen
    letter, shape = form[-1], (rows, int(form[:-1])) if form[:-1] else (rows,)
    if letter == "A":
        return np.array([f"{name.lower()[:8]}-{n}" for n in range(20)], "S")[rng.integers(0, 20, rows)]
    if letter in "ED":
        return rng.uniform(0, 90, shape)
    return rng.integers(0, 200, shape)


def write_spectra(folder: str, count: int) -> dict[str, float]:
    """`count` specFull files: the coadd in HDU 1, and the spectrum's row of spAll."""
    rng = np.random.default_rng(4)
    ones = np.ones(1, np.int64)
    row = {name: _spall_column(name, form, rng, ones) for name, form, _ in SPALL_COLUMNS}
    spall = table_hdu(records(row, {name: form for name, form, _ in SPALL_COLUMNS}), name="SPALL")
    loglam = 3.5523 + 1e-4 * np.arange(PIXELS)
    for number in range(count):
        columns: dict[str, Any] = {name: rng.normal(10.0, 1.0, PIXELS) for name in COADD_FORMATS}
        columns |= {
            "LOGLAM": loglam,
            "AND_MASK": rng.integers(0, 2, PIXELS),
            "OR_MASK": rng.integers(0, 2, PIXELS),
        }
        coadd = table_hdu(records(columns, COADD_FORMATS), name="COADD")
        (Path(folder) / f"spec-{number:06d}.fits").write_bytes(primary_hdu() + coadd + spall)
    return {}
