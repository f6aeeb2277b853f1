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
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect

from astra_assets.database.database import Database
from astra_assets.products.rows import InputTable, ProductRows, TableRows

CODE_VERSION = "1"
"""Raise it when the same inputs are to be written anew: it is part of every fingerprint."""

_DIALECTS: dict[str, type[Dialect]] = {"sqlite": sqlite.dialect, "postgresql": postgresql.dialect}


def fingerprint(database: Database, rows: ProductRows) -> str:
    """Return the fingerprint of a product's inputs, 64 hexadecimal digits; only reads."""
    with database.connect() as connection:
        states = {table.name: _state(connection, database.dialect, table) for table in rows.inputs}
    facts = {
        "code": CODE_VERSION,
        "product": rows.product.name,
        "v_astra": rows.v_astra,
        "tables": [_declaration(table, database.dialect) for table in rows.tables],
        "states": states,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def _declaration(table: TableRows, dialect: str) -> dict[str, Any]:
    """What one table HDU shows, as text."""
    compiled = table.query.compile(dialect=_DIALECTS[dialect](), compile_kwargs={"literal_binds": True})
    columns = [
        (column.name, column.heading, column.note, repr(column.definition)) for column in table.columns
    ]
    return {"query": str(compiled), "columns": columns, "description": table.table.description}


def _state(connection: Connection, dialect: str, table: InputTable) -> dict[str, str]:
    """The aggregates of one database table."""
    shape = table.shape
    aggregates: dict[str, ColumnElement[Any]] = {"rows": func.count(), "keys": func.sum(table.key)}
    if "modified" in shape.table.columns:
        modified = shape.column("modified")
        # as text: not every time that a database can hold is one in Python
        aggregates |= {"last": cast(func.max(modified), String), **_times(dialect, modified)}
    aggregates |= {name: func.sum(shape.column(name)) for name in table.summed}
    if dialect == "postgresql" and shape.stored:
        aggregates["transactions"] = func.sum(literal_column("xmin::text::bigint", BigInteger))
    query = select(*(value.label(name) for name, value in aggregates.items())).select_from(shape.table)
    row = connection.execute(query.where(*table.conditions)).mappings().one()
    return {name: str(row[name]) for name in aggregates}


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
