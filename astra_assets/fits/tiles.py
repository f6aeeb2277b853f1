"""Tile-compressed tables: a FITS file whose tables are compressed column by column, still a FITS file.

The convention is that of the FITS standard 4.0, section 10.3: a tile is a run of rows; of each tile the values of a
column are compressed on their own, after their bytes were put in order of significance (GZIP_2), or as they are
where a value is one byte (GZIP_1). cfitsio and what is built on it restore the file (`funpack`); astropy cannot.
Only files without heaps are packed, as `writer.py` makes them.
"""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io.fits import Header
from isal import isal_zlib

from astra_assets.errors import ExpectedError
from astra_assets.fits.checksum import WordSum, checksum_text, word_sum
from astra_assets.fits.errors import FitsReadError
from astra_assets.fits.header import BLOCK_BYTES, CARD_BYTES, Card
from astra_assets.fits.read_header import HduReader, open_fits
from astra_assets.fits.sinks import COMPRESSION_LEVEL, MAX_THREADS, PlainSink

SUFFIX = ".fits.fz"

TILE_ROWS = 8192

_END = b"END".ljust(CARD_BYTES)
_VALUE_BYTES = {"L": 1, "B": 1, "A": 1, "I": 2, "J": 4, "K": 8, "E": 4, "D": 8}
_DESCRIPTOR = np.dtype([("length", ">i8"), ("offset", ">i8")])
_NO_CHECKSUM = "0" * 16
_GZIP_WINDOW = 16 + isal_zlib.MAX_WBITS


class PackError(ExpectedError, ValueError):
    """A file whose tables cannot be packed; the message names it."""


def pack(source: Path, target: Path) -> None:
    """Write the file at `source`, gzipped or not, with tile-compressed tables to `target`.

    Memory does not grow with the rows. The checksums of the file that is packed are kept (ZHECKSUM, ZDATASUM), those of
    the new one are its own. A table without rows is left as it is. The same file gives the same bytes.

    Raises PackError when there is something in it that is neither an empty primary HDU nor a table without heap.
    """
    sink = PlainSink(target)
    threads = min(MAX_THREADS, os.cpu_count() or 1)
    try:
        with open_fits(source) as hdus, ThreadPoolExecutor(threads, thread_name_prefix="tiles") as pool:
            while (header := _next_header(hdus)) is not None:
                if header.has_rows:
                    _PackedTable(header).pack(hdus, sink, pool)
                else:
                    _copy(header, sink)
        sink.close()
    except FitsReadError as error:
        raise PackError(str(error)) from error
    except (KeyError, PackError) as error:
        raise PackError(f"{source}: {error}") from error
    finally:
        sink.abandon()


@dataclass(frozen=True)
class _Header:
    raw: bytes
    values: Header

    @property
    def has_rows(self) -> bool:
        """Is it that of a table that is worth packing?"""
        return str(self.values.get("XTENSION", "")).strip() == "BINTABLE" and self.values["NAXIS2"] > 0

    @property
    def cards(self) -> Iterator[bytes]:
        for start in range(0, len(self.raw), CARD_BYTES):
            card = self.raw[start : start + CARD_BYTES]
            if card == _END:
                return
            yield card


def _next_header(hdus: HduReader) -> _Header | None:
    header = hdus.next_header()
    return None if header is None else _Header(header.raw, Header.fromstring(header.raw))


def _copy(header: _Header, sink: PlainSink) -> None:
    if header.values["NAXIS"] != 0 and header.values["NAXIS2"] != 0:
        raise PackError("only tables can be packed, found an image")
    sink.write(header.raw)


