"""The version of a product before the one that is being written, and which of its columns have values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from astra_assets.files.row_groups import batches
from astra_assets.fits.checksum import WordSum
from astra_assets.fits.errors import UnsoundFileError
from astra_assets.fits.read_back import (
    Blocks,
    ReadTable,
    Records,
    check_sums,
    dtype_of,
    next_header,
    read_header,
)
from astra_assets.products.bundle import Bundle, bundle_of, older_versions
from astra_assets.products.check.content import Previous
from astra_assets.products.headers import mark_of
from astra_assets.products.summary import SummaryProduct

_BLANK = frozenset({0, ord(" "), ord("F")})
"""Bytes of texts, byte strings and booleans (`F`) that say nothing."""
_ROWS = 1 << 16
"""Rows that are looked at together."""
_SAY_NOTHING = (-1, 0)
"""Integers that may stand for NULL or for no flag."""


def previous_bundle(product: SummaryProduct, path: Path, mwm_astra: Path) -> Bundle | None:
    """Find the files of the version before: those at `path` that are to be replaced, else the newest older version."""
    candidates = [path] if path.exists() else []
    for candidate in (*candidates, *older_versions(product, path, mwm_astra)):
        if mark_of(candidate) is not None:
            return bundle_of(product, candidate)
    return None


def previous_values(product: SummaryProduct, path: Path, mwm_astra: Path) -> Previous | None:
    """Find which columns of the version before have values; None where there is none that can be read."""
    found = previous_bundle(product, path, mwm_astra)
    if found is None:
        return None
    try:
        return Previous(found.fits, tuple(filled_in_parquet(each) for each in found.parquet))
    except (OSError, pa.ArrowException):
        pass  # not there or damaged: the FITS file says the same, only more slowly
    try:
        filled = filled_in_fits(found.fits)
    except (OSError, UnsoundFileError):
        return None
    return Previous(found.fits, filled) if len(filled) == len(product.tables) else None


def filled_in_parquet(path: Path) -> frozenset[str]:
    """Return the columns that say something in at least one row.

    NULL, NaN, an empty text, 0, -1 and False do not: files do not tell what stands for NULL from a value.
    """
    with pq.ParquetFile(path) as file:
        return frozenset(name for name in file.schema_arrow.names if _column_says_something(file, name))


def _column_says_something(file: pq.ParquetFile, name: str) -> bool:
    return any(_says_something(_plain(batch.column(0))) for batch in batches(file, _ROWS, [name]))


def _plain(column: pa.Array) -> Records:
    """The values of a column, of arrays their elements, of texts their lengths."""
    if pa.types.is_string(column.type):
        column = pc.binary_length(column)
    if pa.types.is_fixed_size_list(column.type):
        column = column.flatten()
    return np.asarray(column.to_numpy(zero_copy_only=False))


def filled_in_fits(path: Path) -> tuple[frozenset[str], ...]:
    """Return the same of each table of a FITS file. Raises UnsoundFileError when it is damaged."""
    blocks = Blocks(path)
    check_sums(read_header(blocks), WordSum())
    found = []
    while (header := next_header(blocks)) is not None:
        dtype = dtype_of(header.cards)
        filled: set[str] = set()
        for rows in ReadTable(blocks, header).chunks(dtype):
            filled.update(
                name for name in dtype.names or () if name not in filled and _says_something(rows[name])
            )
        found.append(frozenset(filled))
    return tuple(found)


def _says_something(values: Records) -> bool:
    if values.dtype.kind == "f":
        return bool(np.any(~np.isnan(values)))
    if values.dtype == np.bool_:
        return bool(values.any())
    if values.dtype == np.uint8:
        return not _BLANK.issuperset(np.unique(values).tolist())
    return not set(_SAY_NOTHING).issuperset(np.unique(values).tolist())
