"""Which inputs are unprocessed, what is skipped while planning, and when a skip or failure no longer holds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from sqlalchemy import insert, text
from sqlalchemy.schema import CreateTable

from astra_assets.compute import NothingToDo, Selection
from astra_assets.database.database import Database
from astra_assets.database.inventory import DemandedColumnError, MissingColumnError
from astra_assets.database.placement import OUR_TABLES
from astra_assets.models.base import table_of, utcnow
from astra_assets.models.boss import BossVisitSpectrum
from astra_assets.models.source import Source
from astra_assets.pipelines.base import PipelineDeclarationError, Requirement
from astra_assets_tests.compute.conftest import Bench
from astra_assets_tests.compute.samples import (
    AFTER,
    CLASS,
    FLUX,
    SOURCES,
    SampleAfter,
    SampleClass,
    SampleFlux,
    touch,
)

FILTER, VISIT = FLUX.step("visit_filter"), FLUX.step("visit")
STAR = SOURCES.step("star")


def planned_keys(batch, name="spectrum_pk"):
    return pq.read_table(batch.manifest)[name].to_pylist()


def of(pk):
    return BossVisitSpectrum.c.spectrum_pk == pk


def southern(bench, *pks):
    """Put the sources of these visits in the south, long ago."""
    with bench.database.begin() as connection:
        for pk in pks:
            connection.execute(
                table_of(Source).update().where(Source.c.sdss_id == 1000 + pk).values(dec=-20.0)
            )


def with_step(pipeline, step, **changes):
    steps = tuple(replace(each, **changes) if each is step else each for each in pipeline.steps)
    changed = replace(pipeline, steps=steps)
    return changed, changed.step(step.name)


def test_a_filter_records_skips_and_later_steps_do_not_see_them(bench):
    pks = bench.visits([0, 0, 0])
    southern(bench, pks[0])
    planned = bench.engine.plan(FLUX, FILTER)
    assert planned == NothingToDo("SampleFlux", "visit_filter", 1)
    assert not bench.home.exists()
    (skip,) = bench.outcomes(FLUX)
    assert (skip["spectrum_pk"], skip["step"], skip["state"], skip["code"]) == (
        pks[0], "visit_filter", "skipped", "southern",
    )  # fmt: skip
    account = bench.engine.account(FLUX, FILTER)
    assert (account.inputs, account.results, account.skipped, account.backlog) == (3, 2, 1, 0)
    assert planned_keys(bench.engine.plan(FLUX, VISIT)) == pks[1:]
    account = bench.engine.account(FLUX, VISIT)
    assert (account.inputs, account.results, account.skipped, account.backlog) == (3, 0, 1, 2)
    assert account.skipped_by_code == {"southern": 1}


def test_a_table_that_does_not_take_our_rows_is_told_before_anything_is_gathered(postgresql_url, tmp_path):
    """Tables of another Astra may demand columns that nothing computes."""
    database = Database(postgresql_url)
    database.create_tables()
    with database.begin() as connection:
        for name in (*OUR_TABLES, table_of(SampleFlux).name):
            connection.execute(text(f"DROP TABLE {name}"))
        connection.execute(text(f"CREATE TABLE {table_of(SampleFlux).name} (reviewer text NOT NULL)"))
    database.engine.dispose()
    theirs = Bench(Database(postgresql_url), tmp_path)
    theirs.database.create_tables()
    gathered = []
    step = replace(VISIT, gather=lambda *given: gathered.append(given))
    pipeline = replace(FLUX, steps=(step,))
    with pytest.raises(MissingColumnError, match=r"lacks .*flux.*, which our rows have"):
        theirs.engine.plan(pipeline, step)
    with theirs.database.begin() as connection:
        connection.execute(text(f"DROP TABLE {table_of(SampleFlux).name}"))
        connection.execute(CreateTable(table_of(SampleFlux)))
        connection.execute(text(f"ALTER TABLE {table_of(SampleFlux).name} ADD reviewer text NOT NULL"))
    with pytest.raises(DemandedColumnError, match="demands reviewer, which nothing here computes"):
        theirs.engine.plan(pipeline, step)
    assert not gathered
    assert not theirs.home.exists()
    theirs.database.engine.dispose()
    for each in (database, theirs.database):
        each.engine.dispose()


def test_a_step_applies_the_filters_before_it_even_if_they_were_not_run(bench):
    pks = bench.visits([0, 0])
    southern(bench, pks[1])
    account = bench.engine.run(FLUX, VISIT)
    assert (account.results, account.skipped, account.balanced) == (1, 1, True)
    assert [row["step"] for row in bench.outcomes(FLUX)] == ["visit_filter"]
    assert bench.engine.plan(FLUX, FILTER) == NothingToDo("SampleFlux", "visit_filter", 0)


def test_the_first_requirement_that_fails_gives_the_code(bench):
    pks = bench.visits([0, 0, 0])
    southern(bench, pks[0])
    touch(bench.database, BossVisitSpectrum, of(pks[0]) | of(pks[1]), snr=3.0)
    bench.engine.plan(FLUX, VISIT)
    found = {row["spectrum_pk"]: (row["step"], row["code"], row["message"]) for row in bench.outcomes(FLUX)}
    assert found == {
        pks[0]: ("visit_filter", "southern", "The source is not in the north."),
        pks[1]: ("visit", "low_snr", "The signal is too low."),
    }


@pytest.mark.parametrize("change", ["spectrum", "source", "code"])
def test_a_skip_lapses_when_something_changed(bench, change):
    pks = bench.visits([0, 0])
    southern(bench, *pks)
    bench.engine.plan(FLUX, VISIT)
    assert bench.engine.account(FLUX, VISIT).skipped == 2
    pipeline = FLUX
    if change == "spectrum":
        touch(bench.database, BossVisitSpectrum, of(pks[0]))
    elif change == "source":
        touch(bench.database, Source, Source.c.sdss_id == 1000 + pks[0])
    else:
        pipeline = replace(FLUX, code_version="2", reference="astra_assets_tests.compute.samples:FLUX")
    step = pipeline.step("visit")
    lapsed = 2 if change == "code" else 1
    assert bench.engine.account(pipeline, step).backlog == lapsed
    assert bench.engine.plan(pipeline, step) == NothingToDo("SampleFlux", "visit", lapsed)
    assert bench.engine.account(pipeline, step).backlog == 0


def test_a_skip_that_lapsed_and_does_not_apply_any_more_is_withdrawn(bench):
    (pk,) = bench.visits([0])
    southern(bench, pk)
    bench.engine.plan(FLUX, FILTER)
    touch(bench.database, Source, dec=20.0)
    account = bench.engine.run(FLUX, VISIT)
    assert (account.results, account.skipped) == (1, 0)
    assert bench.outcomes(FLUX) == []


def test_a_skip_takes_the_place_of_a_result_and_of_other_outcomes(bench):
    pks = bench.visits([0, 91])
    bench.engine.run(FLUX, VISIT)
    touch(bench.database, BossVisitSpectrum, snr=1.0)
    bench.engine.run(FLUX, VISIT)
    assert bench.count(SampleFlux) == 0
    assert {(row["spectrum_pk"], row["code"]) for row in bench.outcomes(FLUX)} == {
        (pk, "low_snr") for pk in pks
    }
    southern(bench, *pks)
    touch(bench.database, BossVisitSpectrum)
    bench.engine.run(FLUX, VISIT)
    assert {(row["spectrum_pk"], row["code"]) for row in bench.outcomes(FLUX)} == {
        (pk, "southern") for pk in pks
    }
    assert bench.engine.account(FLUX, VISIT).balanced


def test_failures_lapse_like_skips_and_are_counted_anew(bench):
    (pk,) = bench.visits([91])
    bench.engine.run(FLUX, VISIT)
    bench.engine.run(FLUX, VISIT)
    assert isinstance(bench.engine.plan(FLUX, VISIT), NothingToDo)
    touch(bench.database, BossVisitSpectrum, of(pk))
    assert bench.engine.account(FLUX, VISIT).backlog == 1
    bench.engine.run(FLUX, VISIT)
    assert [row["attempts"] for row in bench.outcomes(FLUX)] == [1]


def test_a_skip_lapses_when_a_pipeline_that_it_reads_has_a_newer_result(bench):
    pks = bench.visits([0, 0, 0], per_source=2)
    step = AFTER.step("visit")
    assert bench.engine.run(AFTER, step).skipped_by_code == {"no_label": 3}
    row = {"v_astra": 8001, "created": utcnow(), "modified": utcnow(), "tag": "", "label": "DB"}
    source_pk = dict(bench.rows(BossVisitSpectrum, "spectrum_pk", "source_pk"))[pks[0]]
    with bench.database.begin() as connection:
        connection.execute(
            insert(table_of(SampleClass)).values(**row, spectrum_pk=pks[0], source_pk=source_pk)
        )
    account = bench.engine.run(AFTER, step)
    assert (account.results, account.skipped, account.balanced) == (2, 1, True)
    assert bench.rows(SampleAfter, "spectrum_pk", "label") == [(pks[0], "DB"), (pks[1], "DB")]


def test_what_is_judged_by_results_in_the_making_is_judged_again(bench):
    bench.visits([0])
    running = bench.engine.plan(CLASS, CLASS.step("visit"))
    assert bench.engine.run(AFTER, AFTER.step("visit")).skipped == 1
    bench.engine.start(running)
    bench.engine.collect(running)
    assert bench.engine.run(AFTER, AFTER.step("visit")).results == 1


def test_only_spectra_with_a_source_are_inputs(bench):
    pks = bench.visits([0, 0])
    touch(bench.database, BossVisitSpectrum, of(pks[0]), source_pk=None)
    assert planned_keys(bench.engine.plan(FLUX, VISIT)) == pks[1:]
    assert bench.engine.account(FLUX, VISIT).inputs == 1


def test_a_step_may_say_which_rows_are_inputs_at_all(bench):
    pks = bench.visits([0, 0, 0])
    pipeline, step = with_step(FLUX, VISIT, eligible=of(pks[1]))
    pipeline = replace(pipeline, reference="astra_assets_tests.compute.samples:FLUX")
    assert planned_keys(bench.engine.plan(pipeline, step)) == [pks[1]]
    assert bench.engine.account(pipeline, step).inputs == 1


def test_sources_and_limit_restrict_and_leave_a_visible_backlog(bench):
    pks = bench.visits([0] * 5)
    southern(bench, pks[0])
    batch = bench.engine.plan(FLUX, VISIT, Selection(limit=2))
    assert planned_keys(batch) == pks[1:3], "a limit counts what is to be done, not what is skipped"
    bench.engine.start(batch)
    account = bench.engine.collect(batch)
    assert (account.results, account.skipped, account.backlog, account.balanced) == (2, 1, 2, True)
    assert not account.complete
    assert planned_keys(bench.engine.plan(FLUX, VISIT, Selection(sdss_ids=[1000 + pks[4]]))) == [pks[4]]


def test_a_limit_without_requirements_is_applied_too(bench):
    bench.visits([0] * 4)
    assert planned_keys(bench.engine.plan(CLASS, CLASS.step("visit"), Selection(limit=3))) == [1, 2, 3]


def test_no_sources_means_nothing(bench):
    bench.visits([0])
    assert isinstance(bench.engine.plan(FLUX, VISIT, Selection(sdss_ids=[])), NothingToDo)


def test_many_sources_may_be_named(bench):
    pks = bench.visits([0])
    assert planned_keys(bench.engine.plan(FLUX, VISIT, Selection(sdss_ids=range(40_000)))) == pks


def test_the_manifest_is_in_order_and_in_row_groups_of_equal_size(bench):
    pks = bench.visits([0] * 20)
    southern(bench, *pks[3:6])
    batch = bench.engine.plan(FLUX, VISIT)
    assert planned_keys(batch) == [*pks[:3], *pks[6:]]
    file = pq.ParquetFile(batch.manifest)
    sizes = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
    assert sizes == [4, 4, 4, 4, 1]
    row = file.read().slice(0, 1).to_pylist()[0]
    assert row["sdss_id"] == 1000 + pks[0]
    assert (row["dec"], row["snr"], row["run2d"], row["mjd"]) == (20.0, 20.0, "v6_2_1", 59000)
    assert (row["attempts"], row["earlier_result"]) == (0, 0)


def test_other_minor_versions_have_inputs_of_their_own(bench):
    bench.visits([0])
    bench.engine.run(FLUX, VISIT)
    assert isinstance(replace(bench.engine, v_astra="0.8.2").plan(FLUX, VISIT), NothingToDo)
    newer = replace(bench.engine, v_astra="0.9.0")
    assert newer.run(FLUX, VISIT).results == 1
    assert bench.rows(SampleFlux, "v_astra_major_minor") == [(8,), (9,)]


def test_a_source_is_planned_again_when_a_visit_is_newer(bench):
    pks = bench.visits([0, 0])
    bench.engine.run(SOURCES, STAR)
    assert isinstance(bench.engine.plan(SOURCES, STAR), NothingToDo)
    touch(bench.database, BossVisitSpectrum, of(pks[1]))
    assert bench.engine.account(SOURCES, STAR).backlog == 1
    assert planned_keys(bench.engine.plan(SOURCES, STAR), "sdss_id") == [1000 + pks[1]]


def test_a_requirement_on_an_unknown_column_names_pipeline_step_and_column(bench):
    requires = (
        Requirement("odd", "It is odd.", ("no_such_column",), lambda columns: columns["no_such_column"]),
    )
    pipeline, step = with_step(FLUX, VISIT, requires=requires)
    with pytest.raises(
        PipelineDeclarationError, match="SampleFlux visit: a requirement needs the column 'no_such_column'"
    ):
        bench.engine.plan(replace(pipeline, reference="astra_assets_tests.compute.samples:FLUX"), step)


def test_a_test_that_is_no_array_of_booleans_is_refused(bench):
    bench.visits([0, 0])
    requires = (Requirement("odd", "It is odd.", ("snr",), lambda _: np.array([1.0])),)
    pipeline, step = with_step(FLUX, VISIT, requires=requires)
    with pytest.raises(
        PipelineDeclarationError,
        match=r"'odd' returned float64 of shape \(1,\), expected bool of shape \(2,\)",
    ):
        bench.engine.plan(replace(pipeline, reference="astra_assets_tests.compute.samples:FLUX"), step)
    assert list(bench.home.rglob("*.parquet")) == []


def test_gather_must_keep_the_rows(bench):
    bench.visits([0, 0])
    reference = "astra_assets_tests.compute.samples:SOURCES"
    pipeline, step = with_step(SOURCES, STAR, gather=lambda _connection, rows, _context: rows.slice(1))
    with pytest.raises(
        PipelineDeclarationError, match="`gather` must return the same rows in the same order"
    ):
        bench.engine.plan(replace(pipeline, reference=reference), step)


def test_requirements_see_missing_values(bench):
    bench.visits([0, 0])
    touch(bench.database, BossVisitSpectrum, of(1), snr=None, plateid=None, telescope=None)
    seen = {}

    def look(columns):
        seen.update(columns)
        return np.ones(2, dtype=bool)

    requires = (Requirement("odd", "It is odd.", ("snr", "plateid", "telescope", "mjd"), look),)
    pipeline, step = with_step(FLUX, VISIT, requires=requires)
    bench.engine.plan(replace(pipeline, reference="astra_assets_tests.compute.samples:FLUX"), step)
    assert np.isnan(seen["snr"][0])
    assert np.isnan(seen["plateid"]).all()
    assert seen["telescope"].tolist() == [None, "apo25m"]
    assert seen["mjd"].dtype == np.int32
