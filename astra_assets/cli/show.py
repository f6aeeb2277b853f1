"""Tables and bars in a terminal. Belongs here: layout. Does not belong here: what is shown."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from rich.console import Console
from rich.table import Table

WIDEST = 1000
"""Columns of text that a line of a table may have."""


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
