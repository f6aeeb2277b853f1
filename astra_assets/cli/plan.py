"""`astra-assets plan`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from astra_assets.cli.show import print_table, say
from astra_assets.cli.steps import named_steps, parsed, resources, selections
from astra_assets.operations.deployment import Deployment
from astra_assets.text import duration_text, size_text

if TYPE_CHECKING:
    from astra_assets.config.settings import Compute
    from astra_assets.operations.plan import StepPlan


@click.command()
@named_steps
@selections
@click.option(
    "--compute", type=click.Choice(["local", "slurm"]), help="Where to run.  [default: ASTRA_COMPUTE]"
)
@resources()
def plan(*, compute: Compute | None, release: str | None, **options: Any) -> None:
    """Say what `run` or `srun` would do with PIPELINE, without doing it.

    Node hours follow from how long results took so far, disk space from the last batch. On a cluster it is also told what of the
    options no node there can meet.
    """
    from astra_assets.operations.plan import doubts, plan
    from astra_assets.operations.step_runner import StepRunner

    deployment = Deployment.load()
    runner = StepRunner(deployment, deployment.release(release), compute)
    found = plan(runner, *parsed(**options))
    columns = ["step", "inputs to look at", "tasks", "inputs per task", "processes per task", "expected time",
               "node hours", "disk"]  # fmt: skip
    print_table(columns, [row(step) for step in found], numbers={1, 2, 3, 4, 6, 7})
    for step in found:
        for note in (*step.notes, *doubts(runner, step)):
            say(f"{step.account.pipeline} {step.account.step}: {note}")


def row(step: StepPlan) -> list[object]:
    """Return one line of what would be done."""
    if step.submits_nothing:
        return [step.account.step, f"{step.inputs:,}", "-", "-", "-", "no worker is needed", "-", "-"]
    unknown = step.seconds is None or step.node_hours is None
    return [
        step.account.step,
        f"{step.inputs:,}",
        step.tasks,
        f"{step.inputs_per_task:,}",
        step.options.procs,
        "unknown: no result yet" if step.seconds is None else duration_text(step.seconds),
        "-" if unknown else f"{step.node_hours:,.2f}",
        size_text(step.disk),
    ]
