"""Values as files hold them become values as the registry wants them.

Numbers, text, lists, byte strings, with NULL for "nothing".

All functions take and return Arrow arrays of one column; values that cannot be read come back as null
together with a mask that says which they are.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from astra_assets.database.arrow import ARROW_TYPES
from astra_assets.registry import limits
from astra_assets.registry.kinds import Definition, Kind

Mask = NDArray[np.bool_]

TRUE_WORDS = ("t", "true", "1", "y", "yes")
FALSE_WORDS = ("f", "false", "0", "n", "no")

_DIGITS = "^-?[0-9]+$"
"""Words that are whole numbers, as a regular expression; Arrow by itself would also take 0x10."""


@dataclass(frozen=True)
class Converted:
    """A column in the type it should have.

    Attributes:
        values: the values; null where there is none.
        bad: true where there is something that cannot be read as this type.
    """

    values: pa.Array
    bad: Mask

    @classmethod
    def good(cls, values: pa.Array) -> Converted:
        """Values that could all be read."""
        return cls(values, np.zeros(len(values), dtype=bool))


class ColumnTypeError(TypeError):
    """A column holds another type of value than it should, in all its rows."""


def flat(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """A column of a table as one array."""
    if isinstance(column, pa.ChunkedArray):
        return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    return column


def is_text(array: pa.Array) -> bool:
    """Whether an array holds text."""
    return bool(pa.types.is_string(array.type) or pa.types.is_large_string(array.type))


def missing(array: pa.Array) -> Mask:
    """True where an array has no value."""
    return np.asarray(array.is_null())


def floats(array: pa.Array) -> Converted:
    """Numbers as double precision; NaN is no value."""
    if is_text(array):
        return _parsed(array)
    if not _is_number(array.type):
        raise ColumnTypeError(f"holds {array.type}, expected a number")
    values = pc.cast(array, pa.float64(), safe=False)  # whole numbers beyond 2^53 become the nearest
    return Converted.good(without_nan(values))


def _is_number(kind: pa.DataType) -> bool:
    """Whether values of a type are numbers, or all missing."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind))


def without_nan(values: pa.Array) -> pa.Array:
    """The same values with null in place of NaN."""
    return pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)


def integers(array: pa.Array, arrow_type: pa.DataType) -> Converted:
    """Whole numbers of the given type; bad where a number is not whole, does not fit, or may have been rounded.

    Of numbers that are written with a decimal point, an exponent, or in floating point, those are taken that are whole
    and small enough to be exact (`limits.EXACT`).
    """
    if is_text(array):
        return _integers_of_text(array, arrow_type)
    nothing_bad = np.zeros(len(array), dtype=bool)
    if pa.types.is_boolean(array.type) or pa.types.is_null(array.type):
        return Converted(pc.cast(array, arrow_type), nothing_bad)
    if pa.types.is_floating(array.type):
        limit = limits.EXACT[array.type.bit_width]
        array = without_nan(pc.cast(array, pa.float64()))
        bad = _true(pc.not_equal(pc.round(array), array)) | _true(pc.greater_equal(pc.abs(array), limit))
        array = pc.cast(_without(array, bad), pa.int64())
        bad = bad | _beyond(array, arrow_type)
        return Converted(pc.cast(_without(array, bad), arrow_type), bad)
    if not pa.types.is_integer(array.type):
        raise ColumnTypeError(f"holds {array.type}, expected a whole number")
    bad = _beyond(array, arrow_type)
    return Converted(pc.cast(_without(array, bad), arrow_type), bad)


def _beyond(array: pa.Array, arrow_type: pa.DataType) -> Mask:
    """True where a whole number does not fit a signed type."""
    bits = arrow_type.bit_width - 1
    bad = np.zeros(len(array), dtype=bool)
    unsigned = pa.types.is_unsigned_integer(array.type)
    if array.type.bit_width > arrow_type.bit_width and not unsigned:
        bad |= _true(pc.less(array, pa.scalar(-(2**bits), array.type)))
    if array.type.bit_width > bits + (0 if unsigned else 1):
        bad |= _true(pc.greater(array, pa.scalar(2**bits - 1, array.type)))
    return bad


def _integers_of_text(text: pa.Array, arrow_type: pa.DataType) -> Converted:
    """Digits as they are; where not all words are digits, those that are not are read one by one."""
    trimmed = _trimmed(text)
    numbers, bad = _whole_numbers(trimmed)
    bad |= _beyond(numbers, arrow_type)
    return Converted(pc.cast(_without(numbers, bad), arrow_type), bad)


