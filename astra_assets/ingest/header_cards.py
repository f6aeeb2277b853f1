"""The primary header of a specFull file: its observing conditions, read from the first bytes of the file.

Belongs here: one file. Does not belong here: which files are read and what is done with the values
(`spec_headers`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from astra_assets.models.columns import definition
from astra_assets.models.kinds import Kind

KEYS: Mapping[str, str] = {
    "PLATEID": "plateid",
    "CARTID": "cartid",
    "MAPID": "mapid",
    "SLITID": "slitid",
    "PSFSKY": "psfsky",
    "PREJECT": "preject",
    "NSTD": "n_std",
    "NGAL": "n_gal",
    "LOWREJ": "lowrej",
    "HIGHREJ": "highrej",
    "SCATPOLY": "scatpoly",
    "PROFTYPE": "proftype",
    "NFITPOLY": "nfitpoly",
    "SKYCHI2": "skychi2",
    "SCHI2MIN": "schi2min",
    "SCHI2MAX": "schi2max",
    "ALT": "alt",
    "AZ": "az",
    "AIRMASS": "airmass",
    "AIRTEMP": "airtemp",
    "DEWPOINT": "dewpoint",
    "HUMIDITY": "humidity",
    "PRESSURE": "pressure",
    "DUSTA": "dust_a",
    "DUSTB": "dust_b",
    "GUSTD": "gust_direction",
    "GUSTS": "gust_speed",
    "WINDD": "wind_direction",
    "WINDS": "wind_speed",
    "NGUIDE": "n_guide",
    "TAI-BEG": "tai_beg",
    "TAI-END": "tai_end",
}
"""Header keys and the columns of boss_visit_spectrum that they fill, in the units of the header."""

WHEN_ABSENT: Mapping[str, int] = {"n_guide": -1, "n_std": -1}
"""What a key becomes that a header does not have, as in Astra.

So n_guide is NULL only where no header was read.
"""

BLOCK = 2880
CARD = 80
READ_BLOCKS = 10
"""Blocks that are read at once: headers of SDSS-V files have 4 to 9."""

MAX_BLOCKS = 400
"""A primary header longer than this (1.2 MB) is none."""

LARGEST: Mapping[Kind, int] = {Kind.int32: 2**31 - 1, Kind.int64: 2**53}
"""The largest whole number that is taken.

What the column holds, and what a header's decimal number can say exactly.
"""

INTEGERS: Mapping[str, int] = {
    column: LARGEST[definition(column).kind] for column in KEYS.values() if definition(column).kind in LARGEST
}
"""Columns of whole numbers, and the largest that each takes."""

KEY_BYTES: Mapping[bytes, str] = {f"{key:8}".encode(): column for key, column in KEYS.items()}

Value = int | float | None


class HeaderError(Exception):
    """A header cannot be read; `code` says why in one word, the message names the file."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def read_header(path: Path) -> dict[str, Value]:
    """The columns that the primary header of a file fills; None where it has no such key, or no number.

    Raises:
        HeaderError: the file is missing (`missing_file`) or has no complete FITS header (`unreadable_file`).
    """
    try:
        cards = _cards(path)
    except FileNotFoundError:
        raise HeaderError("missing_file", f"{path}: no such file") from None
    except OSError as error:
        raise HeaderError("unreadable_file", f"{path}: cannot be read: {error}") from error
    values: dict[str, Value] = dict.fromkeys(KEYS.values())
    values.update(WHEN_ABSENT)
    for start in range(0, len(cards), CARD):
        column = KEY_BYTES.get(cards[start : start + 8])
        if column is not None and cards[start + 8 : start + 10] == b"= ":
            number = parse_number(cards[start + 10 : start + CARD], INTEGERS.get(column))
            values[column] = WHEN_ABSENT.get(column) if number is None else number
    return values


def _cards(path: Path) -> bytes:
    """The primary header up to its END card."""
    with path.open("rb", buffering=0) as opened:
        text = b""
        while len(text) < MAX_BLOCKS * BLOCK:
            more = opened.read(READ_BLOCKS * BLOCK)
            text += more
            if not text.startswith(b"SIMPLE  ="):
                raise HeaderError(
                    "unreadable_file",
                    f"{path}: is no FITS file, it starts with {text[:9]!r}, expected b'SIMPLE  ='",
                )
            end = _end_card(text)
            if end is not None:
                return text[:end]
            if not more:
                break
    raise HeaderError(
        "unreadable_file", f"{path}: the primary header has no END within {len(text):,} bytes; it is cut off"
    )


def _end_card(text: bytes) -> int | None:
    """Where the END card starts, None while there is none."""
    at = text.find(b"END" + b" " * (CARD - 3))
    while at >= 0 and at % CARD:
        at = text.find(b"END" + b" " * (CARD - 3), at + 1)
    return at if at >= 0 else None


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
