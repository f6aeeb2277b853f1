"""What functions return becomes rows that the database takes, or an error that names the column."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from astra_assets.compute.rows import ResultError, ResultShape
from astra_assets.models.boss import BossCombinedSpectrum, BossRestFrameVisitSpectrum
from astra_assets.pipelines.base import Problem, Products, WorkContext
from astra_assets.spectra.base import Roots
from astra_assets_tests.compute.model_samples import MODEL, SampleModel
from astra_assets_tests.compute.samples import FLUX, SOURCES, SampleFlux

PLANNED = datetime(2026, 2, 1, 12)  # noqa: DTZ001 - the database has naive times
CONTEXT = WorkContext(Roots(Path("sas"), Path("mwm")), "0.8.1", PLANNED)
ITEM = {"spectrum_pk": 7, "source_pk": 3}


@pytest.fixture
def shape():
    return ResultShape(FLUX, FLUX.step("visit"), CONTEXT)


@pytest.fixture
def sources():
    return ResultShape(SOURCES, SOURCES.step("star"), CONTEXT)


def test_a_row_has_every_column_and_who_made_it(shape):
    row = shape.row(SampleFlux(median_flux=np.float32(2.5), n_pixels=np.int16(4)), ITEM)
    assert row == {
        "source_pk": 3, "spectrum_pk": 7, "v_astra": 8001, "modified": PLANNED, "t_elapsed": None,
        "t_overhead": None, "tag": "", "median_flux": 2.5, "n_pixels": 4, "comment": None, "result_flags": 0,
        "problems": [],
    }  # fmt: skip
    assert type(row["median_flux"]) is float
    assert type(row["n_pixels"]) is int


def test_instance_and_mapping_give_the_same_row(shape):
    assert shape.row(SampleFlux(comment="x", result_flags=1), ITEM) == shape.row(
        {"comment": "x", "result_flags": 1}, ITEM
    )


def test_rows_fit_the_schema_of_the_parts(shape):
    table = pa.Table.from_pylist([shape.row({"median_flux": 1}, ITEM)], schema=shape.schema)
    assert table["median_flux"].to_pylist() == [1.0]
    assert table.schema.field("modified").type == pa.timestamp("us")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"median_flux": "bright"}, r"SampleFlux\.median_flux holds float32, found 'bright'"),
        ({"n_pixels": 2**40}, r"SampleFlux\.n_pixels holds int32, found 1099511627776: it is not between"),
        ({"n_pixels": 1.5}, r"SampleFlux\.n_pixels holds int32, found 1\.5"),
        ({"n_pixels": np.float32(2**25)}, r"n_pixels holds int32, found .*may have been rounded"),
        ({"result_flags": 2.0**60}, r"result_flags holds bits, found .*may have been rounded"),
        (
            {"median_flux": 1e39},
            r"median_flux holds float32, found 1e\+39: expected a number of single precision",
        ),
        ({"comment": "caf\u00e9"}, r"comment holds text, found 'caf\u00e9': expected .* printable ASCII"),
        ({"comment": 3}, r"SampleFlux\.comment holds text, found 3: it is no text"),
        ({"result_flags": 2**63}, r"result_flags holds bits"),
        ({"no_such": 1}, r"SampleFlux has no column 'no_such'"),
        ({"spectrum_pk": 8}, r"the result has spectrum_pk 8, its input 7"),
        (None, r"the function of SampleFlux visit returned NoneType, expected a SampleFlux"),
        ([1, 2], r"returned list"),
    ],
)
def test_what_does_not_fit_is_named(shape, values, message):
    with pytest.raises(ResultError, match=message):
        shape.row(values, ITEM)


@pytest.mark.parametrize("missing", [None, float("nan"), np.float64("nan")])
def test_missing_numbers_are_null(shape, missing):
    row = shape.row({"median_flux": missing, "n_pixels": missing}, ITEM)
    assert (row["median_flux"], row["n_pixels"]) == (None, None)


def test_whole_floats_are_integers(shape):
    assert shape.row({"n_pixels": np.float64(12.0)}, ITEM)["n_pixels"] == 12


def test_a_time_that_the_function_measured_is_kept(shape):
    assert shape.row({"t_elapsed": 4.5}, ITEM)["t_elapsed"] == 4.5


def rest_frame(**changes):
    row = {
        "spectrum_pk": 11, "drp_spectrum_pk": 7, "release": "sdss5", "run2d": "v6_2_1", "mjd": 59000,
        "fieldid": 1, "catalogid": 2, "sdss_id": 5, "in_stack": np.bool_(True),
    }  # fmt: skip
    return {name: value for name, value in (row | changes).items() if value is not ...}


def test_further_rows_get_their_source_version_and_defaults(sources):
    made = Products(
        status={},
        rows={BossRestFrameVisitSpectrum: [rest_frame()]},
        problems=[Problem(9, "odd", "It is odd.")],
    )
    row = sources.row(made, {"source_pk": 3})
    (visit,) = row["boss_rest_frame_visit_spectrum"]
    assert (visit["source_pk"], visit["v_astra"], visit["filetype"], visit["in_stack"]) == (
        3, "0.8.1", "mwmVisit", True,
    )  # fmt: skip
    assert row["problems"] == [{"spectrum_pk": 9, "code": "odd", "message": "It is odd."}]
    table = pa.Table.from_pylist([row], schema=sources.schema)
    assert table["boss_rest_frame_visit_spectrum"][0][0]["mjd"].as_py() == 59000


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({BossRestFrameVisitSpectrum: [rest_frame(spectrum_pk=None)]}, "has no spectrum_pk: let `gather`"),
        (
            {BossRestFrameVisitSpectrum: [rest_frame(mjd=...)]},
            r"BossRestFrameVisitSpectrum\.mjd must not be NULL",
        ),
        (
            {BossRestFrameVisitSpectrum: [rest_frame(colour=1)]},
            "BossRestFrameVisitSpectrum has no column 'colour'",
        ),
        (
            {BossCombinedSpectrum: []},
            "rows of BossCombinedSpectrum, which SampleSources star does not name in `tables`",
        ),
    ],
)
def test_further_rows_that_do_not_fit_are_named(sources, rows, message):
    with pytest.raises(ResultError, match=message):
        sources.row(Products(status={}, rows=rows), {"source_pk": 3})


@pytest.fixture
def modelled():
    return ResultShape(MODEL, MODEL.step("visit"), CONTEXT)


def test_arrays_of_pixels_are_apart_from_the_row_of_an_instance_and_of_a_mapping(modelled):
    for made in (SampleModel(level=1.0, model_flux=[1, 2]), {"level": 1.0, "model_flux": np.array([1, 2])}):
        assert modelled.row(made, ITEM)["level"] == 1.0
        assert "model_flux" not in modelled.row(made, ITEM)
        arrays = modelled.pixels(made)
        assert (list(arrays), arrays["model_flux"].dtype) == (["model_flux"], np.float32)
        assert arrays["model_flux"].tolist() == [1, 2]
    assert modelled.pixels(SampleModel(level=1.0)) == modelled.pixels({"level": None}) == {}


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.ones((2, 3)), r"model_flux is an array of pixels, found shape \(2, 3\)"),
        (1.0, r"found shape \(\)"),
        ([1e300], "model_flux has values beyond single precision, up to 1e\\+300"),
        ("flat", "model_flux is an array of numbers, found str"),
    ],
)
def test_what_is_no_array_of_pixels_is_refused(modelled, pixels, message):
    with pytest.raises(ResultError, match=message):
        modelled.pixels(SampleModel(model_flux=pixels))


def test_a_row_of_a_table_that_pipelines_share_names_its_pipeline():
    shape = ResultShape(MODEL, MODEL.step("astra_visit"), CONTEXT)
    row = shape.row(Products(status={"flags": 2}), {"source_pk": 3})
    assert (row["pipeline"], row["source_pk"], row["flags"], row["v_astra"]) == ("SampleModel", 3, 2, 8001)
    assert shape.pixels(Products(status={})) == {}
