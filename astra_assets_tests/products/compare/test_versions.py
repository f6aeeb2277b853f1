"""Two versions of a product compared: rows, columns, drift, missing values, flags; from Parquet or from FITS."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io.fits import Header
from sqlalchemy import delete, update

from astra_assets.fits.read_back import dtype_of
from astra_assets.models.base import table_of
from astra_assets.models.boss import BossVisitSpectrum
from astra_assets.models.source import Source
from astra_assets.products.bundle import bundle_of
from astra_assets.products.compare.diff_report import report
from astra_assets.products.compare.tabular import tables_of
from astra_assets.products.compare.versions import compare_versions
from astra_assets.products.show.preview import preview
from astra_assets.products.summary import MWM_ALL_VISIT, MWM_TARGETS, flags_of
from astra_assets.registry.kinds import Definition, Kind
from astra_assets_tests.products.samples import STAR, write

DEFINITIONS = {
    "sdss_id": Definition(Kind.int64, "Identifier", None, "meta.id;meta.main"),
    "teff": Definition(Kind.float32, "Temperature", "K"),
    "flag": Definition(Kind.bits, "Flags"),
}


def table(path, **columns):
    pq.write_table(pa.table(columns), path)
    return path


def compared(tmp_path, old: dict, new: dict):
    paths = (tmp_path / "old.fits.gz", tmp_path / "new.fits.gz")
    files = ([table(tmp_path / "old.parquet", **old)], [table(tmp_path / "new.parquet", **new)])
    return compare_versions(MWM_TARGETS, paths, files, DEFINITIONS)


def stars(count: int, start: int = 0, **more) -> dict:
    rng = np.random.default_rng(1)
    keys = pa.array(np.arange(start, start + count), pa.int64())
    return {"sdss_id": keys, "teff": rng.normal(5000, 100, count).astype("f4"), **more}


def test_the_same_is_the_same(tmp_path):
    found = compared(tmp_path, stars(100), stars(100))
    (only,) = found.tables
    assert (only.added, only.lost, only.drifts[0].changed, found.warnings) == (0, 0, 0, [])
    assert "Nothing moved much." in report(found)


def test_rows_are_matched_by_key_in_any_order(tmp_path):
    new = stars(100, 10)
    new = {name: np.asarray(values)[::-1] for name, values in new.items()}
    (only,) = compared(tmp_path, stars(100), new).tables
    assert (only.added, only.lost) == (10, 10)
    assert only.lost_keys == tuple(range(10))
    assert only.added_keys == tuple(range(100, 110))
    assert only.drifts[0].changed == 90, "each star has the value of another"


def test_a_shift_of_the_median_is_told_in_units_of_the_scatter(tmp_path):
    old, new = stars(10_000), stars(10_000)
    new["teff"] = new["teff"] + 200
    found = compared(tmp_path, old, new)
    drift = found.tables[0].drifts[0]
    assert drift.shift == pytest.approx(2, rel=0.05)
    assert drift.changed == 10_000
    assert drift.values[1].mean - drift.values[0].mean == pytest.approx(200, rel=0.01)
    assert found.warnings == ["HDU 1 (Sources): teff: the median moved by +2 times the scatter"]
    assert "| teff | 0.00% | 10,000 | +2 σ |" in report(found)


def test_a_small_shift_is_shown_and_warns_not(tmp_path):
    old, new = stars(1000), stars(1000)
    new["teff"] = new["teff"] + 20
    found = compared(tmp_path, old, new)
    assert found.warnings == []
    assert "| teff |" in report(found)


def test_missing_values_are_nan_null_and_fills_alike(tmp_path):
    old = stars(100, g=pa.array([None] * 10 + [1.0] * 90), n=pa.array([-1] * 20 + [3] * 80), t=["a"] * 100)
    new = stars(
        100, g=np.r_[[np.nan] * 10, [1.0] * 90], n=pa.array([None] * 20 + [3] * 80), t=[""] * 30 + ["a"] * 70
    )
    found = compared(tmp_path, old, new)
    missing = {drift.name: drift.missing for drift in found.tables[0].drifts}
    assert missing["g"] == (0.1, 0.1)
    assert missing["n"] == (0.2, 0.2)
    assert missing["t"] == (0.0, 0.3)
    assert "HDU 1 (Sources): t: 0.0% -> 30.0% missing" in found.warnings


def test_flags_are_told_bit_by_bit_with_their_names(tmp_path):
    old = stars(100, flag=pa.array([0] * 90 + [1] * 10))
    new = stars(100, flag=pa.array([0] * 50 + [1] * 10 + [2] * 40))
    found = compared(tmp_path, old, new)
    rates = next(drift.rates for drift in found.tables[0].drifts if drift.name == "flag")
    assert rates == {"bit 0": (0.1, 0.1), "bit 1": (0.0, 0.4)}
    assert found.warnings == ["HDU 1 (Sources): flag, bit 1: 0.0% -> 40.0% of the rows"]
    assert "| flag | bit 1 | 0.000% | 40.000% |" in report(found)


def test_classes_are_told_and_names_are_not(tmp_path):
    names = [f"star {n}" for n in range(100)]
    found = compared(
        tmp_path,
        stars(100, kind=["DA"] * 60 + ["DB"] * 40, name=names),
        stars(100, kind=["DA"] * 50 + ["DB"] * 50, name=names),
    )
    rates = {drift.name: dict(drift.rates) for drift in found.tables[0].drifts}
    assert rates["kind"] == {"DA": (0.6, 0.5), "DB": (0.4, 0.5)}
    assert rates["name"] == {}


def test_columns_and_formats_that_differ_are_told(tmp_path):
    old, new = stars(10, gone=[1] * 10, x=np.ones(10, "f4")), stars(10, came=[1] * 10, x=np.ones(10, "f8"))
    found = compared(tmp_path, old, new)
    (only,) = found.tables
    assert (only.new_columns, only.lost_columns, only.formats) == (
        ("came",),
        ("gone",),
        {"x": ("single", "double")},
    )
    assert next(drift.changed for drift in only.drifts if drift.name == "x") == 0
    assert found.warnings == [
        "HDU 1 (Sources): columns are lost: gone",
        "HDU 1 (Sources): x: format single -> double",
    ]


def test_many_lost_rows_warn_and_identifiers_have_no_distribution(tmp_path):
    found = compared(
        tmp_path, stars(100, source_id=pa.array(range(100))), stars(50, source_id=pa.array(range(50)))
    )
    assert "HDU 1 (Sources): 50 of 100 rows are lost" in found.warnings


def test_a_table_without_rows_can_be_compared(tmp_path):
    empty = {
        "sdss_id": pa.array([], pa.int64()),
        "teff": pa.array([], pa.float32()),
        "flag": pa.array([], pa.int64()),
    }
    found = compared(tmp_path, empty, stars(10, flag=[0] * 10))
    assert (found.tables[0].added, found.tables[0].lost) == (10, 0)
    assert "0 rows -> 10 rows" in report(found)
    assert compared(tmp_path, empty, empty).warnings == []


def test_fits_files_compare_as_their_parquet_twins_do(sqlite, tmp_path):
    old = write(MWM_ALL_VISIT, sqlite, tmp_path, v_astra="0.8.0")
    visit = table_of(BossVisitSpectrum)
    with sqlite.begin() as connection:
        connection.execute(delete(visit).where(visit.c.source_pk == 3))
        connection.execute(update(visit).values(airmass=5000.0, modified=visit.c.created))
    new = write(MWM_ALL_VISIT, sqlite, tmp_path)
    assert (new.diff.old, new.diff.new) == (old.path, new.path)
    found = []
    for twins in (True, False):
        bundles = [bundle_of(MWM_ALL_VISIT, each.path) for each in (old, new)]
        if not twins:
            for bundle in bundles:
                bundle.parquet[0].unlink()
        with tables_of(bundles[0]) as first, tables_of(bundles[1]) as second:
            paths = (old.path, new.path)
            found.append(compare_versions(MWM_ALL_VISIT, paths, (first, second), {"ra": DEFINITIONS["teff"]}))
    assert found[0] == found[1]
    boss, apogee = found[0].tables
    assert (boss.added, boss.lost) == (0, 2)
    assert (apogee.added, apogee.lost) == (0, 0)
    assert {drift.name for drift in boss.drifts if drift.changed} == {"airmass"}
    assert any("airmass: the median moved" in text for text in new.diff.warnings)


def test_arrays_of_one_element_are_arrays_in_fits_files_too():
    """As wide as the longest value: a table without rows has them, and its Parquet file has lists."""
    cards = {"TTYPE1": "bits", "TFORM1": "1B", "TDIM1": "(1)", "TTYPE2": "flag", "TFORM2": "1B"}
    assert dtype_of(Header({"TFIELDS": 2} | cards)) == np.dtype([("bits", "u1", (1,)), ("flag", "u1")])


def test_the_first_version_and_what_is_left_alone_are_not_compared(sqlite, tmp_path):
    assert write(MWM_TARGETS, sqlite, tmp_path).diff is None
    assert write(MWM_TARGETS, sqlite, tmp_path).diff is None
    assert write(MWM_TARGETS, sqlite, tmp_path, limit=3).diff is None
    again = write(MWM_TARGETS, sqlite, tmp_path, force=True)
    assert again.diff.warnings == []
    assert again.diff.old == again.diff.new == again.path


def test_the_preview_shows_keys_and_what_a_pipeline_found(sqlite, tmp_path):
    result = write(STAR, sqlite, tmp_path)
    shown = preview(STAR, [path for path in result.files if path.suffix == ".parquet"]).splitlines()
    assert shown[0].startswith("| sdss_id | spectrum_pk | teff | snr | colour |")
    assert 3 <= len(shown) <= 12
    sources = write(MWM_TARGETS, sqlite, tmp_path)
    text = preview(MWM_TARGETS, [sources.files[1]])
    assert text.splitlines()[0] == "| sdss_id | ra | dec | g_mag | n_boss_visits | n_apogee_visits |"
    assert len(text.splitlines()) == 12
    assert preview(MWM_TARGETS, [tmp_path / "none.parquet"]) is None


def test_flags_of_a_product_are_found_by_the_names_of_its_columns():
    assert [flag.name for flag in flags_of(STAR)["result_flags"]] == ["low_snr"]
    assert "spectrum_flags" in flags_of(MWM_ALL_VISIT)


def test_nothing_is_said_of_tables_that_are_not_there(sqlite, tmp_path):
    source = table_of(Source)
    with sqlite.begin() as connection:
        connection.execute(update(source).values(n_boss_visits=0, n_apogee_visits=0))
    assert preview(MWM_TARGETS, [write(MWM_TARGETS, sqlite, tmp_path).files[1]]) is None
