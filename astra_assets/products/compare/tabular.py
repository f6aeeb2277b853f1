"""The tables of a product as Parquet files, also where only its FITS file is there.

Belongs here: turning FITS tables into temporary Parquet files as a stream. Does not belong here: the Parquet files beside
a product (`parquet`), what is done with them (`diff`, `preview`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from astra_assets.fits.read_back import Blocks, ReadTable, Records, dtype_of, next_header, read_header
from astra_assets.products.bundle import Bundle


@contextmanager
def tables_of(files: Bundle) -> Iterator[Sequence[Path]]:
    """A Parquet file for each table of a product: those beside it, else temporary ones made from its FITS file.

    Temporary files take about as much room as the FITS file; they go where `TMPDIR` says and vanish at the end of the
    block. Raises UnsoundFileError when the FITS file is damaged.
    """
    if all(path.exists() for path in files.parquet):
        yield files.parquet
        return
    with tempfile.TemporaryDirectory(prefix="astra-tables-") as folder:
        yield list(_converted(files.fits, Path(folder)))


def _converted(path: Path, folder: Path) -> Iterator[Path]:
    blocks = Blocks(path)
    read_header(blocks)
    number = 0
    while (header := next_header(blocks)) is not None:
        number += 1
        target = folder / f"{number}.parquet"
        dtype = dtype_of(header.cards)
        letters = [
            str(header.cards[f"TFORM{column}"]).strip()[-1]
            for column in range(1, len(dtype.fields or ()) + 1)
        ]
        kinds = {
            name: _kind(dtype[name], letter) for name, letter in zip(dtype.names or (), letters, strict=True)
        }
        with pq.ParquetWriter(target, pa.schema(kinds.items())) as writer:
            for rows in ReadTable(blocks, header).chunks(dtype):
                arrays = [_array(rows[name], kind) for name, kind in kinds.items()]
                writer.write_batch(pa.record_batch(arrays, schema=writer.schema))
        yield target


def _kind(dtype: np.dtype[Any], letter: str) -> pa.DataType:
    """The Arrow type of a column: a text, a boolean, a number, or a list of numbers."""
    if letter == "A":
        return pa.string()
    if letter == "L" and not dtype.shape:
        return pa.bool_()
    element = pa.from_numpy_dtype(dtype.base.newbyteorder("="))
    return pa.list_(element, dtype.shape[0]) if dtype.shape else element


def _array(values: Records, kind: pa.DataType) -> pa.Array:
    if pa.types.is_boolean(kind):
        return pa.array(values == ord("T"))
    if pa.types.is_string(kind):
        width = values.shape[1]
        if not width:
            return pa.array([""] * len(values), kind)
        return pa.array(np.ascontiguousarray(values).view(f"S{width}").reshape(-1), pa.binary()).cast(kind)
    native = values.astype(values.dtype.newbyteorder("="))
    if pa.types.is_fixed_size_list(kind):
        return pa.FixedSizeListArray.from_arrays(pa.array(native.reshape(-1)), type=kind)
    return pa.array(native)
