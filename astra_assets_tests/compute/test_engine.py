"""Whole runs: what ends in which table, and that the account balances."""

from __future__ import annotations

from astra_assets.compute import NothingToDo, Selection
from astra_assets.database.database import Database
from astra_assets.models.boss import BossRestFrameVisitSpectrum, BossVisitSpectrum
from astra_assets.models.compute import ComputeBatch
from astra_assets.models.source import Source
from astra_assets_tests.compute.conftest import Bench
from astra_assets_tests.compute.samples import (
    FLUX,
    SOURCES,
    SampleFlux,
    SampleStatus,
    touch,
)

VISIT = FLUX.step("visit")


def test_every_input_ends_as_result_failed_or_skipped(bench):
    kinds = [0, 1, 91, 92, 93, 94, 95, 2, 3]
    pks = bench.visits(kinds)
    account = bench.engine.run(FLUX, VISIT)
    assert (account.inputs, account.results, account.failed, account.skipped, account.backlog) == (
        9,
        5,
        3,
        1,
        0,
    )
    assert account.balanced
    assert account.failed_by_code == {"ZeroDivisionError": 1, "too_faint": 1, "ResultError": 1}
    assert account.skipped_by_code == {"not_wanted": 1}
    good = [pk for pk, kind in zip(pks, kinds, strict=True) if kind < 10]
    rows = bench.rows(
        SampleFlux, "spectrum_pk", "median_flux", "n_pixels", "comment", "v_astra", "v_astra_major_minor"
    )
    assert [row for row in rows if row[0] in good] == [(pk, float(pk), 10, "ok", 8001, 8) for pk in good]
    assert rows[good.index(good[2])][0] in pks
    assert (pks[6], None, None, None, 8001, 8) in rows
    by_code = {row["code"]: row for row in bench.outcomes(FLUX)}
    assert by_code["ZeroDivisionError"]["message"] == "division by nothing"
    assert by_code["ZeroDivisionError"]["attempts"] == 1
    assert "SampleFlux.median_flux holds float32, found 'much'" in by_code["ResultError"]["message"]


def test_results_carry_the_time_of_planning(bench):
    bench.visits([0])
    batch = bench.engine.plan(FLUX, VISIT)
    bench.engine.start(batch)
    bench.engine.collect(batch)
    assert bench.rows(SampleFlux, "modified", "created") == [(batch.planned, batch.planned)]


def test_everything_works_in_a_schema_of_its_own(postgresql_url, tmp_path):
    database = Database(postgresql_url, schema="astra_081")
    database.create_tables()
    bench = Bench(database, tmp_path)
    bench.visits([0, 91, 93])
    account = bench.engine.run(FLUX, VISIT)
    assert (account.results, account.failed, account.skipped, account.balanced) == (1, 1, 1, True)
    assert bench.engine.run(SOURCES, SOURCES.step("star")).results == 3
    assert isinstance(bench.engine.plan(SOURCES, SOURCES.step("star")), NothingToDo)
    database.engine.dispose()


def test_a_second_run_has_nothing_to_do_and_makes_no_folder(bench):
    bench.visits([0, 93])
    first = bench.engine.run(FLUX, VISIT)
    folders = sorted(bench.home.rglob("*"))
    planned = bench.engine.plan(FLUX, VISIT)
    assert planned == NothingToDo("SampleFlux", "visit", 0)
    assert bench.engine.run(FLUX, VISIT) == first
    assert sorted(bench.home.rglob("*")) == folders
    assert bench.count(ComputeBatch) == 1


def test_a_broken_file_fails_its_own_spectrum_only(bench):
    pks = bench.visits([0, 1, 2])
    files = sorted(bench.roots.sas_base_dir.rglob("*.fits"))
    files[0].write_bytes(files[0].read_bytes()[:1000])
    files[1].unlink()
    account = bench.engine.run(FLUX, VISIT)
    assert account.failed_by_code == {"unreadable_file": 1, "missing_file": 1}
    assert [pk for (pk,) in bench.rows(SampleFlux, "spectrum_pk")] == pks[2:]


def test_a_failure_is_tried_again_until_its_attempts_are_used_up(bench):
    bench.visits([91])
    for attempts in (1, 2):
        bench.engine.run(FLUX, VISIT)
        assert [row["attempts"] for row in bench.outcomes(FLUX)] == [attempts]
    assert isinstance(bench.engine.plan(FLUX, VISIT), NothingToDo)
    bench.engine.run(FLUX, VISIT, Selection(retry_failed=True))
    assert [row["attempts"] for row in bench.outcomes(FLUX)] == [3]
    assert bench.engine.account(FLUX, VISIT).failed == 1