def _whole_numbers(trimmed: pa.Array) -> tuple[pa.Array, Mask]:
    bad = np.zeros(len(trimmed), dtype=bool)
    if _all(pc.match_substring_regex(trimmed, _DIGITS)):
        with contextlib.suppress(pa.ArrowInvalid):  # one has more than 64 bits
            return pc.cast(trimmed, pa.int64()), bad
    low, high = limits.INTEGERS[Kind.int64]
    numbers: list[int | None] = []
    for index, word in enumerate(trimmed.to_pylist()):
        number = None
        if word is not None:
            with contextlib.suppress(ValueError):
                number = limits.whole_number(word)
            if number is None or not low <= number <= high:
                number, bad[index] = None, True
        numbers.append(number)
    return pa.array(numbers, type=pa.int64()), bad


def booleans(array: pa.Array) -> Converted:
    """Truth values; numbers are true unless 0."""
    if is_text(array):
        words = pc.utf8_lower(_trimmed(array))
        true, false = pc.is_in(words, pa.array(TRUE_WORDS)), pc.is_in(words, pa.array(FALSE_WORDS))
        known = pc.or_(true, false)
        values = pc.if_else(known, true, pa.scalar(None, pa.bool_()))
        return Converted(values, ~np.asarray(known) & ~missing(words))
    if pa.types.is_integer(array.type) or pa.types.is_boolean(array.type) or pa.types.is_null(array.type):
        return Converted.good(pc.cast(array, pa.bool_()))
    raise ColumnTypeError(f"holds {array.type}, expected true or false")


def texts(array: pa.Array) -> Converted:
    """Text without blanks around it; empty text is no value."""
    if pa.types.is_binary(array.type) or pa.types.is_fixed_size_binary(array.type):
        return _decoded(array)
    if not (is_text(array) or pa.types.is_nested(array.type)):
        array = pc.cast(array, pa.string())
    if not is_text(array):
        raise ColumnTypeError(f"holds {array.type}, expected text")
    return Converted.good(_trimmed(array))


def _decoded(array: pa.Array) -> Converted:
    """Bytes as text; bad where they are not UTF-8."""
    bad = np.zeros(len(array), dtype=bool)
    words: list[str | None] = []
    for index, value in enumerate(array.to_pylist()):
        try:
            words.append(None if value is None else value.decode())
        except UnicodeDecodeError:
            words.append(None)
            bad[index] = True
    return Converted(_trimmed(pa.array(words, pa.string())), bad)


def datetimes(text: pa.Array) -> Converted:
    """Dates and times of ISO 8601, in microseconds; bad where a text is none. Empty text is no value."""
    trimmed = _trimmed(text)
    bad = np.zeros(len(text), dtype=bool)
    try:
        return Converted(_moments(trimmed), bad)
    except pa.ArrowInvalid:
        moments: list[pa.Array] = []
    for index in range(len(text)):
        try:
            moments.append(_moments(trimmed.slice(index, 1)))
        except pa.ArrowInvalid:
            bad[index] = True
            moments.append(pa.nulls(1, pa.timestamp("us")))
    return Converted(pa.concat_arrays(moments), bad)


def _moments(text: pa.Array) -> pa.Array:
    """Raises ArrowInvalid where a text is no date. Nanoseconds are cut off."""
    return pc.cast(pc.cast(text, pa.timestamp("ns")), pa.timestamp("us"), safe=False)


def byte_strings(array: pa.Array) -> Converted:
    """Byte strings without zeros at the end, where files pad them; all zeros is no value.

    Text is read as hexadecimal digits.
    """
    values: list[bytes | None] = []
    bad = np.zeros(len(array), dtype=bool)
    if is_text(array):
        array = _trimmed(array)
    for index, value in enumerate(array.to_pylist()):
        try:
            packed = _packed(value)
        except (ValueError, TypeError):
            packed, bad[index] = b"", True
        values.append(packed.rstrip(b"\0") or None)
    return Converted(pa.array(values, type=pa.binary()), bad)


def _packed(value: Any) -> bytes:
    if value is None:
        return b""
    if isinstance(value, int | float):
        raise TypeError("it is a number")
    if isinstance(value, str):
        return bytes.fromhex(value.lower().removeprefix("0x"))
    return bytes(value)


def float_lists(array: pa.Array) -> Converted:
    """Lists of numbers, also as text with blanks between.

    An empty list is no value, NaN inside a list stays.
    """
    if is_text(array):
        return parse_lists(array)
    if (
        pa.types.is_fixed_size_list(array.type)
        or pa.types.is_list(array.type)
        or pa.types.is_large_list(array.type)
    ):
        if not _is_number(array.type.value_type):
            raise ColumnTypeError(f"holds {array.type}, expected numbers")
        values = pc.cast(array, pa.list_(pa.float64()), safe=False)
        empty = pc.equal(pc.list_value_length(values), 0)
        return Converted.good(pc.if_else(empty, pa.scalar(None, values.type), values))
    if not _is_number(array.type):
        raise ColumnTypeError(f"holds {array.type}, expected numbers")
    numbers = pc.cast(array, pa.float64(), safe=False)
    whole = pa.ListArray.from_arrays(np.arange(len(numbers) + 1, dtype=np.int32), numbers)
    return Converted.good(whole)


