"""A conversion that is wrong is found before a file gets its name, whichever file it spoils."""

from __future__ import annotations

import gzip

import numpy as np
import pyarrow as pa
import pytest
from sqlalchemy import update

from astra_assets.files import sha256sums
from astra_assets.fits import formats
from astra_assets.models.base import table_of
from astra_assets.models.source import Source
from astra_assets.products.check.check_fits import ExpectedTable, check_fits
from astra_assets.products.findings import KEYS, TWIN, VerificationError
from astra_assets.products.rows import ProductRows
from astra_assets.products.summary import MWM_ALL_VISIT
from astra_assets.products.write import parquet
from astra_assets.registry.kinds import Kind
from astra_assets_tests.products.every_kind import COLUMNS, ROWS, rows, write_both
from astra_assets_tests.products.samples import SDSS4, filled_sqlite, write

STORED = [kind for kind in Kind if kind is not Kind.pixels]


def last_letter_is_lost(values):
    return np.where(np.cumsum(values[:, ::-1] != 0, axis=1)[:, ::-1] == 1, 0, values).astype("u1")


def first_letter_is_lost(values):
    return np.concatenate([values[:, 1:], np.zeros((len(values), 1), "u1")], axis=1)


def something_stands_behind_the_end(values):
    values = values.copy()
    values[(values[:, :1] == 0).ravel(), -1] = ord("x")
    return values


def bytes_are_swapped(values):
    return values.byteswap()


def bytes_of_single_precision_are_swapped(values):
    return values.astype("f4").byteswap()


def last_element_is_lost(values):
    values = np.array(values)
    values[:, -1] = np.nan if values.dtype.kind == "f" else 0
    return values


def all_are_inverted(values):
    return np.where(values == ord("T"), ord("F"), ord("T"))


def no_letter_of_a_boolean(values):
    return np.where(values == ord("F"), 0, values)


def rows_are_moved_by_one(values):
    return np.roll(values, 1, axis=0)


def a_second_is_lost(values):
    """The last digit of the seconds: 2026-01-31T23:59:5*9*."""
    return np.where((np.arange(values.shape[1]) == 18) & (values == ord("9")), ord("8"), values)


def a_microsecond_is_lost(values):
    return np.where((np.arange(values.shape[1]) == 25) & (values == ord("9")), ord("8"), values)


SPOILT = {
    Kind.text: (
        last_letter_is_lost,
        first_letter_is_lost,
        something_stands_behind_the_end,
        rows_are_moved_by_one,
    ),
    Kind.int32: (bytes_are_swapped, rows_are_moved_by_one),
    Kind.int64: (bytes_are_swapped, rows_are_moved_by_one),
    Kind.bits: (bytes_are_swapped, rows_are_moved_by_one),
    Kind.float32: (bytes_of_single_precision_are_swapped, rows_are_moved_by_one),
    Kind.float64: (bytes_are_swapped, rows_are_moved_by_one),
    Kind.boolean: (all_are_inverted, no_letter_of_a_boolean, rows_are_moved_by_one),
    Kind.datetime: (a_second_is_lost, a_microsecond_is_lost, last_letter_is_lost),
    Kind.floats: (last_element_is_lost, rows_are_moved_by_one),
    Kind.bytes: (last_element_is_lost, rows_are_moved_by_one),
}
"""What may go wrong with values of a kind on their way into a FITS table; the first also with a whole product."""


def spoil_fits(monkeypatch, kind, wrong):
    honest = formats._CONVERTERS[kind]
    monkeypatch.setitem(formats._CONVERTERS, kind, lambda column, array: wrong(honest(column, array)))


def spoil_fill(monkeypatch, kind):
    """NULL becomes the largest value of the others."""
    honest = formats._CONVERTERS[kind]

    def wrong(column, array):
        values = np.array(honest(column, array))
        missing = array.is_null().to_numpy(zero_copy_only=False)
        if missing.any() and not missing.all():
            values[missing] = np.fmax.reduce(values[~missing], axis=0)
        return values

    monkeypatch.setitem(formats._CONVERTERS, kind, wrong)


def spoil_parquet(monkeypatch, kind):
    """The rows come in the opposite order."""
    honest = parquet._CONVERTERS[kind]
    turned = lambda column, array: honest(column, array).take(pa.array(np.arange(len(array))[::-1]))  # noqa: E731
    monkeypatch.setitem(parquet._CONVERTERS, kind, turned)


