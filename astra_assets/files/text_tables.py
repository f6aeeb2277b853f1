"""Read tables of text: values between commas, semicolons, tabs, bars or blanks, and ECSV.

A byte order mark is passed over. Lines before the table that are empty or begin with # are comments; after its first line
only empty lines are passed over, unless comments are asked for everywhere.
"""

from __future__ import annotations

import codecs
import csv
import itertools
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from astra_assets.errors import ExpectedError
from astra_assets.files.streams import StreamError, open_content

DELIMITERS = ",;\t|"
"""What may stand between values, besides blanks; that counts which is most often in the first line."""

NO_VALUE = frozenset(("", "nan", "null", "none", "na", "n/a", "--"))
"""Words that mean "no value", in any case."""

ECSV_START = "# %ECSV"

LONGEST_LINE = 1 << 24
"""Bytes of a line; a longer one is no line of a table."""


class TextTableError(ExpectedError):
    """A file cannot be read as a table of text; the message names it, and the row where it ends."""


@dataclass(frozen=True)
class RefusedRow:
    """A row that cannot be used.

    Attributes:
        number: of the row, from 1.
        code: the reason in one word.
        reason: the reason.
    """

    number: int
    code: str
    reason: str


@dataclass(frozen=True)
class Block:
    """Some consecutive rows.

    Attributes:
        first: number of the first of them; the first row of a table is 1.
        rows: their values as they are in the file; of a row that is refused all are "".
        refused: the rows that do not have as many values as there are columns, or values with line breaks.
    """

    first: int
    rows: Sequence[Sequence[str]]
    refused: Sequence[RefusedRow]

    def column(self, place: int) -> pa.Array:
        """Return the values of a column as text, None where there is none."""
        words = (row[place] for row in self.rows)
        return pa.array([None if word.strip().lower() in NO_VALUE else word for word in words], pa.string())


class TextTable:
    """A table of text whose first line has the names of its columns.

    Args:
        path: the file, compressed or not.
        whole: False leaves out a last line that has no end, since it may be cut off.

    Attributes:
        names: of the columns.

    Raises:
        TextTableError: the file cannot be read as text, or is empty.
        OSError: the file cannot be opened.
    """

    def __init__(self, path: Path, *, whole: bool = True) -> None:
        self.path = path
        self._whole = whole
        with self._lines() as lines:
            first = next(lines, "")
        self._delimiter = delimiter_of(first) or ","
        self.names: Sequence[str] = [
            name.strip() for name in next(csv.reader([first], delimiter=self._delimiter), [])
        ]
        if not self.names:
            raise TextTableError(f"{path}: has no line of names, expected names of columns in its first line")

    def blocks(self, rows: int) -> Iterator[Block]:
        """Iterate over the rows, some at a time. Raises TextTableError where the file cannot be read further."""
        number = 0
        try:
            with self._lines() as lines:
                reader = csv.reader(lines, delimiter=self._delimiter)
                next(reader)
                while found := list(itertools.islice(reader, rows)):
                    yield self._block(found, number + 1)
                    number += len(found)
        except (csv.Error, TextTableError) as error:
            reason = str(error).removeprefix(f"{self.path}: ")
            raise TextTableError(f"{self.path}: cannot be read after row {number:,}: {reason}") from error

    def _block(self, rows: list[list[str]], first: int) -> Block:
        refused: list[RefusedRow] = []
        nothing = [""] * len(self.names)
        for index, row in enumerate(rows):
            if any("\n" in value or "\r" in value for value in row):
                reason = "has a line break between quotation marks; is one of the marks missing?"
                refused.append(RefusedRow(first + index, "line_break", reason))
            elif len(row) != len(self.names):
                reason = f"has {len(row)} values, expected {len(self.names)}"
                refused.append(RefusedRow(first + index, "wrong_length", reason))
            else:
                continue
            rows[index] = nothing
        return Block(first, rows, refused)

    @contextmanager
    def _lines(self) -> Iterator[Iterator[str]]:
        with open_text(self.path) as lines:
            table = skip_comments(lines)
            yield table if self._whole else (line for line in table if line.endswith(("\n", "\r")))


