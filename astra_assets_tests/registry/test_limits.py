"""What a column can hold: one rule for values and arrays, which the writer of FITS tables confirms."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest

from astra_assets.fits.formats import BadValueError, FitsColumn
from astra_assets.registry import limits
from astra_assets.registry.kinds import Definition, Kind

TYPES = {
    Kind.text: pa.string(),
    Kind.int32: pa.int64(),
    Kind.float32: pa.float64(),
    Kind.float64: pa.float64(),
    Kind.floats: pa.list_(pa.float64()),
    Kind.bytes: pa.binary(),
}

FITTING = [
    (Kind.text, "gaia_dr3"),
    (Kind.text, " ~"),
    (Kind.text, ""),
    (Kind.int32, 2**31 - 1),
    (Kind.int32, -(2**31)),
    (Kind.float32, limits.FLOAT32_MAX),
    (Kind.float32, -math.inf),
    (Kind.float64, 1e300),
    (Kind.floats, [1.0, math.nan, math.inf, -limits.FLOAT32_MAX]),
    (Kind.bytes, b"\0\xff"),
]
MISFITS = [
    (Kind.text, "ga\u00efa"),
    (Kind.text, "a\nb"),
    (Kind.text, "a\0b"),
    (Kind.text, "a\x7f"),
    (Kind.text, "\u2028"),
    (Kind.int32, 2**31),
    (Kind.int32, -(2**40)),
    (Kind.float32, 1e39),
    (Kind.float32, -1e39),
    (Kind.floats, [1.0, 1e39]),
]
TOO_LONG = [(Kind.text, "x" * 1001), (Kind.bytes, b"x" * 1001), (Kind.floats, [0.0] * 1001)]


def in_fits(kind, value):
    """Whether the writer of FITS tables takes a value."""
    column = FitsColumn("x", Definition(kind, "Anything"), 2000)
    try:
        column.convert(pa.array([value], TYPES[kind]))
    except BadValueError:
        return False
    return True


@pytest.mark.parametrize(("kind", "value"), FITTING)
def test_what_fits_can_be_written(kind, value):
    assert limits.misfit("x", kind, value) is None
    assert in_fits(kind, value)


@pytest.mark.parametrize(("kind", "value"), MISFITS)
def test_what_cannot_be_written_does_not_fit(kind, value):
    assert limits.misfit("x", kind, value)
    assert not in_fits(kind, value)


@pytest.mark.parametrize("kind", TYPES)
def test_arrays_and_single_values_are_judged_alike(kind):
    cases = [(value, True) for k, value in [*MISFITS, *TOO_LONG] if k is kind]
    cases += [(value, False) for k, value in FITTING if k is kind] + [(None, False)]
    array = pa.array([value for value, _ in cases], TYPES[kind])
    for start in range(len(cases)):  # slices have an offset
        expected = [bad for _, bad in cases[start:]]
        assert limits.misfits("x", kind, array.slice(start)).tolist() == expected
    for value, bad in cases:
        assert (limits.misfit("x", kind, value) is not None) == bad


@pytest.mark.parametrize("name", ["ra", "l"])
def test_angles_less_than_a_turn_off_are_wrapped_and_others_are_not(name):
    given = pa.array([-10.0, 370.0, 0.0, 360.0, None, -1e-20, -999.0, math.inf, 12.5])
    values, mended = limits.wrapped(name, given)
    assert values.to_pylist() == [350.0, 10.0, 0.0, 360.0, None, 0.0, -999.0, math.inf, 12.5]
    assert np.flatnonzero(mended).tolist() == [0, 1, 5]
    assert np.flatnonzero(limits.misfits(name, Kind.float64, values)).tolist() == [6, 7]


@pytest.mark.parametrize("name", ["dec", "b"])
def test_latitudes_are_refused_and_never_wrapped(name):
    given = pa.array([-90.0, 90.0, 90.001, -999.0, None])
    values, mended = limits.wrapped(name, given)
    assert not mended.any()
    assert limits.misfits(name, Kind.float64, values).tolist() == [False, False, True, True, False]
    assert limits.misfit(name, Kind.float64, 90.001) == "expected -90 to 90 degrees"


@pytest.mark.parametrize(
    ("value", "expected"),
    [("12", 12), ("12.0", 12), ("+7", 7), ("1e3", 1000), ("4620117988099982219", 4620117988099982219), (3.0, 3),
     (float(2**53 - 1), 2**53 - 1), (np.float32(2**24 - 1), 2**24 - 1)],
)  # fmt: skip
def test_whole_numbers_are_exact(value, expected):
    assert limits.whole_number(value) == expected


@pytest.mark.parametrize(
    "value",
    ["", "x", "1.5", "1_000", "0x10", "\u0663", "4620117988099982219.0", "4.6e18", "nan", "inf", 1.5, float(2**53),
     -1e300, math.nan, math.inf, np.float32(2**24), np.float16(2**11)],
)  # fmt: skip
def test_whole_numbers_that_may_have_been_rounded_are_none(value):
    with pytest.raises(ValueError, match=r"it is|may have been rounded"):
        limits.whole_number(value)


def test_a_text_that_overflows_is_no_number_but_infinity_is_one():
    assert limits.number("-Inf") == -math.inf
    for text in ("1e400", "1_0", "ten", ""):
        with pytest.raises(ValueError, match="it is"):
            limits.number(text)
