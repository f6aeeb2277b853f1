"""Verbs about work: run, srun, plan and cancel.

Belongs here: what they do in which order, and what they print. Does not belong here: which steps are meant and what is asked for
(`steps`), how work is planned and run (`work`).
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from astra_assets.cli.data import operations, say
from astra_assets.cli.show import print_table, progress_bar
from astra_assets.cli.steps import HERE, asked, chosen, named_steps, resources, restrictions
from astra_assets.operations.operations import OperationError
from astra_assets.text import duration_text, size_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from astra_assets.config.settings import Compute
    from astra_assets.operations.standing import Preview
    from astra_assets.operations.work import Work
    from astra_assets.pipelines.base import Pipeline, Step


@click.command()
@named_steps
@restrictions
@resources(HERE)
def run(**options: Any) -> None:
    """Run PIPELINE (on inputs of MODEL, e.g. BossCombinedSpectrum) on everything without a result, on this machine."""
    run_steps("local", **options)


@click.command()
@named_steps
@restrictions
@resources()
def srun(**options: Any) -> None:
    """Run PIPELINE (on inputs of MODEL, e.g. BossCombinedSpectrum) on everything without a result, on the Slurm cluster.

    Every step is one array job, each task of which has a node. What is not asked for here is as astra.toml says in [slurm],
    else as the pipeline declares it. When this program ends, in whatever way but by Ctrl-C and `y`, the job goes on, and the
    same command attaches to it.
    """
    run_steps("slurm", **options)


def run_steps(
    compute: Compute,
    *,
    pipeline: str,
    words: tuple[str, ...],
    step_name: str | None,
    release: str | None,
    sdss_ids: tuple[int, ...],
    limit: int | None,
    retry_failed: bool,
    force: bool,
    **asked_for: Any,
) -> None:
    """Run steps one after the other; those that do not need each other wait for the cluster together."""
    from astra_assets.compute import Batch
    from astra_assets.operations.work import Restriction

    survey = operations()
    work = survey.work(survey.release(release), compute)
    chosen_pipeline, steps, objects = chosen(pipeline, words, step_name)
    restriction = Restriction((*objects, *sdss_ids), limit, retry_failed, force)
    wanted = asked(asked_for)
    waiting: list[Step] = []
    try:
        for step in steps:
            needed = chosen_pipeline.waits_for(step)
            if any(earlier in needed for earlier in waiting) or (waiting and compute == "local"):
                collect(work, chosen_pipeline, waiting)
            submitted = work.submit(chosen_pipeline, step, restriction, wanted, say)
            waiting.append(step)
            if not isinstance(submitted, Batch):
                collect(work, chosen_pipeline, [waiting.pop()])
        collect(work, chosen_pipeline, waiting)
    except KeyboardInterrupt:
        ask_to_stop(work, chosen_pipeline, waiting)
        raise


def collect(work: Work, pipeline: Pipeline, waiting: list[Step]) -> None:
    """Wait for the batches of these steps and print their accounts; none is left in the list."""
    while waiting:
        step = waiting[0]
        with progress_bar(f"{pipeline.name} {step.name}") as progress:
            account = work.collect(pipeline, step, say, progress)
        click.echo(account)
        if not account.balanced:
            raise OperationError(
                f"{account}; please report this with the output of: astra-assets status --json"
            )
        del waiting[0]


def ask_to_stop(work: Work, pipeline: Pipeline, steps: Sequence[Step]) -> None:
    """After Ctrl-C: whether jobs on the cluster are to end; where nobody can be asked they go on."""
    for step in steps:
        jobs = work.jobs(pipeline, step)
        if not jobs:
            continue
        name = f"job {', '.join(jobs)} of {pipeline.name} {step.name}"
        if sys.stdin.isatty() and click.confirm(f"Cancel {name} on the cluster?", err=True):
            say(work.stop(pipeline, step) or f"{name} has ended already")
        else:
            say(
                f"{name} goes on. The same command attaches to it; astra-assets cancel "
                f"{work.batch_id(pipeline, step)} ends it"
            )


@click.command()
@named_steps
@restrictions
@click.option(
    "--compute", type=click.Choice(["local", "slurm"]), help="Where to run.  [default: ASTRA_COMPUTE]"
)
@resources()
def plan(
    *,
    pipeline: str,
    words: tuple[str, ...],
    step_name: str | None,
    release: str | None,
    sdss_ids: tuple[int, ...],
    limit: int | None,
    retry_failed: bool,
    force: bool,
    compute: Compute | None,
    **asked_for: Any,
) -> None:
    """Say what `run` or `srun` would do with PIPELINE, without doing it.

    Node hours follow from how long results took so far, disk space from the last batch. On a cluster it is also told what of the
    options no node there can meet.
    """
    from astra_assets.operations.work import Restriction

    survey = operations()
    work = survey.work(survey.release(release), compute)
    chosen_pipeline, steps, objects = chosen(pipeline, words, step_name)
    restriction = Restriction((*objects, *sdss_ids), limit, retry_failed, force)
    wanted = asked(asked_for)
    previews = [work.preview(chosen_pipeline, step, wanted, restriction) for step in steps]
    columns = ["step", "inputs to look at", "tasks", "inputs per task", "processes per task", "expected time",
               "node hours", "disk"]  # fmt: skip
    print_table(columns, [preview_row(preview) for preview in previews], numbers={1, 2, 3, 4, 6, 7})
    for preview in previews:
        for note in (*preview.notes, *work.doubts(preview)):
            say(f"{preview.account.pipeline} {preview.account.step}: {note}")


def preview_row(preview: Preview) -> list[object]:
    """One line of what would be done."""
    if preview.submits_nothing:
        return [preview.account.step, f"{preview.inputs:,}", "-", "-", "-", "no worker is needed", "-", "-"]
    unknown = preview.seconds is None or preview.node_hours is None
    return [
        preview.account.step,
        f"{preview.inputs:,}",
        preview.tasks,
        f"{preview.inputs_per_task:,}",
        preview.options.procs,
        "unknown: no result yet" if preview.seconds is None else duration_text(preview.seconds),
        "-" if unknown else f"{preview.node_hours:,.2f}",
        size_text(preview.disk),
    ]


@click.command()
@click.argument("batch_id")
@click.option("--yes", is_flag=True, help="Do not ask.")
def cancel(batch_id: str, yes: bool) -> None:
    """End the batch BATCH_ID without collecting it, its jobs on a cluster too; what its workers made is not used."""
    survey = operations()
    work = survey.work(survey.release())
    work.folder_of_active(batch_id)
    if not yes:
        click.confirm(f"Cancel batch {batch_id}?", abort=True)
    click.echo(work.cancel(batch_id))
