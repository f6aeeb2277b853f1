"""Read binary tables of FITS files: as a stream of Arrow columns with flat memory, or one HDU as a whole.

Rows come straight from the decompressed bytes, and only the columns that are asked for are kept.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from astra_assets.files.streams import ByteStream, StreamError
from astra_assets.fits.errors import FitsReadError
from astra_assets.fits.header import MAX_COLUMNS
from astra_assets.fits.read_header import FitsHeader, HduReader, open_fits
from astra_assets.text import nearest

MAX_OFFSET = 2.0**63
"""The largest TZERO of whole numbers: that of unsigned ones of 64 bits."""

READ_BYTES = 8 << 20
"""Bytes of table rows that are read at a time; the needed columns are copied out of them."""

CHUNK_BYTES = 256 << 20
"""Bytes of the needed columns that a chunk has at most, however many rows are asked for."""

MAX_ROW_BYTES = 256 << 20
"""A row longer than this is none."""

MAX_WHOLE_BYTES = 256 << 20
"""A table that is read as a whole has at most this size: spectra have a few MB."""

FORMATS: Mapping[str, str] = {
    "L": "u1", "X": "u1", "B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "A": "S", "E": ">f4", "D": ">f8",
}  # fmt: skip
SIZES: Mapping[str, int] = {
    "L": 1, "X": 1, "B": 1, "I": 2, "J": 4, "K": 8, "A": 1, "E": 4, "D": 8, "C": 8, "M": 16, "P": 8, "Q": 16,
}  # fmt: skip


MAX_LISTED = 20
"""Columns of a table that an error names."""


@dataclass(frozen=True)
class StoredColumn:
    """One column of a binary table as its file has it.

    Attributes:
        name: TTYPEn as written.
        letter: data type of TFORMn.
        repeat: elements per row.
        offset: byte in the row where it starts.
        null: TNULLn, the integer that stands for "no value".
        zero: TZEROn.
        scale: TSCALn.
        unit: TUNITn.
    """

    name: str
    letter: str
    repeat: int
    offset: int
    null: int | None = None
    zero: float = 0
    scale: float = 1
    unit: str = ""

    @property
    def size(self) -> int:
        """Bytes in a row."""
        return math.ceil(self.repeat / 8) if self.letter == "X" else self.repeat * SIZES[self.letter]

    @property
    def dtype(self) -> np.dtype[Any]:
        """NumPy type of the bytes as they are in the file."""
        if self.letter == "A":
            return np.dtype(f"S{self.repeat}")
        count = self.size if self.letter == "X" else self.repeat
        return np.dtype((FORMATS[self.letter], (count,))) if count != 1 else np.dtype(FORMATS[self.letter])

    def decode(self, raw: NDArray[Any]) -> pa.Array:
        """Return the values of some rows as Arrow: text without trailing blanks, TNULL as null, arrays as lists."""
        if self.size == 0:
            return pa.nulls(len(raw))
        if self.letter == "A":
            return decode_text(raw)
        if self.letter in "BX" and raw.ndim == 2:
            # NumPy's own byte strings would end at their first zero in Arrow
            packed = pa.py_buffer(np.ascontiguousarray(raw))
            return pa.FixedSizeBinaryArray.from_buffers(pa.binary(raw.shape[1]), len(raw), [None, packed])
        values = raw.reshape(-1)
        if self.letter == "L":
            flat = decode_logical(values)
        else:
            mask = values == self.null if self.null is not None and self.letter in "BIJK" else None
            flat = pa.array(self._scaled(values), mask=mask)
        return flat if raw.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, raw.shape[1])

    def numbers(self, raw: NDArray[Any]) -> NDArray[Any]:
        """Return the values of some rows as NumPy numbers: TNULL as it stands there, logical values as True and False."""
        if self.letter == "L":
            truth: NDArray[Any] = (raw == ord("T")) | (raw == ord("t")) | (raw == 1)
            return truth
        native: NDArray[Any] = raw.astype(raw.dtype.newbyteorder("="), copy=False)
        return self._scaled(native.reshape(-1)).reshape(raw.shape) if self.letter in "BIJKED" else native

    def _scaled(self, values: NDArray[Any]) -> NDArray[Any]:
        if (self.zero, self.scale) == (0, 1):
            return values
        if self.scale == 1 and self.letter in "BIJK" and float(self.zero).is_integer():
            unsigned = np.dtype(values.dtype.newbyteorder("=").str.replace("i", "u"))
            if self.letter != "B" and self.zero == 2 ** (8 * unsigned.itemsize - 1):
                flipped: NDArray[Any] = values.view(unsigned) ^ np.array(int(self.zero), dtype=unsigned)
                return flipped
            return values.astype(np.int64) + int(self.zero)
        return values * float(self.scale) + float(self.zero)


LOGICAL: Mapping[int, str | None] = {**{ord(word): word.upper() for word in "TFtf"}, 1: "T", 0: None}
"""What bytes of logical columns mean: 0 is no value (FITS standard 4.0, section 7.3.3.1); 1, t and f are written, too."""


def decode_logical(values: NDArray[Any]) -> pa.Array:
    """Bytes of a logical column as truth values; where one means nothing, all as texts that say which byte it is."""
    if not LOGICAL.keys() >= set(np.unique(values).tolist()):
        words = [LOGICAL.get(value, chr(value)) for value in values.tolist()]
        return pa.array(words, pa.string())
    true = (values == ord("T")) | (values == ord("t")) | (values == 1)
    return pa.array(true, mask=values == 0)


def decode_text(raw: NDArray[Any]) -> pa.Array:
    """Fixed-width bytes as text without trailing blanks; bytes that are not UTF-8 are read as Latin-1."""
    packed = pa.array(raw, type=pa.binary())
    try:
        text = pc.cast(packed, pa.string())
    except pa.ArrowInvalid:
        text = pa.array([value.decode("latin-1") for value in raw.tolist()], type=pa.string())
    return pc.utf8_rtrim(text, characters=" ")


@dataclass(frozen=True)
class Chunk:
    """Some consecutive rows of a file.

    Attributes:
        first: number of the first of them in the file; the first row of a file is 1.
        columns: their values, by the name that was asked for.
    """

    first: int
    columns: pa.Table


class FitsTable:
    """The binary table of an open stream; its rows can be read once.

    Attributes:
        path: the file.
        hdu: number of the HDU, from 0.
        rows: rows that the header claims.
        row_bytes: bytes of a row.
        columns: the columns in order.
    """

    def __init__(self, stream: ByteStream, header: FitsHeader) -> None:
        self.path = stream.path
        self.hdu = header.number
        self.rows = header.integer("NAXIS2")
        self.row_bytes = header.integer("NAXIS1", most=MAX_ROW_BYTES)
        self.columns = parse_columns(header)
        self._stream = stream

    @property
    def names(self) -> list[str]:
        """The names of the columns, as in the file."""
        return [column.name for column in self.columns]

    @property
    def is_plain(self) -> bool:
        """Whether all columns can be read from their rows: none has values in the heap, or complex numbers."""
        return all(column.letter in FORMATS for column in self.columns)

    def chunks(self, names: Sequence[str], chunk_rows: int, *, limit: int | None = None) -> Iterator[Chunk]:
        """Iterate over the named columns (as in the file), at most `chunk_rows` rows at a time and `limit` in all.

        Where the file breaks off, the complete rows before that come first, then the error. Memory is that of what
        the file has, not of what its header claims.

        Raises:
            FitsReadError: the file is cut off or damaged (it names the row), or a column has a variable length.
        """
        chosen = [self._readable(name) for name in names]
        packed = np.dtype([(column.name, column.dtype.newbyteorder("=")) for column in chosen])
        total = self.rows if limit is None else min(self.rows, limit)
        chunk_rows = min(chunk_rows, max(1, CHUNK_BYTES // max(packed.itemsize, 1)))
        done = 0
        while done < total:
            wanted = min(chunk_rows, total - done)
            block = np.empty(min(wanted, self._most_rows_left()), packed)
            filled, problem = self._fill(block, chosen)
            if filled:
                arrays = {column.name: column.decode(block[column.name][:filled]) for column in chosen}
                yield Chunk(done + 1, pa.table(arrays))
            done += filled
            if filled < wanted:
                raise FitsReadError(
                    f"{self.path}: breaks off after row {done:,} of {self.rows:,} "
                    f"({problem or self._stream.problem}); fetch the file again and repeat"
                )

    def _most_rows_left(self) -> int:
        return max(0, self._stream.most_left) // self.row_bytes if self.row_bytes else 0

    def _fill(self, block: NDArray[Any], chosen: Sequence[StoredColumn]) -> tuple[int, str]:
        """Fill the block with rows; returns how many are complete and, if not all, what was wrong."""
        rows_at_a_time = min(len(block), max(1, READ_BYTES // max(self.row_bytes, 1)))
        buffer = memoryview(bytearray(rows_at_a_time * self.row_bytes))
        layout = np.dtype({
            "names": [column.name for column in chosen],
            "formats": [column.dtype for column in chosen],
            "offsets": [column.offset for column in chosen],
            "itemsize": self.row_bytes,
        })  # fmt: skip
        filled = 0
        while filled < len(block):
            wanted = min(len(block) - filled, len(buffer) // self.row_bytes)
            try:
                count = self._stream.readinto(buffer[: wanted * self.row_bytes]) // self.row_bytes
            except StreamError:
                count = 0
            rows = np.frombuffer(buffer, layout, count)
            for column in chosen:
                block[column.name][filled : filled + count] = rows[column.name]
            filled += count
            if count < wanted:
                return filled, self._stream.problem
        return filled, ""

    def _readable(self, name: str) -> StoredColumn:
        column = next(column for column in self.columns if column.name == name)
        if column.letter not in FORMATS:
            raise FitsReadError(
                f"{self.path}, HDU {self.hdu}: column {name} has the format {column.letter}, "
                f"which is not read; write it with a fixed length as one of {', '.join(FORMATS)}"
            )
        return column

    def without_null(self, name: str) -> None:
        """Take TNULLn of this column as an ordinary value."""
        self.columns = [
            replace(column, null=None) if column.name == name else column for column in self.columns
        ]

    def finish(self) -> str:
        """Read the rest of the file; returns its checksum.

        Raises:
            FitsReadError: the file is damaged after the table, or gzip's own checksum does not fit.
        """
        try:
            return self._stream.finish()
        except StreamError as error:
            raise FitsReadError(
                f"{self.path}: is damaged, {error}; its rows may be wrong. Fetch the file again and repeat: "
                f"rows that differ will be corrected"
            ) from error


def parse_columns(header: FitsHeader) -> list[StoredColumn]:
    """Return the columns of a table by its header.

    Raises:
        FitsReadError: a card of a column makes no sense, or the columns do not fit the length of a row.
    """
    columns: list[StoredColumn] = []
    offset = 0
    for number in range(1, header.integer("TFIELDS", most=MAX_COLUMNS) + 1):
        form = header.text(f"TFORM{number}")
        match = re.match(r"(\d*)([LXBIJKAEDCMPQ])", form)
        if match is None:
            raise FitsReadError(
                f"{header.where}: TFORM{number} is {form!r}, expected a FITS format like 1J or 20A"
            )
        null = header.get(f"TNULL{number}")
        column = StoredColumn(
            header.text(f"TTYPE{number}", f"col{number}"), match[2], int(match[1] or 1), offset,
            null if isinstance(null, int) and not isinstance(null, bool) else None,
            header.number_of(f"TZERO{number}", 0), header.number_of(f"TSCAL{number}", 1),
            header.text(f"TUNIT{number}"),
        )  # fmt: skip
        if column.letter in "BIJK" and abs(column.zero) > MAX_OFFSET:
            raise FitsReadError(
                f"{header.where}: TZERO{number} is {column.zero}, expected an offset of whole numbers of 64 bits"
            )
        columns.append(column)
        offset += column.size
    row_bytes = header.integer("NAXIS1")
    if offset != row_bytes:
        raise FitsReadError(
            f"{header.where}: the columns need {offset} bytes per row, NAXIS1 says {row_bytes}"
        )
    return columns


@contextmanager
def open_table(
    path: Path, wanted: Callable[[set[str]], bool], what: str, *, hashed: bool = True
) -> Iterator[FitsTable]:
    """Open the first binary table of a FITS file whose column names (in lower case) are wanted.

    Args:
        path: FITS file, compressed or not.
        wanted: decides by the set of column names.
        what: names what is looked for, in the error.
        hashed: take the checksum of the file while it is read.

    Raises:
        FitsReadError: there is no such file, it is no FITS file, it breaks off, or no table is wanted; the error lists the
            columns that there are.
    """
    with open_fits(path, hashed=hashed) as hdus:
        yield _find_table(hdus, wanted, what)


def _find_table(hdus: HduReader, wanted: Callable[[set[str]], bool], what: str) -> FitsTable:
    seen: list[str] = []
    while (header := hdus.next_header()) is not None:
        if not header.is_table:
            continue
        number_of_columns = header.integer("TFIELDS", most=MAX_COLUMNS)
        names = [header.text(f"TTYPE{n}") for n in range(1, number_of_columns + 1)]
        if wanted({name.lower() for name in names}):
            return FitsTable(hdus.stream, header)
        seen.append(f"HDU {header.number}: {_listed(names, what)}")
    found = "; ".join(seen) or "no binary table"
    raise FitsReadError(f"{hdus.stream.path}: no table with {what}; found {found}")


def _listed(names: Sequence[str], what: str) -> str:
    """The columns of a table in words; of many only those that are called as one of the words of what is looked for."""
    if len(names) <= MAX_LISTED:
        return ", ".join(names) or "no columns"
    wanted = [word for word in what.split() if word not in ("a", "and", "column", "columns")]
    alike = dict.fromkeys(name for word in wanted for name in nearest(word, names))
    return f"{len(names)} columns" + (f", among them {', '.join(alike)}" if alike else "")


class WholeTable:
    """A binary table in memory; columns are found whatever the case of their names.

    Attributes:
        header: of its HDU.
        columns: by name as in the file.
    """

    def __init__(self, header: FitsHeader, columns: Sequence[StoredColumn], rows: NDArray[Any]) -> None:
        self.header = header
        self.columns = {column.name: column for column in columns}
        self._rows = rows
        self._names = [column.name.lower() for column in columns]

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._names

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Return a column in double precision, of shape (rows,) or (rows, elements). Raises FitsReadError missing_column."""
        return self._column(name).astype(np.float64)

    def bits(self, name: str) -> NDArray[np.int64]:
        """Return a column as bit fields of 64 bits; NaN becomes 0. Raises FitsReadError missing_column."""
        values = self._column(name)
        if values.dtype.kind == "f":
            values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
        return values.astype(np.int64)

    def _column(self, name: str) -> NDArray[Any]:
        occurs = self._names.count(name.lower())
        if occurs != 1:
            found = ", ".join(self.columns) or "none"
            problem = f"has {occurs} columns called {name}" if occurs else f"has no column {name}"
            raise FitsReadError(
                f"{self.header.path}: HDU {self.header.number} {problem}; its columns are: {found}",
                "missing_column",
            )
        column = next(each for each in self.columns.values() if each.name.lower() == name.lower())
        if column.letter not in "LBIJKED":
            raise FitsReadError(
                f"{self.header.path}: column {name} of HDU {self.header.number} has the format {column.letter}, "
                "expected numbers",
                "missing_column",
            )
        return column.numbers(self._rows[column.name])


