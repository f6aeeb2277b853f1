"""FITS files written as a stream: Arrow batches in, big-endian rows out, checksums along the way.

Memory does not grow with the rows. Headers are written first and completed when the rows behind them have
gone through: the number of rows, DATASUM and CHECKSUM. The same rows give the same file however they were
batched. What a file contains is decided by `products` and `spectra`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa

from astra_assets.errors import ExpectedError
from astra_assets.fits.checksum import WordSum, checksum_text, word_sum
from astra_assets.fits.formats import BadValueError, FitsColumn, TooWideError, WrongTypeError, record_dtype
from astra_assets.fits.header import (
    BLOCK_BYTES,
    MAX_COLUMNS,
    Card,
    HeaderError,
    column_cards,
    comments,
    integrity_cards,
    primary_cards,
    render,
    section,
    table_cards,
)
from astra_assets.fits.sinks import Sink, open_sink

_MOST_ROWS = 8192
_MOST_BYTES = 8 << 20
"""Rows, and bytes of rows, that are converted at a time at most."""
_WORD_ROWS = 4
"""Rows that are a whole number of 32-bit words, as checksums need them, whatever the width of a row."""
_NO_CHECKSUM = "0" * 16


class FitsWriteError(ExpectedError, ValueError):
    """Rows that cannot be written as declared; the message names file or product, column and row."""


class WidthError(FitsWriteError):
    """A text or array longer than the column was declared for."""


@dataclass(frozen=True)
class TableSummary:
    """What a written table came to."""

    rows: int
    datasum: int


@dataclass(frozen=True)
class _OpenFile:
    """The file that HDUs are written to, and what they say about it."""

    sink: Sink
    created: datetime
    label: str

    def header(self, cards: Sequence[Card], checksum: str, datasum: int) -> bytes:
        """The header of an HDU. Raises FitsWriteError, naming the file."""
        try:
            return render([*cards, *integrity_cards(checksum, datasum, self.created)])
        except HeaderError as error:
            raise FitsWriteError(f"{self.label}: {error}") from error

    def reserve(self, cards: Sequence[Card]) -> int:
        """Leave room for a header that will have as many cards."""
        return self.sink.reserve(len(self.header(cards, _NO_CHECKSUM, 0)))

    def complete(self, slot: int, cards: Sequence[Card], datasum: int) -> None:
        """Write the header with the checksum over it and its data."""
        text = checksum_text(word_sum(self.header(cards, _NO_CHECKSUM, datasum)), datasum)
        self.sink.fill(slot, self.header(cards, text, datasum))


class FitsWriter:
    """A FITS file of a primary header and binary tables, in the order of the calls.

        with FitsWriter(path, created=now, label="mwmTargets", compress=True) as out:
            out.primary(cards)
            with out.table(columns, cards, key="sdss_id") as table:
                for batch in batches:
                    table.write(batch)

    `label` is what error messages call the file. When the block raises, the file is left as it is: write
    inside `atomic_write`.
    """

    def __init__(
        self,
        path: Path,
        *,
        created: datetime,
        label: str | None = None,
        compress: bool = False,
        threads: int | None = None,
    ) -> None:
        self._file = _OpenFile(
            open_sink(path, compress=compress, threads=threads), created, label or path.name
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._file.sink.close()
        finally:
            self._file.sink.abandon()

    def primary(self, cards: Sequence[Card] = (), descriptions: Sequence[str] = ()) -> None:
        """The primary header: `cards`, then one COMMENT for each of the HDU `descriptions`."""
        described = [*section("HDU Descriptions"), *comments(descriptions)] if descriptions else []
        complete = [*primary_cards(), *cards, *described]
        self._file.complete(self._file.reserve(complete), complete, 0)

    def table(
        self, columns: Sequence[FitsColumn], cards: Sequence[Card] = (), *, key: str | None = None
    ) -> TableWriter:
        """A binary table with `cards` above its columns; `key` is the column that names a row in errors."""
        return TableWriter(self._file, list(columns), list(cards), key)


class TableWriter:
    """The rows of one binary table. `rows` counts what was written so far."""

    def __init__(
        self, file: _OpenFile, columns: list[FitsColumn], cards: list[Card], key: str | None
    ) -> None:
        self.rows = 0
        self.summary: TableSummary | None = None
        self._file = file
        self._columns = columns
        self._cards = cards
        self._key = key
        self._dtype = record_dtype(columns)
        self._sum = WordSum()
        self._most_rows = max(1, min(_MOST_ROWS, _MOST_BYTES // max(self._dtype.itemsize, 1)))
        # One piece of memory for all rows, the first of which wait for others to make whole words with.
        self._room = np.empty(self._most_rows + _WORD_ROWS, dtype=self._dtype)
        self._waiting = 0
        self._slot = file.reserve(self._header())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()

    def write(self, batch: pa.RecordBatch | pa.Table) -> None:
        """Append the rows of a batch, which has (at least) the table's columns by name.

        Raises FitsWriteError, naming file, column and row, when a value does not fit its column; WidthError
        when it is too long.
        """
        present = set(batch.schema.names)
        missing = [column.name for column in self._columns if column.name not in present]
        if missing:
            raise FitsWriteError(f"{self._file.label}: the rows lack the columns {', '.join(missing)}")
        parts = batch.to_batches() if isinstance(batch, pa.Table) else [batch]
        for part in parts:
            for start in range(0, part.num_rows, self._most_rows):
                self._append(part.slice(start, self._most_rows))

    def _append(self, part: pa.RecordBatch) -> None:
        """Convert rows, and let go what makes whole words with those that wait."""
        rows = self._room[self._waiting : self._waiting + part.num_rows]
        for column in self._columns:
            try:
                column.store(part.column(column.name), rows[column.name])
            except BadValueError as error:
                kind = WidthError if isinstance(error, TooWideError) else FitsWriteError
                place = self._place(part, error.row)
                raise kind(f"{self._file.label}: column {column.name}: {error.reason}, {place}") from error
            except WrongTypeError as error:
                raise FitsWriteError(f"{self._file.label}: column {column.name}: {error}") from error
        self.rows += part.num_rows
        there = self._waiting + part.num_rows
        self._waiting = there % _WORD_ROWS
        self._emit(self._bytes(0, there - self._waiting))
        self._room[: self._waiting] = self._room[there - self._waiting : there]

    def _bytes(self, first: int, end: int) -> memoryview:
        """The bytes of rows that were converted."""
        return self._room[first:end].view(np.uint8).data

    def _place(self, part: pa.RecordBatch, row: int) -> str:
        number = f"row {self.rows + row + 1}"
        if self._key is None or self._key not in part.schema.names:
            return number
        return f"{number} ({self._key} {part.column(self._key)[row].as_py()})"

    def close(self) -> TableSummary:
        """Write what is left, fill up to a whole FITS block, complete the header."""
        rest = self._bytes(0, self._waiting).tobytes()
        self._emit(rest + b"\0" * (-len(rest) % 4))
        self._emit(b"\0" * (-self._padded_bytes() % BLOCK_BYTES))
        self._file.complete(self._slot, self._header(), self._sum.value)
        self.summary = TableSummary(self.rows, self._sum.value)
        return self.summary

    def _padded_bytes(self) -> int:
        size = self.rows * self._dtype.itemsize
        return size + -size % 4

    def _emit(self, data: bytes | memoryview) -> None:
        if data:
            self._sum.add(data)
            self._file.sink.write(data)

    def _header(self) -> list[Card]:
        if len(self._columns) > MAX_COLUMNS:
            raise FitsWriteError(
                f"{self._file.label}: {len(self._columns)} columns, a FITS table has at most {MAX_COLUMNS}"
            )
        mandatory = table_cards(self._dtype.itemsize, self.rows, len(self._columns))
        return [*mandatory, *self._cards, *column_cards(self._columns)]
