"""What a column can hold: one rule for ingestion, for results of pipelines and programs, and for products.

The rule is that of FITS tables, which hold less than databases: 32 or 64 bits, single precision, printable ASCII, times of
the years 1 to 9999, and positions on the sky. Whatever keeps to it can be written to every product. NaN and NULL are no
values and fit always; infinities are numbers that FITS holds.

`misfits` judges an array, `misfit` one value; both give the same verdict.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from astra_assets.registry.kinds import Kind

FLOAT32_MAX = float(np.finfo(np.float32).max)
"""Largest value of columns that are single precision in files."""

SINGLE = (Kind.float32, Kind.floats, Kind.pixels)
"""Kinds that are single precision in files."""

INTEGERS: Mapping[Kind, tuple[int, int]] = {
    Kind.int32: (-(2**31), 2**31 - 1),
    Kind.int64: (-(2**63), 2**63 - 1),
    Kind.bits: (-(2**63), 2**63 - 1),
}
"""Smallest and largest value of kinds of whole numbers."""

FIRST_PRINTABLE, LAST_PRINTABLE = 0x20, 0x7E
"""Characters of text in a table: printable ASCII (FITS standard 4.0, section 3.3.3)."""

MAX_LENGTH = 1_000
"""Characters, bytes or numbers of one value; a longer one would widen the column of a FITS file for all rows."""

FIRST_TIME, LAST_TIME = np.datetime64("0001-01-01", "us"), np.datetime64("9999-12-31T23:59:59.999999")
"""Times that the 26 characters of a FITS column hold."""

EXACT: Mapping[int, int] = {16: 2**11, 32: 2**24, 64: 2**53}
"""By the bits of a floating-point number: whole numbers below this are exact, others may have been rounded."""


@dataclass(frozen=True)
class Range:
    """Limits of an angle in degrees, both included; `circular` ones come back to `low` after `high`."""

    low: float
    high: float
    circular: bool = False

    def __str__(self) -> str:
        """The limits in words."""
        return f"{self.low:g} to {self.high:g} deg"


RANGES: Mapping[str, Range] = {
    "ra": Range(0, 360, circular=True),
    "dec": Range(-90, 90),
    "l": Range(0, 360, circular=True),
    "b": Range(-90, 90),
}
"""Columns of this name are positions on the sky."""

_WHOLE = re.compile(r"[+-]?[0-9]+", re.ASCII)
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.ASCII | re.IGNORECASE)


def expected(name: str, kind: Kind) -> str:
    """What a column of this name and kind holds, in words."""
    if name in RANGES:
        return f"{RANGES[name].low:g} to {RANGES[name].high:g} degrees"
    if kind in INTEGERS:
        bits = 32 if kind is Kind.int32 else 64
        return f"a whole number of {bits} bits, below 2^53 where it is written as a decimal number"
    return {
        Kind.float32: f"a number of single precision, at most {FLOAT32_MAX:.4g}",
        Kind.float64: "a number",
        Kind.floats: f"at most {MAX_LENGTH} numbers of single precision, at most {FLOAT32_MAX:.4g}",
        Kind.text: f"at most {MAX_LENGTH} characters of printable ASCII",
        Kind.bytes: f"at most {MAX_LENGTH} bytes",
        Kind.boolean: "true or false",
        Kind.datetime: "a time of the years 1 to 9999",
    }.get(kind, kind.value)


# --- whole numbers that are written as something else ----------------------------------------------


def whole_number(value: str | float | np.floating[Any]) -> int:
    """The whole number that a text or a floating-point number stands for, never a rounded one.

    Raises:
        ValueError: it is not whole, or it may have been rounded: a decimal number of 2^53 or more, or one of 2^24 or more
            in single precision.
    """
    bits = 64
    if isinstance(value, str):
        word = value.strip()
        if _WHOLE.fullmatch(word):
            return int(word)
        if not _DECIMAL.fullmatch(word):
            raise ValueError("it is no number")
        found = float(word)
    else:
        found = float(value)
    if isinstance(value, np.floating):
        bits = 8 * value.dtype.itemsize
    if not found.is_integer():
        raise ValueError("it is no whole number")
    limit = EXACT.get(bits, EXACT[64])
    if abs(found) >= limit:
        raise ValueError(f"as a decimal number of {limit} or more it may have been rounded")
    return int(found)


def number(text: str) -> float:
    """The number that a text stands for.

    Raises:
        ValueError: it is none, or too large for double precision.
    """
    word = text.strip()
    if _NOT_FINITE.fullmatch(word):
        return float(word)
    if not _DECIMAL.fullmatch(word):
        raise ValueError("it is no number")
    found = float(word)
    if math.isinf(found):
        raise ValueError("it is beyond the range of double precision")
    return found


# --- values ---------------------------------------------------------------------------------------


def misfit(name: str, kind: Kind, value: Any) -> str | None:
    """Why a column cannot hold a value of its type; None where it can."""
    if value is None:
        return None
    if kind is Kind.text:
        fits = len(value) <= MAX_LENGTH and value.isascii() and (not value or value.isprintable())
    elif kind is Kind.bytes:
        fits = len(value) <= MAX_LENGTH
    elif kind is Kind.floats:
        fits = len(value) <= MAX_LENGTH and not any(
            FLOAT32_MAX < abs(each) < math.inf for each in value if each is not None
        )
    elif kind in INTEGERS:
        low, high = INTEGERS[kind]
        return None if low <= value <= high else f"it is not between {low} and {high}"
    else:
        fits = not (kind is Kind.float32 and FLOAT32_MAX < abs(value) < math.inf)
        if name in RANGES and kind in (Kind.float32, Kind.float64):
            fits &= math.isnan(value) or RANGES[name].low <= value <= RANGES[name].high
    return None if fits else f"expected {expected(name, kind)}"


# --- arrays ---------------------------------------------------------------------------------------


def misfits(name: str, kind: Kind, values: pa.Array) -> NDArray[np.bool_]:
    """True for the rows of an Arrow array of the type of its column that the column cannot hold."""
    if pa.types.is_null(values.type) or kind not in _JUDGES:
        return np.zeros(len(values), dtype=bool)
    wrong: NDArray[np.bool_] = _JUDGES[kind](values)
    if name in RANGES and pa.types.is_floating(values.type):
        wrong = wrong | _beyond(values, RANGES[name].low, RANGES[name].high)
    return wrong


def wrapped(name: str, values: pa.Array) -> tuple[pa.Array, NDArray[np.bool_]]:
    """Angles on a circle that are less than one turn off, brought into their range; and which they are.

    Others stay as they are: -999 and -9999 are words for "nothing", not angles.
    """
    found = RANGES.get(name)
    nothing = np.zeros(len(values), dtype=bool)
    if found is None or not found.circular or not pa.types.is_floating(values.type):
        return values, nothing
    off = _beyond(values, found.low, found.high) & ~_beyond(values, -found.high, 2 * found.high)
    if not off.any():
        return values, nothing
    angles = np.mod(np.where(off, values.to_numpy(zero_copy_only=False), found.low), found.high)
    angles[angles >= found.high] = found.low  # -1e-20 is rounded to a whole turn
    return pc.if_else(pa.array(off), pa.array(angles, values.type), values), off


def unprintable(values: pa.Array) -> NDArray[np.bool_]:
    """True for texts with other characters than printable ASCII."""
    offsets, data = text_bytes(values)
    if not data.size or (data.min() >= FIRST_PRINTABLE and data.max() <= LAST_PRINTABLE):
        return np.zeros(len(values), dtype=bool)
    count = np.concatenate([[0], np.cumsum((data < FIRST_PRINTABLE) | (data > LAST_PRINTABLE))])
    places = offsets - offsets[0]
    wrong: NDArray[np.bool_] = count[places[1:]] > count[places[:-1]]
    wrong &= np.asarray(values.is_valid())
    return wrong


def text_bytes(values: pa.Array) -> tuple[NDArray[np.integer[Any]], NDArray[np.uint8]]:
    """Offsets of the values of a text or binary array, one more than there are values, and the bytes between first and last."""
    wide = pa.types.is_large_string(values.type) or pa.types.is_large_binary(values.type)
    dtype = np.dtype(np.int64 if wide else np.int32)
    _, offset_buffer, data_buffer = values.buffers()
    if not len(values):
        return np.zeros(1, dtype=dtype), np.zeros(0, dtype=np.uint8)
    start = values.offset * dtype.itemsize
    offsets = np.frombuffer(offset_buffer, dtype=dtype, count=len(values) + 1, offset=start)
    data = np.frombuffer(data_buffer, np.uint8) if data_buffer is not None else np.zeros(0, np.uint8)
    return offsets, data[offsets[0] : offsets[-1]]


def _beyond(values: pa.Array, low: float, high: float) -> NDArray[np.bool_]:
    """True where a number is below `low` or above `high`; one look at the extremes is enough for most arrays."""
    extremes = pc.min_max(values)
    least, most = extremes["min"].as_py(), extremes["max"].as_py()
    if least is None or (least >= low and most <= high):
        return np.zeros(len(values), dtype=bool)
    wrong = pc.or_(
        pc.less(values, pa.scalar(low, values.type)), pc.greater(values, pa.scalar(high, values.type))
    )
    return _truth(wrong)


def _beyond_single(values: pa.Array) -> NDArray[np.bool_]:
    if values.type != pa.float64():
        return np.zeros(len(values), dtype=bool)
    wrong = _beyond(values, -FLOAT32_MAX, FLOAT32_MAX)
    return wrong & np.isfinite(values.to_numpy(zero_copy_only=False)) if wrong.any() else wrong


def _bad_texts(values: pa.Array) -> NDArray[np.bool_]:
    return _too_long(pc.binary_length(values)) | unprintable(values)


def _bad_lists(values: pa.Array) -> NDArray[np.bool_]:
    wrong = _too_long(pc.list_value_length(values))
    beyond = _beyond_single(values.flatten())
    if beyond.any():
        lengths = np.asarray(pc.fill_null(pc.list_value_length(values), 0))
        wrong[np.repeat(np.arange(len(values)), lengths)[beyond]] = True
    return wrong


def _too_long(lengths: pa.Array) -> NDArray[np.bool_]:
    return _truth(pc.greater(lengths, MAX_LENGTH))


def _bad_times(values: pa.Array) -> NDArray[np.bool_]:
    times = values.to_numpy(zero_copy_only=False)
    wrong: NDArray[np.bool_] = ~((times >= FIRST_TIME) & (times <= LAST_TIME)) & np.asarray(values.is_valid())
    return wrong


def _bad_int32(values: pa.Array) -> NDArray[np.bool_]:
    low, high = INTEGERS[Kind.int32]
    if values.type.bit_width <= 32 and not pa.types.is_unsigned_integer(values.type):
        return np.zeros(len(values), dtype=bool)
    return _truth(pc.or_(pc.less(values, low), pc.greater(values, high)))


def _truth(condition: pa.Array) -> NDArray[np.bool_]:
    """True where a condition is true; nothing is not true."""
    true: NDArray[np.bool_] = np.array(condition.fill_null(False))
    return true


_JUDGES: dict[Kind, Callable[[pa.Array], NDArray[np.bool_]]] = {
    Kind.text: _bad_texts,
    Kind.bytes: lambda values: _too_long(pc.binary_length(values)),
    Kind.floats: _bad_lists,
    Kind.float32: _beyond_single,
    Kind.float64: lambda values: np.zeros(len(values), dtype=bool),
    Kind.int32: _bad_int32,
    Kind.datetime: _bad_times,
}
