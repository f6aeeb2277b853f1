"""Verbs about work: run and plan.

Belongs here: their arguments and what they print. Does not belong here: how work is planned and run (`work`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from astra_assets.cli.data import operations, say
from astra_assets.operations import OperationError, find_pipeline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from astra_assets.compute import Progress
    from astra_assets.pipelines.base import Pipeline, Step


def step_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that `run` and `plan` share."""
    options = [
        click.argument("pipeline"),
        click.argument("model", required=False),
        click.option("--step", "step_name", help="Only this step of the pipeline, e.g. star."),
        click.option("--procs", type=click.IntRange(min=1), help="Worker processes.  [default: all cores]"),
        click.option("--nodes", type=click.IntRange(min=1), help="Tasks that the batch is cut into."),
        click.option("--time", help="Wall time, e.g. 48:00:00."),
        click.option("--release", help="Release that the results are for."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def chosen_steps(name: str, model: str | None, step_name: str | None) -> tuple[Pipeline, list[Step]]:
    """The steps of a pipeline that were asked for, in order.

    Raises:
        OperationError: the pipeline has no such step, or none on that model.
    """
    pipeline = find_pipeline(name)
    steps = [
        step
        for step in pipeline.steps
        if step_name in (None, step.name) and model in (None, step.inputs.__name__)
    ]
    if not steps:
        known = ", ".join(f"{step.name} ({step.inputs.__name__})" for step in pipeline.steps)
        raise OperationError(f"{pipeline.name} has no step like that; it has: {known}")
    return pipeline, steps


@click.command()
@step_options
@click.option(
    "--sdss-ids", type=int, multiple=True, metavar="ID", help="Only this object; repeat for several."
)
@click.option("--limit", type=click.IntRange(min=1), help="At most this many inputs; the rest is a backlog.")
@click.option("--retry-failed", is_flag=True, help="Also what failed as often as is allowed.")
@click.option("--force", is_flag=True, help="Also what has a result.")
def run(
    *,
    pipeline: str,
    model: str | None,
    step_name: str | None,
    procs: int | None,
    nodes: int | None,
    time: str | None,
    release: str | None,
    sdss_ids: tuple[int, ...],
    limit: int | None,
    retry_failed: bool,
    force: bool,
) -> None:
    """Run PIPELINE (on inputs of MODEL, e.g. BossCombinedSpectrum) on everything without a result, on this machine."""
    from astra_assets.pipelines.options import Resources
    from astra_assets.work import Restriction

    survey = operations()
    work = survey.work(survey.release(release))
    chosen, steps = chosen_steps(pipeline, model, step_name)
    restriction = Restriction(sdss_ids, limit, retry_failed, force)
    for step in steps:
        work.submit(chosen, step, restriction, Resources(nodes, procs, time), say)
        with progress_bar(f"{chosen.name} {step.name}") as progress:
            account = work.collect(chosen, step, say, progress)
        click.echo(account)
        if not account.balanced:
            raise OperationError(
                f"{account}; please report this with the output of: astra-assets status --json"
            )


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[Progress], None] | None]:
    """A bar on a terminal; None elsewhere, so that a log gets a line now and then."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn(label),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rest]}"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None, rest="")

        def show(progress: Progress) -> None:
            rest = f"{progress.failed} failed, {progress.skipped} skipped"
            bar.update(task, total=progress.inputs, completed=progress.finished, rest=rest)

        yield show


@click.command()
@step_options
def plan(
    *,
    pipeline: str,
    model: str | None,
    step_name: str | None,
    procs: int | None,
    nodes: int | None,
    time: str | None,
    release: str | None,
) -> None:
    """Say what `run` would do with PIPELINE, without doing it."""
    from astra_assets.cli.show import print_table
    from astra_assets.compute.states import duration
    from astra_assets.pipelines.options import Resources

    survey = operations()
    work = survey.work(survey.release(release))
    chosen, steps = chosen_steps(pipeline, model, step_name)
    rows = []
    for step in steps:
        preview = work.preview(chosen, step, Resources(nodes, procs, time))
        each = -(-preview.account.backlog // preview.tasks)
        expected = "unknown: no result yet" if preview.seconds is None else duration(preview.seconds)
        rows.append(
            [step.name, f"{preview.account.backlog:,}", preview.tasks, f"{each:,}", preview.procs, expected]
        )
    columns = ["step", "inputs to look at", "tasks", "inputs per task", "processes per task", "expected time"]
    print_table(columns, rows, numbers={1, 2, 3, 4})


@click.command()
@click.argument("batch_id")
@click.option("--yes", is_flag=True, help="Do not ask.")
def cancel(batch_id: str, yes: bool) -> None:
    """End the batch BATCH_ID without collecting it; what its workers made is not used."""
    survey = operations()
    work = survey.work(survey.release())
    if not yes:
        click.confirm(f"Cancel batch {batch_id}?", abort=True)
    click.echo(work.cancel(batch_id))