def check(folder) -> None:
    fits, twin = write_both(folder, rows().slice(0, 1000), rows().slice(1000))
    check_fits(
        fits, [ExpectedTable(COLUMNS, ROWS, "spectrum_pk", ordered=False, twin=twin)], label="mwmTargets"
    )


def assert_refused(folder, kind) -> None:
    named = "|".join(column.name for column in COLUMNS if column.definition.kind is kind)
    with pytest.raises(
        VerificationError, match=rf"HDU 1: column ({named}), row \d+: the FITS file has "
    ) as caught:
        check(folder)
    assert caught.value.check == TWIN


def test_what_is_converted_right_is_accepted(tmp_path):
    check(tmp_path)


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [(kind, wrong) for kind, each in SPOILT.items() for wrong in each],
    ids=lambda each: getattr(each, "__name__", None),
)
def test_values_that_are_spoilt_in_the_fits_file_are_found(tmp_path, monkeypatch, kind, wrong):
    spoil_fits(monkeypatch, kind, wrong)
    if wrong in (something_stands_behind_the_end, no_letter_of_a_boolean):
        with pytest.raises(
            VerificationError, match=r"rows 1 to \d+: the FITS file has bytes that are no value"
        ):
            check(tmp_path)
    else:
        assert_refused(tmp_path, kind)


@pytest.mark.parametrize("kind", STORED)
def test_a_wrong_fill_and_spoilt_parquet_values_are_found(tmp_path, monkeypatch, kind):
    for number, spoil in enumerate((spoil_fill, spoil_parquet)):
        folder = tmp_path / str(number)
        folder.mkdir()
        with monkeypatch.context() as patched:
            spoil(patched, kind)
            assert_refused(folder, kind)


def test_single_precision_that_is_too_coarse_is_found(tmp_path, monkeypatch):
    honest = formats.FitsColumn._narrow
    coarse = lambda self, values, field: honest(self, np.asarray(values).astype("f2").astype("f8"), field)  # noqa: E731
    monkeypatch.setattr(formats.FitsColumn, "_narrow", coarse)
    assert_refused(tmp_path, Kind.float32)


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory):
    database = filled_sqlite(tmp_path_factory.mktemp("database"))
    with database.begin() as connection:
        seen_by_sdss4 = Source.c.sdss_id == 1000 - SDSS4[0]
        connection.execute(update(table_of(Source)).where(seen_by_sdss4).values(sdss5_target_flags=None))
    return database


def files_of(folder) -> dict[str, str]:
    return {path.name: sha256sums.sha256(path) for path in folder.rglob("[!.]*") if path.is_file()}


@pytest.mark.parametrize("kind", STORED)
def test_a_product_that_is_spoilt_gets_no_name(sqlite, tmp_path, monkeypatch, kind):
    """Nor does one of its first rows only, beside which there is no Parquet file."""
    spoil_fits(monkeypatch, kind, SPOILT[kind][0])
    for limit in (None, 7):
        with pytest.raises(
            VerificationError, match=r"^mwmAllVisit.*: .* not put in place: HDU 1: "
        ) as caught:
            write(MWM_ALL_VISIT, sqlite, tmp_path, limit=limit)
        # identifiers are integers, too, and their order may be what is seen first
        assert caught.value.check in ((TWIN, KEYS) if kind is Kind.int64 else (TWIN,))
    assert files_of(tmp_path) == {}


def test_the_old_files_stay_and_a_sample_is_not_made_anew(sqlite, tmp_path, monkeypatch):
    made = write(MWM_ALL_VISIT, sqlite, tmp_path)
    before = files_of(tmp_path)
    spoil_fits(monkeypatch, Kind.text, last_letter_is_lost)
    with pytest.raises(VerificationError, match="was not put in place"):
        write(MWM_ALL_VISIT, sqlite, tmp_path, force=True)
    assert files_of(tmp_path) == before
    sample = made.files[3]
    sample.write_bytes(gzip.compress(b"damaged"))
    with pytest.raises(
        VerificationError, match=rf"{sample.name}: .* column .*: the FITS file has "
    ) as caught:
        write(MWM_ALL_VISIT, sqlite, tmp_path)
    assert caught.value.check == TWIN


def test_the_rows_of_the_product_have_values_and_null_of_every_kind(sqlite):
    """Else the tests above would show little."""
    found = set()
    for table in ProductRows(MWM_ALL_VISIT, sqlite.look(), "0.8.1").tables:
        found_rows = sqlite.arrow_table(table.query)
        found |= {
            column.definition.kind
            for column in table.columns
            if 0 < found_rows[column.name].null_count < len(found_rows)
        }
    assert found == set(STORED)
