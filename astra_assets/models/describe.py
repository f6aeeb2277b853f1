"""Describe tables in Markdown, from what the registry says about their columns."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from sqlalchemy import Table

from astra_assets.models.base import Base, LayoutEntry, table_of
from astra_assets.registry.columns import info
from astra_assets.registry.flags import Flag
from astra_assets.text import markdown_table


def describe(model: type[Base]) -> str:
    """One table as Markdown: what it is, every field under its heading, and the bits of its flags.

    Fields are those of files too: pixel arrays and `flag_warn`, `flag_bad`, which no database holds.
    """
    table = table_of(model)
    lines = [f"## {table.name}", "", first_paragraph(model), ""]
    for heading, entries in groupby(table.info["layout"], key=lambda entry: entry.heading):
        rows = [row for entry in entries for row in (field_row(entry), *verdict_rows(entry))]
        lines += ["", f"**{heading or 'Keys'}**", "", *markdown_table(COLUMNS, rows)]
    lines += flag_lines(table)
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


COLUMNS = ("column", "type", "unit", "UCD", "meaning", "NULL in files")


def first_paragraph(model: type[Base]) -> str:
    """What the class says about the table, on one line."""
    return " ".join((model.__doc__ or "").strip().split("\n\n")[0].split())


def field_row(entry: LayoutEntry) -> tuple[str, ...]:
    """One field as a row of the table."""
    about = entry.definition
    return (
        entry.name,
        about.kind.value,
        about.unit or "",
        about.ucd or "",
        about.description,
        "" if entry.column is not None and not entry.column.nullable else fill_text(about.null_value),
    )


def verdict_rows(entry: LayoutEntry) -> Iterator[tuple[str, ...]]:
    """The booleans that follow from a column of flags, which only files have, as rows of the table."""
    for each in () if entry.column is None else info(entry.column).verdicts:
        yield each.name, "boolean (files)", "", "meta.code.qual", each.text, "False"


def fill_text(value: Any) -> str:
    """How the value that stands for NULL is written."""
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    if isinstance(value, str):
        return '""'
    return "zeros" if isinstance(value, bytes) else str(value)


def flag_lines(table: Table) -> Iterator[str]:
    """The bits of each flag column, as lists."""
    for column in table.columns:
        bits: tuple[Flag, ...] = info(column).flags
        if bits:
            yield from ("", f"Bits of `{column.name}`:", "")
            yield from (f"- {flag.bit} `{flag.name}`: {flag.text}" for flag in bits)
