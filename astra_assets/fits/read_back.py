"""Read a FITS file as any reader would, from the first byte to the last, compressed or not.

Products are verified with it, so it shares nothing with the code that writes files but the sizes of blocks and cards and
the sum of words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from astra_assets.files.streams import ByteStream, StreamError
from astra_assets.fits.checksum import WordSum, add_words
from astra_assets.fits.errors import UnsoundFileError
from astra_assets.fits.header import BLOCK_BYTES, CARD_BYTES

Header: TypeAlias = fits.Header
Records = npt.NDArray[Any]

CHUNK_BYTES = 1 << 20
_END = b"END".ljust(CARD_BYTES)
_ALL_ONES = 0xFFFFFFFF
_TFORM = re.compile(r"(?P<repeat>\d*)(?P<letter>[LABIJKED])")
_ELEMENTS = {"L": "u1", "A": "u1", "B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}


class Blocks:
    """The uncompressed bytes of a file in order, and the checksum of the file itself."""

    def __init__(self, path: Path) -> None:
        self._stream = ByteStream(path, alone=True)
        self._pieces = _pieces(self._stream)
        self._rest = memoryview(b"")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    @property
    def sha256(self) -> str:
        """The checksum of the file as far as it was read, in hexadecimal."""
        return self._stream.hexdigest()

    @property
    def size_bytes(self) -> int:
        """Bytes of the file that were read."""
        return self._stream.size_bytes

    def read(self, size: int) -> bytes:
        """The next bytes: `size` of them, fewer at the end. Raises UnsoundFileError where the file is damaged."""
        parts = []
        while size:
            if not self._rest:
                self._rest = memoryview(next(self._pieces, b""))
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


def _pieces(stream: ByteStream) -> Iterator[bytes]:
    try:
        while piece := stream.read(CHUNK_BYTES):
            yield piece
    except StreamError as error:
        raise UnsoundFileError(str(error)) from error
    finally:
        stream.close()


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
        self.rows = _whole_number(header.cards, "NAXIS2")
        self.row_bytes = _whole_number(header.cards, "NAXIS1")
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
        heap = _whole_number(self.cards, "PCOUNT")
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
    for number in range(1, _whole_number(cards, "TFIELDS") + 1):
        name, tform = str(cards.get(f"TTYPE{number}")), str(cards.get(f"TFORM{number}")).strip()
        found = _TFORM.fullmatch(tform)
        if found is None:
            raise UnsoundFileError(f"column {name}: format {tform!r} is none of a summary file")
        repeat = int(found["repeat"] or 1)
        element = _ELEMENTS[found["letter"]]
        plain = repeat == 1 and found["letter"] != "A" and f"TDIM{number}" not in cards
        fields.append((name, element) if plain else (name, element, (repeat,)))
    return np.dtype(fields)


def _whole_number(cards: Header, keyword: str) -> int:
    """The number of a mandatory card. Raises UnsoundFileError where it is none."""
    value = cards.get(keyword)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise UnsoundFileError(f"{keyword} is {value!r}, expected a whole number, at least 0")
    return value