def parse_lists(text: pa.Array) -> Converted:
    """Numbers in text with blanks between ("1.0 nan 2") as lists; bad where a word is no number.

    Empty text is no value.
    """
    trimmed = pc.utf8_trim_whitespace(text)
    words = pc.utf8_split_whitespace(trimmed)
    offsets = np.asarray(words.offsets)
    tokens = words.values.slice(int(offsets[0]), int(offsets[-1] - offsets[0]))
    parsed = _parsed(tokens, keep_nan=True)
    rows = np.repeat(np.arange(len(text)), np.diff(offsets))
    bad = np.zeros(len(text), dtype=bool)
    bad[rows[parsed.bad]] = True
    lists = pa.ListArray.from_arrays(pa.array(offsets - offsets[0], type=pa.int32()), parsed.values)
    nothing = pc.or_kleene(pc.equal(pc.fill_null(trimmed, ""), ""), pa.array(bad))
    return Converted(pc.if_else(nothing, pa.scalar(None, lists.type), lists), bad)


def list_means(lists: pa.Array) -> pa.Array:
    """The mean of the finite numbers of each list; null where there is none."""
    values, rows = _elements(lists)
    finite = np.isfinite(values)
    count = np.bincount(rows[finite], minlength=len(lists))
    total = np.bincount(rows[finite], weights=values[finite], minlength=len(lists))
    mean = np.divide(total, count, out=np.full(len(lists), np.nan), where=count > 0)
    return pa.array(mean, mask=count == 0)


def list_any_nonzero(lists: pa.Array) -> Mask:
    """True where a list has a number that is neither 0 nor NaN."""
    values, rows = _elements(lists)
    chosen = rows[np.abs(values) > 0]
    return np.bincount(chosen, minlength=len(lists)).astype(bool)


def _elements(lists: pa.Array) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """All numbers of all lists, and the row each is in."""
    lengths = np.asarray(pc.fill_null(pc.list_value_length(lists), 0))
    rows = np.repeat(np.arange(len(lists)), lengths)
    return np.asarray(lists.flatten(), dtype=float), rows


def _trimmed(text: pa.Array) -> pa.Array:
    """Text without blanks around it; null where nothing is left."""
    trimmed = pc.utf8_trim_whitespace(text)
    return pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, trimmed.type), trimmed)


def _parsed(text: pa.Array, *, keep_nan: bool = False) -> Converted:
    """Text as numbers; at once where all of it can be read, else value by value."""
    trimmed = _trimmed(text)
    bad = np.zeros(len(text), dtype=bool)
    try:
        values = pc.cast(trimmed, pa.float64())
        readable = not _any(pc.is_inf(values))  # of which some may be finite numbers that are too large
    except pa.ArrowInvalid:
        readable = False
    if not readable:
        numbers: list[float | None] = []
        for index, word in enumerate(trimmed.to_pylist()):
            try:
                numbers.append(None if word is None else limits.number(word))
            except ValueError:
                bad[index] = True
                numbers.append(None)
        values = pa.array(numbers, type=pa.float64())
    return Converted(values if keep_nan else without_nan(values), bad)


def _all(condition: pa.Array) -> bool:
    """Whether a condition is true wherever there is a value."""
    return bool(pc.all(condition, min_count=0).as_py())


def _any(condition: pa.Array) -> bool:
    """Whether a condition is true anywhere."""
    return bool(pc.any(condition, min_count=0).as_py())


def _true(condition: pa.Array) -> Mask:
    """True where a condition is true; nothing is not true."""
    return np.asarray(pc.fill_null(condition, fill_value=False))


def _without(array: pa.Array, bad: Mask) -> pa.Array:
    """The array with null where it is bad."""
    return pc.if_else(pa.array(bad), pa.scalar(None, array.type), array) if bad.any() else array


def convert(array: pa.Array, definition: Definition) -> Converted:
    """A column as its kind in the registry; what stands for NULL in files (the fill value) becomes null.

    Raises:
        ColumnTypeError: no row of the column can be of this kind.
    """
    kind = definition.kind
    if kind in (Kind.int32, Kind.int64):
        made = integers(array, ARROW_TYPES[kind])
        fill = pc.equal(made.values, pa.scalar(definition.null_value, made.values.type))
        return Converted(pc.if_else(fill, pa.scalar(None, made.values.type), made.values), made.bad)
    if kind is Kind.bits:
        return integers(array, pa.int64())
    if kind in (Kind.float32, Kind.float64):
        return floats(array)
    readers = {Kind.text: texts, Kind.boolean: booleans, Kind.bytes: byte_strings, Kind.floats: float_lists}
    if kind not in readers:
        raise ColumnTypeError(f"columns of kind {kind.value} are not read from files")
    return readers[kind](array)
