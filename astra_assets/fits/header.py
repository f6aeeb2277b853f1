"""FITS headers as lists of cards: how a card is written, and the cards of primary and table headers.

Layout and wording follow Astra's files: categories as a heading between two blank cards above their first
column, the description of a column both as comment of TTYPEn and as TCOMMn (which TOPCAT shows), notes as
COMMENT below the last column of a category. Every card has a value and every text fits one card. Which values
a product puts in its headers is the business of `products`; checksums are computed by `writer.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from astra_assets.fits.formats import FitsColumn

CARD_BYTES = 80
BLOCK_BYTES = 2880
"""Headers and data are filled up to multiples of this (FITS standard 4.0, section 3.1)."""
MAX_TEXT = 68
"""Characters of a text value on one card."""
MAX_COLUMNS = 999
"""Columns of a table (TFIELDS; FITS standard 4.0, section 7.3.1)."""

CardValue = str | int | float | bool


class HeaderError(ValueError):
    """A card that cannot be written as FITS."""


@dataclass(frozen=True)
class Card:
    """One header card.

    An empty keyword is a blank card, whose `value` is shown as a heading; COMMENT takes its text as `value`.
    """

    keyword: str
    value: CardValue = ""
    comment: str = ""

    def render(self) -> bytes:
        """The card's 80 bytes; a comment that does not fit is cut. Raises HeaderError naming the keyword."""
        if not self.keyword or self.keyword == "COMMENT":
            text = f"{self.keyword:8}{self.value}"
            if len(text) > CARD_BYTES:
                raise HeaderError(f"{self.value!r} is longer than a card ({CARD_BYTES - 8} characters)")
        else:
            text = f"{self._keyword():8}= {self._value()}"
            if self.comment:
                text = f"{text} / {self.comment}"[:CARD_BYTES].rstrip()
        if not (text.isascii() and text.isprintable()):
            raise HeaderError(
                f"{self.keyword or 'heading'}: {text!r} has characters other than printable ASCII"
            )
        return text.ljust(CARD_BYTES).encode("ascii")

    def _keyword(self) -> str:
        allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
        if len(self.keyword) > 8 or not set(self.keyword) <= set(allowed):
            raise HeaderError(f"{self.keyword!r} is no FITS keyword (at most 8 of A-Z, 0-9, - and _)")
        return self.keyword

    def _value(self) -> str:
        if isinstance(self.value, bool):
            return f"{'T' if self.value else 'F':>20}"
        if isinstance(self.value, int):
            return f"{self.value:>20}"
        if isinstance(self.value, float):
            if not math.isfinite(self.value):
                raise HeaderError(f"{self.keyword}: {self.value} is no FITS number")
            number = repr(self.value).upper()
            return f"{number if '.' in number or 'E' in number else number + '.0':>20}"
        quoted = self.value.replace("'", "''")
        if not self.value.strip():
            raise HeaderError(f"{self.keyword}: a card needs a value, found an empty text")
        if len(quoted) > MAX_TEXT:
            raise HeaderError(
                f"{self.keyword}: {self.value!r} is longer than the {MAX_TEXT} characters of a card"
            )
        return f"'{quoted:8}'".ljust(20)


def blank(heading: str = "") -> Card:
    """A blank card, or one that shows a heading."""
    return Card("", heading)


def section(heading: str) -> list[Card]:
    """A heading between two blank cards."""
    return [blank(), blank(heading), blank()]


def comments(texts: Sequence[str]) -> list[Card]:
    """One COMMENT card for each text."""
    return [Card("COMMENT", text) for text in texts]


def created_card(created: datetime) -> Card:
    """CREATED with a four-digit year; `created` in UTC."""
    return Card("CREATED", f"{created:%Y-%m-%d %H:%M:%S}", "File creation time (UTC %Y-%m-%d %H:%M:%S)")


def primary_cards() -> list[Card]:
    """The mandatory cards of a primary header without data."""
    return [
        Card("SIMPLE", True, "conforms to FITS standard"),
        Card("BITPIX", 8, "array data type"),
        Card("NAXIS", 0, "number of array dimensions"),
        Card("EXTEND", True),
    ]


def table_cards(row_bytes: int, rows: int, columns: int) -> list[Card]:
    """The mandatory cards of a binary table."""
    return [
        Card("XTENSION", "BINTABLE", "binary table extension"),
        Card("BITPIX", 8, "array data type"),
        Card("NAXIS", 2, "number of array dimensions"),
        Card("NAXIS1", row_bytes, "length of dimension 1"),
        Card("NAXIS2", rows, "length of dimension 2"),
        Card("PCOUNT", 0, "number of group parameters"),
        Card("GCOUNT", 1, "number of groups"),
        Card("TFIELDS", columns, "number of table fields"),
    ]


def column_cards(columns: Sequence[FitsColumn]) -> list[Card]:
    """Name, format, dimensions and unit of each column below its heading, then all UCDs and descriptions."""
    cards: list[Card] = []
    heading: str | None = None
    for number, column in enumerate(columns, start=1):
        if column.heading is not None and column.heading != heading:
            cards += section(column.heading)
        heading = column.heading
        cards += _one_column(number, column)
        following = columns[number] if number < len(columns) else None
        if column.note and (
            following is None or (following.heading, following.note) != (column.heading, column.note)
        ):
            cards += comments([column.note])
    for number, column in enumerate(columns, start=1):
        if column.definition.ucd:
            cards.append(Card(f"TUCD{number}", column.definition.ucd))
    for number, column in enumerate(columns, start=1):
        cards.append(Card(f"TCOMM{number}", column.definition.description))
    return cards


def _one_column(number: int, column: FitsColumn) -> list[Card]:
    cards = [
        Card(f"TTYPE{number}", column.name, column.definition.description),
        Card(f"TFORM{number}", column.tform),
    ]
    if column.tdim is not None:
        cards.append(Card(f"TDIM{number}", column.tdim))
    if column.definition.unit:
        cards.append(Card(f"TUNIT{number}", column.definition.unit))
    return cards


def integrity_cards(checksum: str, datasum: int, created: datetime) -> list[Card]:
    """The section with the checksums of an HDU."""
    when = f"{created:%Y-%m-%dT%H:%M:%S}"
    return [
        *section("DATA INTEGRITY"),
        Card("CHECKSUM", checksum, f"HDU checksum updated {when}"),
        Card("DATASUM", str(datasum), f"data unit checksum updated {when}"),
    ]


@lru_cache(maxsize=16_384)
def _rendered(card: Card, _type: str) -> bytes:
    # Files of spectra come by the million with the same cards but for a few. The type tells 1 from T.
    return card.render()


def render_cards(cards: Sequence[Card]) -> bytes:
    """Some cards of a header. Raises HeaderError."""
    return b"".join([_rendered(card, type(card.value).__name__) for card in cards])


def ended(text: bytes) -> bytes:
    """A whole header of its rendered cards: with END, and blanks up to a multiple of 2880 bytes."""
    text += b"END".ljust(CARD_BYTES)
    return text + b" " * (-len(text) % BLOCK_BYTES)


def render(cards: Sequence[Card]) -> bytes:
    """A whole header: the cards, END, and blanks up to a multiple of 2880 bytes. Raises HeaderError."""
    return ended(render_cards(cards))
