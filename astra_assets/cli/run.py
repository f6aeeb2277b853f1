"""`astra-assets run` and `astra-assets srun`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from astra_assets.cli.show import progress_bar, say
from astra_assets.cli.steps import HERE, named_steps, parsed, resources, selections
from astra_assets.operations.deployment import Deployment

if TYPE_CHECKING:
    from astra_assets.config.settings import Compute
    from astra_assets.operations.step_runner import StepRunner


@click.command()
@named_steps
@selections
@resources(HERE)
def run(**options: Any) -> None:
    """Run PIPELINE (on inputs of MODEL, e.g. BossCombinedSpectrum) on everything without a result, on this machine."""
    _run("local", **options)


@click.command()
@named_steps
@selections
@resources()
def srun(**options: Any) -> None:
    """Run PIPELINE (on inputs of MODEL, e.g. BossCombinedSpectrum) on everything without a result, on the Slurm cluster.

    Every step is one array job, each task of which has a node. What is not asked for here is as astra.toml says in [slurm],
    else as the pipeline declares it. When this program ends, in whatever way but by Ctrl-C and `y`, the job goes on, and the
    same command attaches to it.
    """
    _run("slurm", **options)


def _run(compute: Compute, *, release: str | None, **options: Any) -> None:
    from astra_assets.operations.run import run
    from astra_assets.operations.step_runner import StepRunner

    deployment = Deployment.load()
    runner = StepRunner(deployment, deployment.release(release), compute)
    try:
        run(runner, *parsed(**options), say=say, collected=click.echo, progress=progress_bar)
    except KeyboardInterrupt:
        ask_to_stop(runner)
        raise


def ask_to_stop(runner: StepRunner) -> None:
    """After Ctrl-C, ask whether jobs on the cluster are to end; where nobody can be asked they go on."""
    for pipeline, step in runner.under_way:
        jobs = runner.jobs(pipeline, step)
        if not jobs:
            continue
        name = f"job {', '.join(jobs)} of {pipeline.name} {step.name}"
        if sys.stdin.isatty() and click.confirm(f"Cancel {name} on the cluster?", err=True):
            say(runner.stop(pipeline, step) or f"{name} has ended already")
        else:
            say(
                f"{name} goes on. The same command attaches to it; astra-assets cancel "
                f"{runner.batch_id(pipeline, step)} ends it"
            )
