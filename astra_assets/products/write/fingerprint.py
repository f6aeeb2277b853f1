"""Has anything changed since a product was written? A fingerprint of its inputs, kept in its header.

It covers what the file would show: the state of every table that is read, the query, the columns with their
descriptions and units, and the version of this code. It leaves out what differs between runs of the same
inputs: times, run id, git revision, and the release that asked, since releases of one version share their files.

The state of a table is taken from aggregates that need one scan: how many rows, sums of their keys and of the
times of their last change, and in PostgreSQL the sum of the transactions that wrote them, which sees changes
that nobody marked.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    String,
    cast,
    extract,
    func,
    literal_column,
    select,
    union_all,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect

from astra_assets.database.database import Database
from astra_assets.database.inventory import Inventory, Shape
from astra_assets.models.base import Base, PipelineResult, table_of
from astra_assets.models.source import Source
from astra_assets.products.summary import SummaryProduct, SummaryTable
from astra_assets.products.write.rows import current_results, output_columns, select_rows

CODE_VERSION = "1"
"""Raise it when the same inputs are to be written anew: it is part of every fingerprint."""

KEYWORD = "FPRINT"
"""Header card of the fingerprint."""

_DIALECTS: dict[str, type[Dialect]] = {"sqlite": sqlite.dialect, "postgresql": postgresql.dialect}


def fingerprint(
    database: Database,
    product: SummaryProduct,
    survey: Inventory,
    *,
    v_astra: str,
    limit: int | None = None,
) -> str:
    """The fingerprint of a product's inputs: 64 hexadecimal digits. Reads only; `survey` is what the database has."""
    with database.connect() as connection:
        states = {
            table_of(model).name: _state(connection, survey, model, product, v_astra)
            for model in _models(product)
            if survey.has(model)
        }
    tables = [_declaration(product, table, survey, v_astra, limit) for table in product.tables]
    facts = {
        "code": CODE_VERSION,
        "product": product.name,
        "v_astra": v_astra,
        "tables": tables,
        "states": states,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def _models(product: SummaryProduct) -> list[type[Base]]:
    return list(dict.fromkeys(model for table in product.tables for model in product.models(table)))


def _declaration(
    product: SummaryProduct, table: SummaryTable, survey: Inventory, v_astra: str, limit: int | None
) -> dict[str, Any]:
    """What one table HDU shows, as text."""
    query = select_rows(product, table, survey, v_astra=v_astra, limit=limit)
    compiled = query.compile(dialect=_DIALECTS[survey.dialect](), compile_kwargs={"literal_binds": True})
    columns = [
        (column.name, column.heading, column.note, repr(column.definition))
        for column in output_columns(product, table, survey)
    ]
    return {"query": str(compiled), "columns": columns, "description": table.description}


def _state(
    connection: Connection, survey: Inventory, model: type[Base], product: SummaryProduct, v_astra: str
) -> dict[str, str]:
    """The aggregates of one table; of results only those of the current minor version on the spectra that are shown."""
    shape = survey.need(model)
    (key,) = table_of(model).primary_key.columns
    aggregates: dict[str, ColumnElement[Any]] = {
        "rows": func.count(),
        "keys": func.sum(shape.column(key.key)),
    }
    if "modified" in shape.table.columns:
        modified = shape.column("modified")
        # as text: not every time that a database can hold is one in Python
        aggregates |= {"last": cast(func.max(modified), String), **_times(survey.dialect, modified)}
    if model is Source:
        aggregates |= {name: func.sum(shape.column(name)) for name in ("n_boss_visits", "n_apogee_visits")}
    if survey.dialect == "postgresql" and shape.stored:
        aggregates["transactions"] = func.sum(literal_column("xmin::text::bigint", BigInteger))
    query = select(*(value.label(name) for name, value in aggregates.items())).select_from(shape.table)
    if issubclass(model, PipelineResult):
        query = query.where(current_results(shape, v_astra), *_on_shown_spectra(shape, survey, product))
    row = connection.execute(query).mappings().one()
    return {name: str(row[name]) for name in aggregates}


def _on_shown_spectra(shape: Shape, survey: Inventory, product: SummaryProduct) -> list[ColumnElement[bool]]:
    """Results on coadds and on visits are in one table; those of the other level may come later and change nothing."""
    shown = [
        select(survey.shape(table.spectrum).column("spectrum_pk"))
        for table in product.tables
        if table.spectrum is not None and survey.has(table.spectrum)
    ]
    return [shape.column("spectrum_pk").in_(union_all(*shown))] if shown else []


def _times(dialect: str, modified: ColumnElement[Any]) -> dict[str, ColumnElement[Any]]:
    """Exact sums of times.

    Microseconds; in SQLite, whose sums end at 2**63, seconds and the microseconds within them.
    """
    if dialect == "postgresql":
        total = func.sum(cast(extract("epoch", modified) * 1_000_000, BigInteger))
        return {"microseconds": total.filter(func.isfinite(modified))}
    seconds = cast(func.strftime("%s", modified), Integer)
    microseconds = cast(func.substr(modified, 21, 6), Integer)
    return {"seconds": func.sum(seconds), "microseconds": func.sum(microseconds)}
