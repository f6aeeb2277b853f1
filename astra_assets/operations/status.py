"""`status`: how every step stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from astra_assets.compute import Account, Batch, Progress
from astra_assets.compute.states import Meter, Phase, read_status
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
    """

    account: Account
    batch: Batch | None = None
    progress: Progress | None = None
    jobs: tuple[str, ...] = ()
    unavailable: str = ""

    @property
    def unfinished(self) -> bool:
        """True if running the step would do something: there is a backlog, or a batch that is not collected."""
        return (self.account.backlog > 0 or self.batch is not None) and not self.unavailable


def status(runner: StepRunner) -> list[StepStatus]:
    """Return how every step of the release stands.

    Asks neither workers nor the cluster, only the database and the folders of batches.
    """
    return [step_status(runner, pipeline, step) for pipeline, step in runner.steps()]


def step_status(runner: StepRunner, pipeline: Pipeline, step: Step) -> StepStatus:
    """Return how one step stands."""
    account = runner.engine.account(pipeline, step)
    unavailable = runner.unavailable(pipeline, step) or ""
    batch = runner.engine.active(pipeline, step)
    if batch is None:
        return StepStatus(account, unavailable=unavailable)
    tasks = [read_status(batch.task_folder(task)) for task in range(len(batch.tasks))]
    running = sum(task is not None and task.phase == Phase.RUNNING.value for task in tasks)
    meter = Meter(f"{batch.pipeline} {batch.step}", batch.n_inputs, len(batch.tasks))
    return StepStatus(account, batch, meter.read(tasks, running), usage_of(batch).job_ids, unavailable)
