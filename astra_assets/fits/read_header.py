"""Read the headers of FITS files.

A header is read block by block up to its END card, from a stream, so that compressed files are read like others. What a
card claims is checked before anything follows from it.
"""

from __future__ import annotations

import math
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from astra_assets.files.streams import ByteStream, StreamError, is_compressed
from astra_assets.fits.errors import FitsReadError
from astra_assets.fits.header import BLOCK_BYTES, CARD_BYTES

Value = str | int | float | bool

END = b"END".ljust(CARD_BYTES)

MAX_HEADER_BLOCKS = 4096
"""A header longer than this (12 MB) is none; a table of 999 columns needs about 170 blocks."""

READ_BLOCKS = 10
"""Blocks that are read at once: headers of SDSS-V's spectra have 4 to 9."""

BITPIX_BYTES: Mapping[int, int] = {8: 1, 16: 2, 32: 4, 64: 8, -32: 4, -64: 8}
"""Bytes of a value by BITPIX (FITS standard 4.0, table 8)."""

MOST = 2**63 - 1


class FitsHeader(Mapping[str, Value]):
    """The header of an HDU: the value of each keyword, by its first card. Continued texts are cut after that card.

    Attributes:
        raw: the bytes of the header, whole blocks.
        path: the file.
        number: of the HDU, from 0.
        fields: the value field of each keyword, as `parse_number` and `parse_text` read it.
    """

    def __init__(self, raw: bytes, path: Path, number: int) -> None:
        self.raw = raw
        self.path = path
        self.number = number
        self.fields: dict[str, bytes] = {}
        for key, field in _cards(raw):
            self.fields.setdefault(key, field)

    def __getitem__(self, key: str) -> Value:
        return parse_value(self.fields[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self.fields)

    def __len__(self) -> int:
        return len(self.fields)

    @property
    def where(self) -> str:
        """File and HDU, for messages."""
        return f"{self.path}, HDU {self.number}"

    def text(self, key: str, default: str = "") -> str:
        """Return the text of a card without blanks around it; of another kind of value its digits."""
        return parse_text(self.fields[key]) if key in self.fields else default

    def integer(self, key: str, default: int | None = None, *, least: int = 0, most: int = MOST) -> int:
        """Return the whole number of a card.

        Raises:
            FitsReadError: it is none, or not between `least` and `most`; or it is missing and there is no default.
        """
        found = self.get(key, default)
        if isinstance(found, bool) or not isinstance(found, int) or not least <= found <= most:
            expected = f"a whole number, at least {least}" if most == MOST else f"{least} to {most}"
            raise FitsReadError(f"{self.where}: {key} is {_shown(found)}, expected {expected}")
        return found

    def number_of(self, key: str, default: float) -> float:
        """Return the number of a card. Raises FitsReadError where it is no finite number."""
        found = self.get(key, default)
        if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
            raise FitsReadError(f"{self.where}: {key} is {_shown(found)}, expected a number")
        return found

    @property
    def is_table(self) -> bool:
        """Whether it is the header of a binary table."""
        return self.text("XTENSION") == "BINTABLE"

    def axes(self) -> tuple[int, ...]:
        """Return NAXIS1, NAXIS2 and so on. Raises FitsReadError where one is no length."""
        return tuple(self.integer(f"NAXIS{axis}") for axis in range(1, self.integer("NAXIS", most=999) + 1))

    def data_bytes(self) -> int:
        """Return the size of the data, without what fills the last block. Raises FitsReadError where it makes no sense."""
        axes = self.axes()
        bitpix = self.integer("BITPIX", least=-64, most=64)
        if bitpix not in BITPIX_BYTES:
            expected = ", ".join(map(str, sorted(BITPIX_BYTES)))
            raise FitsReadError(f"{self.where}: BITPIX is {bitpix}, expected one of {expected}")
        if not axes:
            return 0
        elements = self.integer("GCOUNT", 1) * (self.integer("PCOUNT", 0) + math.prod(axes))
        return BITPIX_BYTES[bitpix] * elements


class HduReader:
    """The HDUs of an open file, from the first to the last.

    Attributes:
        stream: the file; after `next_header` it stands where the data of the HDU begin.
    """

    def __init__(self, stream: ByteStream) -> None:
        self.stream = stream
        self._number = 0
        self._end_of_data = stream.most_left

    def next_header(self) -> FitsHeader | None:
        """Return the header of the next HDU, None at the end of the file; data that were not read are passed over.

        Raises:
            FitsReadError: there is no header, or it is not whole; or the file ends within the data before it.
        """
        self.skip(self.stream.most_left - self._end_of_data)
        header = read_header(self.stream, self._number)
        if header is not None:
            size = header.data_bytes()
            self._end_of_data = self.stream.most_left - (size + -size % BLOCK_BYTES)
            self._number += 1
        return header

    def go_to(self, number: int) -> FitsHeader:
        """Return the header of an HDU that comes later in the file. Raises FitsReadError, also where there is none."""
        header = None
        while self._number <= number:
            header = self.next_header()
            if header is None:
                raise FitsReadError(f"{self.stream.path}: no HDU {number}, it has {self._number}")
        assert header is not None
        return header

    def skip(self, size: int) -> None:
        """Pass over the next bytes of the data. Raises FitsReadError where there are fewer."""
        try:
            complete = self.stream.skip(size) == size
        except StreamError as error:
            raise self._broken(str(error)) from error
        if not complete:
            raise self._broken(self.stream.problem)

    def read(self, size: int) -> bytes:
        """Return the next bytes of the data. Raises FitsReadError where there are fewer."""
        if size <= self.stream.most_left:
            try:
                data = self.stream.read(size)
            except StreamError as error:
                raise self._broken(str(error)) from error
            if len(data) == size:
                return data
        raise self._broken("end of file")

    def _broken(self, reason: str) -> FitsReadError:
        return FitsReadError(
            f"{self.stream.path}: breaks off in HDU {self._number - 1} ({reason}); fetch the file again and repeat"
        )


@contextmanager
def open_fits(path: Path, *, hashed: bool = False) -> Iterator[HduReader]:
    """Open a FITS file, compressed or not, whatever its name.

    Args:
        path: the file.
        hashed: take the checksum of the file while it is read.

    Raises:
        FitsReadError: there is no such file (`missing_file`), or it cannot be opened.
    """
    with _file_errors(path):
        stream = ByteStream(path, hashed=hashed, buffer_bytes=READ_BLOCKS * BLOCK_BYTES)
    try:
        yield HduReader(stream)
    finally:
        stream.close()


@contextmanager
def _file_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise FitsReadError(f"{path}: there is no such file", "missing_file") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else error
        raise FitsReadError(f"{path}: cannot be read: {reason}") from error


def check_file(path: Path) -> None:
    """Raise FitsReadError where a file is missing, empty, or visibly cut short; mostly for the price of one stat call."""
    with _file_errors(path):
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise FitsReadError(f"{path}: is a folder, expected a FITS file")
        if not status.st_size:
            raise FitsReadError(f"{path}: the file is empty")
        if status.st_size % BLOCK_BYTES and not is_compressed(path):
            raise FitsReadError(
                f"{path}: {status.st_size} bytes is not a multiple of {BLOCK_BYTES}: cut short or not FITS"
            )


def read_header(stream: ByteStream, number: int) -> FitsHeader | None:
    """Return the header of HDU `number`, with which a stream goes on; None at the end of the file.

    Raises:
        FitsReadError: there is no header, or it has no END.
    """
    blocks: list[bytes] = []
    while len(blocks) < MAX_HEADER_BLOCKS:
        try:
            block = stream.read(BLOCK_BYTES)
        except StreamError as error:
            raise FitsReadError(
                f"{stream.path}: cannot be read in the header of HDU {number}: {error}"
            ) from error
        if not blocks:
            if number and not block.strip(b"\0 "):
                return None
            _check_start(block, stream.path, number)
        blocks.append(block)
        if len(block) < BLOCK_BYTES:
            break
        if _has_end(block):
            return FitsHeader(b"".join(blocks), stream.path, number)
    size = sum(map(len, blocks))
    raise FitsReadError(
        f"{stream.path}: the header of HDU {number} has no END within {size:,} bytes; it is cut off ({stream.problem})"
    )


def _check_start(block: bytes, path: Path, number: int) -> None:
    expected = b"XTENSION=" if number else b"SIMPLE  ="
    if not block:
        raise FitsReadError(f"{path}: no FITS header where HDU {number} should start: the file is empty")
    if not block.startswith(expected):
        raise FitsReadError(
            f"{path}: no FITS header where HDU {number} should start: found {block[:9]!r}, expected {expected!r}; "
            "it is cut off or no FITS file"
        )


def read_headers(path: Path, count: int = 1) -> list[FitsHeader]:
    """Return the first headers of a file. Raises FitsReadError where it is missing or they are not whole."""
    with open_fits(path) as hdus:
        return [hdus.go_to(number) for number in range(count)]


def read_primary_header(path: Path) -> FitsHeader | None:
    """Return the primary header of a FITS file; None when it cannot be read as one."""
    try:
        return read_headers(path)[0]
    except FitsReadError:
        return None


def _has_end(block: bytes) -> bool:
    """Whether the END card of a header is in a block."""
    at = block.find(END)
    while at >= 0 and at % CARD_BYTES:
        at = block.find(END, at + 1)
    return at >= 0


def _cards(raw: bytes) -> Iterator[tuple[str, bytes]]:
    """Iterate over the keyword and the value field of each card that has a value."""
    text = raw.decode("latin-1")
    for start in range(0, len(text), CARD_BYTES):
        if text.startswith("= ", start + 8):
            yield text[start : start + 8].rstrip(), raw[start + 10 : start + CARD_BYTES]


def parse_number(field: bytes, largest: int | None = None) -> int | float | None:
    """Return the number in the value field of a card, also between quotes; None where it is no finite number.

    With `largest` it is a whole number, cut off at its decimal point as Astra does with times in seconds,
    and None beyond that.
    """
    text = field.decode("latin-1").strip()
    text = text[1:].partition("'")[0] if text.startswith("'") else text.partition("/")[0]
    try:
        number = float(text.strip().replace("D", "E"))
    except ValueError:
        return None
    if not math.isfinite(number):
        return None
    if largest is None:
        return number
    return int(number) if abs(number) <= largest else None


def parse_text(field: bytes) -> str:
    """Return the text in the value field of a card without blanks around it; what is not between quotes up to the slash."""
    text = field.decode("latin-1").strip()
    if not text.startswith("'"):
        return text.partition("/")[0].strip()
    return text[1:].replace("''", "\0").partition("'")[0].replace("\0", "'").strip()


def parse_value(field: bytes) -> Value:
    """Return the value in the value field of a card: a text, a truth value, a number, or what else stands there."""
    text = field.decode("latin-1").strip()
    if text.startswith("'"):
        return parse_text(field)
    word = text.partition("/")[0].strip()
    if word in ("T", "F"):
        return word == "T"
    for kind in (int, float):
        try:
            return kind(word.replace("D", "E"))
        except ValueError:
            continue
    return word


def _shown(value: Value | None) -> str:
    return "missing" if value is None else repr(value)
