"""The tables of a product as Parquet files, also where only its FITS file is there."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from astra_assets.fits.read_back import Blocks, ReadTable, dtype_of, next_header, read_header
from astra_assets.products.bundle import Bundle
from astra_assets.products.check.decode import column_types, decoded


@contextmanager
def tables_of(files: Bundle) -> Iterator[Sequence[Path]]:
    """Yield a Parquet file for each table of a product: those beside it, else temporary ones made from its FITS file.

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
        types = column_types(header.cards)
        with pq.ParquetWriter(target, pa.schema(types.items())) as writer:
            for rows in ReadTable(blocks, header).chunks(dtype_of(header.cards)):
                arrays = [decoded(rows[name], kind) for name, kind in types.items()]
                writer.write_batch(pa.record_batch(arrays, schema=writer.schema))
        yield target
