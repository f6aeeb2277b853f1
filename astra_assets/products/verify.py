"""Reading a product back before it gets its name: is the file what the query said it would be?

The file is read as any reader would, block by block, without the code that wrote it. What is checked:
checksums of every HDU, numbers of rows, names and formats of columns, units, descriptions, at most 999
columns, unique keys, and that nothing follows the last HDU.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy import units
from astropy.io.fits import Header
from isal import igzip_lib, isal_zlib

from astra_assets.fits.checksum import WordSum, add_words
from astra_assets.fits.formats import FitsColumn, record_dtype
from astra_assets.fits.header import BLOCK_BYTES, CARD_BYTES, MAX_COLUMNS
from astra_assets.models.errors import ExpectedError

_CHUNK_BYTES = 1 << 20
_END = b"END".ljust(CARD_BYTES)
_ALL_ONES = 0xFFFFFFFF
_NO_KEY = -1
# The stubs of isal say that its exception is an instance.
_GZIP_ERRORS: tuple[Any, ...] = (igzip_lib.IsalError, EOFError)


class VerificationError(ExpectedError, ValueError):
    """A file that is not what it should be; the message names file and HDU."""


@dataclass(frozen=True)
class ExpectedTable:
    """What a table HDU has to be. `ordered` keys ascend; rows without a key (-1) come last."""

    columns: Sequence[FitsColumn]
    rows: int
    key: str
    ordered: bool = True


@dataclass(frozen=True)
class Verified:
    """A file that was read and found right."""

    sha256: str
    size_bytes: int
    rows: tuple[int, ...]


def verify(path: Path, expected: Sequence[ExpectedTable], *, label: str) -> Verified:
    """Read a FITS file, gzipped or not, to its end and check it. Raises VerificationError."""
    blocks = _Blocks(path)
    try:
        _verify_file(blocks, expected)
    except VerificationError as error:
        raise VerificationError(
            f"{label}: the file just written is not right and was not put in place: {error}"
        ) from error
    return Verified(blocks.sha256.hexdigest(), blocks.size_bytes, tuple(table.rows for table in expected))


def _verify_file(blocks: _Blocks, expected: Sequence[ExpectedTable]) -> None:
    _check_sums(_read_header(blocks), WordSum())
    for number, table in enumerate(expected, start=1):
        try:
            _verify_table(blocks, table)
        except VerificationError as error:
            raise VerificationError(f"HDU {number}: {error}") from error
    if blocks.read(1):
        raise VerificationError("there is something after the last HDU")


class _Blocks:
    """The uncompressed bytes of a file in order, and the checksum of the file itself."""

    def __init__(self, path: Path) -> None:
        self.sha256 = hashlib.sha256()
        self.size_bytes = 0
        self._chunks = self._inflated(path) if path.suffix == ".gz" else self._raw(path)
        self._rest = memoryview(b"")

    def _raw(self, path: Path) -> Iterator[bytes]:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                self.sha256.update(chunk)
                self.size_bytes += len(chunk)
                yield chunk

    def _inflated(self, path: Path) -> Iterator[bytes]:
        inflater = isal_zlib.decompressobj(16 + zlib.MAX_WBITS)
        try:
            for chunk in self._raw(path):
                data = inflater.decompress(chunk, _CHUNK_BYTES)
                while data:
                    yield data
                    data = inflater.decompress(inflater.unconsumed_tail, _CHUNK_BYTES)
        except _GZIP_ERRORS as error:
            raise VerificationError(f"the gzip stream is broken: {error}") from error
        if not inflater.eof or inflater.unused_data:
            raise VerificationError("the gzip stream does not end where the file does")

    def read(self, size: int) -> bytes:
        """The next bytes: `size` of them, fewer at the end."""
        parts = []
        while size:
            if not self._rest:
                self._rest = memoryview(next(self._chunks, b""))
                if not self._rest:
                    break
            parts.append(self._rest[:size])
            size -= len(parts[-1])
            self._rest = self._rest[len(parts[-1]) :]
        return b"".join(parts)

    def read_all(self, size: int) -> bytes:
        """The next `size` bytes. Raises VerificationError when there are fewer."""
        data = self.read(size)
        if len(data) < size:
            raise VerificationError("the file ends early")
        return data


@dataclass(frozen=True)
class _ReadHeader:
    cards: Header
    words: int


def _read_header(blocks: _Blocks) -> _ReadHeader:
    text = b""
    total = WordSum()
    while True:
        block = blocks.read_all(BLOCK_BYTES)
        total.add(block)
        text += block
        if any(block[start : start + CARD_BYTES] == _END for start in range(0, BLOCK_BYTES, CARD_BYTES)):
            return _ReadHeader(Header.fromstring(text), total.value)


def _verify_table(blocks: _Blocks, expected: ExpectedTable) -> None:
    header = _read_header(blocks)
    _check_columns(header.cards, expected.columns)
    dtype = record_dtype(list(expected.columns))
    found = (header.cards["NAXIS1"], header.cards["NAXIS2"])
    if found != (dtype.itemsize, expected.rows):
        raise VerificationError(
            f"{found[1]} rows of {found[0]} bytes, expected {expected.rows} of {dtype.itemsize}"
        )
    keys = _Keys(ordered=expected.ordered)
    data = WordSum()
    # A multiple of four rows is a whole number of the 32-bit words of the checksum.
    step = max(4, _CHUNK_BYTES // max(dtype.itemsize, 1) // 4 * 4)
    for start in range(0, expected.rows, step):
        size = min(step, expected.rows - start) * dtype.itemsize
        last = start + step >= expected.rows
        chunk = blocks.read_all(size + (-(expected.rows * dtype.itemsize) % BLOCK_BYTES if last else 0))
        data.add(chunk)
        rows = np.frombuffer(chunk[:size], dtype=dtype)
        try:
            keys.add(rows[expected.key].astype(np.int64))
        except VerificationError as error:
            raise VerificationError(f"column {expected.key}: {error}") from error
    keys.finish()
    _check_sums(header, data)


def _check_sums(header: _ReadHeader, data: WordSum) -> None:
    if int(header.cards["DATASUM"]) != data.value:
        raise VerificationError(f"DATASUM is {header.cards['DATASUM']}, the data sum up to {data.value}")
    if add_words(header.words, data.value) != _ALL_ONES:
        raise VerificationError("CHECKSUM does not match header and data")


def _check_columns(header: Header, columns: Sequence[FitsColumn]) -> None:
    count = header["TFIELDS"]
    if count != len(columns) or count > MAX_COLUMNS:
        raise VerificationError(f"{count} columns, expected {len(columns)} and at most {MAX_COLUMNS}")
    names = {column.name.lower() for column in columns}
    if len(names) != count:
        raise VerificationError("two columns have names that differ at most in case")
    for number, column in enumerate(columns, start=1):
        found = (header[f"TTYPE{number}"], header[f"TFORM{number}"])
        if found != (column.name, column.tform):
            raise VerificationError(f"column {number} is {found}, expected {(column.name, column.tform)}")
        if not str(header.get(f"TCOMM{number}", "")).strip():
            raise VerificationError(f"column {column.name} has no description (TCOMM{number})")
        unit = header.get(f"TUNIT{number}")
        if unit is not None:
            _check_unit(column.name, unit)


def _check_unit(name: str, unit: str) -> None:
    try:
        units.Unit(unit, format="fits")
    except ValueError as error:
        raise VerificationError(f"column {name}: unit {unit!r} is no FITS unit: {error}") from error


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
                f"{keys[position + 1]} follows {keys[position]}; keys are to be unique and to ascend"
            )
        self._only_missing = bool(after[-1])
        self._last = keys[-1:]

    def finish(self) -> None:
        if self._all:
            found, counts = np.unique(np.concatenate(self._all), return_counts=True)
            if counts.size and counts.max() > 1:
                raise VerificationError(f"{found[int(np.argmax(counts))]} occurs {counts.max()} times as key")
