"""Reading a FITS file as any reader would, from the first byte to the last, gzipped or not.

Belongs here: blocks, headers and their checksums, without the code that writes files. Does not belong here: what a file
ought to be (`verify`, `audit`).
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io.fits import Header
from isal import igzip_lib, isal_zlib

from astra_assets.fits.checksum import WordSum, add_words
from astra_assets.fits.header import BLOCK_BYTES, CARD_BYTES
from astra_assets.products.findings import UnsoundFileError

Records = npt.NDArray[Any]

CHUNK_BYTES = 1 << 20
_END = b"END".ljust(CARD_BYTES)
_ALL_ONES = 0xFFFFFFFF
# The stubs of isal say that its exception is an instance.
_GZIP_ERRORS: tuple[Any, ...] = (igzip_lib.IsalError, EOFError)
_TFORM = re.compile(r"(?P<repeat>\d*)(?P<letter>[LABIJKED])")
_ELEMENTS = {"L": "u1", "A": "u1", "B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}


class Blocks:
    """The uncompressed bytes of a file in order, and the checksum of the file itself."""

    def __init__(self, path: Path) -> None:
        self.sha256 = hashlib.sha256()
        self.size_bytes = 0
        self._chunks = self._inflated(path) if path.suffix == ".gz" else self._raw(path)
        self._rest = memoryview(b"")

    def _raw(self, path: Path) -> Iterator[bytes]:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                self.sha256.update(chunk)
                self.size_bytes += len(chunk)
                yield chunk

    def _inflated(self, path: Path) -> Iterator[bytes]:
        inflater = isal_zlib.decompressobj(16 + zlib.MAX_WBITS)
        try:
            for chunk in self._raw(path):
                data = inflater.decompress(chunk, CHUNK_BYTES)
                while data:
                    yield data
                    data = inflater.decompress(inflater.unconsumed_tail, CHUNK_BYTES)
        except _GZIP_ERRORS as error:
            raise UnsoundFileError(f"the gzip stream is broken: {error}") from error
        if not inflater.eof or inflater.unused_data:
            raise UnsoundFileError("the gzip stream does not end where the file does")

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
        """The next `size` bytes. Raises UnsoundFileError when there are fewer."""
        data = self.read(size)
        if len(data) < size:
            raise UnsoundFileError("the file ends early")
        return data


@dataclass(frozen=True)
class ReadHeader:
    """A header: its cards and the checksum of its bytes."""

    cards: Header
    words: int


def read_header(blocks: Blocks) -> ReadHeader:
    """The header that comes next. Raises UnsoundFileError when the file ends before it does."""
    header = next_header(blocks)
    if header is None:
        raise UnsoundFileError("the file ends early")
    return header


def next_header(blocks: Blocks) -> ReadHeader | None:
    """The header that comes next, None at the end of the file."""
    text = b""
    total = WordSum()
    while True:
        block = blocks.read(BLOCK_BYTES)
        if not block and not text:
            return None
        if len(block) < BLOCK_BYTES:
            raise UnsoundFileError("the file ends early")
        total.add(block)
        text += block
        if any(block[start : start + CARD_BYTES] == _END for start in range(0, BLOCK_BYTES, CARD_BYTES)):
            return ReadHeader(Header.fromstring(text), total.value)


def check_sums(header: ReadHeader, data: WordSum) -> None:
    """Raise UnsoundFileError when DATASUM or CHECKSUM of an HDU do not match its bytes."""
    if "DATASUM" not in header.cards or "CHECKSUM" not in header.cards:
        raise UnsoundFileError("the header has no DATASUM and CHECKSUM")
    if int(header.cards["DATASUM"]) != data.value:
        raise UnsoundFileError(f"DATASUM is {header.cards['DATASUM']}, the data sum up to {data.value}")
    if add_words(header.words, data.value) != _ALL_ONES:
        raise UnsoundFileError("CHECKSUM does not match header and data")


class ReadTable:
    """A binary table whose header was read and whose rows come next in the file."""

    def __init__(self, blocks: Blocks, header: ReadHeader) -> None:
        self.cards = header.cards
        self.rows = int(header.cards["NAXIS2"])
        self.row_bytes = int(header.cards["NAXIS1"])
        self._header = header
        self._blocks = blocks

    def chunks(self, dtype: np.dtype[Any]) -> Iterator[Records]:
        """Its rows, some at a time; `dtype` is as wide as a row.

        When they are at their end, raises UnsoundFileError unless DATASUM and CHECKSUM match.
        """
        data = WordSum()
        # A multiple of four rows is a whole number of the 32-bit words of the checksum.
        step = max(4, CHUNK_BYTES // max(self.row_bytes, 1) // 4 * 4)
        size = self.rows * self.row_bytes
        heap = int(self.cards.get("PCOUNT", 0))
        rest = heap + -(size + heap) % BLOCK_BYTES
        held = b""
        for start in range(0, self.rows, step):
            held = self._blocks.read_all(min(step, self.rows - start) * self.row_bytes)
            if start + step < self.rows:
                data.add(held)
            yield np.frombuffer(held, dtype=dtype)
        last = held if self.rows else b""
        data.add(last + self._blocks.read_all(rest))
        check_sums(self._header, data)


def dtype_of(cards: Header) -> np.dtype[Any]:
    """The packed big-endian row of a binary table, texts and byte strings as arrays of bytes.

    A column with TDIM is one of arrays, also where they have a single element.

    Raises UnsoundFileError naming a column of a format that summary files do not have.
    """
    fields: list[tuple[Any, ...]] = []
    for number in range(1, int(cards["TFIELDS"]) + 1):
        name, tform = str(cards[f"TTYPE{number}"]), str(cards[f"TFORM{number}"]).strip()
        found = _TFORM.fullmatch(tform)
        if found is None:
            raise UnsoundFileError(f"column {name}: format {tform!r} is none of a summary file")
        repeat = int(found["repeat"] or 1)
        element = _ELEMENTS[found["letter"]]
        plain = repeat == 1 and found["letter"] != "A" and f"TDIM{number}" not in cards
        fields.append((name, element) if plain else (name, element, (repeat,)))
    return np.dtype(fields)
