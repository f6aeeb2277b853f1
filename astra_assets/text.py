"""Sizes, durations, tables and names as people read them, in a terminal, in Markdown and in the web UI."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence


def size_text(n_bytes: float) -> str:
    """Format a number of bytes: `999 bytes`, `1.5 MB`; units are powers of 1000."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.0f} {unit}" if unit == "bytes" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} TB"


def duration_text(seconds: float) -> str:
    """Format a time span: `75` becomes `1 min 15 s`; hours are given from 60 minutes on."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole % 3600 // 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"


def snake_case(name: str) -> str:
    """Return the name of the table or key of a class: `SnowWhite` becomes `snow_white`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def nearest(name: str, names: Iterable[str], most: int = 3) -> tuple[str, ...]:
    """Return the names that are most like one that is not there, the best first, whatever the case of letters."""
    folded = {each.lower(): each for each in names}
    return tuple(folded[each] for each in difflib.get_close_matches(name.lower(), folded, most))


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Return the lines of a Markdown table.

    A cell stays in its cell whatever it holds: bars are escaped, line breaks become blanks.
    """
    lines = [columns, ["---"] * len(columns), *rows]
    return ["| " + " | ".join(_cell(value) for value in line) + " |" for line in lines]


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")


def aligned_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, texts: Sequence[int]
) -> list[str]:
    """Return the lines of a table in columns of equal width.

    Args:
        columns: headings.
        rows: cells, as many for each row as there are columns.
        texts: columns that are aligned to the left; the others hold numbers and are aligned to the right.
    """
    lines = [tuple(columns), *map(tuple, rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    return [
        "  ".join(
            cell.ljust(width) if place in texts else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
