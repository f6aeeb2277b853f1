"""Open a file as a stream of bytes, decompressed where it is compressed.

What a file is compressed with (gzip, bzip2 or xz) is told by its first bytes, whatever its name.
"""

from __future__ import annotations

import bz2
import hashlib
import io
import lzma
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from isal import igzip_lib

from astra_assets.errors import ExpectedError

READ_SIZE = 1 << 20
"""Bytes that are read, and decompressed, at a time."""

HEAD_BYTES = 10
"""Bytes that tell what a file is compressed with."""

DECOMPRESSION_ERRORS = cast("tuple[type[Exception], ...]", (igzip_lib.IsalError, lzma.LZMAError, OSError))
"""What decompressors raise on damaged data (isal's stubs call its exception a value)."""


class StreamError(ExpectedError):
    """A file is cut off or damaged, or cannot be read; the message says what the reader found."""


@dataclass(frozen=True)
class Compression:
    """A way to compress files.

    Attributes:
        name: as messages call it.
        start: what the first bytes of a file look like.
        decompressor: makes the decompressor of one member of a file.
        most: how many bytes one compressed byte can become.
    """

    name: str
    start: re.Pattern[bytes]
    decompressor: Callable[[], Any]
    most: int


COMPRESSIONS = (
    # 1032: the limit of deflate, zlib.net/zlib_tech.html. The others were measured on zeros, and doubled.
    Compression(
        "gzip",
        re.compile(rb"\x1f\x8b"),
        lambda: igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP),
        1032,
    ),
    Compression("bzip2", re.compile(rb"BZh[1-9]1AY&SY"), bz2.BZ2Decompressor, 50_000),
    Compression("xz", re.compile(rb"\xfd7zXZ\0"), lzma.LZMADecompressor, 20_000),
)


class _Hashing(io.FileIO):
    """A file on disk that is hashed (SHA-256) while it is read from its start to its end."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.digest = hashlib.sha256()
        self.size = 0

    def readinto(self, buffer: Any) -> int:
        count = super().readinto(buffer)
        self.digest.update(memoryview(buffer)[:count])
        self.size += count
        return count


class _Decompressed(io.RawIOBase):
    """The content of a compressed file of any number of members; every byte before a damage is delivered."""

    def __init__(self, packed: BinaryIO, compression: Compression, *, alone: bool) -> None:
        self._file = packed
        self._compression = compression
        self._alone = alone
        self._packed = b""
        self._member: Any = compression.decompressor()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Read decompressed bytes into a buffer.

        Raises:
            StreamError: the file ends within a member, or the compressed data are damaged.
        """
        while len(buffer):
            if self._member is None and not self._begins():
                return 0
            if not self._packed and self._member.needs_input:
                self._packed = self._file.read(READ_SIZE) or b""
                if not self._packed:
                    raise (
                        self._ends_elsewhere()
                        if self._alone
                        else StreamError("the compressed data end too early")
                    )
            content = self._decompress(len(buffer))
            if content:
                buffer[: len(content)] = content
                return len(content)
        return 0

    def _begins(self) -> bool:
        """Whether another member follows; zeros between members and at the end are padding."""
        if self._alone:
            if self._packed or self._file.read(1):
                raise self._ends_elsewhere()
            return False
        self._packed = self._packed.lstrip(b"\0")
        while not self._packed:
            packed = self._file.read(READ_SIZE)
            if not packed:
                return False
            self._packed = packed.lstrip(b"\0")
        self._member = self._compression.decompressor()
        return True

    def _decompress(self, most: int) -> bytes:
        packed, self._packed = self._packed, b""
        try:
            content: bytes = self._member.decompress(packed, most)
        except DECOMPRESSION_ERRORS as error:
            raise StreamError(f"the {self._compression.name} stream is broken: {error}") from error
        if self._member.eof:
            self._packed, self._member = self._member.unused_data, None
        return content

    def _ends_elsewhere(self) -> StreamError:
        return StreamError(f"the {self._compression.name} stream does not end where the file does")

    def close(self) -> None:
        self._file.close()
        super().close()


def compression_of(head: bytes) -> Compression | None:
    """What a file that begins with `head` (at least `HEAD_BYTES` bytes of it) is compressed with."""
    return next((each for each in COMPRESSIONS if each.start.match(head)), None)


def open_content(path: Path, *, buffer_bytes: int = READ_SIZE) -> BinaryIO:
    """Open a file for reading; what it is compressed with is undone.

    A file that is not compressed can be read in any order, another one only from its start to its end.

    Args:
        path: the file.
        buffer_bytes: bytes that are read at a time.

    Returns:
        A binary stream. Reading raises StreamError where compressed data are cut off or damaged, and OSError.

    Raises:
        OSError: the file cannot be opened, for instance FileNotFoundError.
    """
    file = io.BufferedReader(io.FileIO(path), buffer_bytes)
    try:
        compression = compression_of(file.peek(HEAD_BYTES))
    except BaseException:
        file.close()
        raise
    if compression is None:
        return file
    content = _Decompressed(file, compression, alone=False)
    return cast("BinaryIO", io.BufferedReader(content, buffer_bytes))


