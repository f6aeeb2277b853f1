"""Binary tables of FITS files, plain or gzipped, read once from start to end with flat memory.

astropy reads the headers; the rows come straight from the decompressed stream, and only the columns that
are asked for are kept. Belongs here: the layout of a table and its bytes as Arrow arrays. Does not belong
here: what a column means.
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
from astropy.io import fits
from numpy.typing import NDArray

from astra_assets.files.streams import ByteStream, StreamError, open_stream
from astra_assets.ingest.report import IngestError

BLOCK = 2880
"""Bytes of a FITS block."""

MAX_HEADER_BLOCKS = 4096
"""A header longer than this (12 MB) is no header; a table of 999 columns needs about 170 blocks."""

READ_BYTES = 8 << 20
"""Bytes of table rows that are read at a time; the needed columns are copied out of them."""

FORMATS: Mapping[str, str] = {
    "L": "u1", "X": "u1", "B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "A": "S", "E": ">f4", "D": ">f8",
}  # fmt: skip
SIZES: Mapping[str, int] = {
    "L": 1, "X": 1, "B": 1, "I": 2, "J": 4, "K": 8, "A": 1, "E": 4, "D": 8, "C": 8, "M": 16, "P": 8, "Q": 16,
}  # fmt: skip


@dataclass(frozen=True)
class FitsColumn:
    """One column of a binary table.

    Attributes:
        name: TTYPEn as written.
        letter: data type of TFORMn.
        repeat: elements per row.
        offset: byte in the row where it starts.
        null: TNULLn, the integer that stands for "no value".
        zero: TZEROn.
        scale: TSCALn.
    """

    name: str
    letter: str
    repeat: int
    offset: int
    null: int | None = None
    zero: float = 0
    scale: float = 1

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
        """The values of some rows as Arrow: text without trailing blanks, TNULL as null, arrays as lists."""
        if self.size == 0:
            return pa.nulls(len(raw))
        if self.letter == "A":
            return decode_text(raw)
        if self.letter in "BX" and raw.ndim == 2:
            # NumPy's own byte strings would end at their first zero in Arrow
            packed = pa.py_buffer(np.ascontiguousarray(raw))
            return pa.FixedSizeBinaryArray.from_buffers(pa.binary(raw.shape[1]), len(raw), [None, packed])
        values = raw.reshape(-1)
        mask = None
        if self.letter == "L":
            values, mask = values == ord("T"), values == 0
        elif self.null is not None and self.letter in "BIJK":
            mask = values == self.null
        if (self.zero, self.scale) != (0, 1):
            values = self._scaled(values)
        flat = pa.array(values, mask=mask)
        return flat if raw.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, raw.shape[1])

    def _scaled(self, values: NDArray[Any]) -> NDArray[Any]:
        if self.scale == 1 and self.letter in "BIJK" and float(self.zero).is_integer():
            unsigned = np.dtype(values.dtype.newbyteorder("=").str.replace("i", "u"))
            if self.zero == 2 ** (8 * unsigned.itemsize - 1):
                flipped: NDArray[Any] = values.view(unsigned) ^ np.array(int(self.zero), dtype=unsigned)
                return flipped
            return values.astype(np.int64) + int(self.zero)
        return values * float(self.scale) + float(self.zero)


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
    """The binary table of an open stream; its rows can be read once."""

    def __init__(self, stream: ByteStream, header: fits.Header, hdu: int) -> None:
        self.path = stream.path
        self.hdu = hdu
        self.rows = int(header["NAXIS2"])
        self.row_bytes = int(header["NAXIS1"])
        self.columns = parse_columns(header, f"{stream.path}, HDU {hdu}", self.row_bytes)
        self._stream = stream

    def chunks(self, names: Sequence[str], chunk_rows: int, *, limit: int | None = None) -> Iterator[Chunk]:
        """The named columns (as in the file), `chunk_rows` rows at a time, at most `limit` rows in all.

        Where the file breaks off, the complete rows before that come first, then the error.

        Raises:
            IngestError: the file is cut off or damaged (it names the row), or a column has a variable length.
        """
        chosen = [self._readable(name) for name in names]
        packed = np.dtype([(column.name, column.dtype.newbyteorder("=")) for column in chosen])
        total = self.rows if limit is None else min(self.rows, limit)
        buffer = bytearray(max(1, READ_BYTES // max(self.row_bytes, 1)) * self.row_bytes)
        done = 0
        while done < total:
            wanted = min(chunk_rows, total - done)
            block = np.empty(wanted, packed)
            filled, problem = self._fill(block, chosen, memoryview(buffer))
            if filled:
                arrays = {column.name: column.decode(block[column.name][:filled]) for column in chosen}
                yield Chunk(done + 1, pa.table(arrays))
            done += filled
            if filled < wanted:
                raise IngestError(
                    f"{self.path}: breaks off after row {done:,} of {self.rows:,} ({problem}); "
                    f"fetch the file again and repeat"
                )

    def _fill(self, block: NDArray[Any], chosen: Sequence[FitsColumn], buffer: memoryview) -> tuple[int, str]:
        """Fill the block with rows; returns how many are complete and, if not all, what was wrong."""
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

    def _readable(self, name: str) -> FitsColumn:
        column = next(column for column in self.columns if column.name == name)
        if column.letter not in FORMATS:
            raise IngestError(
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
            IngestError: the file is damaged after the table, or gzip's own checksum does not fit.
        """
        try:
            return self._stream.finish()
        except StreamError as error:
            raise IngestError(
                f"{self.path}: is damaged, {error}; its rows may be wrong. Fetch the file again and repeat: "
                f"rows that differ will be corrected"
            ) from error


