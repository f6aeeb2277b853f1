"""Who ends the work on the cluster: a person who terminates the run, and nobody else."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import threading
import time
import weakref
from types import SimpleNamespace
from typing import Any

import dagster as dg
import psutil
import pytest

from astra_assets.defs import termination
from astra_assets.defs.termination import (
    StoppingExecutor,
    end_with_run,
    interrupts_delivered,
    while_run_lives,
)
from astra_assets.errors import ExpectedError

CORV, STAR = (SimpleNamespace(name="Corv"), "visit"), (SimpleNamespace(name="SnowWhite"), "star")
STEPS: dict[str, Any] = {"corv__visit": CORV, "snow_white__star": STAR}


def event(step, kind):
    return SimpleNamespace(step_key=step, is_step_start=kind == "start", is_step_success=kind == "success")


SUBMITTED = [event("corv__visit.submit", "start"), event("corv__visit.submit", "success")]
COLLECTED = [event("corv__visit.collect", "start"), event("corv__visit.collect", "success")]
PRODUCT = [event(None, "start"), event("astraAllVisitCorv", "start")]


class Runner:
    """Remembers what was stopped."""

    compute = "slurm"

    def __init__(self, error: Exception | None = None):
        self.error = error
        self.stopped: list[object] = []

    def jobs(self, *_):
        return ("7",)

    def batch_id(self, *_):
        return "20260101-120000-abc"

    def stop(self, pipeline, step):
        if self.error is not None:
            raise self.error
        self.stopped.append((pipeline, step))
        return f"{pipeline.name}: job 7 is cancelled"


def interrupted(events, status, runner, error=dg.DagsterExecutionInterruptedError) -> list[str]:
    """What is said when a run is interrupted after these events while it is in a state."""
    said: list[str] = []

    def execute(*_):
        yield from events
        raise error

    run = None if status is None else SimpleNamespace(status=status)
    context = SimpleNamespace(
        run_id="a run",
        instance=SimpleNamespace(get_run_by_id=lambda _: run),
        log=SimpleNamespace(warning=said.append),
    )
    inner: Any = SimpleNamespace(execute=execute)
    executor = StoppingExecutor(inner, STEPS, lambda _: runner)
    seen = []
    with pytest.raises(error):
        seen.extend(executor.execute(context, None))
    return said


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED])
@pytest.mark.parametrize("error", [dg.DagsterExecutionInterruptedError, KeyboardInterrupt])
def test_a_terminated_run_stops_what_it_submitted(status, error):
    runner = Runner()
    assert interrupted([*PRODUCT, *SUBMITTED], status, runner, error) == ["Corv: job 7 is cancelled"]
    assert runner.stopped == [CORV]


def test_a_submission_that_is_under_way_is_stopped_too():
    runner = Runner()
    interrupted(SUBMITTED[:1], dg.DagsterRunStatus.CANCELING, runner)
    assert runner.stopped == [CORV]


def test_what_is_collected_already_is_left_alone():
    runner = Runner()
    assert interrupted([*SUBMITTED, *COLLECTED], dg.DagsterRunStatus.CANCELING, runner) == []
    assert runner.stopped == []


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.FAILURE])
def test_a_run_that_is_only_interrupted_leaves_its_work_and_says_so(status):
    runner = Runner()
    (said,) = interrupted([*PRODUCT, *SUBMITTED], status, runner)
    assert said.startswith("corv__visit: job 7 goes on on the cluster; run the same again to attach to it")
    assert "astra-assets cancel 20260101-120000-abc" in said
    assert runner.stopped == []


def test_a_run_that_is_not_known_leaves_everything():
    runner = Runner()
    assert interrupted(SUBMITTED, None, runner) == []
    assert runner.stopped == []


def test_an_error_of_a_step_stops_nothing():
    runner = Runner()
    assert interrupted(SUBMITTED, dg.DagsterRunStatus.CANCELING, runner, ExpectedError) == []
    assert runner.stopped == []


def test_a_job_that_cannot_be_stopped_is_named_with_what_to_type():
    runner = Runner(ExpectedError("Slurm does not answer"))
    (said,) = interrupted(SUBMITTED, dg.DagsterRunStatus.CANCELING, runner)
    assert said.startswith("corv__visit: its jobs could not be cancelled: Slurm does not answer")
    assert "astra-assets cancel BATCH" in said


def context_of(status=dg.DagsterRunStatus.STARTED):
    instance = SimpleNamespace(get_run_by_id=lambda _: SimpleNamespace(status=status))
    return SimpleNamespace(run_id="a run", instance=instance)


def test_a_step_that_was_not_told_of_the_end_of_its_run_finds_out(monkeypatch):
    monkeypatch.setattr(termination, "ASK_SECONDS", 0.0)
    seen: list[object] = []
    now: Any = "now"
    runner: Any = Runner()
    while_run_lives(context_of(), runner, seen.append)(now)
    assert seen == ["now"]
    with pytest.raises(dg.DagsterExecutionInterruptedError):
        while_run_lives(context_of(dg.DagsterRunStatus.CANCELING), runner, seen.append)(now)


def test_an_interrupt_that_python_ignores_is_delivered_again():
    class Thing:
        pass

    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    def collect_and_wait() -> None:
        thing = Thing()
        reference = weakref.ref(thing, interrupted)
        del thing  # its callback is called, and Python ignores what that raises
        assert reference() is None
        time.sleep(10)

    before = sys.unraisablehook
    with pytest.raises(KeyboardInterrupt), interrupts_delivered():
        collect_and_wait()
    assert sys.unraisablehook is before


STEP_PROCESS = """
import multiprocessing, sys, time
from astra_assets.defs import termination

def step(pid_file):
    termination.GRACE_SECONDS = 0.5
    termination.end_with_run()
    termination.end_with_run()
    open(pid_file, "w").write(str(multiprocessing.current_process().pid))
    time.sleep(120)

if __name__ == "__main__":
    multiprocessing.get_context("forkserver").Process(target=step, args=(sys.argv[1],)).start()
    time.sleep(120)
"""


@pytest.mark.processes
def test_the_process_of_a_step_ends_after_that_of_its_run_was_killed(tmp_path):
    (tmp_path / "run.py").write_text(STEP_PROCESS)
    pid_file = tmp_path / "pid"
    run = subprocess.Popen([sys.executable, str(tmp_path / "run.py"), str(pid_file)])
    deadline = time.monotonic() + 60
    while not (pid_file.exists() and pid_file.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    step = psutil.Process(int(pid_file.read_text()))
    assert step.is_running()
    run.kill()
    run.wait(60)
    step.wait(60)


def test_a_step_in_the_process_of_the_run_is_not_watched():
    assert multiprocessing.parent_process() is None
    end_with_run()
    assert termination.WATCHMAN not in {thread.name for thread in threading.enumerate()}
