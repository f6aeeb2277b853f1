"""A table with a column of every kind, and rows with NULL and whatever else is peculiar, as FITS and as Parquet."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from astra_assets.fits.formats import FitsColumn
from astra_assets.fits.header import Card, section
from astra_assets.fits.writer import FitsWriter
from astra_assets.products.write.copying import copy_rows
from astra_assets.products.write.parquet import ParquetTwin
from astra_assets.registry.kinds import Definition, Kind

ROWS = 3001
CARDS = [*section("Metadata"), Card("V_ASTRA", "0.8.1", "Version of Astra"), Card("NROWS1", ROWS)]


def fits_column(name: str, kind: Kind, width: int = 1, unit: str | None = None, ucd: str | None = None):
    return FitsColumn(name, Definition(kind, f"About <{name}> & more", unit, ucd), width)


COLUMNS = [
    fits_column("spectrum_pk", Kind.int64, ucd="meta.id;meta.main"),
    fits_column("name", Kind.text, 5),
    fits_column("ra", Kind.float64, unit="deg", ucd="pos.eq.ra"),
    fits_column("v_rad", Kind.float32, unit="km s-1"),
    fits_column("airtemp", Kind.float32, unit="Celsius"),
    fits_column("n_exp", Kind.int32),
    fits_column("flags", Kind.bits),
    fits_column("dithered", Kind.boolean),
    fits_column("created", Kind.datetime),
    fits_column("cartons", Kind.bytes, 7),
    fits_column("delta_ra", Kind.floats, 3, unit="arcsec"),
]


def rows(count: int = ROWS) -> pa.RecordBatch:
    rng = np.random.default_rng(7)
    missing = rng.random(count) < 0.2
    numbers = np.arange(count)
    return pa.record_batch(
        {
            "spectrum_pk": pa.array(numbers + 2**60, mask=missing),
            "name": pa.array(["abcde"[: i % 6] for i in range(count)], mask=missing),
            "ra": pa.array(rng.uniform(0, 360, count), mask=missing),
            "v_rad": pa.array(np.where(numbers % 50 == 0, -np.inf, rng.normal(size=count)), mask=missing),
            "airtemp": pa.array(rng.normal(size=count)),
            "n_exp": pa.array(numbers.astype("i4"), mask=missing),
            "flags": pa.array(numbers << 30, mask=missing),
            "dithered": pa.array(numbers % 3 == 0, mask=missing),
            "created": pa.array((numbers * 1_234_567).astype("M8[us]"), mask=missing),
            "cartons": pa.array([bytes(range(i % 8)) for i in range(count)], mask=missing),
            "delta_ra": pa.array(
                [[0.5 * i] * (i % 4) for i in range(count)], pa.list_(pa.float64()), mask=missing
            ),
            "unused": numbers,
        }
    )


def twin(path: Path, *batches: pa.RecordBatch, columns=COLUMNS) -> Path:
    with ParquetTwin(path, columns, name="mwmTargets", description="Sources", cards=CARDS) as out:
        for batch in batches:
            out.write(batch)
    assert out.rows == sum(batch.num_rows for batch in batches)
    return path


def write_both(folder: Path, *batches: pa.RecordBatch) -> tuple[Path, Path]:
    """Write a FITS file and its twin in one pass."""
    fits, parquet = folder / "a.fits", folder / "a.parquet"
    with (
        FitsWriter(fits, created=datetime(2026, 1, 2, tzinfo=UTC)) as out,
        ParquetTwin(parquet, COLUMNS, name="mwmTargets", description="Sources", cards=CARDS) as twin_file,
    ):
        out.primary()
        with out.table(COLUMNS, key="spectrum_pk") as table:
            copy_rows(iter(batches), [table, twin_file])
    return fits, parquet
