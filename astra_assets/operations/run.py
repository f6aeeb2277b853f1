"""`run` and `srun`: run steps of a pipeline on what is unprocessed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from astra_assets.compute import Account, Batch, Progress
from astra_assets.compute.step_inputs import UNPROCESSED, Selection
from astra_assets.operations.deployment import OperationError
from astra_assets.pipelines.options import AS_DECLARED, ResourceRequest

if TYPE_CHECKING:
    from astra_assets.operations.deployment import Say
    from astra_assets.operations.step_runner import StepRunner
    from astra_assets.pipelines.base import Pipeline, Step

ShowProgress = Callable[[Progress], object]
"""Is told now and then how far a batch is."""


def run(
    runner: StepRunner,
    pipeline: Pipeline,
    steps: Sequence[Step],
    selection: Selection = UNPROCESSED,
    resources: ResourceRequest = AS_DECLARED,
    *,
    say: Say,
    collected: Callable[[Account], object],
    progress: Callable[[str], AbstractContextManager[ShowProgress | None]] = lambda _: nullcontext(),
) -> None:
    """Run steps one after the other; those that do not need each other wait for the cluster together.

    An interrupt leaves the steps that wait in `runner.under_way`.

    Args:
        runner: of the release, at the place where the steps run.
        pipeline: the pipeline.
        steps: some of its steps, in order.
        selection: on which inputs.
        resources: what is asked of the place.
        say: where progress is reported.
        collected: is told the account of each step at its end.
        progress: makes what is told how far the step of this label is; without it, lines go to `say` now and then.

    Raises:
        OperationError: the account of a step does not balance.
    """

    def collect(waiting: list[Step]) -> None:
        while waiting:
            step = waiting.pop(0)
            with progress(f"{pipeline.name} {step.name}") as show:
                account = runner.collect(pipeline, step, say, show)
            collected(account)
            if not account.balanced:
                raise OperationError(
                    f"{account}; please report this with the output of: astra-assets status --json"
                )

    waiting: list[Step] = []
    for step in steps:
        needed = pipeline.waits_for(step)
        if any(earlier in needed for earlier in waiting) or (waiting and runner.compute == "local"):
            collect(waiting)
        submitted = runner.submit(pipeline, step, selection, resources, say)
        if isinstance(submitted, Batch):
            waiting.append(step)
        else:
            collect([step])
    collect(waiting)
