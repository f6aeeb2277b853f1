"""One column of a FITS binary table: its format, its fill value, and how Arrow values become its bytes.

Values for NULL are those of the column's definition: -1 for integers, 0 for flags, NaN for floats, False, and
the empty text; arrays shorter than the column are padded with NaN (floats) or zero (bytes). Infinities are
written as the IEEE infinities that FITS allows. What a column cannot hold is a `BadValueError`, never a
changed value: an integer beyond its range, a finite number beyond single precision, a text with characters
outside printable ASCII, a text or array longer than the column.

How rows are put together and written is in `writer.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from astra_assets.registry import limits
from astra_assets.registry.kinds import DATETIME_WIDTH, Definition, Kind

Values = npt.NDArray[Any]

_NUMERIC_DTYPES = {
    Kind.int32: ">i4",
    Kind.int64: ">i8",
    Kind.bits: ">i8",
    Kind.float32: ">f4",
    Kind.float64: ">f8",
}
_REPEATED = (Kind.bytes, Kind.floats, Kind.pixels)
# Characters of the date, before the one that divides it from the time.
_DATE_WIDTH = 10


class BadValueError(ValueError):
    """A value that its column cannot hold; `row` is its position in the array that was converted."""

    def __init__(self, row: int, reason: str) -> None:
        super().__init__(reason)
        self.row = row
        self.reason = reason


class WrongTypeError(TypeError):
    """An Arrow array of a type that cannot become the column's kind."""


class TooWideError(BadValueError):
    """A text or array longer than its column."""


@dataclass(frozen=True)
class FitsColumn:
    """A column of a binary table.

    `width` is the number of characters, bytes or array elements of a text, bytes, floats or pixels column and
    1 for the others; `heading` is the category shown above the first column of a run that has it, `note` a
    comment shown below its last column.
    """

    name: str
    definition: Definition
    width: int = 1
    heading: str | None = None
    note: str | None = None

    @property
    def tform(self) -> str:
        """The TFORM value; `0E` for pixel columns of a table that has no rows to give a width."""
        kind = self.definition.kind
        if kind is Kind.datetime:
            return f"{DATETIME_WIDTH}A"
        if kind is Kind.text or kind in _REPEATED:
            return f"{self.width}{kind.fits_letter}"
        return kind.fits_letter

    @property
    def tdim(self) -> str | None:
        """The TDIM value of array columns that are not empty, as Astra writes it."""
        return f"({self.width})" if self.definition.kind in _REPEATED and self.width else None

    @property
    def field(self) -> tuple[Any, ...]:
        """The NumPy field: name, big-endian or byte type and, where a row has several elements, shape."""
        kind = self.definition.kind
        if kind is Kind.datetime:
            return (self.name, "u1", (DATETIME_WIDTH,))
        if kind in (Kind.text, Kind.bytes):
            return (self.name, "u1", (self.width,))
        if kind in _REPEATED:
            return (self.name, ">f4", (self.width,))
        return (self.name, "u1" if kind is Kind.boolean else _NUMERIC_DTYPES[kind])

    def convert(self, array: pa.Array) -> Values:
        """The values of `array`, NULLs filled, ready to be assigned to the column's field.

        Shape (rows,), or (rows, width) for texts, times and arrays. Raises BadValueError or WrongTypeError.
        """
        values = self._filled(array)
        if self.definition.kind not in limits.SINGLE:
            return values
        narrow = np.empty(values.shape, ">f4")
        self._narrow(values, narrow)
        return narrow

    def store(self, array: pa.Array, field: Values) -> None:
        """Put what `convert` returns into the column's field of as many rows. Raises BadValueError or WrongTypeError."""
        values = self._filled(array)
        if self.definition.kind in limits.SINGLE:
            self._narrow(values, field)
        else:
            field[...] = values

    def _filled(self, array: pa.Array) -> Values:
        """As `convert`, but with numbers of any precision."""
        if pa.types.is_null(array.type):
            array = pa.nulls(len(array), _ARROW_TYPES[self.definition.kind])
        return _CONVERTERS[self.definition.kind](self, array)

    def _narrow(self, values: Values, field: Values) -> None:
        """Put numbers into a field of single precision. Raises BadValueError for finite ones that become infinite."""
        with np.errstate(over="raise", under="ignore", invalid="ignore"):
            try:
                field[...] = values
            except FloatingPointError:
                beyond = np.isfinite(values) & (np.abs(values) > limits.FLOAT32_MAX)
            else:
                return
        position = _first(np.asarray(beyond.reshape(len(values), -1).any(axis=1)))
        reason = f"{values[beyond][0]:.6g} is beyond the range of single precision (TFORM {self.tform})"
        raise BadValueError(position, reason)