class _PackedTable:
    """One table on its way."""

    def __init__(self, header: _Header) -> None:
        values = header.values
        if values["PCOUNT"] != 0:
            raise PackError("a table with a heap cannot be packed")
        self._header = header
        self._rows = int(values["NAXIS2"])
        self._row_bytes = int(values["NAXIS1"])
        self._formats = [str(values[f"TFORM{number + 1}"]).strip() for number in range(values["TFIELDS"])]
        self._widths = [_width(form) for form in self._formats]
        self._tiles = -(-self._rows // TILE_ROWS)
        self._descriptors = np.zeros((self._tiles, len(self._formats)), dtype=_DESCRIPTOR)
        self._heap_bytes = 0
        self._sum = WordSum()

    def pack(self, hdus: HduReader, sink: PlainSink, pool: ThreadPoolExecutor) -> None:
        """Read the rows of the table, write the packed one."""
        slot = sink.reserve(len(self._render(_NO_CHECKSUM)))
        table = sink.reserve(self._descriptors.nbytes)
        waiting: deque[tuple[int, int, Future[bytes]]] = deque()
        for tile in range(self._tiles):
            rows = min(TILE_ROWS, self._rows - tile * TILE_ROWS)
            data = hdus.read(rows * self._row_bytes)
            block = np.frombuffer(data, dtype=np.uint8).reshape(rows, self._row_bytes)
            start = 0
            for number, (width, size) in enumerate(self._widths):
                part = block[:, start : start + width]
                waiting.append((tile, number, pool.submit(_compressed, part, size)))
                start += width
            self._drain(waiting, len(self._widths), sink)
        self._drain(waiting, 0, sink)
        self._add(b"\0" * (-(self._descriptors.nbytes + self._heap_bytes) % BLOCK_BYTES), sink, heap=False)
        descriptors = self._descriptors.tobytes()
        self._sum.add(descriptors)
        sink.fill(table, descriptors)
        text = checksum_text(word_sum(self._render(_NO_CHECKSUM)), self._sum.value)
        sink.fill(slot, self._render(text))

    def _drain(self, waiting: deque[tuple[int, int, Future[bytes]]], most: int, sink: PlainSink) -> None:
        while len(waiting) > most:
            tile, number, future = waiting.popleft()
            data = future.result()
            self._descriptors[tile, number] = (len(data), self._heap_bytes)
            # The sum is one of 32-bit words, so every part of the heap has a whole number of them.
            self._add(data + b"\0" * (-len(data) % 4), sink)

    def _add(self, data: bytes, sink: PlainSink, *, heap: bool = True) -> None:
        if data:
            self._sum.add(data)
            sink.write(data)
            self._heap_bytes += len(data) if heap else 0

    def _render(self, checksum: str) -> bytes:
        sizes = {
            "NAXIS1": _DESCRIPTOR.itemsize * len(self._formats),
            "NAXIS2": self._tiles,
            "PCOUNT": self._heap_bytes,
        }
        cards = [self._card(card, sizes, checksum) for card in self._header.cards]
        text = b"".join([*cards, *(card.render() for card in self._further()), _END])
        return text + b" " * (-len(text) % BLOCK_BYTES)

    def _card(self, card: bytes, sizes: dict[str, int], checksum: str) -> bytes:
        """What becomes of a card of the original header."""
        keyword = card[:8].decode("ascii").strip()
        column = re.fullmatch(r"TFORM(\d+)", keyword)
        if column is not None:
            longest = int(self._descriptors["length"][:, int(column[1]) - 1].max(initial=0))
            return Card(keyword, f"1QB({longest})").render()
        if keyword == "CHECKSUM":
            return Card(keyword, checksum, self._comment(keyword)).render()
        if keyword == "DATASUM":
            return Card(keyword, str(self._sum.value), self._comment(keyword)).render()
        if keyword in sizes:
            return Card(keyword, sizes[keyword], self._comment(keyword)).render()
        return card

    def _further(self) -> Iterator[Card]:
        """The cards by which the original is restored, as cfitsio writes them: with the comments it had."""
        yield Card("ZTABLE", True, "this is a compressed table")
        yield Card("ZTILELEN", TILE_ROWS, "number of rows in each tile")
        yield Card("ZNAXIS1", self._row_bytes, self._comment("NAXIS1"))
        yield Card("ZNAXIS2", self._rows, self._comment("NAXIS2"))
        yield Card("ZPCOUNT", 0, self._comment("PCOUNT"))
        for number, form in enumerate(self._formats, start=1):
            yield Card(f"ZFORM{number}", form, self._comment(f"TFORM{number}"))
        for number, (_, size) in enumerate(self._widths, start=1):
            kind = "GZIP_2" if size > 1 else "GZIP_1"
            yield Card(f"ZCTYP{number}", kind, "compression algorithm for column")
        for original, kept in (("CHECKSUM", "ZHECKSUM"), ("DATASUM", "ZDATASUM")):
            if original in self._header.values:
                yield Card(kept, str(self._header.values[original]), self._comment(original))

    def _comment(self, keyword: str) -> str:
        return str(self._header.values.comments[keyword])


def _width(form: str) -> tuple[int, int]:
    """Bytes of a column in a row, and of one of its values."""
    found = re.fullmatch(r"(\d*)([LBAIJKED])", form)
    if found is None:
        raise PackError(f"a column of the format {form} cannot be packed")
    size = _VALUE_BYTES[found[2]]
    return int(found[1] or 1) * size, size


def _compressed(part: npt.NDArray[Any], size: int) -> bytes:
    """The values of a column in a tile, bytes of equal significance together."""
    values = np.ascontiguousarray(part).reshape(-1, size).T.tobytes() if size > 1 else part.tobytes()
    compressor = isal_zlib.compressobj(COMPRESSION_LEVEL, isal_zlib.DEFLATED, _GZIP_WINDOW)
    compressed: bytes = compressor.compress(values) + compressor.flush()
    return compressed
