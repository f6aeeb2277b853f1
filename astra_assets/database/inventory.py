"""What a database has of the tables and columns that we declare: the database of another Astra differs.

A table that has all declared columns stands as it is declared. Of another one a table is made for queries that has
what the database has: columns under their access keys, those that only the database has among them. Reading the
database's catalogue is in `reflect.py`, where tables of ours go is in `placement.py`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from sqlalchemy import Column, ColumnElement, MetaData, Table

from astra_assets.database.placement import Surroundings
from astra_assets.database.reflect import (
    FoundColumn,
    FoundTable,
    converted,
    is_native,
    kind_in,
    kind_of_type,
    same_family,
)
from astra_assets.errors import ExpectedError
from astra_assets.models.base import Base, LayoutEntry, PipelineResult, layout, table_of, utcnow
from astra_assets.registry.columns import COMMON_COLUMNS, ColumnInfo, definition, info
from astra_assets.registry.kinds import INFO_KEY, MAX_DESCRIPTION, Definition, Kind

NOT_REGISTERED = "Not in the registry; the database holds {type}"
"""Description of a column that nothing is known about."""


class MissingTableError(ExpectedError, LookupError):
    """The database lacks a table that is needed; the message names it and what to do."""


class MissingColumnError(ExpectedError, LookupError):
    """A table of the database lacks a column that is needed."""


class DemandedColumnError(ExpectedError, LookupError):
    """A table of the database demands values of a column that nothing of ours writes."""


@dataclass(frozen=True)
class Shape:
    """A declared table as a database has it.

    Attributes:
        table: for queries; its columns have the declared access keys.
        layout: its fields in the order of files, without those that the database lacks.
        present: False when the database has no such table; `table` is then as declared.
        stored: False for a view.
        missing: names of declared columns that the database lacks.
        additional: columns that only the database has.
        retyped: what is held as another kind than declared, as text.
    """

    table: Table
    layout: tuple[LayoutEntry, ...]
    present: bool = True
    stored: bool = True
    missing: tuple[str, ...] = ()
    additional: tuple[str, ...] = ()
    retyped: tuple[str, ...] = ()

    def column(self, key: str) -> Column[Any]:
        """A column by its access key. Raises MissingColumnError."""
        if key not in self.table.columns:
            raise MissingColumnError(
                f"the table {self.table.fullname} of this database has no column {key!r}, which is needed; how its "
                "tables differ from ours tells: astra-assets doctor"
            )
        return self.table.columns[key]

    def value(self, column: Column[Any]) -> ColumnElement[Any]:
        """What a query selects for a column: the column, or what makes a value of its kind of it."""
        made: ColumnElement[Any] | None = column.info.get(VALUE_KEY)
        return column if made is None else made


VALUE_KEY = "astra_assets_value"
"""Where a column that is not of its kind's SQL type keeps the expression that makes it so."""


