"""Tables of results in every format, whole, broken off, and not what they should be; and the rows in them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import Table

from astra_assets.compute.program.judge import Judge
from astra_assets.compute.program.tables import TableError, read_results
from astra_assets.compute.rows import ResultShape
from astra_assets.models.base import utcnow
from astra_assets.pipelines.base import WorkContext
from astra_assets.spectra.base import Roots
from astra_assets_tests.compute.program.samples import PROGRAM, STEP

COLUMNS = {
    "spectrum_pk": np.arange(1, 6),
    "median_flux": np.array([1.5, 2.5, np.nan, 4.5, 5.5], dtype=np.float32),
    "n_pixels": np.ma.MaskedArray([1, 2, 3, 4, 5], mask=[False, False, False, True, False], dtype=np.int32),
    "comment": np.array(["a", "bb", "", "d", "e"]),
}
ITEMS = {key: {"spectrum_pk": key, "source_pk": 10 + key, "snr": 9.0} for key in range(1, 6)}


def write(path, form, columns=COLUMNS):
    table = Table(dict(columns))
    if form == "parquet":
        values = {name: column.tolist() for name, column in columns.items()}
        pq.write_table(pa.table(values), path)
    elif form == "csv":
        table.write(path, format="ascii.csv")
    else:
        table.write(path, format={"ecsv": "ascii.ecsv", "fits": "fits"}[form])
    return path


@pytest.fixture
def judge(tmp_path):
    return Judge(ResultShape(PROGRAM, STEP, WorkContext(Roots(tmp_path, tmp_path), "0.8.1", utcnow())))


@pytest.mark.parametrize("form", ["parquet", "fits", "ecsv", "csv"])
def test_a_table_means_the_same_in_every_format(tmp_path, judge, form):
    table = read_results(write(tmp_path / f"results.{form}", form), form, whole=True)
    verdict = Judge(judge.shape, as_text=form == "csv").judge(table, ITEMS, seconds_each=0.5)
    assert verdict.failures == []
    found = [
        (row["spectrum_pk"], row["source_pk"], row["median_flux"], row["n_pixels"]) for row in verdict.results
    ]
    assert found == [(1, 11, 1.5, 1), (2, 12, 2.5, 2), (3, 13, None, 3), (4, 14, 4.5, None), (5, 15, 5.5, 5)]
    assert [row["result_flags"] for row in verdict.results] == [1, 0, 0, 0, 0]
    assert {row["t_elapsed"] for row in verdict.results} == {0.5}
    assert (verdict.results[1]["comment"], verdict.results[0]["v_astra"]) == ("bb", 8001)


@pytest.mark.parametrize(("form", "rows"), [("fits", 3), ("ecsv", 3), ("csv", 3)])
def test_of_a_table_that_breaks_off_whole_rows_are_read(tmp_path, form, rows):
    path = write(tmp_path / f"results.{form}", form)
    with fits.open(path) if form == "fits" else path.open() as stream:
        if form == "fits":
            end = stream[1].fileinfo()["datLoc"] + 3 * stream[1].header["NAXIS1"] + 5
        else:
            text = stream.read()
            end = text.index("4,4.5" if form == "csv" else "4 4.5") + 3
    with path.open("r+b") as stream:
        stream.truncate(end)
    assert (
        read_results(path, form, whole=False)["spectrum_pk"].to_pylist()[:rows] == [*map(str, (1, 2, 3))]
        if form == "csv"
        else [1, 2, 3]
    )
    assert read_results(path, form, whole=False).num_rows == rows
    if form == "fits":
        with pytest.raises(TableError, match=r"results\.fits breaks off after 3 of 5 rows"):
            read_results(path, form, whole=True)


@pytest.mark.parametrize("form", ["parquet", "fits", "ecsv", "csv"])
@pytest.mark.parametrize(
    "content", [None, b"", b"\x00\xff nothing of the kind\n"], ids=["missing", "empty", "other"]
)
def test_what_is_no_table_is_refused_by_name(tmp_path, form, content):
    path = tmp_path / f"results.{form}"
    if content is not None:
        path.write_bytes(content)
    for whole in (True, False):
        with pytest.raises(TableError, match=rf"results\.{form} "):
            read_results(path, form, whole=whole)


def test_columns_that_differ_in_case_only_are_refused(tmp_path):
    path = write(
        tmp_path / "results.csv",
        "csv",
        {"spectrum_pk": COLUMNS["spectrum_pk"], "SPECTRUM_PK": COLUMNS["spectrum_pk"]},
    )
    with pytest.raises(TableError, match="has the column spectrum_pk more than once"):
        read_results(path, "csv", whole=True)


def test_rows_of_a_csv_file_with_other_fields_are_left_out(tmp_path, caplog):
    path = tmp_path / "results.csv"
    path.write_text("spectrum_pk,median_flux\n1,2\n2,3,4\n3\n4,5\n")
    assert read_results(path, "csv", whole=True)["spectrum_pk"].to_pylist() == ["1", "4"]
    assert "2 rows do not have 2 fields" in caplog.text


def test_a_table_that_is_not_for_the_step_is_refused(judge):
    with pytest.raises(TableError, match="no column spectrum_pk, by which inputs are known; they have: teff"):
        judge.judge(pa.table({"teff": [1.0]}), ITEMS)
    with pytest.raises(TableError, match=r"no column of SampleFlux; there are: .*median_flux"):
        judge.judge(pa.table({"spectrum_pk": [1], "flux": [1.0]}), ITEMS)


def test_unknown_columns_are_left_out_and_those_of_the_engine_are_its_own(judge, caplog):
    table = pa.table(
        {"spectrum_pk": [1], "median_flux": [9.0], "teff": [5000.0], "v_astra": [7], "created": ["now"]}
    )
    (row,) = judge.judge(table, ITEMS).results
    assert (row["v_astra"], "created" in row) == (8001, False)
    assert "columns of the results that SampleFlux does not have are left out: teff" in caplog.text


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"median_flux": "5000"}, "SampleFlux.median_flux holds float32, found the text '5000'"),
        ({"median_flux": True}, "SampleFlux.median_flux holds float32, found the boolean True"),
        ({"median_flux": -np.inf}, "SampleFlux.median_flux must be finite or missing, found -inf"),
        ({"n_pixels": 2**40}, "SampleFlux.n_pixels holds int32"),
        ({"n_pixels": 1.5}, "SampleFlux.n_pixels holds int32"),
        ({"n_pixels": [1, 2]}, "SampleFlux.n_pixels holds int32"),
        ({"n_pixels": np.float32(2**24)}, "SampleFlux.n_pixels holds int32"),
        (
            {"result_flags": 2.0**53},
            "SampleFlux.result_flags holds bits, found 9007199254740992.0: as a decimal",
        ),
        (
            {"median_flux": 1e39},
            "SampleFlux.median_flux holds float32, found 1e+39: expected a number of single",
        ),
        ({"comment": 5}, "SampleFlux.comment holds text"),
        (
            {"comment": "caf\u00e9"},
            "SampleFlux.comment holds text, found 'caf\u00e9': expected at most 1000 charac",
        ),
        ({"comment": "two\nlines"}, "SampleFlux.comment holds text"),
        ({"comment": "x" * 1001}, "SampleFlux.comment holds text"),
        ({"source_pk": 99}, "the result has source_pk 99, its input 11"),
    ],
)
def test_a_value_that_does_not_fit_is_told_with_its_column(judge, values, message):
    table = pa.table(
        {"spectrum_pk": [1], "median_flux": [9.0]} | {name: [value] for name, value in values.items()}
    )
    verdict = judge.judge(table, ITEMS)
    assert verdict.results == []
    assert verdict.failures[0]["code"] == "invalid_value"
    assert verdict.failures[0]["message"].startswith(message)


def test_keys_in_single_precision_name_no_input_where_they_may_have_been_rounded(judge):
    items = {2**24: {"spectrum_pk": 2**24, "source_pk": 1}}
    table = pa.table({"spectrum_pk": np.array([2**24 + 1], np.float32), "median_flux": [9.0]})
    verdict = judge.judge(table, items)
    assert (verdict.results, verdict.strangers) == ([], ["16777216.0"])


def test_keys_that_are_no_input_are_strangers_and_rows_twice_are_no_result(judge):
    table = pa.table({"spectrum_pk": [1.0, 2.0, 2.0, 77.0, None, 2.5], "median_flux": 6 * [9.0]})
    verdict = judge.judge(table, ITEMS)
    assert [row["spectrum_pk"] for row in verdict.results] == [1]
    assert verdict.failures == [
        {
            "spectrum_pk": 2,
            "state": "failed",
            "code": "duplicate_rows",
            "message": "the program wrote 2 rows for this input",
        }
    ]
    assert verdict.strangers == [77, None, 2.5]


def test_what_derive_stumbles_over_belongs_to_one_input(judge):
    verdict = judge.judge(
        pa.table({"spectrum_pk": [1, 2], "median_flux": [1.0, 5.0]}),
        {1: {"spectrum_pk": 1, "source_pk": 11}, 2: ITEMS[2]},
    )
    assert [row["spectrum_pk"] for row in verdict.results] == [2]
    assert verdict.failures[0]["code"] == "KeyError"
