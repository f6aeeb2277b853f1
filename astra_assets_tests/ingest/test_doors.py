"""Bad values at every door: one row is refused or mended, the others come in exactly, and products can be written."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from astropy.table import Table

from astra_assets.ingest.apogee.apogee_columns import ALL_STAR, ALL_VISIT
from astra_assets.ingest.apogee.summary_files import SummaryFile, ingest_summary
from astra_assets.ingest.boss.header_cards import read_header
from astra_assets.ingest.boss.spall import VISITS, ingest_spall
from astra_assets.ingest.report import IngestError
from astra_assets.ingest.sources.catalog import ingest_catalogs
from astra_assets.ingest.sources.derived import SOURCES
from astra_assets.products.summary import MWM_TARGETS
from astra_assets_tests.ingest.apogee_samples import APRED, star_rows, visit_rows
from astra_assets_tests.ingest.samples import (
    RUN2D,
    content,
    spall_rows,
    write_spall,
    write_spec_full,
    write_table,
)
from astra_assets_tests.products.samples import write

IDS = [4620117988099982219, 3585313813418330661, 4000000000000000001, 4000000000000000003]
"""Identifiers that double precision cannot hold."""

BAD = {
    "an angle out of all range": ("ra", -999.0, "ra is -999.0, expected 0 to 360 degrees"),
    "a latitude beyond the pole": ("dec", 90.5, "dec is 90.5, expected -90 to 90 degrees"),
    "more than single precision": ("g_mag", 1e39, "g_mag is 1e+39, expected a number of single precision"),
    "less than single precision": ("g_mag", -1e39, "g_mag is -1e+39, expected a number of single precision"),
    "letters outside ASCII": ("lead", "ga\u00efa", "lead is 'ga\u00efa', expected at most 1000 characters"),
    "a control character": ("lead", "ga\tia", r"lead is 'ga\tia', expected at most 1000 characters"),
    "a long text": ("lead", "x" * 1001, "(1003 characters), expected at most 1000 characters"),
    "a long integer": ("n_associated", 2**31, "n_associated is 2147483648, expected a whole number of 32"),
}


def write_catalogue(kind, path, columns):
    """A catalogue of lists."""
    if kind == "parquet":
        pyarrow.parquet.write_table(pa.table(columns), path)
    elif kind == "csv":
        rows = zip(*columns.values(), strict=True)
        lines = [",".join(columns), *(",".join(str(value) for value in row) for row in rows)]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    elif kind == "ecsv":
        Table(columns).write(path, format="ascii.ecsv")
    else:
        arrays = {name: np.array(values) for name, values in columns.items()}
        encoded = {n: np.char.encode(a, "utf-8") if a.dtype.kind == "U" else a for n, a in arrays.items()}
        write_table(path, encoded)
    return path


def with_bad(column, row, value):
    """A column of a summary file with a bad value in one row, as text or in double precision."""
    if not isinstance(value, str):
        changed = column.astype(np.float64)
        changed[row] = value
        return changed
    words = [each.decode() if isinstance(each, bytes) else str(each) for each in column.tolist()]
    words[row] = value
    return np.char.encode(np.array(words), "utf-8")


def catalogue():
    return {
        "sdss_id": [1, 2, 3, 4],
        "gaia_dr3_source_id": list(IDS),
        "n_associated": [1, 1, 1, 1],
        "ra": [10.0, 20.0, 30.0, 40.0],
        "dec": [1.0, 2.0, 3.0, 4.0],
        "g_mag": [15.0, 16.0, 17.0, 18.0],
        "lead": ["gaia", "tic", "gaia", "tic"],
    }


def gaia_ids(database):
    return {row["sdss_id"]: row["gaia_dr3_source_id"] for row in content(database, SOURCES)}


@pytest.mark.parametrize("kind", ["fits", "parquet", "csv", "ecsv"])
@pytest.mark.parametrize("bad", BAD)
def test_a_bad_value_costs_its_row_of_a_catalogue_and_no_other(sqlite, tmp_path, kind, bad):
    name, value, reason = BAD[bad]
    columns = catalogue()
    columns[name][2] = value
    path = write_catalogue(kind, tmp_path / f"catalog.{kind}", columns)
    [report] = ingest_catalogs(sqlite, [path])
    assert (report.added, report.n_refused, report.n_mended) == (3, 1, 0)
    [refusal] = map(str, report.refused)
    assert refusal.startswith(f"{path}, row 3: ")
    assert reason.replace("'", "") in refusal.replace("'", "")  # numbers of CSV files are words
    assert gaia_ids(sqlite) == {1: IDS[0], 2: IDS[1], 4: IDS[3]}


@pytest.mark.parametrize("kind", ["fits", "parquet", "csv", "ecsv"])
def test_a_right_ascension_less_than_a_turn_off_is_wrapped_and_counted(sqlite, tmp_path, kind):
    columns = catalogue()
    columns["ra"][1] = -10.0
    path = write_catalogue(kind, tmp_path / f"catalog.{kind}", columns)
    [report] = ingest_catalogs(sqlite, [path])
    assert (report.added, report.n_refused, report.n_mended) == (4, 0, 1)
    assert str(report.mended[0]) == f"{path}, row 2: ra -10.0 became 350.0"
    assert "1 values mended (ra 1)" in report.summary()
    assert [row["ra"] for row in content(sqlite, SOURCES)] == [10.0, 350.0, 30.0, 40.0]


def test_whatever_comes_in_can_be_written_to_a_product(sqlite, tmp_path):
    for number, (name, value, _) in enumerate([*BAD.values(), ("ra", -10.0, ""), ("ra", math.inf, "")]):
        columns = catalogue()
        columns["sdss_id"] = [10 * number + row for row in range(4)]
        columns["gaia_dr3_source_id"] = [IDS[row] + 10 * number for row in range(4)]
        columns[name][2] = value
        ingest_catalogs(sqlite, [write_catalogue("parquet", tmp_path / f"{number}.parquet", columns)])
    assert len(content(sqlite, SOURCES)) == 31
    write(MWM_TARGETS, sqlite, tmp_path / "products")


@pytest.mark.parametrize(
    ("word", "expected"),
    [("unknown", None), ("12.0", 12), ("4620117988099982219.0", None), ("4.6e18", None), ("0x10", None),
     ("1_000", None), ("99999999999999999999999", None), ("+7", 7), ("", "NULL"), ("-1", "NULL"), ("9.5", None)],
)  # fmt: skip
def test_one_word_for_an_identifier_never_changes_the_others(sqlite, tmp_path, word, expected):
    path = tmp_path / "catalog.csv"
    path.write_text(f"sdss_id,gaia_dr3_source_id\n1,{IDS[0]}\n2,{IDS[1]}\n3,{word}\n")
    [report] = ingest_catalogs(sqlite, [path])
    found = gaia_ids(sqlite)
    assert (found.pop(1), found.pop(2)) == (IDS[0], IDS[1])
    assert found == ({} if expected is None else {3: None if expected == "NULL" else expected})
    assert [refusal.row for refusal in report.refused] == ([3] if expected is None else [])


@pytest.mark.parametrize(
    ("kind", "dtype", "limit"),
    [
        *((kind, np.float64, 2**53) for kind in ("fits", "parquet", "csv", "ecsv")),
        *((kind, np.float32, 2**24) for kind in ("fits", "parquet", "ecsv")),  # a CSV file has no precision
    ],
)
def test_identifiers_in_floating_point_are_taken_only_where_they_are_exact(
    sqlite, tmp_path, kind, dtype, limit
):
    numbers = np.array([12.0, limit - 1, limit, limit * 4], dtype)
    path = tmp_path / f"catalog.{kind}"
    if kind == "parquet":
        pyarrow.parquet.write_table(pa.table({"sdss_id": [1, 2, 3, 4], "gaia_dr3_source_id": numbers}), path)
    else:
        columns = {"sdss_id": np.arange(1, 5), "gaia_dr3_source_id": numbers}
        write_table(path, columns) if kind == "fits" else Table(columns).write(path, format=f"ascii.{kind}")
    [report] = ingest_catalogs(sqlite, [path])
    assert gaia_ids(sqlite) == {1: 12, 2: limit - 1}
    assert [refusal.row for refusal in report.refused] == [3, 4]
    assert "gaia_dr3_source_id" in report.refused[0].reason


@pytest.mark.parametrize(
    ("name", "value"),
    [("XCSAO_RV", 1e39), ("AIRMASS", -1e300), ("SPEC_FILE", "spec-\u00ef.fits"), ("OBS", "L\u00d6O"),
     ("DELTA_RA_LIST", "0 1e39"), ("DELTA_DEC_LIST", "0 1e400"), ("MOON_DIST", "1e39"), ("NEXP", 2.0**31),
     ("CATALOGID", "unknown"), ("CATALOGID", "27021597764222939.0"), ("MJD", 2.0**53), ("ZWARNING", 2.0**60)],
)  # fmt: skip
def test_a_bad_value_costs_its_row_of_spall_and_no_other(sqlite, tmp_path, name, value):
    columns = spall_rows(6)
    columns["CATALOGID"] += 2**55
    exact = columns["CATALOGID"].tolist()
    columns[name] = with_bad(columns[name], 3, value)
    path = write_spall(tmp_path / "spAll.fits", columns)
    report = ingest_spall(sqlite, path, run2d=RUN2D, sas_base_dir=tmp_path)
    assert [(refusal.row, name in refusal.reason) for refusal in report.refused] == [(4, True)]
    assert [row["catalogid"] for row in content(sqlite, VISITS)] == exact[:3] + exact[4:]


BAD_IN_A_SUMMARY = [
    ("SNR", 1e39), ("FIELD", "caf\u00e9"), ("APOGEE_ID", "2M\u00ef"), ("SDSS_ID", 2.0**53), ("SDSS_ID", "x"),
    ("CATALOGID", 2.0**54), ("N_COMPONENTS", 1.5),
]  # fmt: skip
SUMMARY_ROWS = {ALL_VISIT.name: visit_rows(2, 2), ALL_STAR.name: star_rows(4)}


@pytest.mark.parametrize(
    ("summary", "name", "value"),
    [
        pytest.param(summary, name, value, id=f"{summary.name}-{name}-{value}")
        for summary in (ALL_VISIT, ALL_STAR)
        for name, value in BAD_IN_A_SUMMARY
        if name in SUMMARY_ROWS[summary.name]
    ],
)
def test_a_bad_value_costs_its_row_of_an_apogee_summary_and_no_other(sqlite, tmp_path, summary, name, value):
    columns = dict(SUMMARY_ROWS[summary.name])
    columns[name] = with_bad(columns[name], 2, value)
    path = write_table(tmp_path / "summary.fits", columns)
    report = ingest_summary(sqlite, SummaryFile(summary, path, APRED))
    if (summary, name) == (ALL_STAR, "FIELD"):  # no part of the row
        assert (report.added, report.n_refused) == (4, 0)
        return
    assert [(refusal.row, name in refusal.reason) for refusal in report.refused] == [(3, True)]
    assert report.added == 3


@pytest.mark.parametrize("summary", [ALL_VISIT, ALL_STAR], ids=lambda summary: summary.name)
def test_columns_that_an_apogee_summary_lacks_are_named_in_one_note(sqlite, tmp_path, summary):
    columns = visit_rows() if summary is ALL_VISIT else star_rows()
    del columns["SNR"]
    path = write_table(tmp_path / "summary.fits", columns)
    report = ingest_summary(sqlite, SummaryFile(summary, path, APRED))
    assert report.n_refused == 0
    [note] = report.notes
    assert note.startswith(f"{path}: has no ")
    assert "SNR" in note
    assert "VRAD" not in note.replace("XCORR_VRAD", "")


def test_header_cards_that_a_column_cannot_hold_are_no_value(tmp_path):
    path = write_spec_full(tmp_path / "spec.fits", AIRMASS=1e39, **{"TAI-BEG": 2.0**53, "NGUIDE": 2**31})
    found = read_header(path)
    assert (found["airmass"], found["tai_beg"], found["n_guide"]) == (None, None, -1)
    assert found["alt"] == 65.5


def test_a_wide_table_without_the_wanted_columns_is_told_by_names_that_are_alike(sqlite, tmp_path):
    columns = {f"COLUMN_{number}": np.arange(2) for number in range(100)} | {"CATALOG_ID": np.arange(2)}
    path = write_table(tmp_path / "spAll.fits", columns)
    with pytest.raises(IngestError, match=r"found HDU 1: 101 columns, among them CATALOG_ID$"):
        ingest_spall(sqlite, path, run2d=RUN2D, sas_base_dir=tmp_path)
