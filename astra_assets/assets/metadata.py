"""What the web UI shows beside an asset: column schemas, numbers, tables.

Belongs here: turning our reports and our column registry into Dagster metadata. Does not belong here: the reports.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import TYPE_CHECKING

import dagster as dg

from astra_assets.models.base import Base, layout, table_of
from astra_assets.models.columns import info
from astra_assets.models.kinds import Definition

if TYPE_CHECKING:
    from astra_assets.compute import Account
    from astra_assets.products.create import CreateReport
    from astra_assets.work import LastBatch

OWNERS = ["team:mwm"]
"""Who answers for the assets, in Dagster's spelling."""


def table_metadata(model: type[Base]) -> dict[str, object]:
    """Name and column schema of a database table."""
    table = table_of(model)
    columns = [(column.name, info(column).definition) for column in table.columns]
    return {"dagster/table_name": table.name, "dagster/column_schema": column_schema(columns)}


def column_schema(columns: Iterable[tuple[str, Definition]]) -> dg.TableSchema:
    """Names, types, units, UCDs and descriptions of columns."""
    return dg.TableSchema(columns=[_table_column(name, definition) for name, definition in columns])


def layout_schema(model: type[Base]) -> dg.TableSchema:
    """Columns of a file whose rows are those of a table, pixel arrays included."""
    return column_schema((entry.name, entry.definition) for entry in layout(model))


def _table_column(name: str, definition: Definition) -> dg.TableColumn:
    tags = {key: text for key, text in (("unit", definition.unit), ("ucd", definition.ucd)) if text}
    unit = f" [{definition.unit}]" if definition.unit else ""
    return dg.TableColumn(
        name=name, type=definition.kind.value, description=f"{definition.description}{unit}", tags=tags
    )


def account_metadata(account: Account, last: LastBatch | None) -> dict[str, dg.MetadataValue]:
    """How a step stands, its reasons, and the batch that it ran last."""
    reasons = [f"| {code} | skipped | {count:,} |" for code, count in sorted(account.skipped_by_code.items())]
    reasons += [f"| {code} | failed | {count:,} |" for code, count in sorted(account.failed_by_code.items())]
    shown: dict[str, dg.MetadataValue] = {
        "results": dg.MetadataValue.int(account.results),
        "inputs": dg.MetadataValue.int(account.inputs),
        "failed": dg.MetadataValue.int(account.failed),
        "skipped": dg.MetadataValue.int(account.skipped),
        "backlog": dg.MetadataValue.int(account.backlog),
        "account": dg.MetadataValue.text(str(account)),
    }
    if reasons:
        table = "\n".join(["| reason | | inputs |", "| --- | --- | --- |", *reasons])
        shown["reasons"] = dg.MetadataValue.md(table)
    if last is not None:
        shown["last batch"] = dg.MetadataValue.text(f"{last.batch_id} ({last.state}, {last.inputs:,} inputs)")
        shown["batch folder"] = dg.MetadataValue.path(last.directory)
        if last.rate is not None:
            shown["inputs per second"] = dg.MetadataValue.float(last.rate)
    return shown


def product_metadata(report: CreateReport, picture: bytes | None) -> dict[str, dg.MetadataValue]:
    """Rows, path, checksum and picture of a product."""
    shown: dict[str, dg.MetadataValue] = {
        "dagster/row_count": dg.MetadataValue.int(sum(report.rows)),
        "dagster/uri": dg.MetadataValue.text(report.path.as_uri()),
        "path": dg.MetadataValue.path(report.path),
        "size": dg.MetadataValue.text(f"{report.size_bytes / 1e6:.2f} MB"),
        "sha256": dg.MetadataValue.text(report.sha256),
        "fingerprint": dg.MetadataValue.text(report.fingerprint),
        "what happened": dg.MetadataValue.text(
            report.reason if not report.written else f"written: {report.reason}"
        ),
        "seconds": dg.MetadataValue.float(report.elapsed_s),
    }
    if picture is not None:
        encoded = base64.b64encode(picture).decode()
        shown["picture"] = dg.MetadataValue.md(f"![{report.product}](data:image/png;base64,{encoded})")
    return shown
