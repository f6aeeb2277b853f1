"""Values of files become values of the registry."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from astra_assets.ingest import values
from astra_assets.registry.columns import definition


def test_lists_in_text_are_parsed_at_once_and_bad_words_are_marked():
    found = values.parse_lists(pa.array(["1 2.5 nan", "", "  4 ", "1 x", None]))
    assert found.bad.tolist() == [False, False, False, True, False]
    lists = found.values.to_pylist()
    assert lists[0][:2] == [1.0, 2.5]
    assert np.isnan(lists[0][2])
    assert lists[1:] == [None, [4.0], None, None]


def test_means_of_lists_leave_out_what_is_not_finite():
    lists = values.parse_lists(pa.array(["1 3", "nan 5", "nan", ""])).values
    assert values.list_means(lists).to_pylist() == [2.0, 5.0, None, None]


def test_a_list_is_nonzero_if_one_number_is():
    lists = values.parse_lists(pa.array(["0 0", "0 -1.5", "nan", "", "-0.0"])).values
    assert values.list_any_nonzero(lists).tolist() == [False, True, False, False, False]


@pytest.mark.parametrize(
    ("array", "expected", "bad"),
    [
        (pa.array(["1", " 2.0", "x", "", None, "1.5"]), [1, 2, None, None, None, None], [2, 5]),
        (pa.array([1.0, np.nan, 2.5, 1e12]), [1, None, None, None], [2, 3]),
        (pa.array([1, 2**40, -3]), [1, None, -3], [1]),
        (pa.array([7, 2**33], type=pa.uint64()), [7, None], [1]),
        (pa.array([1, -1], type=pa.int16()), [1, -1], []),
        (pa.array([3, 2**32 - 1], type=pa.uint32()), [3, None], [1]),
    ],
)
def test_whole_numbers_are_read_from_any_type_and_must_fit(array, expected, bad):
    found = values.integers(array, pa.int32())
    assert found.values.to_pylist() == expected
    assert np.flatnonzero(found.bad).tolist() == bad


def test_bytes_that_are_no_text_and_numbers_that_are_no_bytes_are_bad():
    found = values.texts(pa.array([b"ab ", b"\xff", None]))
    assert (found.values.to_pylist(), found.bad.tolist()) == (["ab", None, None], [False, True, False])
    assert values.byte_strings(pa.array([1, None])).bad.tolist() == [True, False]


def test_long_integers_are_numbers_too():
    assert values.floats(pa.array([2**60 + 1])).values.to_pylist() == [2.0**60]
    assert values.float_lists(pa.array([[2**60 + 1]])).values.to_pylist() == [[2.0**60]]


def test_numbers_of_the_wrong_type_altogether_are_an_error():
    with pytest.raises(values.ColumnTypeError, match="expected a number"):
        values.floats(pa.array([b"ab"]))


def test_byte_strings_lose_padding_and_zeros_are_nothing():
    found = values.byte_strings(pa.array([b"\1\0\2\0\0", b"\0\0", None]))
    assert found.values.to_pylist() == [b"\1\0\2", None, None]
    text = values.byte_strings(pa.array(["0x0102", "zz", ""]))
    assert text.values.to_pylist() == [b"\1\2", None, None]
    assert text.bad.tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("name", "array", "expected"),
    [
        ("tic_v8_id", pa.array([-1, 5]), [None, 5]),
        ("version_id", pa.array([-1, 31]), [None, 31]),
        ("lead", pa.array(["", "gaia  "]), [None, "gaia"]),
        ("zgr_teff", pa.array([np.nan, 5000.0]), [None, 5000.0]),
        ("zgr_quality_flags", pa.array([0, 8]), [0, 8]),
        ("fiber_offset", pa.array(["T", "false"]), [True, False]),
    ],
)
def test_what_stands_for_null_in_files_becomes_null(name, array, expected):
    assert values.convert(array, definition(name)).values.to_pylist() == expected