def is_compressed(path: Path) -> bool:
    """Whether a file is compressed, whatever its name."""
    with path.open("rb", buffering=0) as opened:
        return compression_of(opened.read(HEAD_BYTES) or b"") is not None


def read_content(path: Path) -> bytes:
    """The whole content of a file. Raises OSError and StreamError."""
    with open_content(path) as opened:
        return opened.read()


def copy_content(path: Path, target: Path) -> None:
    """Write the content of a file to a new file, without its compression. Raises OSError and StreamError."""
    with open_content(path) as source, target.open("xb") as copy:
        shutil.copyfileobj(source, copy, 4 * READ_SIZE)


class ByteStream:
    """The content of a file, read once from start to end.

    Args:
        path: the file.
        hashed: take the SHA-256 of the file on disk meanwhile; without it, what is skipped of a plain file is not read.
        alone: a compressed file must end where its first member does.
        buffer_bytes: bytes that are read at a time.

    Attributes:
        path: the file.
        problem: why nothing more comes.

    Raises:
        OSError: the file cannot be opened, for instance FileNotFoundError.
    """

    def __init__(
        self, path: Path, *, hashed: bool = True, alone: bool = False, buffer_bytes: int = READ_SIZE
    ) -> None:
        self.path = path
        self.problem = "end of file"
        self._disk = _Hashing(path) if hashed else io.FileIO(path)
        self._file = io.BufferedReader(self._disk, buffer_bytes)
        self._position = 0
        try:
            self._compression = compression_of(self._file.peek(HEAD_BYTES))
            self._most = path.stat().st_size * (1 if self._compression is None else self._compression.most)
        except BaseException:
            self.close()
            raise
        self._content = (
            self._file
            if self._compression is None
            else _Decompressed(self._file, self._compression, alone=alone)
        )

    @property
    def most_left(self) -> int:
        """The most bytes that can follow, by the size of the file."""
        return self._most - self._position

    @property
    def size_bytes(self) -> int:
        """Bytes of the file on disk that were read, if it is hashed."""
        assert isinstance(self._disk, _Hashing)
        return self._disk.size

    def readinto(self, buffer: memoryview) -> int:
        """Fill the buffer; fewer bytes come back only at the end of the file or where it breaks off.

        Raises:
            StreamError: the file is cut off or damaged, and nothing was read.
        """
        filled = 0
        while filled < len(buffer):
            try:
                count = self._content.readinto(buffer[filled:])
            except (StreamError, OSError) as error:
                self.problem = str(error)
                if filled:
                    return filled
                raise StreamError(self.problem) from error
            if not count:
                break
            filled += count
            self._position += count
        return filled

    def read(self, size: int) -> bytes:
        """Return the next bytes, fewer at the end or where the file breaks off. Raises StreamError as `readinto` does."""
        parts: list[bytes] = []
        while size:
            # In pieces: a header may claim any size.
            piece = bytearray(min(size, READ_SIZE))
            count = self.readinto(memoryview(piece))
            parts.append(bytes(piece[:count]))
            size -= count
            if count < len(piece):
                break
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def skip(self, size: int) -> int:
        """Pass over this many bytes; returns how many there were. Raises StreamError as `readinto` does."""
        if self._compression is None and not isinstance(self._disk, _Hashing):
            count = max(0, min(size, self.most_left))
            self._file.seek(count, io.SEEK_CUR)
            self._position += count
            return count
        scratch = memoryview(bytearray(min(size, READ_SIZE)))
        left = size
        while left:
            count = self.readinto(scratch[: min(left, len(scratch))])
            if not count:
                break
            left -= count
        return size - left

    def finish(self) -> str:
        """Read to the end, so that the checksums of compressed data are verified.

        Returns the SHA-256 of the file on disk.
        """
        scratch = memoryview(bytearray(READ_SIZE))
        while self.readinto(scratch):
            pass
        return self.hexdigest()

    def hexdigest(self) -> str:
        """Return the SHA-256 of the bytes of the file on disk that were read so far."""
        assert isinstance(self._disk, _Hashing)
        return self._disk.digest.hexdigest()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@contextmanager
def open_stream(path: Path, *, hashed: bool = True, buffer_bytes: int = READ_SIZE) -> Iterator[ByteStream]:
    """Open a file as a `ByteStream` that is closed at the end of the block. Raises OSError."""
    stream = ByteStream(path, hashed=hashed, buffer_bytes=buffer_bytes)
    try:
        yield stream
    finally:
        stream.close()
