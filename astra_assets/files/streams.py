"""Files as streams of bytes, plain or gzipped, with a checksum of what is on disk.

Belongs here: opening, decompressing, hashing. Does not belong here: what the bytes mean (`fits_stream`,
`catalog_files`).
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from isal import isal_zlib

from astra_assets.errors import ExpectedError

GZIP_MAGIC = b"\x1f\x8b"
GZIP_WBITS = 31
"""Makes the decompressor expect gzip's header and verify its checksum (as in zlib's inflateInit2)."""

READ_SIZE = 1 << 20
"""Bytes that are read at a time where no size is given by the content."""


DAMAGED: tuple[type[Exception], ...] = (EOFError, OSError, cast("type[Exception]", isal_zlib.error))
"""What decompression raises when a file is cut off or damaged (isal's stubs call its exception a value)."""


class StreamError(ExpectedError):
    """A file is cut off or damaged, or cannot be read; the message says what the reader found."""


class HashingFile(io.RawIOBase):
    """A file on disk that is hashed (SHA-256) while it is read from its start to its end.

    Attributes:
        at_end: nothing is left to read.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        self._digest = hashlib.sha256()
        self.at_end = False

    def readable(self) -> bool:
        """Always true."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer; what was read goes into the checksum."""
        count = self._file.readinto(buffer)
        self._digest.update(memoryview(buffer)[:count])
        self.at_end = count == 0
        return count

    def close(self) -> None:
        """Close the file on disk."""
        self._file.close()
        super().close()

    def hexdigest(self) -> str:
        """The checksum of the bytes read so far."""
        return self._digest.hexdigest()


class GzipContent(io.RawIOBase):
    """The decompressed content of a gzip file of any number of members; every byte before a damage is delivered."""

    def __init__(self, disk: HashingFile) -> None:
        self._disk = disk
        self._packed = b""
        self._content = memoryview(b"")
        self._member: Any = isal_zlib.decompressobj(wbits=GZIP_WBITS)

    def readable(self) -> bool:
        """Always true."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read decompressed bytes into a buffer.

        Raises:
            EOFError: the file ends within a member.
            IsalError: the compressed data are damaged, or their checksum does not fit.
        """
        while not self._content:
            self._packed = self._packed or self._disk.read(READ_SIZE) or b""
            if self._member is None:  # between members; gzip files may be padded with zeros
                self._packed = self._packed.lstrip(b"\0")
            if not self._packed:
                if self._member is not None:
                    raise EOFError("the compressed data end too early")
                if self._disk.at_end:
                    return 0
                continue
            self._decompress()
        count = min(len(buffer), len(self._content))
        buffer[:count] = self._content[:count]
        self._content = self._content[count:]
        return count

    def _decompress(self) -> None:
        """Turn some packed bytes into content."""
        member = self._member or isal_zlib.decompressobj(wbits=GZIP_WBITS)
        self._content = memoryview(member.decompress(self._packed, READ_SIZE))
        self._packed = member.unused_data if member.eof else member.unconsumed_tail
        self._member = None if member.eof else member


class ByteStream:
    """The content of a file, decompressed where it is gzipped, read once from start to end.

    Attributes:
        path: the file.
        problem: why nothing more comes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem = "end of file"
        self._disk = HashingFile(path)
        self._content: io.RawIOBase = GzipContent(self._disk) if is_gzipped(path) else self._disk

    def readinto(self, buffer: memoryview) -> int:
        """Fill the buffer; fewer bytes come back only at the end of the file or where it breaks off.

        Raises:
            StreamError: the file is cut off or damaged, and nothing was read.
        """
        filled = 0
        while filled < len(buffer):
            try:
                count = self._content.readinto(buffer[filled:])
            except DAMAGED as error:
                self.problem = f"{type(error).__name__}: {error}"
                if filled:
                    return filled
                raise StreamError(self.problem) from error
            if not count:
                break
            filled += count
        return filled

    def skip(self, size: int) -> int:
        """Read past this many bytes; returns how many there were."""
        scratch = memoryview(bytearray(min(size, READ_SIZE)))
        left = size
        while left:
            count = self.readinto(scratch[: min(left, len(scratch))])
            if not count:
                break
            left -= count
        return size - left

    def finish(self) -> str:
        """Read to the end, so that gzip's own checksum is verified.

        Returns the checksum of the file on disk.
        """
        scratch = memoryview(bytearray(READ_SIZE))
        while self.readinto(scratch):
            pass
        return self._disk.hexdigest()

    def close(self) -> None:
        """Close the file."""
        self._disk.close()


@contextmanager
def open_stream(path: Path) -> Iterator[ByteStream]:
    """A file as a stream that is closed at the end of the block."""
    stream = ByteStream(path)
    try:
        yield stream
    finally:
        stream.close()


def is_gzipped(path: Path) -> bool:
    """Whether the file starts as gzip does, whatever its name."""
    with path.open("rb") as opened:
        return opened.read(2) == GZIP_MAGIC


def content_hash(path: Path) -> str:
    """SHA-256 of a file as it is on disk."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