@contextmanager
def open_text(path: Path) -> Iterator[Iterator[str]]:
    """Open a file as lines of text (UTF-8), compressed or not.

    Raises:
        TextTableError: while lines are read: the file is damaged, or no text.
        OSError: the file cannot be opened.
    """
    with open_content(path) as content:
        yield _decoded(content, path)


def _decoded(content: BinaryIO, path: Path) -> Iterator[str]:
    for number in itertools.count(1):
        try:
            line = content.readline(LONGEST_LINE)
        except (StreamError, OSError) as error:
            raise TextTableError(f"{path}: cannot be read after line {number - 1:,}: {error}") from error
        if not line:
            return
        if len(line) == LONGEST_LINE:
            raise TextTableError(f"{path}: line {number:,} has more than {LONGEST_LINE:,} bytes")
        if number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        try:
            yield line.decode()
        except UnicodeDecodeError as error:
            found = line[error.start : error.start + 1].hex()
            raise TextTableError(
                f"{path}: the byte 0x{found} in line {number:,} is no UTF-8 text; write the file as UTF-8"
            ) from error


def skip_comments(lines: Iterator[str]) -> Iterator[str]:
    """The lines of a table: without comments before it and without empty ones."""
    started = False
    for line in lines:
        if line.strip() and (started or not line.lstrip().startswith("#")):
            started = True
            yield line


def delimiter_of(line: str) -> str | None:
    """Return what stands between the values of a line, None for blanks."""
    found = max(DELIMITERS, key=line.count)
    return found if found in line else None


class EcsvTable:
    """An ECSV file in memory.

    Args:
        path: the file.
        table: as astropy has read it.

    Attributes:
        names: of the columns.
        units: by name, of columns that have one.
    """

    def __init__(self, path: Path, table: Any) -> None:
        self.path = path
        self.names: Sequence[str] = list(table.colnames)
        units = {name: getattr(table[name], "unit", None) for name in self.names}
        self.units: Mapping[str, str] = {name: str(unit) for name, unit in units.items() if unit is not None}
        self._table = table

    def __len__(self) -> int:
        return len(self._table)

    def columns(self, names: Sequence[str], first: int = 0, rows: int | None = None) -> pa.Table:
        """Return some columns of some rows, from `first` (0) on; None where there is no value, arrays as lists.

        Raises:
            TextTableError: a column has no plain values.
        """
        part = self._table[first : None if rows is None else first + rows]
        try:
            return arrow_of(part, names)
        except (TypeError, ValueError, pa.ArrowException) as error:
            raise TextTableError(f"{self.path}: a column has no plain values: {error}") from error


def is_ecsv(head: bytes) -> bool:
    """Whether a file that begins with these bytes is ECSV."""
    return head.removeprefix(codecs.BOM_UTF8).lstrip().startswith(ECSV_START.encode())


def read_ecsv(path: Path, *, whole: bool = True) -> EcsvTable:
    """Read an ECSV file into memory by astropy.

    Args:
        path: the file, compressed or not.
        whole: False leaves out a last line that has no end, since it may be cut off.

    Raises:
        TextTableError: astropy cannot read it.
        OSError: the file cannot be opened.
    """
    from astropy.table import Table

    with open_text(path) as lines:
        text = "".join(line for line in lines if whole or line.endswith(("\n", "\r")))
    try:
        with warnings.catch_warnings():
            # What matters of what it warns about is seen in the values.
            warnings.simplefilter("ignore")
            table = Table.read(text, format="ascii.ecsv")
    except Exception as error:  # astropy raises about every built-in error on what is no ECSV
        raise TextTableError(f"{path}: is no ECSV file that astropy can read: {error}") from error
    return EcsvTable(path, table)


def arrow_of(table: Any, names: Sequence[str]) -> pa.Table:
    """Return columns of a table of astropy's as Arrow; what is masked is null."""
    return pa.table({name: _array(table[name]) for name in names})


def _array(column: Any) -> pa.Array:
    mask = np.ma.getmaskarray(column) if hasattr(column, "mask") else None
    values = np.asarray(getattr(column, "value", column))
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8", "replace")
    if values.ndim != 1:
        return pa.array(values.tolist())
    if values.dtype.kind in "OUM":
        listed = values.tolist()
        return pa.array([None if mask is not None and mask[n] else value for n, value in enumerate(listed)])
    return pa.array(values.astype(values.dtype.newbyteorder("="), copy=False), mask=mask)