def parse_columns(header: fits.Header, where: str, row_bytes: int) -> list[FitsColumn]:
    """The columns of a table from its header; raises IngestError when they do not fit the length of a row."""
    columns: list[FitsColumn] = []
    offset = 0
    for number in range(1, int(header.get("TFIELDS", 0)) + 1):
        form = str(header.get(f"TFORM{number}", "")).strip()
        match = re.match(r"(\d*)([LXBIJKAEDCMPQ])", form)
        if match is None:
            raise IngestError(f"{where}: TFORM{number} is {form!r}, expected a FITS format like 1J or 20A")
        name = str(header.get(f"TTYPE{number}", f"col{number}")).strip()
        null = header.get(f"TNULL{number}")
        column = FitsColumn(
            name, match[2], int(match[1] or 1), offset,
            int(null) if isinstance(null, int) else None,
            header.get(f"TZERO{number}", 0), header.get(f"TSCAL{number}", 1),
        )  # fmt: skip
        columns.append(column)
        offset += column.size
    if offset != row_bytes:
        raise IngestError(f"{where}: the columns need {offset} bytes per row, NAXIS1 says {row_bytes}")
    return columns


@contextmanager
def open_table(path: Path, wanted: Callable[[set[str]], bool], what: str) -> Iterator[FitsTable]:
    """The first binary table of a FITS file whose column names (in lower case) are wanted.

    Args:
        path: FITS file, plain or gzipped.
        wanted: decides by the set of column names.
        what: names what is looked for, in the error.

    Raises:
        IngestError: it is no FITS file, it breaks off, or no table is wanted; the error lists the columns
            that there are.
        FileNotFoundError: there is no such file.

    """
    with open_stream(path) as stream:
        yield _find_table(stream, wanted, what)


def _find_table(stream: ByteStream, wanted: Callable[[set[str]], bool], what: str) -> FitsTable:
    seen: list[str] = []
    hdu = 0
    while (header := _read_header(stream, hdu)) is not None:
        if header.get("XTENSION", "").strip() == "BINTABLE":
            names = [str(header.get(f"TTYPE{n}", "")).strip() for n in range(1, header.get("TFIELDS", 0) + 1)]
            if wanted({name.lower() for name in names}):
                return FitsTable(stream, header, hdu)
            seen.append(f"HDU {hdu}: {', '.join(names) or 'no columns'}")
        size = data_bytes(header)
        if stream.skip(size) < size:
            raise IngestError(f"{stream.path}: breaks off in HDU {hdu}; fetch the file again and repeat")
        hdu += 1
    found = "; ".join(seen) or "no binary table"
    raise IngestError(f"{stream.path}: no table with {what}; found {found}")


def _read_header(stream: ByteStream, hdu: int) -> fits.Header | None:
    """The next header, or None at the end of the file."""
    text = b""
    block = memoryview(bytearray(BLOCK))
    for _ in range(MAX_HEADER_BLOCKS):
        try:
            count = stream.readinto(block)
        except StreamError as error:
            raise IngestError(
                f"{stream.path}: cannot be decompressed in the header of HDU {hdu}: {error}"
            ) from error
        if hdu and not text and (count == 0 or not bytes(block[:count]).strip(b"\0 ")):
            return None
        if count < BLOCK or (not text and not bytes(block[:9]).startswith((b"SIMPLE  =", b"XTENSION="))):
            break
        text += bytes(block)
        if any(bytes(block[i : i + 80]).rstrip() == b"END" for i in range(0, BLOCK, 80)):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", fits.verify.VerifyWarning)
                return fits.Header.fromstring(text)
    raise IngestError(
        f"{stream.path}: no FITS header where HDU {hdu} should start; it is empty, cut off or no FITS file"
    )


def data_bytes(header: fits.Header) -> int:
    """Bytes of an HDU's data, filled up to whole blocks."""
    axes = [int(header[f"NAXIS{n}"]) for n in range(1, int(header.get("NAXIS", 0)) + 1)]
    if not axes:
        return 0
    elements = int(header.get("GCOUNT", 1)) * (int(header.get("PCOUNT", 0)) + math.prod(axes))
    return math.ceil(abs(int(header["BITPIX"])) // 8 * elements / BLOCK) * BLOCK
