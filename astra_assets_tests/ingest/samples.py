"""Small input files for the tests of ingestion: spAll, specFull headers, catalogues."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

RUN2D = "v6_2_1"


def spall_rows(count: int, *, seed: int = 1) -> dict[str, np.ndarray]:
    """Columns of an spAll file with `count` rows: twenty rows per field, one night, distinct catalogids."""
    rng = np.random.default_rng(seed)
    exposures = rng.integers(1, 6, count)
    return {
        "FIELD": 15000 + np.arange(count, dtype=np.int64) // 20,
        "MJD": np.full(count, 59146, dtype=np.int64),
        "OBS": np.where(np.arange(count) % 3 == 0, b"LCO", b"APO"),
        "NEXP": exposures.astype(np.int16),
        "EXPTIME": (900 * exposures).astype(np.float32),
        "SPEC_FILE": np.array([f"spec-015000-59146-{4375924413 + i}.fits" for i in range(count)]).astype(
            "S48"
        ),
        "CATALOGID": 4375924413 + np.arange(count, dtype=np.int64),
        "GRI_GAIA_TRANSFORM": np.ones(count, dtype=np.int64),
        "DELTA_RA_LIST": np.array([" ".join(["0.0"] * n) for n in exposures]).astype("S71"),
        "DELTA_DEC_LIST": np.array([" ".join(["0.0"] * n) for n in exposures]).astype("S71"),
        "HEALPIX": rng.integers(0, 196608, count),
        "SN_MEDIAN_ALL": rng.uniform(1, 60, count).astype(np.float32),
        "AIRMASS": rng.uniform(1, 2, count).astype(np.float32),
        "SEEING50": rng.uniform(1, 2, count).astype(np.float32),
        "MOON_DIST": np.array([" ".join(["100.5"] * n) for n in exposures]).astype("S107"),
        "MOON_PHASE": np.array([" ".join(["0.25"] * n) for n in exposures]).astype("S71"),
        "ZWARNING": np.zeros(count, dtype=np.int64),
        "XCSAO_RV": rng.normal(0, 50, count).astype(np.float32),
        "XCSAO_ERV": rng.uniform(1, 10, count).astype(np.float32),
        "XCSAO_RXC": rng.uniform(0, 20, count).astype(np.float32),
        "XCSAO_TEFF": rng.uniform(4e3, 1e4, count).astype(np.float32),
        "XCSAO_ETEFF": rng.uniform(10, 100, count).astype(np.float32),
        "XCSAO_LOGG": rng.uniform(1, 5, count).astype(np.float32),
        "XCSAO_ELOGG": rng.uniform(0.1, 1, count).astype(np.float32),
        "XCSAO_FEH": rng.uniform(-2, 0.5, count).astype(np.float32),
        "XCSAO_EFEH": rng.uniform(0.1, 1, count).astype(np.float32),
        "CLASS": np.full(count, b"STAR"),
        "CALIBFLUX": rng.uniform(0, 1, (count, 5)).astype(np.float32),
    }


def write_table(path: Path, columns: dict[str, np.ndarray], *, nulls: dict[str, int] | None = None) -> Path:
    """A FITS file with one binary table, gzipped where the name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = [
        fits.Column(name, fits_format(np.asarray(values)), array=values, null=(nulls or {}).get(name))
        for name, values in columns.items()
    ]
    hdus = fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(made)])
    if path.suffix == ".gz":
        with gzip.GzipFile(path, "wb", compresslevel=1, mtime=0) as packed:
            hdus.writeto(packed)
    else:
        hdus.writeto(path, overwrite=True)
    return path


def fits_format(values: np.ndarray) -> str:
    if values.dtype.kind in "SU":
        return f"{max(values.dtype.itemsize // (4 if values.dtype.kind == 'U' else 1), 1)}A"
    letter = {"u1": "B", "i1": "B", "i2": "I", "i4": "J", "i8": "K", "f4": "E", "f8": "D", "b1": "L"}[
        values.dtype.str[1:]
    ]
    return f"{values.shape[1]}{letter}" if values.ndim == 2 else letter


def write_spall(path: Path, columns: dict[str, np.ndarray], **options: Any) -> Path:
    """An spAll file."""
    return write_table(path, columns, **options)


HEADER = {
    "PLATEID": 15000, "CARTID": "FPS-N", "MAPID": 3, "PSFSKY": 3, "PREJECT": 0.2, "NSTD": 20, "LOWREJ": 5, "HIGHREJ": 8,
    "SCATPOLY": 0, "PROFTYPE": 1, "NFITPOLY": 1, "SKYCHI2": 1.1, "SCHI2MIN": 1.0, "SCHI2MAX": 1.2, "ALT": 65.5, "AZ": 120.25,
    "AIRMASS": 1.1, "AIRTEMP": "NaN", "DEWPOINT": -3.5, "DUSTA": 7009.5, "DUSTB": 312.7, "GUSTS": 13.5, "GUSTD": 86.5,
    "HUMIDITY": 31.0, "PRESSURE": 21.5, "WINDD": 155.25, "WINDS": 10.75, "NGUIDE": 42,
    "TAI-BEG": 59146.25 * 86400 + 0.7, "TAI-END": 59146.3125 * 86400,
}  # fmt: skip


def write_spec_full(path: Path, **changes: object) -> Path:
    """A file with the primary header of a specFull file; None leaves a key out."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = fits.Header()
    for key, value in (HEADER | changes).items():
        if value is not None:
            header[key] = (value, "a comment / with a slash")
    fits.PrimaryHDU(header=header).writeto(path, overwrite=True)
    return path


def content(database, table) -> list[dict]:
    """All rows of a table in the order of their keys."""
    from sqlalchemy import select

    with database.connect() as connection:
        return [dict(row._mapping) for row in connection.execute(select(table).order_by(table.c.pk))]
