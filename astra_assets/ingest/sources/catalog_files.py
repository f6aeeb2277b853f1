"""Catalogue files of any format as chunks of Arrow columns.

FITS, Parquet, CSV and ECSV, the first two also of any size.

The format is told by the content, not by the name. Belongs here: reading. Does not belong here: what is done
with the rows (`catalog`).
"""

from __future__ import annotations

import csv
import gzip
import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from astra_assets.files import row_groups
from astra_assets.files.streams import content_hash, is_gzipped
from astra_assets.ingest.fits_stream import Chunk, FitsTable, open_table
from astra_assets.ingest.report import IngestError, Refusal

KEY = "sdss_id"
HEAD_BYTES = 8192
ECSV_START = b"# %ECSV"
PARQUET_MAGIC = b"PAR1"
FITS_START = b"SIMPLE  ="
DELIMITERS = ",;\t"
NO_VALUE = frozenset(("", "nan", "null", "none", "na", "n/a", "--"))
"""Words that mean "no value" in a text file."""


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
    head = first_bytes(path)
    if head.startswith(FITS_START):
        with open_table(path, lambda names: KEY in names, f"a column {KEY}") as table:
            yield FitsCatalog(table)
        return
    opened: CatalogFile
    if head.startswith(PARQUET_MAGIC):
        opened = ParquetCatalog(path)
    elif head.lstrip().startswith(ECSV_START):
        opened = EcsvCatalog(path)
    elif KEY in first_line(head).lower():
        opened = CsvCatalog(path)
    else:
        raise IngestError(
            f"{path}: is no catalogue: expected FITS, Parquet, ECSV, or CSV with {KEY} in its first line; "
            f"it starts with {head[:40]!r}"
        )
    if KEY not in {name.lower() for name in opened.names}:
        raise IngestError(f"{path}: no column {KEY}; found {', '.join(opened.names) or 'no columns'}")
    yield opened


def first_bytes(path: Path) -> bytes:
    """The start of a file, decompressed.

    Raises:
        IngestError: it cannot be decompressed.
    """
    try:
        with gzip.open(path) if is_gzipped(path) else path.open("rb") as opened:
            return opened.read(HEAD_BYTES)
    except (EOFError, OSError) as error:
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
        return [column.name for column in self._table.columns]

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
            source = pa.BufferReader(gzip.decompress(path.read_bytes())) if is_gzipped(path) else path
            self._file = pyarrow.parquet.ParquetFile(source)
        except (pa.ArrowInvalid, EOFError, OSError) as error:
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
        return content_hash(self.path)


class EcsvCatalog:
    """An ECSV file; astropy reads it into memory as a whole."""

    def __init__(self, path: Path) -> None:
        from astropy.table import Table

        self.path = path
        try:
            self._table = Table.read(path, format="ascii.ecsv")
        except ValueError as error:
            raise IngestError(f"{path}: is no ECSV file that astropy can read: {error}") from error

    @property
    def names(self) -> Sequence[str]:
        """Names of the columns, as in the file."""
        return list(self._table.colnames)

    def chunks(self, names: Sequence[str], chunk_rows: int) -> Iterator[Chunk]:
        """The named columns, some rows at a time."""
        for start in range(0, len(self._table), chunk_rows):
            rows = self._table[start : start + chunk_rows]
            yield Chunk(start + 1, pa.table({name: self._array(rows[name], name) for name in names}))

    def _array(self, column: Any, name: str) -> pa.Array:
        if column.ndim != 1:
            raise IngestError(
                f"{self.path}: column {name} has {column.shape[1:]} values per row; write it as FITS"
            )
        return pa.array(np.ma.getdata(column), mask=np.ma.getmaskarray(column))

    def refusals(self) -> list[Refusal]:
        """None: astropy reads all rows or none."""
        return []

    def finish(self) -> str:
        """Checksum of the file."""
        return content_hash(self.path)


class CsvCatalog:
    """A text file with column names in its first line; commas, semicolons or tabs are between values."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._refused: list[Refusal] = []
        with self._lines() as lines:
            first = next(lines, "")
        self._delimiter = max(DELIMITERS, key=first.count)
        self.names: Sequence[str] = [
            name.strip() for name in next(csv.reader([first], delimiter=self._delimiter), [])
        ]

    @contextmanager
    def _lines(self) -> Iterator[Iterator[str]]:
        """The lines of the file but empty ones and comments."""
        opener = gzip.open if is_gzipped(self.path) else open
        with opener(self.path, "rt", encoding="utf-8-sig", newline="") as opened:
            yield (line for line in opened if line.strip() and not line.startswith("#"))

    def chunks(self, names: Sequence[str], chunk_rows: int) -> Iterator[Chunk]:
        """The named columns as text, some rows at a time.

        Rows with too few or too many values are refused.
        """
        places = {name: self.names.index(name) for name in names}
        number = 0
        try:
            with self._lines() as lines:
                reader = csv.reader(lines, delimiter=self._delimiter)
                next(reader)
                while block := list(itertools.islice(reader, chunk_rows)):
                    yield Chunk(number + 1, self._columns(block, places, number + 1))
                    number += len(block)
        except (csv.Error, EOFError, OSError, UnicodeDecodeError) as error:
            raise IngestError(f"{self.path}: cannot be read after row {number:,}: {error}") from error

    def _columns(self, block: list[list[str]], places: dict[str, int], first: int) -> pa.Table:
        """Columns of text; where a row has the wrong length all its values are missing."""
        for index, row in enumerate(block):
            if len(row) != len(self.names):
                reason = f"has {len(row)} values, expected {len(self.names)}"
                self._refused.append(Refusal(first + index, reason, "wrong_length", str(self.path)))
                block[index] = [""] * len(self.names)
        columns = list(zip(*block, strict=True))
        return pa.table({name: self._text(columns[place]) for name, place in places.items()})

    @staticmethod
    def _text(column: Sequence[str]) -> pa.Array:
        words = [None if word.strip().lower() in NO_VALUE else word for word in column]
        return pa.array(words, type=pa.string())

    def refusals(self) -> list[Refusal]:
        """Rows with too few or too many values, once."""
        refused, self._refused = self._refused, []
        return refused

    def finish(self) -> str:
        """Checksum of the file."""
        return content_hash(self.path)
