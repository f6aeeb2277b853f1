"""`status`: how every step stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from astra_assets.compute import Account, Batch, Progress
from astra_assets.compute.progress import Meter, Phase, read_status
from astra_assets.compute.usage import usage_of

if TYPE_CHECKING:
    from astra_assets.operations.step_runner import StepRunner
    from astra_assets.pipelines.base import Pipeline, Step


@dataclass(frozen=True)
class StepStatus:
    """How a step stands now.

    Attributes:
        account: what became of its inputs.
        batch: the active batch; None where there is none.
        progress: how far that is, as its workers have written down.
        jobs: what the cluster calls its jobs.
        unavailable: why the step cannot run here; empty where it can.
        wanted: it cannot run, and the site names its program: an error, not a step that is left out.
    """

    account: Account
    batch: Batch | None = None
    progress: Progress | None = None
    jobs: tuple[str, ...] = ()
    unavailable: str = ""
    wanted: bool = False

    @property
    def unfinished(self) -> bool:
        """True if something is to be done: a backlog, a batch that is not collected, a named program that cannot run."""
        return self.wanted or ((self.account.backlog > 0 or self.batch is not None) and not self.unavailable)


def status(runner: StepRunner) -> list[StepStatus]:
    """Return how every step of the release stands.

    Asks neither workers nor the cluster, only the database and the folders of batches.
    """
    return [step_status(runner, pipeline, step) for pipeline, step in runner.steps()]


def step_status(runner: StepRunner, pipeline: Pipeline, step: Step) -> StepStatus:
    """Return how one step stands."""
    account = runner.engine.account(pipeline, step)
    absence = runner.absence(pipeline, step)
    missing: dict[str, Any] = {
        "unavailable": "" if absence is None else absence.reason,
        "wanted": absence is not None and absence.named,
    }
    batch = runner.engine.active(pipeline, step)
    if batch is None:
        return StepStatus(account, **missing)
    tasks = [read_status(batch.task_folder(task)) for task in range(len(batch.tasks))]
    running = sum(task is not None and task.phase == Phase.RUNNING.value for task in tasks)
    meter = Meter(f"{batch.pipeline} {batch.step}", batch.n_inputs, len(batch.tasks))
    return StepStatus(account, batch, meter.read(tasks, running), usage_of(batch).job_ids, **missing)
