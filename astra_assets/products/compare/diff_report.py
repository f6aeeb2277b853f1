"""A comparison of two versions of a product, told in Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from astra_assets.products.compare.column_statistics import QUANTILES, Distribution
from astra_assets.products.compare.versions import ColumnDrift, Diff, TableDiff
from astra_assets.text import markdown_table

_MOST_WARNINGS = 30
_MOST_NAMES = 40


def report(diff: Diff) -> str:
    """Return the whole comparison."""
    lines = [
        f"# {diff.product}: what is different",
        "",
        f"- old: `{diff.old}`",
        f"- new: `{diff.new}`",
        "",
        *warning_lines(diff.warnings),
    ]
    for table in diff.tables:
        lines += ["", *_table_lines(table)]
    return "\n".join(lines) + "\n"


def warning_lines(warnings: Sequence[str]) -> list[str]:
    """Return what a person should look at, as a list."""
    if not warnings:
        return ["Nothing moved much."]
    shown = [f"- {text}" for text in warnings[:_MOST_WARNINGS]]
    more = [f"- and {len(warnings) - _MOST_WARNINGS} more, below"] if len(warnings) > _MOST_WARNINGS else []
    return ["**To be looked at**", "", *shown, *more]


def summary_lines(diff: Diff) -> list[str]:
    """Return the rows and columns of each table, as a table."""
    return markdown_table(
        ("table", "rows before", "rows now", "added", "lost", "columns added", "columns lost"),
        ((table.title, *(f"{count:,}" for count in _counts(table))) for table in diff.tables),
    )


def _counts(table: TableDiff) -> tuple[int, ...]:
    return (*table.rows, table.added, table.lost, len(table.new_columns), len(table.lost_columns))


def _table_lines(table: TableDiff) -> Iterator[str]:
    old, new = table.rows
    yield from (f"## {table.title}", "")
    yield f"{old:,} rows -> {new:,} rows: {table.added:,} added, {table.lost:,} lost (matched by `{table.key}`)."
    for what, keys, count in (
        ("Added", table.added_keys, table.added),
        ("Lost", table.lost_keys, table.lost),
    ):
        if keys:
            yield from ("", f"{what}: {_listed([str(key) for key in keys], count)}.")
    if table.new_columns:
        yield from ("", f"New columns: {_listed(table.new_columns, len(table.new_columns))}.")
    if table.lost_columns:
        yield from ("", f"Lost columns: {_listed(table.lost_columns, len(table.lost_columns))}.")
    if table.formats:
        rows = ((name, before, now) for name, (before, now) in table.formats.items())
        yield from ("", *markdown_table(("column", "format before", "format now"), rows))
    yield from _drift_lines([drift for drift in table.drifts if _differs(drift)])
    yield from _rate_lines(table.drifts)


def _differs(drift: ColumnDrift) -> bool:
    return bool(drift.changed) or drift.missing[0] != drift.missing[1] or drift.values[0] != drift.values[1]


def _drift_lines(drifts: Sequence[ColumnDrift]) -> Iterator[str]:
    if not drifts:
        yield from ("", "No number, and no share of missing values, is different.")
        return
    names = ", ".join(f"{quantile:.0%}" for quantile in QUANTILES)
    head = ("column", "missing", "rows that changed", "median moved by", "mean", f"quantiles {names}")
    rows = (_drift_cells(drift) for drift in sorted(drifts, key=_importance, reverse=True))
    yield from ("", *markdown_table(head, rows))


def _drift_cells(drift: ColumnDrift) -> tuple[str, ...]:
    return (
        drift.name,
        _pair([f"{share:.2%}" for share in drift.missing]),
        "" if drift.changed is None else f"{drift.changed:,}",
        "" if drift.shift is None else f"{drift.shift:+.2g} σ",
        _pair([_number(each.mean) if each else "" for each in drift.values]),
        _pair([_quantiles(each) for each in drift.values]),
    )


def _importance(drift: ColumnDrift) -> tuple[bool, float]:
    shift = abs(drift.shift) if drift.shift is not None else 0.0
    return bool(drift.warnings), shift if math.isfinite(shift) else 1e300


def _rate_lines(drifts: Sequence[ColumnDrift]) -> Iterator[str]:
    different = [
        (drift.name, name or "(empty)", f"{before:.3%}", f"{now:.3%}")
        for drift in drifts
        for name, (before, now) in drift.rates.items()
        if before != now
    ]
    if different:
        yield from ("", *markdown_table(("flag or class", "value", "share before", "share now"), different))


def _quantiles(values: Distribution | None) -> str:
    return "" if values is None else ", ".join(_number(each) for each in values.quantiles)


def _number(value: float) -> str:
    return f"{value:.5g}"


def _pair(texts: Sequence[str]) -> str:
    """Old and new, or one text where they are the same."""
    old, new = texts
    return old if old == new else f"{old} -> {new}"


def _listed(names: Sequence[str], count: int) -> str:
    shown = ", ".join(names[:_MOST_NAMES])
    return shown if count <= min(len(names), _MOST_NAMES) else f"{shown} ... ({count:,} in all)"