@dataclass(frozen=True)
class Inventory:
    """What one database has, taken at one moment.

    Attributes:
        dialect: "sqlite" or "postgresql".
        found: its tables by name; None stands for a database that has what we declare.
        foreign: the configured schema is that of another Astra, not made by us.
        hidden: tables of ours that a foreign schema has, too, and that are not used therefore.
        surroundings: what there is instead, where there is no survey.
    """

    dialect: str
    found: Mapping[str, FoundTable] | None = None
    foreign: bool = False
    hidden: frozenset[str] = frozenset()
    surroundings: Surroundings | None = None
    _shapes: dict[type[Base], Shape] = field(default_factory=dict, repr=False, compare=False)

    def has(self, model: type[Base]) -> bool:
        """Does the database have this table?"""
        return self.found is None or table_of(model).name in self.found

    def need(self, model: type[Base]) -> Shape:
        """The shape of a table that must be there. Raises MissingTableError."""
        if not self.has(model):
            raise MissingTableError(
                self.absence(
                    f"no table {table_of(model).name}",
                    "astra-assets init (makes what is missing) and astra-assets run, or set ASTRA_DATABASE_SCHEMA to the "
                    "schema that has it",
                )
            )
        return self.shape(model)

    def absence(self, what: str, command: str) -> str:
        """Say that the database lacks something, and what to do: `command`, unless that would make a second survey."""
        if self.surroundings is None:
            return f"the database has {what}; type: {command}"
        return self.surroundings.absence(what, command)

    def need_writable(self, *models: type[Base]) -> None:
        """Check that rows of these tables can be written, before they are made.

        Raises:
            MissingTableError: the database lacks a table.
            MissingColumnError: a table lacks columns of ours.
            DemandedColumnError: a table has further columns that must not be NULL.
        """
        for model in models:
            shape = self.need(model)
            if shape.missing:
                raise MissingColumnError(
                    f"the table {shape.table.fullname} of this database lacks {', '.join(shape.missing)}, which our rows "
                    "have, so nothing is computed for it; ask the owner of the database for these columns, or see how "
                    "its tables differ: astra-assets doctor"
                )
            self.further(table_of(model))

    def further(self, table: Table) -> dict[str, Any]:
        """Values of columns that a table of another Astra demands and that we do not declare, by name.

        They are those that Astra itself gives: times of the row, and flags of which none is set.

        Raises:
            DemandedColumnError: it demands a column that we have no value for.
        """
        found = (self.found or {}).get(table.name)
        if found is None or not self.foreign:
            return {}
        declared = {name for column in table.columns for name in _names_of(column)}
        names = [column.name for column in found.columns if column.demanded and column.name not in declared]
        now = utcnow()
        values = {name: _usual_value(name, now) for name in names}
        unknown = [name for name, value in values.items() if value is None]
        if unknown:
            raise DemandedColumnError(
                f"the table {table.name} of this database demands {', '.join(unknown)}, which nothing here computes, so no "
                "row can be written; ask the owner of the database for a default of these columns"
            )
        return values

    def demanded(self, table: Table) -> frozenset[str]:
        """Access keys of declared columns that may be NULL for us but not in the table of another Astra."""
        found = (self.found or {}).get(table.name)
        if found is None or not self.foreign:
            return frozenset()
        names = {column.name for column in found.columns if column.demanded}
        return frozenset(
            column.key
            for column in table.columns
            if column.nullable and not names.isdisjoint(_names_of(column))
        )

    def shape(self, model: type[Base]) -> Shape:
        """What the database has of a declared table."""
        if model not in self._shapes:
            self._shapes[model] = self._made(model)
        return self._shapes[model]

    def _made(self, model: type[Base]) -> Shape:
        declared = Shape(table_of(model), tuple(layout(model)))
        if self.found is None:
            return declared
        found = self.found.get(table_of(model).name)
        if found is None:
            return dataclasses.replace(declared, present=False)
        return _Comparison(model, found, self.dialect).shape


DECLARED = Inventory("postgresql")
"""A database that has what we declare."""


