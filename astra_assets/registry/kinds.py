"""What a column can hold: the eleven kinds of value, and the definition of one column.

How a kind is stored, which FITS format it has and what stands for NULL is said here, once. The columns
themselves are in `glossary/`; tables in `source.py`, `boss.py` and so on.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Boolean, DateTime, Double, Integer, Text
from sqlalchemy.types import NullType, TypeEngine

from astra_assets.registry.sqltypes import Bytes, FloatArray

INFO_KEY = "astra_assets"
"""Where a Column of ours keeps what it knows about itself: `Column.info[INFO_KEY]`."""

MAX_DESCRIPTION = 68
"""Characters; the longest text that fits a FITS TCOMM card (80 - `TCOMM123= ` - two quotes)."""


@dataclass(frozen=True)
class Traits:
    """How values of a kind are stored: SQL type, FITS format letter, and what stands for NULL in a file."""

    sql_type: Callable[[], TypeEngine[Any]]
    fits_letter: str
    fill: Any


class Kind(enum.Enum):
    """What a column holds.

    `float32` is double precision in our database and single precision in FITS files; `float64` is double in
    both. `bits` is a field of flags in a 64-bit integer. `bytes` is a byte string of any length, zero padded
    in FITS. `floats` is a list of floats, NaN padded in FITS. `pixels` is an array along the wavelength axis:
    never stored in the database.
    """

    text = "text"
    boolean = "boolean"
    int32 = "int32"
    int64 = "int64"
    float32 = "float32"
    float64 = "float64"
    bits = "bits"
    datetime = "datetime"
    bytes = "bytes"
    floats = "floats"
    pixels = "pixels"

    @property
    def sql_type(self) -> TypeEngine[Any]:
        """A new instance of the SQLAlchemy type; `NullType` for pixels, which have no column."""
        return TRAITS[self].sql_type()

    @property
    def fits_letter(self) -> str:
        """Letter of the FITS binary-table format (TFORM), without the repeat count."""
        return TRAITS[self].fits_letter

    @property
    def fill(self) -> Any:
        """The value written to a file where the database has NULL."""
        return TRAITS[self].fill


TRAITS: dict[Kind, Traits] = {
    Kind.text: Traits(Text, "A", ""),
    Kind.boolean: Traits(Boolean, "L", False),
    Kind.int32: Traits(Integer, "J", -1),
    Kind.int64: Traits(BigInteger, "K", -1),
    Kind.float32: Traits(Double, "E", math.nan),
    Kind.float64: Traits(Double, "D", math.nan),
    Kind.bits: Traits(BigInteger, "K", 0),
    Kind.datetime: Traits(DateTime, "A", ""),
    Kind.bytes: Traits(Bytes, "B", b""),
    Kind.floats: Traits(FloatArray, "E", math.nan),
    Kind.pixels: Traits(NullType, "E", math.nan),
}

DATETIME_WIDTH = 26
"""Characters of a time in FITS: ISO 8601 with microseconds, `2025-01-31T12:00:00.000000`."""


@dataclass(frozen=True)
class Definition:
    """What a column means, wherever it occurs.

    `description` is never empty and at most 68 characters, without a unit in brackets. `unit` is None or
    parses as a FITS unit. `ucd` is None or a valid UCD1+. `fill` overrides the kind's fill value.
    """

    kind: Kind
    description: str
    unit: str | None = None
    ucd: str | None = None
    fill: Any = None

    def __post_init__(self) -> None:
        if not self.description.strip():
            raise ValueError("a column needs a description")
        if len(self.description) > MAX_DESCRIPTION:
            raise ValueError(
                f"a description has at most {MAX_DESCRIPTION} characters, to fit a FITS card, "
                f"found {len(self.description)}: "
                f"{self.description!r}"
            )

    @property
    def null_value(self) -> Any:
        """The value written to a file where the database has NULL."""
        return self.kind.fill if self.fill is None else self.fill