def test_a_failure_that_succeeds_later_leaves_no_outcome(bench):
    bench.visits([0])
    (file,) = bench.roots.sas_base_dir.rglob("*.fits")
    content = file.read_bytes()
    file.unlink()
    assert bench.engine.run(FLUX, VISIT).failed == 1
    file.write_bytes(content)
    account = bench.engine.run(FLUX, VISIT)
    assert (account.results, account.failed) == (1, 0)
    assert bench.outcomes(FLUX) == []


def test_a_changed_input_is_done_again_and_keeps_when_it_was_created(bench):
    pks = bench.visits([0, 1])
    bench.engine.run(FLUX, VISIT)
    before = bench.rows(SampleFlux, "spectrum_pk", "task_pk", "created", "modified")
    touch(bench.database, BossVisitSpectrum, BossVisitSpectrum.c.spectrum_pk == pks[0])
    assert bench.engine.account(FLUX, VISIT).backlog == 1
    bench.engine.run(FLUX, VISIT)
    after = bench.rows(SampleFlux, "spectrum_pk", "task_pk", "created", "modified")
    assert after[0][:3] == before[0][:3]
    assert after[0][3] > before[0][3]
    assert after[1] == before[1]


def test_a_forced_run_that_fails_keeps_the_result_that_holds(bench):
    pks = bench.visits([0, 1])
    bench.engine.run(FLUX, VISIT)
    before = bench.rows(SampleFlux, "spectrum_pk", "modified")
    min(bench.roots.sas_base_dir.rglob("*.fits")).unlink()
    account = bench.engine.run(FLUX, VISIT, Selection(force=True))
    assert (account.results, account.failed) == (2, 0)
    after = bench.rows(SampleFlux, "spectrum_pk", "modified")
    assert after[0] == before[0]
    assert after[1][1] > before[1][1]
    assert [pk for pk, _ in after] == pks


def test_a_source_step_writes_its_further_tables_and_problems(bench):
    pks = bench.visits([0, 1, 2, 3], per_source=2)
    touch(bench.database, BossVisitSpectrum, BossVisitSpectrum.c.spectrum_pk == pks[3], fieldid=13)
    step = SOURCES.step("star")
    account = bench.engine.run(SOURCES, step)
    assert (account.inputs, account.results, account.balanced) == (2, 2, True)
    assert [tag for (tag,) in bench.rows(SampleStatus, "tag")] == ["made", "made"]
    rows = bench.rows(
        BossRestFrameVisitSpectrum, "drp_spectrum_pk", "pk", "spectrum_pk", "v_astra", "created"
    )
    assert [row[0] for row in rows] == pks[:3]
    problems = [row for row in bench.outcomes(SOURCES) if row["step"] == "star/visit"]
    assert [(row["spectrum_pk"], row["code"], row["source_pk"]) for row in problems] == [
        (pks[3], "unlucky", None)
    ]

    touch(bench.database, BossVisitSpectrum, BossVisitSpectrum.c.spectrum_pk == pks[3], fieldid=100)
    touch(bench.database, BossVisitSpectrum, BossVisitSpectrum.c.spectrum_pk == pks[2], fieldid=13)
    planned = bench.engine.plan(SOURCES, step)
    assert planned.n_inputs == 1
    bench.engine.start(planned)
    bench.engine.collect(planned)
    again = bench.rows(
        BossRestFrameVisitSpectrum, "drp_spectrum_pk", "pk", "spectrum_pk", "v_astra", "created"
    )
    assert again[:2] == rows[:2], "the other source was not touched"
    assert [row[0] for row in again] == [pks[0], pks[1], pks[3]]
    assert [row["spectrum_pk"] for row in bench.outcomes(SOURCES)] == [pks[2]]
    assert isinstance(bench.engine.plan(SOURCES, step), NothingToDo)


def test_remade_rows_of_a_further_table_keep_their_keys(bench):
    bench.visits([0, 1], per_source=2)
    bench.engine.run(SOURCES, SOURCES.step("star"))
    names = ("drp_spectrum_pk", "pk", "spectrum_pk", "created", "modified")
    before = bench.rows(BossRestFrameVisitSpectrum, *names)
    touch(bench.database, BossVisitSpectrum)
    bench.engine.run(SOURCES, SOURCES.step("star"))
    after = bench.rows(BossRestFrameVisitSpectrum, *names)
    assert [row[:4] for row in after] == [row[:4] for row in before]
    assert all(new[4] > old[4] for new, old in zip(after, before, strict=True))


def test_a_failing_source_is_an_outcome_with_its_source(bench):
    bench.visits([0])
    touch(bench.database, BossVisitSpectrum, source_pk=None)
    account = bench.engine.run(SOURCES, SOURCES.step("star"))
    assert (account.inputs, account.failed, account.balanced) == (1, 1, True)
    ((source_pk,),) = bench.rows(Source, "pk")
    (row,) = bench.outcomes(SOURCES)
    assert (row["source_pk"], row["spectrum_pk"], row["code"]) == (source_pk, None, "no_visits")
