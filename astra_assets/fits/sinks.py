"""Where the bytes of a FITS file go: a plain file, or a gzip file compressed on several threads.

Both let a header be written before it is known and filled in when the data behind it have gone through, so
that row counts and checksums need no second pass. In a gzip file this works because headers go in as stored
(uncompressed) deflate blocks, which can be rewritten in place; the file is one ordinary gzip member with time
stamp zero, so that the same contents give the same bytes.
"""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from isal import isal_zlib

# RFC 1952: magic, deflate, no flags, no time, no extra flags, unknown operating system.
_GZIP_START = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
# RFC 1951: an empty last block with fixed codes.
_GZIP_LAST_BLOCK = b"\x03\x00"
_STORED_BLOCK_BYTES = 0xFFFF
_DEFLATED_BYTES = 1 << 20
"""Bytes that are compressed at a time. The same data give the same file, however they were cut in writing."""
COMPRESSION_LEVEL = 2
"""Of 0 to 3 in isal; 2 gave the smallest files in the shortest time on summary tables (0.51 of the size at
500 MB/s a core).
"""
MAX_THREADS = 4
"""Compression is faster than anything else in the chain; more threads would only wait."""


_FLUSHED_BYTES = 64 << 20
"""Bytes that are written before the system is asked to have them on disk."""


class Sink(Protocol):
    """Bytes in, in order; headers may be filled in later."""

    def reserve(self, length: int) -> int:
        """Leave room for a header of `length` bytes; the number returned names it."""

    def fill(self, slot: int, header: bytes) -> None:
        """Write a header, of the length reserved, into its place."""

    def write(self, data: bytes | memoryview) -> None:
        """Append data, which the caller may overwrite afterwards."""

    def close(self) -> None:
        """Finish the file; every reserved header has been filled."""

    def abandon(self) -> None:
        """Free what the sink holds, whatever is in the file; does nothing after `close`."""


def open_sink(path: Path, *, compress: bool, threads: int | None = None) -> Sink:
    """A new file at `path`: gzip when `compress`, on `threads` threads (one per processor, at most 4)."""
    return GzipSink(path, threads or min(MAX_THREADS, os.cpu_count() or 1)) if compress else PlainSink(path)


class PlainSink:
    """An uncompressed file."""

    def __init__(self, path: Path) -> None:
        self._file = _GrowingFile(path)
        self._slots: list[int] = []

    def reserve(self, length: int) -> int:
        """See Sink."""
        self._slots.append(self._file.length)
        self._file.append(b" " * length)
        return len(self._slots) - 1

    def fill(self, slot: int, header: bytes) -> None:
        """See Sink."""
        self._file.rewrite(self._slots[slot], header)

    def write(self, data: bytes | memoryview) -> None:
        """See Sink."""
        self._file.append(data)

    def close(self) -> None:
        """See Sink."""
        self._file.close()

    def abandon(self) -> None:
        """See Sink."""
        self._file.abandon()


@dataclass
class _Piece:
    """A run of uncompressed bytes with one CRC; `blocks` are the file offsets of a header's stored blocks."""

    length: int = 0
    crc: int = 0
    blocks: tuple[tuple[int, int], ...] = ()


