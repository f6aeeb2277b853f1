"""A program ends with its worker, whatever ends that; and the next run goes on with what is in no part."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections import Counter

import psutil
import pytest

from astra_assets.compute import claims
from astra_assets.compute.local import LocalBackend
from astra_assets.compute.progress import Phase, read_status
from astra_assets.compute.supervisor import run_task
from astra_assets.compute.task_run import TaskConditions
from astra_assets.compute.worker import EXIT_TIME, worker_command
from astra_assets_tests.compute.program.samples import FAKE, PROGRAM, STEP, site
from astra_assets_tests.compute.samples import SampleFlux
from astra_assets_tests.compute.test_recovery import keys_in_parts, wait_for
from astra_assets_tests.project import PROJECT

pytestmark = pytest.mark.processes


def notes(batch):
    path = batch.task_folder(0) / "notes"
    return path.read_text().split() if path.exists() else []


def programs_of(pid):
    """Everything below a worker."""
    return psutil.Process(pid).children(recursive=True)


def gone(processes):
    return not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in processes)


def programs_here():
    """What runs below this process and is the fake program, or its guard."""
    return [each for each in psutil.Process().children(recursive=True) if str(FAKE) in each.cmdline()]


def worker(batch):
    program = [*worker_command(batch.directory, batch.reference), "0"]
    return subprocess.Popen(program, cwd=PROJECT, stderr=subprocess.DEVNULL)


def finished(bench, pks):
    assert bench.rows(SampleFlux, "spectrum_pk", "median_flux") == [(pk, pk + 0.5) for pk in pks]
    assert bench.outcomes(PROGRAM) == []


def test_a_worker_killed_with_9_takes_its_program_along_and_the_next_one_does_the_rest(bench):
    pks = bench.visits([0] * 12)
    engine = bench.make(LocalBackend(procs=1), programs=site("slow", inputs=5))
    batch = engine.plan(PROGRAM, STEP)
    engine.start(batch)
    thread = threading.Thread(target=engine.collect, args=(batch,))
    thread.start()
    wait_for(lambda: keys_in_parts(batch) and len(notes(batch)) > 6)
    done = set(keys_in_parts(batch))
    pid = claims.living_owner(batch.task_folder(0))
    below = programs_of(pid)
    assert len(below) >= 2, "guard and program"
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: gone(below))
    thread.join(60)
    finished(bench, pks)
    tries = Counter(map(int, notes(batch)))
    assert len(done) == 5
    assert all(tries[pk] == 1 for pk in done), "what was in a part was not handed out again"
    assert sum(tries.values()) <= len(pks) + 1, "rows that the dead program had written were taken"


def test_a_worker_whose_time_is_nearly_over_ends_its_program_and_keeps_its_rows(bench):
    pks = bench.visits([0] * 40)
    batch = bench.make(LocalBackend(procs=1), programs=site("slow")).plan(PROGRAM, STEP)
    running = worker(batch)
    wait_for(lambda: len(notes(batch)) > 2)
    below = programs_of(running.pid)
    running.send_signal(signal.SIGUSR1)
    assert running.wait(30) == EXIT_TIME
    assert gone(below)
    kept = keys_in_parts(batch)
    assert 2 <= len(kept) < 40
    assert read_status(batch.task_folder(0)).done == len(kept)
    assert bench.does("well").collect(batch).results == 40
    finished(bench, pks)


@pytest.fixture
def alone(bench):
    """A batch of a slow program, to be run in this process."""
    bench.visits([0] * 40)
    return bench.make(LocalBackend(procs=1), programs=site("slow")).plan(PROGRAM, STEP)


def test_without_its_parent_a_task_stops_its_program_and_keeps_its_rows(alone, monkeypatch):
    monkeypatch.setattr("os.getppid", lambda: 7 if len(notes(alone)) < 3 else 1)
    ended = run_task(alone.directory, 0, TaskConditions(parent=7), alone.reference)
    assert ended.phase is Phase.STOPPED
    assert 2 <= len(keys_in_parts(alone)) < 40
    assert "process 7, which started this one, is gone" in read_status(alone.task_folder(0)).message
    assert gone(programs_here())


def test_without_its_claim_a_task_stops_its_program_and_writes_nothing(alone, monkeypatch):
    monkeypatch.setattr("astra_assets.compute.claims.Claim.holds", lambda _: len(notes(alone)) < 3)
    assert run_task(alone.directory, 0, TaskConditions(), alone.reference).phase is Phase.STOPPED
    assert keys_in_parts(alone) == []
    assert gone(programs_here())


def test_what_a_program_leaves_running_is_ended_with_it(bench):
    bench.visits([0] * 2)
    seen = []
    bench.does("leaves-children")
    backend = bench.engine.backend
    start = backend.start

    def noting(batch, tasks):
        job = start(batch, tasks)
        seen.extend(map(int, notes(batch)))
        return job

    backend.start = noting
    assert bench.engine.run(PROGRAM, STEP).results == 2
    (child,) = seen
    wait_for(lambda: not psutil.pid_exists(child) or gone([psutil.Process(child)]), 10)