def record_dtype(columns: list[FitsColumn]) -> np.dtype[Any]:
    """The packed big-endian row of a table."""
    return np.dtype([column.field for column in columns])


def _fill_null(array: pa.Array, value: Any) -> pa.Array:
    return pc.fill_null(array, pa.scalar(value, array.type)) if array.null_count else array


def _first(condition: Values) -> int:
    return int(np.argmax(condition))


def _expect(array: pa.Array, column: FitsColumn, *tests: Callable[[pa.DataType], bool]) -> None:
    if not any(test(array.type) for test in tests):
        raise WrongTypeError(
            f"expected values for a {column.definition.kind.value} column, found {array.type}"
        )


def _integers(column: FitsColumn, array: pa.Array) -> Values:
    _expect(array, column, pa.types.is_integer)
    values: Values = _fill_null(array, column.definition.null_value).to_numpy()
    target = np.dtype(_NUMERIC_DTYPES[column.definition.kind])
    if values.size and not np.can_cast(values.dtype, target):
        limits = np.iinfo(target)
        outside = (values < limits.min) | (values > limits.max)
        if outside.any():
            row = _first(outside)
            raise BadValueError(
                row, f"{values[row]} does not fit a {8 * target.itemsize}-bit integer (TFORM {column.tform})"
            )
    return values


def _numbers(column: FitsColumn, array: pa.Array) -> Values:
    _expect(array, column, pa.types.is_floating, pa.types.is_integer)
    # NULL becomes NaN here, integers with NULL become floats.
    values: Values = array.to_numpy(zero_copy_only=False)
    fill = column.definition.null_value
    if array.null_count and not math.isnan(fill):
        values = np.where(array.is_null().to_numpy(zero_copy_only=False), fill, values)
    return values


def _booleans(column: FitsColumn, array: pa.Array) -> Values:
    _expect(array, column, pa.types.is_boolean)
    values = _fill_null(array, bool(column.definition.null_value)).to_numpy(zero_copy_only=False)
    return np.where(values, np.uint8(ord("T")), np.uint8(ord("F")))


def _texts(column: FitsColumn, array: pa.Array) -> Values:
    _expect(array, column, pa.types.is_string, pa.types.is_large_string)
    filled = _fill_null(array, column.definition.null_value)
    lengths, _ = _ragged_bytes(filled)
    unprintable = limits.unprintable(filled)
    if unprintable.any():
        row = _first(unprintable)
        raise BadValueError(
            row, f"{array[row].as_py()!r} has characters that FITS text cannot hold (printable ASCII only)"
        )
    return _padded_bytes(filled, lengths, column.width, unit="characters")


def _byte_strings(column: FitsColumn, array: pa.Array) -> Values:
    _expect(array, column, pa.types.is_binary, pa.types.is_large_binary)
    filled = _fill_null(array, column.definition.null_value)
    lengths, _ = _ragged_bytes(filled)
    return _padded_bytes(filled, lengths, column.width, unit="bytes")


def _times(column: FitsColumn, array: pa.Array) -> Values:
    _expect(array, column, pa.types.is_timestamp)
    values = array.cast(pa.timestamp("us"), safe=False).to_numpy(zero_copy_only=False)
    # The drivers of databases make other years of infinite times.
    beyond = limits.misfits(column.name, Kind.datetime, array.cast(pa.timestamp("us"), safe=False))
    if beyond.any():
        row = _first(beyond)
        raise BadValueError(
            row, f"{values[row]} is infinite, or not within the years 1 to 9999 (TFORM {column.tform})"
        )
    null = str(column.definition.null_value).ljust(DATETIME_WIDTH, "\0")
    return _whole_rows(_fill_null(time_texts(array), null), DATETIME_WIDTH)