class GzipSink:
    """A gzip file; blocks of data are compressed on a pool of threads and written in order."""

    def __init__(self, path: Path, threads: int) -> None:
        self._file = _GrowingFile(path)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="gzip")
        self._waiting: deque[Future[bytes]] = deque()
        self._most_waiting = 2 * threads
        self._block = bytearray()
        self._pieces: list[_Piece] = []
        try:
            self._file.append(_GZIP_START)
        except BaseException:
            self._release()
            raise

    def reserve(self, length: int) -> int:
        """See Sink."""
        self._flush()
        blocks = []
        for start in range(0, length, _STORED_BLOCK_BYTES):
            size = min(_STORED_BLOCK_BYTES, length - start)
            frame = b"\x00" + size.to_bytes(2, "little") + (size ^ 0xFFFF).to_bytes(2, "little")
            self._file.append(frame)
            blocks.append((self._file.length, size))
            self._file.append(b" " * size)
        self._pieces.append(_Piece(length, 0, tuple(blocks)))
        return len(self._pieces) - 1

    def fill(self, slot: int, header: bytes) -> None:
        """See Sink."""
        piece = self._pieces[slot]
        start = 0
        for offset, size in piece.blocks:
            self._file.rewrite(offset, header[start : start + size])
            start += size
        piece.crc = isal_zlib.crc32(header)

    def write(self, data: bytes | memoryview) -> None:
        """See Sink."""
        view = memoryview(data).cast("B")
        while view:
            taken = view[: _DEFLATED_BYTES - len(self._block)]
            self._block += taken
            view = view[len(taken) :]
            if len(self._block) == _DEFLATED_BYTES:
                self._compress()

    def _compress(self) -> None:
        """Have what was collected compressed, after what is being compressed already."""
        data, self._block = self._block, bytearray()
        if not self._pieces or self._pieces[-1].blocks:
            self._pieces.append(_Piece())
        piece = self._pieces[-1]
        piece.crc = isal_zlib.crc32(data, piece.crc)
        piece.length += len(data)
        self._waiting.append(self._pool.submit(_deflate, data))
        self._drain(self._most_waiting)

    def _flush(self) -> None:
        """Have everything that was written so far in the file."""
        if self._block:
            self._compress()
        self._drain(0)

    def _drain(self, most: int) -> None:
        while len(self._waiting) > most:
            self._file.append(self._waiting.popleft().result())

    def close(self) -> None:
        """See Sink."""
        self._flush()
        crc = length = 0
        for piece in self._pieces:
            crc = isal_zlib.crc32_combine(crc, piece.crc, piece.length)
            length += piece.length
        end = crc.to_bytes(4, "little") + (length & 0xFFFFFFFF).to_bytes(4, "little")
        self._file.append(_GZIP_LAST_BLOCK + end)
        self._file.close()
        self._release()

    def abandon(self) -> None:
        """See Sink."""
        self._release()

    def _release(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._waiting.clear()
        self._file.abandon()


def _deflate(data: bytearray) -> bytes:
    """A run of deflate blocks that ends on a byte boundary and refers to nothing before it."""
    compressor = isal_zlib.compressobj(COMPRESSION_LEVEL, isal_zlib.DEFLATED, -isal_zlib.MAX_WBITS)
    compressed: bytes = compressor.compress(data) + compressor.flush(isal_zlib.Z_SYNC_FLUSH)
    return compressed


_flush_data = getattr(os, "fdatasync", os.fsync)
"""Writes what a file holds to disk, where the system can without the times of the file (macOS cannot)."""


class _GrowingFile:
    """A new file that grows at its end, and that the system writes to disk meanwhile.

    Else most of it would be written when it is flushed before it gets its name, while nothing else is left to do.
    """

    def __init__(self, path: Path) -> None:
        self.length = 0
        self._file = path.open("xb", buffering=0)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="flush")
        self._flushed = 0
        self._flush: Future[None] | None = None

    def append(self, data: bytes | memoryview) -> None:
        view = memoryview(data).cast("B")
        while view:
            written = os.write(self._file.fileno(), view)
            view = view[written:]
            self.length += written
        if self.length - self._flushed >= _FLUSHED_BYTES and (self._flush is None or self._flush.done()):
            self._wait()
            self._flushed = self.length
            self._flush = self._pool.submit(_flush_data, self._file.fileno())

    def rewrite(self, offset: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(self._file.fileno(), view, offset)
            view, offset = view[written:], offset + written

    def close(self) -> None:
        """Raises OSError where something could not be written to disk."""
        self._wait()
        self.abandon()

    def abandon(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._file.close()

    def _wait(self) -> None:
        """Until what was last begun to be flushed is; raises what that met."""
        if self._flush is not None:
            self._flush.result()
