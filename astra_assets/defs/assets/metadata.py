"""What the web UI shows next to an asset: column schemas, numbers, tables."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from astra_assets.defs.assets.outline import Columns, ShownColumn
from astra_assets.text import markdown_table, size_text

if TYPE_CHECKING:
    from astra_assets.compute import Account
    from astra_assets.compute.usage import Usage
    from astra_assets.operations.step_runner import LastBatch, StepRunner
    from astra_assets.pipelines.base import Pipeline, Step
    from astra_assets.products.compare.versions import Diff
    from astra_assets.products.make import CreateReport

MOST_TEXT = 20_000
"""Characters of a comparison that Dagster's records keep."""
OWNERS = ["team:mwm"]
"""Who answers for the assets, in Dagster's spelling."""


def table_schema(columns: Columns) -> dg.TableSchema:
    """Names, types, units, UCDs and descriptions of columns."""
    return dg.TableSchema(columns=[_table_column(column) for column in columns])


@cache
def _table_column(column: ShownColumn) -> dg.TableColumn:
    """Made once: most products show the same columns of sources and spectra."""
    tags = {key: text for key, text in (("unit", column.unit), ("ucd", column.ucd)) if text}
    unit = f" [{column.unit}]" if column.unit else ""
    return dg.TableColumn(
        name=column.name, type=column.kind, description=f"{column.description}{unit}", tags=tags
    )


def step_metadata(
    runner: StepRunner, pipeline: Pipeline, step: Step, account: Account
) -> dict[str, dg.MetadataValue]:
    """How a step stands, its reasons, and what the batch that it ran last has used."""
    from astra_assets.operations.step_runner import batch_usage
    from astra_assets.operations.why import log_tail, telling_log

    shown = account_metadata(account)
    if not step.is_filter:
        shown["dagster/row_count"] = dg.MetadataValue.int(account.results + account.kept)
    reason = runner.unavailable(pipeline, step)
    if reason is not None:
        shown["skipped step"] = dg.MetadataValue.text(reason)
    last = runner.last_batch(pipeline, step)
    if last is not None:
        shown |= batch_metadata(last, batch_usage(last.directory))
        log = telling_log(last.directory)
        if log is not None:
            shown["log"] = dg.MetadataValue.path(log)
            shown["end of the log"] = dg.MetadataValue.md(f"```\n{log_tail(log)}\n```")
    return shown


def account_metadata(account: Account) -> dict[str, dg.MetadataValue]:
    """How a step stands, and the reasons of what has no result."""
    reasons = [
        (code, state, f"{count:,}")
        for state, codes in (("skipped", account.skipped_by_code), ("failed", account.failed_by_code))
        for code, count in sorted(codes.items())
    ]
    shown: dict[str, dg.MetadataValue] = {
        "results": dg.MetadataValue.int(account.results),
        "inputs": dg.MetadataValue.int(account.inputs),
        "failed": dg.MetadataValue.int(account.failed),
        "kept": dg.MetadataValue.int(account.kept),
        "skipped": dg.MetadataValue.int(account.skipped),
        "backlog": dg.MetadataValue.int(account.backlog),
        "account": dg.MetadataValue.text(str(account)),
    }
    if reasons:
        shown["reasons"] = dg.MetadataValue.md("\n".join(markdown_table(("reason", "", "inputs"), reasons)))
    return shown


def batch_metadata(last: LastBatch, usage: Usage | None) -> dict[str, dg.MetadataValue]:
    """Where a batch is and what it has used; memory is in MB, efficiency the part of the processors' time that was used."""
    shown: dict[str, dg.MetadataValue] = {
        "last batch": dg.MetadataValue.text(
            f"{last.batch_id} ({last.state}, {last.inputs:,} inputs, {last.backend})"
        ),
        "batch folder": dg.MetadataValue.path(last.directory),
    }
    if usage is None:
        return shown
    if usage.job_ids:
        shown["job ids"] = dg.MetadataValue.text(", ".join(usage.job_ids))
    numbers = {
        "node hours": usage.node_hours,
        "inputs per hour": usage.rate_per_hour,
        "efficiency": usage.efficiency,
        "peak memory [MB]": usage.peak_memory_mb,
        "memory asked for [MB]": usage.memory_asked_mb,
    }
    shown |= {
        name: dg.MetadataValue.float(float(value)) for name, value in numbers.items() if value is not None
    }
    return shown | {
        "tasks": dg.MetadataValue.int(usage.tasks),
        "retries": dg.MetadataValue.int(usage.retries),
    }


def product_metadata(
    report: CreateReport, picture: bytes | None, preview: str | None
) -> dict[str, dg.MetadataValue]:
    """Rows, files, checksum, first rows and picture of a product, and what moved since the version before."""
    shown: dict[str, dg.MetadataValue] = {
        "dagster/row_count": dg.MetadataValue.int(sum(report.rows)),
        "dagster/uri": dg.MetadataValue.text(report.path.as_uri()),
        "path": dg.MetadataValue.path(report.path),
        "size": dg.MetadataValue.text(size_text(report.size_bytes)),
        "sha256": dg.MetadataValue.text(report.sha256),
        "fingerprint": dg.MetadataValue.text(report.fingerprint),
        "what happened": dg.MetadataValue.text(
            report.reason if not report.written else f"written: {report.reason}"
        ),
        "seconds": dg.MetadataValue.float(report.elapsed_s),
        "files": dg.MetadataValue.md(file_table(report.files)),
    }
    if report.limit is not None:
        shown["sample"] = dg.MetadataValue.text(
            f"at most {report.limit:,} rows of each table: not the product"
        )
    if preview is not None:
        shown["first rows"] = dg.MetadataValue.md(preview)
    if report.diff is not None:
        shown["since the version before"] = dg.MetadataValue.md(difference_text(report.diff))
    if picture is not None:
        encoded = base64.b64encode(picture).decode()
        shown["picture"] = dg.MetadataValue.md(f"![{report.product}](data:image/png;base64,{encoded})")
    return shown


def file_table(files: Sequence[Path]) -> str:
    """Return names and sizes of files, as Markdown."""
    rows = [(path.name, size_text(path.stat().st_size)) for path in files if path.exists()]
    return "\n".join(markdown_table(("file", "size"), rows))


def difference_text(diff: Diff) -> str:
    """Return a comparison, or its summary where the whole is too long for Dagster's records."""
    from astra_assets.products.compare import diff_report

    whole = diff_report.report(diff)
    if len(whole) <= MOST_TEXT:
        return whole
    return "\n".join([*diff_report.summary_lines(diff), "", *diff_report.warning_lines(diff.warnings)])
