"""Batches in real worker processes of this machine."""

from __future__ import annotations

import socket
import time

import pytest

from astra_assets.compute import BatchError
from astra_assets.compute.progress import read_status
from astra_assets.database.database import Database
from astra_assets.pipelines.options import ResourceRequest
from astra_assets_tests.compute.conftest import Bench, with_processes
from astra_assets_tests.compute.samples import FLUX, SampleFlux

pytestmark = [pytest.mark.processes, pytest.mark.smoke]

VISIT = FLUX.step("visit")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One run that several tests look at."""
    folder = tmp_path_factory.mktemp("run")
    database = Database(f"sqlite:///{folder / 'astra.db'}")
    database.create_tables()
    bench = with_processes(Bench(database, folder))
    bench.switch("threads")
    bench.visits([0, 91, 93, 0, 0])
    bench.batch = bench.engine.plan(FLUX, VISIT, resources=ResourceRequest(nodes=2, procs=1))
    bench.progress = []
    bench.engine.start(bench.batch)
    bench.account = bench.engine.collect(bench.batch, bench.progress.append)
    return bench


def test_all_inputs_of_all_tasks_are_accounted_for(run):
    assert run.batch.tasks == ((0, 2), (2, 5))
    assert (run.account.results, run.account.failed, run.account.skipped) == (3, 1, 1)
    assert run.account.complete
    assert [pk for (pk,) in run.rows(SampleFlux, "spectrum_pk")] == [1, 4, 5]
    assert sorted(map(int, (line for line in run.log() if line.isdigit()))) == [1, 2, 3, 4, 5]


def test_worker_processes_use_one_thread_each(run):
    assert {line for line in run.log() if not line.isdigit()} == {"threads=1", "variable=1"}


def test_results_carry_what_they_took(run):
    rows = run.rows(SampleFlux, "t_elapsed", "t_overhead")
    assert all(elapsed > overhead > 0 for elapsed, overhead in rows)


def test_the_status_says_what_the_task_did_and_needed(run):
    status = read_status(run.batch.task_folder(0))
    assert (status.phase, status.inputs, status.done, status.failed, status.died) == ("done", 2, 1, 1, 0)
    assert status.host == socket.gethostname()
    assert 20 < status.peak_memory < 5000
    assert status.started < status.heartbeat <= time.time()


def test_progress_is_reported_to_the_end(run):
    last = run.progress[-1]
    assert (last.finished, last.failed, last.skipped) == (5, 1, 1)
    assert str(last).startswith("SampleFlux visit: 5 of 5, 1 failed, 1 skipped")


def test_tracebacks_go_to_the_log_of_the_task(run):
    text = run.batch.log_file(0).read_text()
    assert "spectrum_pk 2 failed: ZeroDivisionError: division by nothing" in text
    assert 'raise ZeroDivisionError("division by nothing")' in text


def test_a_pipeline_that_cannot_be_set_up_says_why_and_loses_nothing(process_bench):
    process_bench.visits([0])
    process_bench.switch("no-setup")
    with pytest.raises(BatchError, match=r"cannot be set up:(?s:.)*no such grid: /nowhere/grid.npz"):
        process_bench.engine.run(FLUX, VISIT)
    process_bench.switch("no-setup", on=False)
    assert process_bench.engine.run(FLUX, VISIT).results == 1


def test_a_pipeline_that_kills_its_processes_while_it_is_set_up_is_given_up(process_bench):
    process_bench.visits([0])
    process_bench.switch("kill-setup")
    with pytest.raises(BatchError, match=r"worker processes die before they take up an input \(signal 9\)"):
        process_bench.engine.run(FLUX, VISIT)