def read_table(path: Path, number: int) -> WholeTable:
    """Read HDU `number` (0 is the primary) of a FITS file, which is a binary table; nothing after it is read.

    Raises:
        FitsReadError: there is no such file, it is not whole up to the end of the table, or the HDU is no table.
    """
    with open_fits(path) as hdus:
        header = hdus.go_to(number)
        if not header.is_table:
            found = header.text("XTENSION", "the primary HDU")
            raise FitsReadError(f"{path}: HDU {number} is {found}, expected a binary table")
        columns = parse_columns(header)
        row_bytes, rows = header.integer("NAXIS1"), header.integer("NAXIS2")
        if row_bytes * rows > MAX_WHOLE_BYTES:
            raise FitsReadError(
                f"{path}: HDU {number} claims {rows:,} rows of {row_bytes:,} bytes, "
                f"expected at most {MAX_WHOLE_BYTES >> 20} MB"
            )
        data = hdus.read(row_bytes * rows)
    by_name = {column.name: column for column in reversed(columns)}
    readable = [column for column in by_name.values() if column.letter in FORMATS and column.size]
    layout = np.dtype(
        {
            "names": [column.name for column in readable],
            "formats": [column.dtype for column in readable],
            "offsets": [column.offset for column in readable],
            "itemsize": row_bytes,
        }
    )
    return WholeTable(
        header, columns, np.frombuffer(data, layout, rows) if row_bytes else np.empty(rows, layout)
    )


def read_with_astropy(path: Path, number: int) -> Any:
    """Read HDU `number` as an astropy Table, also with columns of variable length; values that stand for none are masked.

    Raises:
        FitsReadError: the file is not whole up to the end of the HDU, or astropy cannot read it.
    """
    from astropy.table import Table

    with open_fits(path) as hdus:
        hdus.skip(hdus.go_to(number).data_bytes())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Table.read(path, hdu=number, format="fits", memmap=False)
    except Exception as error:  # astropy raises about every built-in error on a broken file
        raise FitsReadError(f"{path}: HDU {number} cannot be read: {error}") from error
