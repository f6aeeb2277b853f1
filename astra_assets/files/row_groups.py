"""Read a Parquet file from its first row to its last in memory that does not grow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from astra_assets.files.streams import is_compressed, read_content

MAGIC = b"PAR1"
"""The first bytes of a Parquet file."""


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open a Parquet file; one that is compressed as a whole, too, is in memory. Raises OSError, StreamError, ArrowInvalid."""
    return pq.ParquetFile(pa.BufferReader(read_content(path)) if is_compressed(path) else path)


def batches(
    file: pq.ParquetFile, rows: int, columns: Sequence[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """The rows of an open file in order, at most `rows` at a time, all columns or those named.

    Asked for all row groups at once, PyArrow 26 keeps something of each until it has read the last one (5 MB of a group
    of 240 columns), so each is asked for by itself.
    """
    chosen = None if columns is None else list(columns)
    for group in range(file.metadata.num_row_groups):
        yield from file.iter_batches(rows, row_groups=[group], columns=chosen)
