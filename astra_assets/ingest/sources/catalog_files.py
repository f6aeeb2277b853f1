"""Catalogue files of any format as chunks of Arrow columns: FITS and Parquet of any size, CSV and ECSV.

The format is told by the content, not by the name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from astra_assets.files import row_groups
from astra_assets.files.sha256sums import sha256
from astra_assets.files.streams import StreamError, open_content
from astra_assets.files.text_tables import EcsvTable, TextTable, is_ecsv, read_ecsv
from astra_assets.fits.read_table import Chunk, FitsTable, open_table
from astra_assets.ingest.report import IngestError, Refusal, as_ingest_errors
from astra_assets.text import nearest

KEY = "sdss_id"
HEAD_BYTES = 8192
FITS_START = b"SIMPLE  ="


class CatalogFile(Protocol):
    """An open catalogue; its rows can be read once."""

    @property
    def names(self) -> Sequence[str]:
        """Names of the columns, as in the file."""

    def chunks(self, names: Sequence[str], chunk_rows: int) -> Iterator[Chunk]:
        """The named columns, some rows at a time."""

    def refusals(self) -> list[Refusal]:
        """Rows that could not even be read, so far."""

    def finish(self) -> str:
        """Checksum of the file."""


@contextmanager
def open_catalog(path: Path) -> Iterator[CatalogFile]:
    """A catalogue of whatever format.

    Raises:
        IngestError: the format is not known, or there is no column sdss_id.
    """
    with as_ingest_errors():
        yield from _opened(path)


def _opened(path: Path) -> Iterator[CatalogFile]:
    head = first_bytes(path)
    if head.startswith(FITS_START):
        with open_table(path, lambda names: KEY in names, f"a column {KEY}") as table:
            yield FitsCatalog(table)
        return
    opened: CatalogFile
    if head.startswith(row_groups.MAGIC):
        opened = ParquetCatalog(path)
    elif is_ecsv(head):
        opened = EcsvCatalog(read_ecsv(path))
    elif KEY in first_line(head).lower():
        opened = CsvCatalog(TextTable(path))
    else:
        raise IngestError(
            f"{path}: is no catalogue: expected FITS, Parquet, ECSV, or CSV with {KEY} in its first line; "
            f"it starts with {head[:40]!r}"
        )
    if KEY not in {name.lower() for name in opened.names}:
        alike = ", ".join(nearest(KEY, opened.names)) or "none that is called alike"
        raise IngestError(f"{path}: no column {KEY}; of its {len(opened.names)} columns, found {alike}")
    yield opened


def first_bytes(path: Path) -> bytes:
    """The start of a file, decompressed.

    Raises:
        IngestError: it cannot be decompressed.
    """
    try:
        with open_content(path) as opened:
            return opened.read(HEAD_BYTES)
    except (StreamError, OSError) as error:
        raise IngestError(f"{path}: cannot be decompressed: {error}") from error


def first_line(head: bytes) -> str:
    """The first line of a text file that is neither empty nor a comment."""
    lines = head.decode("utf-8", "replace").splitlines()
    return next((line for line in lines if line.strip() and not line.startswith("#")), "")


class FitsCatalog:
    """The first table of a FITS file that has a column sdss_id."""

    def __init__(self, table: FitsTable) -> None:
        self._table = table

    @property
    def names(self) -> Sequence[str]:
        """Names of the columns, as in the file."""
        return self._table.names

    def chunks(self, names: Sequence[str], chunk_rows: int) -> Iterator[Chunk]:
        """The named columns, some rows at a time."""
        return self._table.chunks(names, chunk_rows)

    def refusals(self) -> list[Refusal]:
        """None: every row of a FITS table can be read."""
        return []

    def finish(self) -> str:
        """Checksum of the file, read to its end."""
        return self._table.finish()


class ParquetCatalog:
    """A Parquet file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = row_groups.open_parquet(path)
        except (pa.ArrowInvalid, StreamError, OSError) as error:
            raise IngestError(f"{path}: is no complete Parquet file: {error}") from error

    @property
    def names(self) -> Sequence[str]:
        """Names of the columns, as in the file."""
        return list(self._file.schema_arrow.names)

    def chunks(self, names: Sequence[str], chunk_rows: int) -> Iterator[Chunk]:
        """The named columns, some rows at a time."""
        first = 1
        try:
            for batch in row_groups.batches(self._file, chunk_rows, names):
                yield Chunk(first, pa.Table.from_batches([batch]))
                first += batch.num_rows
        except (pa.ArrowInvalid, OSError) as error:
            raise IngestError(f"{self.path}: is damaged after row {first - 1:,}: {error}") from error

    def refusals(self) -> list[Refusal]:
        """None: every row of a Parquet file can be read."""
        return []

    def finish(self) -> str:
        """Checksum of the file."""
        return sha256(self.path)


class EcsvCatalog:
    """An ECSV file, in memory as a whole."""

    def __init__(self, table: EcsvTable) -> None:
        self._table = table
        self.names = table.names

    def chunks(self, names: Sequence[str], chunk_rows: int) -> Iterator[Chunk]:
        """The named columns, some rows at a time."""
        for start in range(0, len(self._table), chunk_rows):
            yield Chunk(start + 1, self._table.columns(names, start, chunk_rows))

    def refusals(self) -> list[Refusal]:
        """None: all rows are read or none."""
        return []

    def finish(self) -> str:
        """Checksum of the file."""
        return sha256(self._table.path)


class CsvCatalog:
    """A text file with column names in its first line."""

    def __init__(self, table: TextTable) -> None:
        self._table = table
        self._refused: list[Refusal] = []
        self.names = table.names

    def chunks(self, names: Sequence[str], chunk_rows: int) -> Iterator[Chunk]:
        """The named columns as text, some rows at a time.

        Rows that are no rows of the table are refused; all their values are missing.
        """
        places = {name: self.names.index(name) for name in names}
        for block in self._table.blocks(chunk_rows):
            self._refused += [
                Refusal(row.number, row.reason, row.code, str(self._table.path)) for row in block.refused
            ]
            columns = {name: block.column(place) for name, place in places.items()}
            yield Chunk(block.first, pa.table(columns))

    def refusals(self) -> list[Refusal]:
        """Rows that are no rows of the table, once."""
        refused, self._refused = self._refused, []
        return refused

    def finish(self) -> str:
        """Checksum of the file."""
        return sha256(self._table.path)