class _Comparison:
    """One declared table next to the one of the database."""

    def __init__(self, model: type[Base], found: FoundTable, dialect: str) -> None:
        self._model = model
        self._found = found
        self._by_name = {column.name: column for column in found.columns}
        # SQLite has no types that could differ: its columns hold what is written into them.
        self._typed = dialect == "postgresql"
        self._retyped: list[str] = []
        self._keys: dict[str, str] = {}
        """Access key of each column of the database that is declared."""
        for column in table_of(model).columns:
            name = next((name for name in _names_of(column) if name in self._by_name), None)
            if name is not None:
                self._keys.setdefault(name, column.key)

    @cached_property
    def shape(self) -> Shape:
        declared = table_of(self._model)
        present = set(self._keys.values())
        missing = tuple(column.name for column in declared.columns if column.key not in present)
        additional = tuple(column.name for column in self._found.columns if column.name not in self._keys)
        columns = {key: self._known(declared.columns[key], name) for name, key in self._keys.items()}
        same = not missing and not additional and not self._retyped
        if same and all(columns[key].name == declared.columns[key].name for key in columns):
            return Shape(declared, tuple(layout(self._model)), stored=self._found.stored)
        entries = [
            dataclasses.replace(
                entry, column=columns[entry.column.key], definition=_about(columns[entry.column.key])
            )
            for entry in layout(self._model)
            if entry.column is not None and entry.column.key in columns
        ]
        for position, column in enumerate(self._found.columns):
            if column.name in additional:
                place = self._place(position, entries)
                heading = entries[max(place - 1, 0)].heading if entries else ""
                entries.insert(place, self._unknown(column, heading))
        made = Table(
            declared.name,
            MetaData(),
            *(entry.column for entry in entries if entry.column is not None),
            *(columns[key] for key in columns if key not in {_key(entry) for entry in entries}),
            schema=self._found.schema,
        )
        return Shape(
            made, tuple(entries), True, self._found.stored, missing, additional, tuple(self._retyped)
        )

    def _known(self, declared: Column[Any], name: str) -> Column[Any]:
        """A declared column with the name and the kind that the database gives it."""
        about = info(declared)
        found = self._by_name[name]
        kind = about.definition.kind
        if self._typed:
            linked = declared.primary_key or bool(declared.foreign_keys)
            kind = kind_in(kind, kind_of_type(found.type), linked=linked)
        if kind is not about.definition.kind:
            self._retyped.append(f"{name} ({found.type_text}, expected {about.definition.kind.value})")
            fill = about.definition.fill if same_family(kind, about.definition.kind) else None
            about = dataclasses.replace(
                about, definition=dataclasses.replace(about.definition, kind=kind, fill=fill)
            )
        return self._column(found, declared.key, about, primary_key=declared.primary_key)

    def _unknown(self, found: FoundColumn, heading: str) -> LayoutEntry:
        """A column that only the database has: what the glossary says about its name, else its comment."""
        kind = kind_of_type(found.type)
        try:
            known = definition(found.name)
        except KeyError:
            text = found.comment if found.comment.isascii() and found.comment.isprintable() else ""
            text = text.strip() or NOT_REGISTERED.format(type=found.type_text)
            made = Definition(kind, text[:MAX_DESCRIPTION].strip())
        else:
            wanted = kind_in(known.kind, kind, linked=False) if self._typed else known.kind
            fill = known.fill if same_family(wanted, known.kind) else None
            made = dataclasses.replace(known, kind=wanted, fill=fill)
        about = ColumnInfo(made, heading, found.name)
        column = self._column(found, found.name, about)
        return LayoutEntry(heading, found.name, column, made)

    def _column(
        self, found: FoundColumn, key: str, about: ColumnInfo, *, primary_key: bool = False
    ) -> Column[Any]:
        kind = about.definition.kind
        column: Column[Any] = Column(
            found.name,
            kind.sql_type,
            key=key,
            primary_key=primary_key,
            info={INFO_KEY: about},
        )
        if self._typed and (found.is_domain or not is_native(kind, found.type)):
            column.info[VALUE_KEY] = converted(column, kind, found.type)
        return column

    def _place(self, position: int, entries: list[LayoutEntry]) -> int:
        """Where in a file a column goes that only the database has: after all that are before it in the database.

        Result tables have their common columns first in the database, and around their own in files.
        """
        before = {self._keys.get(column.name, column.name) for column in self._found.columns[:position]}
        if issubclass(self._model, PipelineResult):
            before = {"task_pk", *before.difference(COMMON_COLUMNS)}
        return max(
            (place for place, entry in enumerate(entries, start=1) if _key(entry) in before), default=0
        )


def _usual_value(name: str, now: datetime) -> Any:
    """What Astra writes into a column that we do not declare; None where that is not known."""
    if name in ("created", "modified"):
        return now
    try:
        return 0 if definition(name).kind is Kind.bits else None
    except KeyError:
        return None


def _key(entry: LayoutEntry) -> str:
    return entry.name if entry.column is None else entry.column.key


def _about(column: Column[Any]) -> Definition:
    return info(column).definition


def _names_of(column: Column[Any]) -> tuple[str, ...]:
    """The names that a column may have: Astra calls foreign keys `spectrum_pk` in one place, `spectrum_pk_id` in another."""
    linked = (column.key, f"{column.key}_id") if column.foreign_keys else ()
    return tuple(dict.fromkeys((column.name, *linked)))