def time_texts(array: pa.Array) -> pa.Array:
    """Times as the texts that files show: 2026-01-31T23:59:59.000000 (ISO 8601)."""
    texts = array.cast(pa.timestamp("us"), safe=False).cast(pa.string())
    return pc.binary_replace_slice(texts, _DATE_WIDTH, _DATE_WIDTH + 1, "T")


def _arrays(column: FitsColumn, array: pa.Array) -> Values:
    _expect(array, column, pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    if pa.types.is_fixed_size_list(array.type):
        array = array.cast(pa.large_list(array.type.value_type))
    lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy().astype(np.int64)
    elements = array.flatten()
    if not (pa.types.is_floating(elements.type) or pa.types.is_integer(elements.type)):
        raise WrongTypeError(
            f"expected lists of numbers for a {column.definition.kind.value} column, found {array.type}"
        )
    numbers = elements.to_numpy(zero_copy_only=False)
    return _padded_numbers(lengths, numbers, column.width)


def _ragged_bytes(array: pa.Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """Length of each value and all bytes one after the other, of a text or binary array without NULLs."""
    offsets, data = limits.text_bytes(array)
    return np.diff(offsets).astype(np.int64), data


def _padded_bytes(
    array: pa.Array, lengths: npt.NDArray[np.int64], width: int, *, unit: str
) -> npt.NDArray[np.uint8]:
    """Values of a text or binary array without NULLs, filled with zeros to `width`. Raises TooWideError."""
    _check_width(lengths, width, unit)
    # Only texts can be padded; the bytes of them are not looked at.
    if pa.types.is_binary(array.type):
        array = array.view(pa.string())
    elif pa.types.is_large_binary(array.type):
        array = array.view(pa.large_string())
    return _whole_rows(pc.ascii_rpad(array, width, "\0"), width)


def _whole_rows(array: pa.Array, width: int) -> npt.NDArray[np.uint8]:
    """The bytes of a text array all of whose values have `width` bytes, as rows."""
    if not len(array):
        return np.zeros((0, width), dtype=np.uint8)
    _, data = _ragged_bytes(array)
    return data.reshape(len(array), width)


def _padded_numbers(lengths: npt.NDArray[np.int64], data: Values, width: int) -> Values:
    """Rows of equal width from ragged ones, filled with NaN. Raises TooWideError."""
    _check_width(lengths, width, "elements")
    if lengths.size and int(lengths.min()) == width:
        return data.reshape(len(lengths), width)
    padded = np.full((len(lengths), width), np.nan)
    padded[np.arange(width) < lengths[:, np.newaxis]] = data
    return padded


def _check_width(lengths: npt.NDArray[np.int64], width: int, unit: str) -> None:
    longest = int(lengths.max()) if lengths.size else 0
    if longest > width:
        row = _first(lengths > width)
        raise TooWideError(row, f"{lengths[row]} {unit} do not fit the column's width of {width}")


_CONVERTERS: dict[Kind, Callable[[FitsColumn, pa.Array], Values]] = {
    Kind.text: _texts,
    Kind.boolean: _booleans,
    Kind.int32: _integers,
    Kind.int64: _integers,
    Kind.bits: _integers,
    Kind.float32: _numbers,
    Kind.float64: _numbers,
    Kind.datetime: _times,
    Kind.bytes: _byte_strings,
    Kind.floats: _arrays,
    Kind.pixels: _arrays,
}

_ARROW_TYPES: dict[Kind, pa.DataType] = {
    Kind.text: pa.string(),
    Kind.boolean: pa.bool_(),
    Kind.int32: pa.int32(),
    Kind.int64: pa.int64(),
    Kind.bits: pa.int64(),
    Kind.float32: pa.float32(),
    Kind.float64: pa.float64(),
    Kind.datetime: pa.timestamp("us"),
    Kind.bytes: pa.binary(),
    Kind.floats: pa.list_(pa.float64()),
    Kind.pixels: pa.list_(pa.float32()),
}
