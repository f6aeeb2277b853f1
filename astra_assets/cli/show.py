"""Lines of progress, tables and bars in a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from astra_assets.compute import Progress

WIDEST = 1000
"""Columns of text that a line of a table may have."""


def say(text: str) -> None:
    """Print one line of progress, on standard error so that results on standard output stay clean."""
    click.echo(text, err=True)


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], numbers: AbstractSet[int] = frozenset()
) -> None:
    """Print a table; columns whose index is in `numbers` are aligned to the right. Paths are never cut."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, name in enumerate(columns):
        table.add_column(name, justify="right" if index in numbers else "left", overflow="fold", no_wrap=True)
    for row in rows:
        table.add_row(*(str(value) for value in row))
    # a table is as wide as its content, also where the terminal is not: a path that is cut is no path
    console = Console(width=max(Console().width, WIDEST), soft_wrap=True)
    console.print(table, no_wrap=True, crop=False)


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[Progress], None] | None]:
    """A bar on a terminal; None elsewhere, so that a log gets a line now and then."""
    if not sys.stderr.isatty():
        yield None
        return
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
            rest = f"{progress.failed} failed, {progress.skipped} skipped, {progress.running} of {progress.tasks} tasks running"
            if progress.waiting:
                rest += f", waiting: {progress.waiting.partition(':')[0]}"
            bar.update(task, total=progress.inputs, completed=progress.finished, rest=rest)

        yield show
