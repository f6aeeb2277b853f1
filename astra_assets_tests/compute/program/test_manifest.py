"""What a program is given: where spectra are, the columns that the step asks for, in every format."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from astropy.io import fits

from astra_assets.compute.program.manifest import ManifestError, hand_out, write_manifest
from astra_assets.files.paths import spec_full_path
from astra_assets.models.source import Source
from astra_assets.pipelines.base import Pipeline, Step
from astra_assets.spectra.base import Roots
from astra_assets.spectra.places import WHOLE
from astra_assets_tests.compute.program.samples import PROGRAM, STEP
from astra_assets_tests.spectra.placed import VISIT, made


@pytest.fixture
def roots(tmp_path):
    return Roots(tmp_path / "sas", tmp_path / "mwm")


def rows_for(roots, count=3):
    items: list[dict[str, Any]] = [
        VISIT | {"spectrum_pk": n, "source_pk": 10 + n, "sdss_id": 100 + n, "mjd": 59000 + n}
        for n in range(1, count + 1)
    ]
    for item in items:
        made(roots.sas_base_dir / spec_full_path(**{name: item[name] for name in VISIT}))
    values: dict[str, list[Any]] = {
        "dec": [1.5, None, -3.0],
        "telescope": ["apo25m", None, "lco25m"],
        "number": [7, None, 9],
    }
    return pa.Table.from_pylist(
        [item | {name: column[n] for name, column in values.items()} for n, item in enumerate(items)]
    )


def test_places_and_the_columns_that_were_asked_for_are_handed_out(roots):
    handed = hand_out(rows_for(roots), STEP, roots)
    assert handed.table.column_names == [
        "spectrum_pk",
        "source_pk",
        "sdss_id",
        "dec",
        "telescope",
        "path",
        "hdu",
        "row",
    ]
    assert handed.table["row"].to_pylist() == [WHOLE] * 3
    assert handed.rows[2]["run2d"] == "v6_2_1"


@pytest.mark.parametrize("form", ["parquet", "fits", "csv"])
def test_the_manifest_says_the_same_in_every_format(tmp_path, roots, form):
    step = replace(STEP, program=replace(STEP.program, columns=("dec", "telescope", "number")))
    handed = hand_out(rows_for(roots), step, roots)
    path = tmp_path / f"inputs.{form}"
    write_manifest(path, handed.table, form)
    if form == "fits":
        table = fits.getdata(path)
        assert table["spectrum_pk"].tolist() == [1, 2, 3]
        assert table["telescope"].tolist() == ["apo25m", "", "lco25m"]
        assert np.isnan(table["dec"][1])
        assert np.isnan(table["number"][1])
        assert (table["number"][2], table["hdu"].tolist()) == (9.0, [1, 1, 1])
    else:
        table = pq.read_table(path) if form == "parquet" else pyarrow.csv.read_csv(path)
        assert table["number"].to_pylist() == [7, None, 9]
        assert table["path"].to_pylist() == handed.table["path"].to_pylist()


def test_a_column_that_the_batch_does_not_have_is_named(roots):
    step = replace(STEP, program=replace(STEP.program, columns=("ebv",)))
    with pytest.raises(
        ManifestError,
        match=r"sample-flux wants the column ebv, .* name it in the `columns` of the step visit",
    ):
        hand_out(rows_for(roots), step, roots)


def test_a_step_over_sources_has_no_files(roots):
    step = Step("star", inputs=Source, program=replace(STEP.program, columns=("n",)))
    assert Pipeline("Sources", PROGRAM.table, (step,)).steps == (step,)
    handed = hand_out(pa.table({"source_pk": [4], "sdss_id": [40], "n": [2], "further": ["x"]}), step, roots)
    assert handed.table.to_pylist() == [{"source_pk": 4, "sdss_id": 40, "n": 2}]
    assert handed.rows[4]["further"] == "x"


def test_a_manifest_that_cannot_be_written_is_told_with_its_path(tmp_path, roots):
    handed = hand_out(rows_for(roots), STEP, roots)
    for form in ("parquet", "fits", "csv"):
        with pytest.raises(ManifestError, match=r"/absent/inputs: the table of inputs cannot be written"):
            write_manifest(tmp_path / "absent" / "inputs", handed.table, form)
