"""HDUs of a few rows as bytes, made at once.

Here: putting header, rows and checksums together. Not here: what they hold (`mwm`, `mwm_header`). Summary
products of millions of rows are streamed by `fits.writer` instead; for the small files of a source most of
its time would go into rendering headers three times, and into tables without rows, which are the same for
every source.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from astra_assets.fits.checksum import checksum_text, word_sum
from astra_assets.fits.formats import BadValueError, FitsColumn, record_dtype
from astra_assets.fits.header import (
    BLOCK_BYTES,
    Card,
    column_cards,
    ended,
    integrity_cards,
    render_cards,
    table_cards,
)
from astra_assets.registry.kinds import Kind

NO_CHECKSUM = "0" * 16
"""The value of CHECKSUM while the checksum is computed (FITS standard 4.0, appendix J)."""


EXACT: Mapping[Kind, type[int | float]] = {
    Kind.int32: int,
    Kind.int64: int,
    Kind.bits: int,
    Kind.float32: float,
    Kind.float64: float,
}
"""Kinds of columns whose values NumPy takes as they are."""

Values: TypeAlias = "pa.Array | list[Any]"
"""Values of a column: an Arrow array, or a list with None for NULL."""


def hdu(cards: Sequence[Card], created: datetime, data: bytes = b"", described: bytes = b"") -> bytes:
    """An HDU with its checksums, filled up to whole blocks; `described` are rendered cards that follow the others."""
    data += b"\0" * (-len(data) % BLOCK_BYTES)
    datasum = word_sum(data)
    integrity = render_cards(integrity_cards(NO_CHECKSUM, datasum, created))
    header = ended(b"".join([render_cards(cards), described, integrity]))
    text = checksum_text(word_sum(header), datasum)
    return header.replace(f"'{NO_CHECKSUM}'".encode(), f"'{text}'".encode(), 1) + data


@dataclass(frozen=True, eq=False)
class Described:
    """The columns of a table with what follows from them and is the same for many files."""

    columns: tuple[FitsColumn, ...]
    dtype: np.dtype[Any]
    cards: bytes
    numbers: tuple[tuple[type[int | float], str, Any] | None, ...]
    """Of columns of numbers: the type of values that NumPy takes as they are, the bytes, and what stands for NULL."""

    @classmethod
    def of(cls, columns: Sequence[FitsColumn]) -> Described:
        """These columns."""
        cards = render_cards(column_cards(columns))
        return cls(tuple(columns), record_dtype(list(columns)), cards, tuple(map(_numbers, columns)))


def _numbers(column: FitsColumn) -> tuple[type[int | float], str, Any] | None:
    exact = EXACT.get(column.definition.kind)
    return None if exact is None else (exact, column.field[1], column.definition.null_value)


def table_hdu(
    described: Described, values: Sequence[Values], cards: Sequence[Card], created: datetime
) -> bytes:
    """A binary table with `cards` above its columns; `values` has one array or list for each column.

    Raises:
        BadValueError: a value does not fit its column; the message names the column.
    """
    rows = len(values[0])
    records = np.empty(rows, dtype=described.dtype)
    with np.errstate(over="raise"):
        for column, numbers, given in zip(described.columns, described.numbers, values, strict=True):
            try:
                quick = None if numbers is None else _few_numbers(given, *numbers)
                records[column.name] = column.convert(_as_arrow(given)) if quick is None else quick
            except BadValueError as error:
                raise BadValueError(error.row, f"column {column.name}: {error.reason}") from error
    mandatory = table_cards(records.dtype.itemsize, rows, len(described.columns))
    return hdu([*mandatory, *cards], created, records.tobytes(), described.cards)


def _few_numbers(
    values: Values, exact: type[int | float], dtype: str, null: Any
) -> np.ndarray[Any, Any] | None:
    """A list of numbers without the way through Arrow, which is long for few; None for what has to go that way."""
    if not isinstance(values, list) or not all(value is None or type(value) is exact for value in values):
        return None
    try:
        return np.array([null if value is None else value for value in values], dtype=dtype)
    except (OverflowError, FloatingPointError):
        # Too large: what is to be said about it is said there.
        return None


def _as_arrow(values: Values) -> pa.Array:
    return pa.array(values) if isinstance(values, list) else values
