"""Cards of the first headers of a FITS file, read from the first bytes of the file.

Belongs here: finding headers and reading values, for any kind of file. Does not belong here: which keys become which
columns (`header_cards`, `ap_visit_headers`, `ap_star_headers`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

BLOCK = 2880
CARD = 80
READ_BLOCKS = 10
"""Blocks that are read at once: headers of SDSS-V files have 4 to 9."""

MAX_BLOCKS = 400
"""A primary header longer than this (1.2 MB) is none."""

Value = int | float | None


class HeaderError(Exception):
    """A header cannot be read; `code` says why in one word, the message names the file."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def read_headers(path: Path, count: int = 1) -> list[bytes]:
    """The cards of the first headers of a file, each up to its END; all but the last are of HDUs without data.

    Raises:
        HeaderError: the file is missing (`missing_file`) or its headers are not whole (`unreadable_file`).
    """
    try:
        with path.open("rb", buffering=0) as opened:
            return _read(path, opened.read, count)
    except FileNotFoundError:
        raise HeaderError("missing_file", f"{path}: no such file") from None
    except OSError as error:
        raise HeaderError("unreadable_file", f"{path}: cannot be read: {error}") from error


def _read(path: Path, read: Callable[[int], bytes | None], count: int) -> list[bytes]:
    found: list[bytes] = []
    text, start = b"", 0
    while True:
        more = read(READ_BLOCKS * BLOCK) or b""
        text += more
        while len(text) > start:
            expected = b"XTENSION=" if found else b"SIMPLE  ="
            if not text.startswith(expected, start):
                what = (
                    "is no FITS file, it"
                    if not found
                    else f"HDU {len(found)} is not where it should be, there it"
                )
                raise HeaderError(
                    "unreadable_file",
                    f"{path}: {what} starts with {text[start : start + 9]!r}, expected {expected!r}",
                )
            end = _end_card(text, start)
            if end is None:
                break
            found.append(text[start:end])
            if len(found) == count:
                return found
            start = math.ceil((end + CARD) / BLOCK) * BLOCK
        if not more or len(text) >= MAX_BLOCKS * BLOCK:
            which = "the primary header" if not found else f"the header of HDU {len(found)}"
            raise HeaderError(
                "unreadable_file",
                f"{path}: {which} has no END within {len(text):,} bytes; it is cut off"
                if text
                else f"{path}: is no FITS file, it starts with b'', expected b'SIMPLE  ='",
            )


def _end_card(text: bytes, start: int) -> int | None:
    """Where the END card of the header at `start` starts, None while there is none."""
    at = text.find(b"END" + b" " * (CARD - 3), start)
    while at >= 0 and at % CARD:
        at = text.find(b"END" + b" " * (CARD - 3), at + 1)
    return at if at >= 0 else None


def cards(header: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Key (8 bytes, blanks at the end) and value field of each card that has a value."""
    for start in range(0, len(header), CARD):
        if header[start + 8 : start + 10] == b"= ":
            yield header[start : start + 8], header[start + 10 : start + CARD]


def parse_number(field: bytes, largest: int | None = None) -> Value:
    """The number in the value field of a card, also between quotes; None where it is no finite number.

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
    """The text in the value field of a card without blanks around it; what is not between quotes up to the slash."""
    text = field.decode("latin-1").strip()
    if not text.startswith("'"):
        return text.partition("/")[0].strip()
    return text[1:].replace("''", "\0").partition("'")[0].replace("\0", "'").strip()
