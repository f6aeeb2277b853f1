"""Kills at any moment: what is lost, who goes on, and that every input ends exactly once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

import psutil
import pyarrow.parquet as pq
import pytest

from astra_assets.compute import claims
from astra_assets.compute.parts import FAILURES, RESULTS, part_files
from astra_assets.compute.worker import EXIT_STOPPED, worker_command
from astra_assets_tests.compute.model_samples import MODEL, SampleModel
from astra_assets_tests.compute.samples import FLUX, SampleFlux
from astra_assets_tests.project import PROJECT

pytestmark = pytest.mark.processes

VISIT = FLUX.step("visit")


def wait_for(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)
    return found


def keys_in_parts(batch):
    folders = [batch.task_folder(task) for task in range(len(batch.tasks))]
    files = [path for folder in folders for kind in (RESULTS, FAILURES) for path in part_files(folder, kind)]
    return [key for path in files for key in pq.read_table(path)["spectrum_pk"].to_pylist()]


def assert_as_undisturbed(bench, pks):
    """Every spectrum has its result, once, and the account balances."""
    assert bench.rows(SampleFlux, "spectrum_pk", "median_flux") == [(pk, float(pk)) for pk in pks]
    assert bench.outcomes(FLUX) == []
    account = bench.engine.account(FLUX, VISIT)
    assert (account.results, account.backlog, account.balanced) == (len(pks), 0, True)
    ((batches,),) = bench.rows_of_batches()
    assert batches == "collected"


def in_background(bench, batch):
    """Collect in a thread; returns the thread and the list that its account will be in."""
    accounts = []
    bench.engine.start(batch)
    thread = threading.Thread(target=lambda: accounts.append(bench.engine.collect(batch)))
    thread.start()
    return thread, accounts


def supervisor(batch):
    return wait_for(lambda: claims.living_owner(batch.task_folder(0)))


def workers_of(pid):
    """The processes that do the work below a supervisor."""
    return [each for each in psutil.Process(pid).children(recursive=True) if each.ppid() != pid]


def orchestrator(bench):
    program = [sys.executable, "-m", "astra_assets_tests.compute.orchestrate"]
    return subprocess.Popen(
        [*program, bench.database.url, str(bench.home.parent)], cwd=PROJECT, stderr=subprocess.PIPE, text=True
    )


@pytest.fixture
def bench(process_bench):
    process_bench.switch("slow")
    return process_bench


@pytest.mark.smoke
def test_a_worker_killed_in_the_middle_goes_on_after_its_parts(bench):
    pks = bench.visits([0] * 14)
    batch = bench.engine.plan(FLUX, VISIT)
    thread, _ = in_background(bench, batch)
    wait_for(lambda: keys_in_parts(batch))
    pid = supervisor(batch)
    below = workers_of(pid)
    done = set(
        keys_in_parts(batch)
    )  # before the kill: the next worker may start before the last of these has died
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not any(each.is_running() for each in below))
    thread.join(60)
    assert_as_undisturbed(bench, pks)
    tries = Counter(map(int, bench.log()))
    assert 0 < len(done) < len(pks)
    assert all(tries[pk] == 1 for pk in done), "what was in a part was not done again"


def test_killed_worker_processes_are_replaced(bench):
    pks = bench.visits([0] * 10)
    batch = bench.engine.plan(FLUX, VISIT)
    thread, _ = in_background(bench, batch)
    wait_for(bench.log)
    for process in workers_of(supervisor(batch)):
        process.kill()
    thread.join(60)
    assert_as_undisturbed(bench, pks)


def test_killing_the_orchestrator_stops_its_workers_and_the_next_run_goes_on(bench):
    pks = bench.visits([0] * 16)
    first = orchestrator(bench)
    batch = wait_for(lambda: bench.engine.active(FLUX, VISIT))
    wait_for(lambda: keys_in_parts(batch))
    pid = supervisor(batch)
    below = workers_of(pid)
    first.kill()
    first.communicate()
    wait_for(lambda: not psutil.pid_exists(pid))
    wait_for(lambda: not any(each.is_running() for each in below))
    status = json.loads((batch.task_folder(0) / "status.json").read_text())
    assert status["state"] == "stopped"
    assert 0 < len(keys_in_parts(batch)) < len(pks)
    again = bench.engine.plan(FLUX, VISIT)
    assert (again.batch_id, again.attached) == (batch.batch_id, True)
    bench.engine.start(again)
    bench.engine.collect(again)
    assert_as_undisturbed(bench, pks)


def test_a_run_right_after_the_kill_waits_for_the_dying_workers(bench):
    pks = bench.visits([0] * 12)
    first = orchestrator(bench)
    batch = wait_for(lambda: bench.engine.active(FLUX, VISIT))
    wait_for(lambda: keys_in_parts(batch))
    first.kill()
    first.communicate()
    assert bench.engine.run(FLUX, VISIT).results == len(pks)
    assert_as_undisturbed(bench, pks)


@pytest.mark.smoke
def test_killing_everything_at_once_loses_only_what_was_not_written(bench):
    pks = bench.visits([0] * 12)
    first = orchestrator(bench)
    batch = wait_for(lambda: bench.engine.active(FLUX, VISIT))
    wait_for(lambda: keys_in_parts(batch))
    pid = supervisor(batch)
    family = [first.pid, pid, *(each.pid for each in psutil.Process(pid).children(recursive=True))]
    for each in family:
        os.kill(each, signal.SIGKILL)
    first.communicate()
    assert bench.engine.run(FLUX, VISIT).results == len(pks)
    assert_as_undisturbed(bench, pks)


def test_an_interrupt_leaves_the_batch_resumable_and_says_so(bench):
    pks = bench.visits([0] * 12)
    first = orchestrator(bench)
    batch = wait_for(lambda: bench.engine.active(FLUX, VISIT))
    wait_for(lambda: keys_in_parts(batch))
    pid = supervisor(batch)
    first.send_signal(signal.SIGINT)
    _, said = first.communicate(timeout=60)
    assert "run the same again to go on" in said
    assert not psutil.pid_exists(pid)
    assert bench.engine.active(FLUX, VISIT).batch_id == batch.batch_id
    assert bench.engine.run(FLUX, VISIT).results == len(pks)
    assert_as_undisturbed(bench, pks)


def test_a_spectrum_that_kills_its_process_is_isolated(bench):
    pks = bench.visits([0] * 6)
    bench.switch(f"kill-{pks[2]}")
    account = bench.engine.run(FLUX, VISIT)
    assert (account.results, account.failed, account.balanced) == (5, 1, True)
    (row,) = bench.outcomes(FLUX)
    assert (row["spectrum_pk"], row["code"]) == (pks[2], "WorkerDied")
    assert row["message"] == "3 worker processes died (signal 9) while they had this input in hand"
    tries = Counter(map(int, bench.log()))
    assert tries == {pk: 3 if pk == pks[2] else 1 for pk in pks}


def test_a_second_copy_of_a_task_on_this_machine_refuses_to_run(bench):
    pks = bench.visits([0] * 8)
    batch = bench.engine.plan(FLUX, VISIT)
    thread, _ = in_background(bench, batch)
    supervisor(batch)
    program = [*worker_command(batch.directory, batch.reference), "0"]
    copy = subprocess.run(program, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert copy.returncode == EXIT_STOPPED
    assert "runs this task already" in copy.stderr
    thread.join(60)
    assert_as_undisturbed(bench, pks)


def test_of_two_living_copies_of_a_task_only_one_is_collected(bench):
    pks = bench.visits([0] * 12)
    batch = bench.engine.plan(FLUX, VISIT)
    program = [*worker_command(batch.directory, batch.reference), "0"]
    old = subprocess.Popen(program, cwd=PROJECT, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: keys_in_parts(batch))
    old.send_signal(signal.SIGSTOP)
    claim = batch.task_folder(0) / "claim.json"
    claim.write_text(claim.read_text().replace('"host": "', '"host": "gone-'))
    new = subprocess.Popen(program, cwd=PROJECT, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: '"host": "gone-' not in claim.read_text())
    old.send_signal(signal.SIGCONT)
    assert old.wait(60) == EXIT_STOPPED
    assert "another process runs this task now" in old.communicate()[1]
    assert new.wait(60) == 0
    new.communicate()
    assert sorted(keys_in_parts(batch)) == pks, "no input is in two parts"
    bench.engine.collect(batch)
    assert_as_undisturbed(bench, pks)


def test_after_a_kill_every_result_has_its_pixels_once(bench):
    pks = bench.visits([0] * 10)
    fit, files = MODEL.steps
    batch = bench.engine.plan(MODEL, fit)
    thread, _ = in_background(bench, batch)
    wait_for(lambda: keys_in_parts(batch))
    pid = supervisor(batch)
    for each in (pid, *(worker.pid for worker in workers_of(pid))):
        os.kill(each, signal.SIGKILL)
    thread.join(60)
    assert bench.rows(SampleModel, "spectrum_pk", "level") == [(pk, float(pk)) for pk in pks]
    made = sorted(
        int(path.name.partition("-")[0]) for path in bench.roots.mwm_astra.rglob("pipelines/**/*.fits")
    )
    assert made == pks
    assert bench.engine.run(MODEL, files).results == len(pks)
    assert len(list(bench.roots.mwm_astra.rglob("results/**/*.fits"))) == len(pks)
