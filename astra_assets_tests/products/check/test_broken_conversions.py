"""A conversion that is wrong is found before a file gets its name, whichever file it spoils."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from sqlalchemy import update

from astra_assets.database.database import Database
from astra_assets.files import manifest
from astra_assets.fits import formats
from astra_assets.models.base import table_of
from astra_assets.models.source import Source
from astra_assets.products.findings import KEYS, TWIN, VerificationError
from astra_assets.products.rows import ProductRows
from astra_assets.products.summary import MWM_ALL_VISIT
from astra_assets.products.write import parquet
from astra_assets.registry.kinds import Kind
from astra_assets_tests.products.samples import SDSS4, filled_sqlite, write

NUMBERS = (Kind.int32, Kind.int64, Kind.bits, Kind.float32, Kind.float64)
"""Kinds whose values have several bytes."""
LISTS = (Kind.floats, Kind.bytes)


def last_letter_is_lost(values):
    return np.where(np.cumsum(values[:, ::-1] != 0, axis=1)[:, ::-1] == 1, 0, values).astype("u1")


def first_letter_is_lost(values):
    return np.concatenate([values[:, 1:], np.zeros((len(values), 1), "u1")], axis=1)


def something_stands_behind_the_end(values):
    values = values.copy()
    values[(values[:, :1] == 0).ravel(), -1] = ord("x")
    return values


def bytes_are_swapped(values):
    narrow = values.astype("f4") if values.dtype.kind == "f" else values
    return narrow.byteswap()


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


WRONG = [
    *(
        (Kind.text, wrong)
        for wrong in (last_letter_is_lost, first_letter_is_lost, something_stands_behind_the_end)
    ),
    *((kind, wrong) for kind in NUMBERS for wrong in (bytes_are_swapped, rows_are_moved_by_one)),
    *((Kind.boolean, wrong) for wrong in (all_are_inverted, no_letter_of_a_boolean)),
    *((Kind.datetime, wrong) for wrong in (a_second_is_lost, a_microsecond_is_lost, last_letter_is_lost)),
    *((kind, last_element_is_lost) for kind in LISTS),
]


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory):
    database = filled_sqlite(tmp_path_factory.mktemp("database"))
    with database.begin() as connection:
        seen_by_sdss4 = Source.c.sdss_id == 1000 - SDSS4[0]
        connection.execute(update(table_of(Source)).where(seen_by_sdss4).values(sdss5_target_flags=None))
    return database


def files_of(folder) -> dict[str, str]:
    return {path.name: manifest.sha256(path) for path in folder.rglob("[!.]*") if path.is_file()}


def refused(database: Database, folder) -> str:
    """Write a product that must not be written; returns why."""
    before = files_of(folder)
    with pytest.raises(VerificationError) as caught:
        write(MWM_ALL_VISIT, database, folder, force=True)
    assert files_of(folder) == before
    assert caught.value.check in (TWIN, KEYS)
    return str(caught.value)


@pytest.mark.parametrize(("kind", "wrong"), WRONG, ids=lambda each: getattr(each, "__name__", each))
def test_fits_values_that_are_spoilt(sqlite, tmp_path, monkeypatch, kind, wrong):
    honest = formats._CONVERTERS[kind]
    monkeypatch.setitem(formats._CONVERTERS, kind, lambda column, array: wrong(honest(column, array)))
    # Identifiers are integers, and looked at before the other values.
    said = "follows" if kind is Kind.int64 else "the FITS file has "
    assert said in refused(sqlite, tmp_path)


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.pixels])
def test_null_is_filled_with_something_else(sqlite, tmp_path, monkeypatch, kind):
    """Each kind has a column with NULL; it gets the value of another row."""
    honest = formats._CONVERTERS[kind]

    def wrong(column, array):
        values = np.array(honest(column, array))
        missing = array.is_null().to_numpy(zero_copy_only=False)
        if missing.any() and not missing.all():
            values[missing] = values[~missing][0]
        return values

    monkeypatch.setitem(formats._CONVERTERS, kind, wrong)
    assert "the FITS file has " in refused(sqlite, tmp_path)


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.pixels])
def test_parquet_values_that_are_spoilt(sqlite, tmp_path, monkeypatch, kind):
    honest = parquet._CONVERTERS[kind]

    def wrong(column, array):
        """The rows in the opposite order."""
        return honest(column, array).take(pa.array(np.arange(len(array))[::-1]))

    monkeypatch.setitem(parquet._CONVERTERS, kind, wrong)
    assert "the FITS file has " in refused(sqlite, tmp_path)


def test_a_conversion_that_was_right_once_leaves_the_old_files(sqlite, tmp_path, monkeypatch):
    made = write(MWM_ALL_VISIT, sqlite, tmp_path)
    honest = formats._CONVERTERS[Kind.text]
    monkeypatch.setitem(
        formats._CONVERTERS, Kind.text, lambda column, array: last_letter_is_lost(honest(column, array))
    )
    assert "mwmAllVisit: the file just written is not right and was not put in place: HDU 1" in refused(
        sqlite, tmp_path
    )
    assert manifest.sha256(made.path) == made.sha256


def test_single_precision_that_is_too_coarse(sqlite, tmp_path, monkeypatch):
    honest = formats.FitsColumn._narrow

    def wrong(self, values, field):
        honest(self, np.asarray(values).astype("f2").astype("f8"), field)

    with np.errstate(over="ignore"):
        monkeypatch.setattr(formats.FitsColumn, "_narrow", wrong)
        assert "the FITS file has " in refused(sqlite, tmp_path)


def test_the_rows_have_values_and_null_of_every_kind(sqlite):
    """Else the tests above would show nothing."""
    found = set()
    for table in ProductRows(MWM_ALL_VISIT, sqlite.look(), "0.8.1").tables:
        rows = sqlite.arrow_table(table.query)
        found |= {
            column.definition.kind for column in table.columns if 0 < rows[column.name].null_count < len(rows)
        }
    assert found == set(Kind) - {Kind.pixels}
