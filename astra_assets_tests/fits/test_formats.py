"""Arrow values become the bytes of FITS columns: formats, fills, padding, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from astra_assets.fits.formats import (
    BadValueError,
    FitsColumn,
    TooWideError,
    WrongTypeError,
    record_dtype,
)
from astra_assets.registry.kinds import Definition, Kind

TIME = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)


def column(kind: Kind, width: int = 1, fill=None) -> FitsColumn:
    return FitsColumn("x", Definition(kind, "A quantity", fill=fill), width)


def stored(kind: Kind, values, arrow_type=None, width: int = 1, fill=None) -> list:
    """What astropy or any other reader sees in the column's field."""
    made = column(kind, width, fill)
    array = values if isinstance(values, pa.Array) else pa.array(values, arrow_type)
    rows = np.empty(len(array), dtype=record_dtype([made]))
    rows["x"] = made.convert(array)
    if kind in (Kind.text, Kind.datetime):
        return [bytes(row).rstrip(b"\0").decode() for row in rows["x"]]
    if kind is Kind.bytes:
        return [bytes(row) for row in rows["x"]]
    return rows["x"].tolist()


@pytest.mark.parametrize(
    ("kind", "width", "tform", "tdim"),
    [
        (Kind.text, 7, "7A", None),
        (Kind.boolean, 1, "L", None),
        (Kind.int32, 1, "J", None),
        (Kind.int64, 1, "K", None),
        (Kind.bits, 1, "K", None),
        (Kind.float32, 1, "E", None),
        (Kind.float64, 1, "D", None),
        (Kind.datetime, 1, "26A", None),
        (Kind.bytes, 71, "71B", "(71)"),
        (Kind.floats, 18, "18E", "(18)"),
        (Kind.pixels, 4648, "4648E", "(4648)"),
        (Kind.pixels, 0, "0E", None),
    ],
)
def test_each_kind_has_its_format(kind, width, tform, tdim):
    made = column(kind, width)
    assert (made.tform, made.tdim) == (tform, tdim)


@pytest.mark.parametrize(
    ("kind", "arrow_type", "values", "expected"),
    [
        (Kind.text, pa.string(), ["abc", None, ""], ["abc", "", ""]),
        (Kind.text, pa.large_string(), [None, "xy"], ["", "xy"]),
        (Kind.int32, pa.int32(), [-5, None], [-5, -1]),
        (Kind.int32, pa.int64(), [2**31 - 1, -(2**31)], [2**31 - 1, -(2**31)]),
        (Kind.int64, pa.int64(), [2**55 + 1, None], [2**55 + 1, -1]),
        (Kind.int64, pa.int32(), [7, None], [7, -1]),
        (Kind.bits, pa.int64(), [-1, None], [-1, 0]),
        (Kind.boolean, pa.bool_(), [True, None, False], [ord("T"), ord("F"), ord("F")]),
        (
            Kind.datetime,
            pa.timestamp("us"),
            [TIME, None],
            ["2025-01-02T03:04:05.000000", ""],
        ),
        (
            Kind.datetime,
            pa.timestamp("s"),
            [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)],
            ["0001-01-01T00:00:00.000000", "9999-12-31T23:59:59.000000"],
        ),
        (Kind.bytes, pa.binary(), [b"\x01", None, b"\x01\x02\x03"], [b"\1\0\0", b"\0\0\0", b"\1\2\3"]),
        (Kind.bytes, pa.large_binary(), [b"\xff\xfe", b"\0\x80"], [b"\xff\xfe\0", b"\0\x80\0"]),
    ],
)
def test_nulls_get_the_fill_of_their_kind(kind, arrow_type, values, expected):
    assert stored(kind, values, arrow_type, width=3) == expected


@pytest.mark.parametrize("arrow_type", [pa.float64(), pa.float32()])
@pytest.mark.parametrize("kind", [Kind.float32, Kind.float64])
def test_floats_keep_infinities_and_have_nan_for_null(kind, arrow_type):
    found = stored(kind, [1.5, None, np.inf, -np.inf, np.nan], arrow_type)
    np.testing.assert_array_equal(found, [1.5, np.nan, np.inf, -np.inf, np.nan])


def test_integers_in_a_float_column_have_nan_for_null():
    np.testing.assert_array_equal(stored(Kind.float32, [3, None], pa.int32()), [3, np.nan])


def test_double_precision_is_kept_only_by_double_columns():
    right_ascension = 123.456789012345
    assert stored(Kind.float64, [right_ascension]) == [right_ascension]
    assert stored(Kind.float32, [right_ascension]) == [float(np.float32(right_ascension))]


