"""The catalogue of a database: which tables and columns it has, and which kinds of value its SQL types hold.

How that differs from what we declare is said in `inventory.py`.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ARRAY,
    CHAR,
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    DateTime,
    Enum,
    Float,
    Integer,
    LargeBinary,
    Numeric,
    String,
    cast,
    func,
    inspect,
)
from sqlalchemy.dialects.postgresql import DOMAIN, REAL
from sqlalchemy.dialects.postgresql.base import PGInspector
from sqlalchemy.engine.interfaces import ReflectedColumn
from sqlalchemy.engine.reflection import Inspector, ObjectKind
from sqlalchemy.exc import CompileError, SAWarning
from sqlalchemy.types import TypeEngine

from astra_assets.registry.kinds import Kind

INTEGERS = (Kind.int32, Kind.int64, Kind.bits)
FLOATS = (Kind.float32, Kind.float64)


@dataclass(frozen=True)
class FoundColumn:
    """A column of the database.

    Attributes:
        name: of the column.
        type: its SQL type as SQLAlchemy knows it; of a domain the type behind it.
        type_text: its SQL type as text.
        comment: what the database says about it.
        is_domain: its type is a domain, which drivers do not look behind.
        demanded: it must not be NULL, and the database has no value for it where a row gives none.
    """

    name: str
    type: TypeEngine[Any]
    type_text: str
    comment: str = ""
    is_domain: bool = False
    demanded: bool = False


@dataclass(frozen=True)
class FoundTable:
    """A table or view of the database.

    Attributes:
        name: of the table.
        columns: in the order of the database.
        stored: True for a table that holds rows itself, False for a view or a table of another server.
        schema: where it is; None for the default schema.
    """

    name: str
    columns: tuple[FoundColumn, ...]
    stored: bool = True
    schema: str | None = None


_read: dict[str, dict[str, FoundTable]] = {}
"""What tables SQLite files have, by the statements that made them."""

MOST_READ = 8
"""Sets of tables that are remembered."""


def found_tables(connection: Connection, schema: str | None) -> dict[str, FoundTable]:
    """The tables and views of a schema by name; a schema that is not there has none.

    A SQLite file tells which statements made its tables: what these mean is found out once.
    """
    if connection.dialect.name != "sqlite" or schema is not None:
        return _looked_up(connection, schema)
    made_by = str(connection.exec_driver_sql("select group_concat(sql, ';') from sqlite_master").scalar())
    if made_by not in _read:
        if len(_read) >= MOST_READ:
            _read.clear()
        _read[made_by] = _looked_up(connection, schema)
    return dict(_read[made_by])


def _looked_up(connection: Connection, schema: str | None) -> dict[str, FoundTable]:
    looked = inspect(connection)
    tables, others = relation_names(looked, schema)
    if not tables and not others:
        return {}
    with warnings.catch_warnings():
        # Types of extensions that SQLAlchemy does not know are read as text.
        warnings.simplefilter("ignore", SAWarning)
        found = looked.get_multi_columns(schema=schema, kind=ObjectKind.ANY)
    return {
        name: FoundTable(name, tuple(_column(looked, column) for column in columns), name in tables, schema)
        for (_, name), columns in found.items()
        if name in tables or name in others
    }


def relation_names(looked: Inspector, schema: str | None) -> tuple[frozenset[str], frozenset[str]]:
    """Names of the tables of a schema, and of what can be read like one: views, and tables of another server."""
    others = looked.get_view_names(schema=schema)
    if isinstance(looked, PGInspector):
        others += looked.get_materialized_view_names(schema=schema)
        others += looked.get_foreign_table_names(schema=schema)
    return frozenset(looked.get_table_names(schema=schema)), frozenset(others)


def _column(looked: Inspector, column: ReflectedColumn) -> FoundColumn:
    declared = column["type"]
    behind = declared
    while isinstance(behind, DOMAIN):
        behind = behind.data_type
    try:
        text = str(declared.compile(looked.dialect)).lower()
    except CompileError:
        text = "a type of its own"
    comment = " ".join((column.get("comment") or "").split())
    filled = column.get("default") or column.get("identity") or column.get("computed")
    demanded = not column["nullable"] and not filled
    return FoundColumn(column["name"], behind, text, comment, behind is not declared, demanded)


def kind_of_type(sql_type: TypeEngine[Any]) -> Kind:
    """The kind that holds the values of an SQL type; those of types without one become text."""
    if isinstance(sql_type, ARRAY):
        return Kind.floats if isinstance(sql_type.item_type, Integer | Numeric | Float) else Kind.text
    if isinstance(sql_type, Float):
        return Kind.float32 if isinstance(sql_type, REAL) else Kind.float64
    for types, kind in (
        (Boolean, Kind.boolean),
        (BigInteger, Kind.int64),
        (Integer, Kind.int32),
        (Numeric, Kind.float64),
        (DateTime, Kind.datetime),
        (LargeBinary, Kind.bytes),
    ):
        if isinstance(sql_type, types):
            return kind
    return Kind.text


def kind_in(declared: Kind, found: Kind, *, linked: bool) -> Kind:
    """The kind of a declared column that the database holds as another one.

    Integers become as wide as the database has them, but for flags and keys (`linked`), whose width in files is
    fixed. Floats are single or double as declared, whatever the database holds.
    """
    if declared is Kind.bits and found in INTEGERS:
        return declared
    if declared is Kind.int64 and found is Kind.int32 and linked:
        return declared
    if declared in FLOATS and found in FLOATS:
        return declared
    return found


def same_family(first: Kind, second: Kind) -> bool:
    """Do two kinds share what stands for NULL?"""
    return first is second or any(first in family and second in family for family in (INTEGERS, FLOATS))


def is_native(kind: Kind, sql_type: TypeEngine[Any]) -> bool:
    """Does the driver hand over values of this SQL type as the kind needs them?"""
    if kind is Kind.text:
        # The length of a padded text does not count its padding, which the driver hands over.
        return isinstance(sql_type, String) and not isinstance(sql_type, Enum | CHAR)
    if kind is Kind.datetime:
        return isinstance(sql_type, DateTime) and not sql_type.timezone
    if kind in FLOATS:
        return isinstance(sql_type, Float)
    if kind is Kind.floats:
        return isinstance(sql_type, ARRAY) and isinstance(sql_type.item_type, Float)
    return True


def converted(column: Column[Any], kind: Kind, sql_type: TypeEngine[Any]) -> ColumnElement[Any]:
    """The expression that makes values of a kind of a column whose SQL type the driver hands over differently."""
    if kind is Kind.datetime and isinstance(sql_type, DateTime) and sql_type.timezone:
        return func.timezone("UTC", column, type_=DateTime())
    return cast(column, kind.sql_type)
