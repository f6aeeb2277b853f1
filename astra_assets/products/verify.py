"""Reading a product back before it gets its name: is the file what the query said it would be?

The file is read as any reader would, block by block, without the code that wrote it. What is checked:
checksums of every HDU, numbers of rows, names and formats of columns, units, descriptions, at most 999
columns, unique keys, that nothing follows the last HDU, and that the Parquet twin has the same rows. What the
values mean is looked at in `content.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from astropy import units

from astra_assets.files import row_groups
from astra_assets.fits.checksum import WordSum
from astra_assets.fits.errors import UnsoundFileError
from astra_assets.fits.formats import FitsColumn, WrongTypeError, record_dtype
from astra_assets.fits.header import MAX_COLUMNS
from astra_assets.fits.read_back import Blocks, Header, ReadTable, Records, check_sums, read_header
from astra_assets.products.findings import FILE, KEYS, TWIN, Finding, VerificationError
from astra_assets.registry.kinds import DATETIME_WIDTH, Definition, Kind

_NO_KEY = -1


@dataclass(frozen=True)
class ExpectedTable:
    """What a table HDU has to be. `ordered` keys ascend; rows without a key (-1) come last.

    `twin` is the Parquet file that has to have the same rows.
    """

    columns: Sequence[FitsColumn]
    rows: int
    key: str
    ordered: bool = True
    twin: Path | None = None


@dataclass(frozen=True)
class Verified:
    """A file that was read and found right."""

    sha256: str
    size_bytes: int
    rows: tuple[int, ...]


def verify(path: Path, expected: Sequence[ExpectedTable], *, label: str) -> Verified:
    """Read a FITS file, gzipped or not, to its end and check it. Raises VerificationError."""
    blocks = Blocks(path)
    try:
        _verify_file(blocks, expected)
    except UnsoundFileError as error:
        raise VerificationError(
            error.check if isinstance(error, VerificationError) else FILE,
            f"{label}: the file just written is not right and was not put in place: {error}",
        ) from error
    return Verified(blocks.sha256, blocks.size_bytes, tuple(table.rows for table in expected))


def findings(expected: Sequence[ExpectedTable]) -> list[Finding]:
    """What `verify` made sure of, for people."""
    rows = " + ".join(f"{table.rows:,}" for table in expected)
    columns = sum(len(table.columns) for table in expected)
    with_units = sum(column.definition.unit is not None for table in expected for column in table.columns)
    found = [
        Finding(
            FILE,
            "rows as counted; checksums, formats, units and descriptions are right",
            facts={"rows": rows, "columns": columns, "columns with a unit": with_units},
        ),
        Finding(
            KEYS,
            "every key occurs once",
            facts={
                f"HDU {number}": f"{table.key} of {table.rows:,} rows"
                for number, table in enumerate(expected, 1)
            },
        ),
    ]
    twins = [table.twin.name for table in expected if table.twin is not None]
    if twins:
        found.append(Finding(TWIN, "the Parquet files have the rows of the FITS file", facts={"rows": rows}))
    return found


def _verify_file(blocks: Blocks, expected: Sequence[ExpectedTable]) -> None:
    check_sums(read_header(blocks), WordSum())
    for number, table in enumerate(expected, start=1):
        try:
            _verify_table(blocks, table)
        except UnsoundFileError as error:
            check = error.check if isinstance(error, VerificationError) else FILE
            raise VerificationError(check, f"HDU {number}: {error}") from error
    if blocks.read(1):
        raise VerificationError(FILE, "there is something after the last HDU")


def _verify_table(blocks: Blocks, expected: ExpectedTable) -> None:
    table = ReadTable(blocks, read_header(blocks))
    _check_columns(table.cards, expected.columns)
    dtype = record_dtype(list(expected.columns))
    found = (table.row_bytes, table.rows)
    if found != (dtype.itemsize, expected.rows):
        raise VerificationError(
            FILE, f"{found[1]} rows of {found[0]} bytes, expected {expected.rows} of {dtype.itemsize}"
        )
    keys = _Keys(ordered=expected.ordered)
    twin = None if expected.twin is None else _Twin(expected.twin, expected.columns, expected.rows)
    try:
        for rows in table.chunks(dtype):
            keys.add(rows[expected.key].astype(np.int64))
            if twin is not None:
                twin.compare(rows)
        keys.finish()
    except VerificationError as error:
        if error.check == KEYS:
            raise VerificationError(KEYS, f"column {expected.key}: {error}") from error
        raise


_AS_TEXT = Definition(Kind.text, "Time as text")


def _as_fits(column: FitsColumn, array: pa.Array) -> Records:
    """The values of a column of the Parquet file as the FITS file has them."""
    kind = column.definition.kind
    if kind is Kind.datetime:
        return FitsColumn(column.name, _AS_TEXT, DATETIME_WIDTH).convert(array)
    if kind in (Kind.bytes, Kind.floats):
        values: Records = array.flatten().to_numpy()
        return values.reshape(len(array), column.width)
    return column.convert(array)


_TWIN_BUFFER_BYTES = 1 << 16
"""Read at a time of each column of a Parquet file; else a whole row group would be in memory."""

_TWIN_ROWS = 2048
"""Rows of a Parquet file that are converted at a time."""


class _Twin:
    """The rows of a Parquet file as FITS rows, to be compared with those of the FITS file."""

    def __init__(self, path: Path, columns: Sequence[FitsColumn], rows: int) -> None:
        file = pq.ParquetFile(path, buffer_size=_TWIN_BUFFER_BYTES)
        names = [column.name for column in columns]
        if file.schema_arrow.names != names:
            raise VerificationError(TWIN, f"the columns of {path.name} are not those of the FITS table")
        if file.metadata.num_rows != rows:
            raise VerificationError(TWIN, f"{path.name} has {file.metadata.num_rows} rows, expected {rows}")
        self._columns = columns
        self._name = path.name
        self._records = self._converted(file)
        self._room = np.empty(_TWIN_ROWS, dtype=record_dtype(list(columns)))
        self._held = self._room[:0]
        self._done = 0

    def _converted(self, file: pq.ParquetFile) -> Iterator[Records]:
        for batch in row_groups.batches(file, _TWIN_ROWS):
            records = self._room[: batch.num_rows]
            for column in self._columns:
                try:
                    records[column.name] = _as_fits(column, batch.column(column.name))
                except (WrongTypeError, ValueError) as error:
                    raise VerificationError(TWIN, f"column {column.name} of {self._name}: {error}") from error
            del batch  # its memory is not needed while the records are looked at
            yield records

    def compare(self, rows: Records) -> None:
        """Raise VerificationError unless the next rows are byte for byte these."""
        while len(rows):
            if not len(self._held):
                self._held = next(self._records)
            count = min(len(rows), len(self._held))
            if self._held[:count].tobytes() != rows[:count].tobytes():
                self._explain(self._held[:count], rows[:count])
            self._held, rows = self._held[count:], rows[count:]
            self._done += count

    def _explain(self, ours: Records, rows: Records) -> None:
        """Raise VerificationError naming the first value that differs; all NaN are equal."""
        for name in rows.dtype.names or ():
            a, b = ours[name].reshape(len(rows), -1), rows[name].reshape(len(rows), -1)
            differs = a != b
            if a.dtype.kind == "f":
                differs &= ~(np.isnan(a) & np.isnan(b))
            wrong = differs.any(axis=1)
            if wrong.any():
                row = int(np.argmax(wrong))
                raise VerificationError(
                    TWIN,
                    f"column {name}, row {self._done + row + 1}: the FITS file has {rows[name][row]}, "
                    f"{self._name} {ours[name][row]}",
                )


def _check_columns(header: Header, columns: Sequence[FitsColumn]) -> None:
    count = header["TFIELDS"]
    if count != len(columns) or count > MAX_COLUMNS:
        raise VerificationError(FILE, f"{count} columns, expected {len(columns)} and at most {MAX_COLUMNS}")
    names = {column.name.lower() for column in columns}
    if len(names) != count:
        raise VerificationError(FILE, "two columns have names that differ at most in case")
    for number, column in enumerate(columns, start=1):
        found = (header[f"TTYPE{number}"], header[f"TFORM{number}"])
        if found != (column.name, column.tform):
            raise VerificationError(
                FILE, f"column {number} is {found}, expected {(column.name, column.tform)}"
            )
        if not str(header.get(f"TCOMM{number}", "")).strip():
            raise VerificationError(FILE, f"column {column.name} has no description (TCOMM{number})")
        unit = header.get(f"TUNIT{number}")
        if unit is not None:
            _check_unit(column.name, unit)


def _check_unit(name: str, unit: str) -> None:
    try:
        units.Unit(unit, format="fits")
    except ValueError as error:
        raise VerificationError(FILE, f"column {name}: unit {unit!r} is no FITS unit: {error}") from error


class _Keys:
    """Are the keys of the rows unique, apart from missing ones (-1) at the end?"""

    def __init__(self, *, ordered: bool) -> None:
        self._ordered = ordered
        self._last = np.empty(0, dtype=np.int64)
        self._only_missing = False
        self._all: list[npt.NDArray[np.int64]] = []

    def add(self, keys: npt.NDArray[np.int64]) -> None:
        if not self._ordered:
            self._all.append(keys[keys != _NO_KEY])
            return
        keys = np.concatenate([self._last, keys])
        ascends = keys[1:] > keys[:-1]
        missing = keys[1:] == _NO_KEY
        after = np.logical_or.accumulate(np.concatenate([[self._only_missing], missing & ~ascends]))
        wrong = ~(ascends | missing) | (after[:-1] & ~missing)
        if wrong.any():
            position = int(np.argmax(wrong))
            raise VerificationError(
                KEYS, f"{keys[position + 1]} follows {keys[position]}; keys are to be unique and to ascend"
            )
        self._only_missing = bool(after[-1])
        self._last = keys[-1:]

    def finish(self) -> None:
        if self._all:
            found, counts = np.unique(np.concatenate(self._all), return_counts=True)
            if counts.size and counts.max() > 1:
                raise VerificationError(
                    KEYS, f"{found[int(np.argmax(counts))]} occurs {counts.max()} times as key"
                )
