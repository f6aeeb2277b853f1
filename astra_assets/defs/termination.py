"""What becomes of jobs on the cluster when a run ends before its steps do: Terminate is told from an accident."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import dagster as dg

from astra_assets.errors import ExpectedError

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

    from astra_assets.compute import Progress
    from astra_assets.operations.step_runner import StepRunner
    from astra_assets.pipelines.base import Pipeline, Step

SUBMIT, COLLECT = "submit", "collect"
"""Names of the two ops of a step."""

ON_REQUEST = (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)
"""States of a run that somebody has terminated; one whose machine is stopped is in none of them."""

ASK_SECONDS = 5.0
"""How often a step that waits looks whether its run was terminated."""

GRACE_SECONDS = 30.0
"""How long a step has to end by itself when its run is dead."""

AGAIN_SECONDS = 0.1
"""How long after an interrupt that Python ignored it is delivered again."""

WATCHMAN = "end with run"
"""Name of the thread that waits for the end of the run."""

RunnerOf = Callable[[dg.DagsterRun], "StepRunner"]
"""Gives what runs the steps of a run."""


class StoppingExecutor(dg.Executor):
    """An executor that ends the jobs of its run on the cluster when the run is terminated.

    Whoever presses Terminate wants the cluster to stop. A restart of the web server or the daemon, Ctrl-C in a terminal or the
    end of a login session also interrupt a run, and then the jobs go on for the next run to attach to.

    Attributes:
        inner: runs the steps.
        steps: by the name of its graph, what a step of the job is.
        runner_of: gives what runs the steps of a run.
    """

    def __init__(
        self, inner: dg.Executor, steps: Mapping[str, tuple[Pipeline, Step]], runner_of: RunnerOf
    ) -> None:
        self.inner, self.steps, self.runner_of = inner, steps, runner_of

    @property
    def retries(self) -> Any:
        """As the inner executor wants it."""
        return self.inner.retries

    @property
    def step_dependency_config(self) -> Any:
        """As the inner executor wants it."""
        return self.inner.step_dependency_config

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[dg.DagsterEvent]:
        """Run the steps; on the way out after Terminate, end the jobs of those that were submitted and not collected."""
        under_way: set[str] = set()
        try:
            with interrupts_delivered():
                for event in self.inner.execute(plan_context, execution_plan):
                    name, _, op = (event.step_key or "").rpartition(".")
                    if op == SUBMIT and event.is_step_start:
                        under_way.add(name)
                    elif op == COLLECT and event.is_step_success:
                        under_way.discard(name)
                    yield event
        except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError):
            run = plan_context.instance.get_run_by_id(plan_context.run_id)
            if run is not None:
                leave = self.stop if run.status in ON_REQUEST else self.tell
                leave(run, under_way, plan_context.log.warning)
            raise

    def stop(self, run: dg.DagsterRun, names: set[str], say: Callable[[str], object]) -> None:
        """End the jobs of these steps, or say who has to."""
        for name in sorted(names & self.steps.keys()):
            try:
                done = self.runner_of(run).stop(*self.steps[name])
            except ExpectedError as error:
                done = (
                    f"{name}: its jobs could not be cancelled: {error}. astra-assets status shows its batch; then type: "
                    "astra-assets cancel BATCH"
                )
            if done is not None:
                say(done)

    def tell(self, run: dg.DagsterRun, names: set[str], say: Callable[[str], object]) -> None:
        """Say which jobs of these steps go on."""
        runner = self.runner_of(run)
        for name in sorted(names & self.steps.keys()):
            jobs = runner.jobs(*self.steps[name])
            if jobs:
                say(
                    f"{name}: job {', '.join(jobs)} goes on on the cluster; run the same again to attach to it, or type "
                    f"astra-assets cancel {runner.batch_id(*self.steps[name])}"
                )


@contextmanager
def interrupts_delivered() -> Iterator[None]:
    """Deliver an interrupt again that came where Python ignores exceptions, such as in the callback of a weak reference.

    Dagster raises the interrupt wherever the main thread is at that moment. Without this a Ctrl-C would be lost now and then,
    and the job would go on.
    """
    before = sys.unraisablehook

    def deliver(ignored: sys.UnraisableHookArgs) -> None:
        if isinstance(ignored.exc_value, KeyboardInterrupt | dg.DagsterExecutionInterruptedError):
            again = threading.Timer(AGAIN_SECONDS, os.kill, (os.getpid(), signal.SIGINT))
            again.daemon = True
            again.start()
        else:
            before(ignored)

    sys.unraisablehook = deliver
    try:
        yield
    finally:
        sys.unraisablehook = before


def while_run_lives(
    context: dg.OpExecutionContext, runner: StepRunner, progress: Callable[[Progress], object]
) -> Callable[[Progress], object]:
    """The same progress, which ends the waiting on a cluster when the run of this step was terminated.

    A step that is just being started at that moment is not told by Dagster.
    """
    if runner.compute != "slurm":
        return progress
    asked = time.monotonic()

    def watched(now: Progress) -> None:
        nonlocal asked
        if time.monotonic() - asked >= ASK_SECONDS:
            asked = time.monotonic()
            run = context.instance.get_run_by_id(context.run_id)
            if run is not None and run.status in ON_REQUEST:
                raise dg.DagsterExecutionInterruptedError
        progress(now)

    return watched


def end_with_run() -> None:
    """From now on this process, which runs one step, ends soon after that of its run, in whatever way that ends.

    A run that is killed leaves the processes of its steps behind. One that watches a batch would start again what stops, as
    the next run does; one that has much to tell would wait for ever for somebody to listen.
    """
    run_process = multiprocessing.parent_process()
    if run_process is not None and not any(thread.name == WATCHMAN for thread in threading.enumerate()):
        threading.Thread(target=_end_after, args=(run_process,), name=WATCHMAN, daemon=True).start()


def _end_after(run_process: BaseProcess) -> None:
    run_process.join()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(1)