def test_arrays_are_padded_with_nan():
    found = stored(Kind.floats, [[1.0, 2.0], None, [], [3.0, None, 4.0]], pa.list_(pa.float64()), width=3)
    nan = np.nan
    np.testing.assert_array_equal(found, [[1, 2, nan], [nan, nan, nan], [nan, nan, nan], [3, nan, 4]])


def test_fixed_size_and_integer_pixels():
    array = pa.array([[1, 2, 3], None], pa.list_(pa.int64(), 3))
    np.testing.assert_array_equal(stored(Kind.pixels, array, width=3), [[1, 2, 3], [np.nan] * 3])


def test_a_column_that_is_all_null_has_its_fill_whatever_its_type():
    nothing = pa.nulls(2)
    assert stored(Kind.int64, nothing) == [-1, -1]
    assert stored(Kind.text, nothing, width=2) == ["", ""]
    np.testing.assert_array_equal(stored(Kind.floats, nothing, width=2), [[np.nan] * 2] * 2)


def test_a_fill_of_its_own_goes_before_that_of_the_kind():
    assert stored(Kind.text, ["specLite", None], width=8, fill="specFull") == ["specLite", "specFull"]
    assert stored(Kind.int32, pa.array([None, 2], pa.int32()), fill=0) == [0, 2]
    np.testing.assert_array_equal(stored(Kind.float32, [None, 2.0, np.nan], fill=-9.5), [-9.5, 2.0, np.nan])


def test_slices_are_converted_as_what_they_show():
    texts = pa.array(["zero", "one", None, "three"])[1:]
    assert stored(Kind.text, texts, width=5) == ["one", "", "three"]
    lists = pa.array([[9.0], [1.0], None, [2.0]], pa.list_(pa.float64()))[1:]
    np.testing.assert_array_equal(stored(Kind.floats, lists), [[1.0], [np.nan], [2.0]])
    logicals = pa.array([True, None, False, True])[1:]
    assert stored(Kind.boolean, logicals) == [ord("F"), ord("F"), ord("T")]


@pytest.mark.parametrize(
    ("kind", "values", "arrow_type", "row", "reason"),
    [
        (Kind.int32, [1, None, 2**31], pa.int64(), 2, "2147483648 does not fit a 32-bit integer"),
        (Kind.int64, [1, 2**63], pa.uint64(), 1, "9223372036854775808 does not fit a 64-bit integer"),
        (Kind.float32, [1.0, np.inf, None, -1e39], pa.float64(), 3, r"-1e\+39 is beyond the range of single"),
        (Kind.floats, [[1.0], [1.0, 1e300]], pa.list_(pa.float64()), 1, r"1e\+300 is beyond the range"),
        (Kind.text, ["ok", None, "", "né"], pa.string(), 3, "'né' has characters that FITS text cannot hold"),
        (Kind.text, ["a\0b", "c"], pa.string(), 0, "characters that FITS text cannot hold"),
        (Kind.text, ["abc", "a\nb"], pa.string(), 1, "characters that FITS text cannot hold"),
        (
            Kind.datetime,
            [None, 0, 2**62],
            pa.timestamp("us"),
            2,
            "is infinite, or not within the years 1 to 9999",
        ),
        (
            Kind.datetime,
            [0, -(2**63)],
            pa.timestamp("us"),
            1,
            "NaT is infinite, or not within the years 1 to 9999",
        ),
        (
            Kind.datetime,
            [0, -(2**56)],
            pa.timestamp("us"),
            1,
            "-314-08-.* is infinite, or not within the years",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_its_row(kind, values, arrow_type, row, reason):
    with pytest.raises(BadValueError, match=reason) as caught:
        column(kind, 8).convert(pa.array(values, arrow_type))
    assert caught.value.row == row


@pytest.mark.parametrize(
    ("kind", "values", "arrow_type"),
    [
        (Kind.text, ["ab", "abcd"], pa.string()),
        (Kind.bytes, [b"", b"abcd"], pa.binary()),
        (Kind.floats, [None, [1.0] * 4], pa.list_(pa.float64())),
    ],
)
def test_what_is_too_long_is_refused_never_cut(kind, values, arrow_type):
    with pytest.raises(TooWideError, match=r"4 .* do not fit the column's width of 3") as caught:
        column(kind, 3).convert(pa.array(values, arrow_type))
    assert caught.value.row == 1


@pytest.mark.parametrize(
    "kind", [Kind.int64, Kind.float32, Kind.boolean, Kind.datetime, Kind.bytes, Kind.floats]
)
def test_values_of_another_type_are_refused(kind):
    with pytest.raises(WrongTypeError, match="found string"):
        column(kind).convert(pa.array(["0.8.1"]))
