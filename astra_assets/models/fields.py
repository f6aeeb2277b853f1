"""Parts of a table before it exists: fields and headings, of which `base.table` makes tables."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column, Computed, ForeignKey, Integer
from sqlalchemy.schema import SchemaItem

from astra_assets.registry.columns import ColumnInfo, definition
from astra_assets.registry.flags import FLAGS, Flag
from astra_assets.registry.kinds import INFO_KEY, Definition, Kind


def utcnow() -> datetime:
    """Now in UTC, without a time zone, as the columns `created` and `modified` hold it (microseconds)."""
    return datetime.now(UTC).replace(tzinfo=None)


@dataclass(frozen=True)
class Field:
    """A column of a table, or a virtual field, before its table exists."""

    name: str
    definition: Definition
    key: str
    nullable: bool
    options: dict[str, Any]
    references: str | None = None
    ondelete: str | None = None
    computed: str | None = None
    flags: tuple[Flag, ...] = ()
    summary_name: str | None = None
    hidden: bool = False

    def column(self, category: str, note: str | None) -> Column[Any]:
        """The SQLAlchemy column, its ColumnInfo in place."""
        about = ColumnInfo(
            self.definition,
            category,
            self.summary_name or self.name,
            hidden=self.hidden,
            flags=self.flags,
            note=note,
        )
        serial = self.definition.kind is Kind.int64 and self.options.get("primary_key")
        sql_type = Integer() if self.references or serial else self.definition.kind.sql_type
        arguments: list[SchemaItem] = []
        if self.references:
            arguments.append(ForeignKey(self.references, ondelete=self.ondelete))
        if self.computed:
            arguments.append(Computed(self.computed, persisted=True))
        return Column(
            self.name,
            sql_type,
            *arguments,
            key=self.key,
            nullable=self.nullable,
            info={INFO_KEY: about},
            **self.options,
        )


@dataclass(frozen=True)
class Heading:
    """Fields under one heading, with a comment for files."""

    title: str
    fields: tuple[Field, ...]
    note: str | None = None


def field(
    name: str,
    *,
    key: str | None = None,
    meaning: str | None = None,
    nullable: bool | None = None,
    references: str | None = None,
    ondelete: str | None = None,
    computed: str | None = None,
    flags: tuple[Flag, ...] | None = None,
    summary_name: str | None = None,
    hidden: bool = False,
    **options: Any,
) -> Field:
    """A field whose key, meaning, nullability or default differs from what its name alone says.

    `key` is the name in code where the database name differs. `meaning` is the name in the glossary where that
    differs. `references` ("spectrum.pk") makes it a
    foreign key, `ondelete` ("CASCADE") says what happens to the row; `computed` is the SQL of a generated
    column. Bits are not NULL and 0 by default, other columns may be NULL. Further options (default, unique,
    index, primary_key) go to SQLAlchemy's Column.
    """
    found = definition(meaning or key or name)
    if found.kind is Kind.bits and "default" not in options:
        options["default"] = 0
    if nullable is None:
        nullable = found.kind is not Kind.bits
    known_flags = FLAGS.get(name, ()) if flags is None else flags
    return Field(
        name,
        found,
        key or name,
        nullable,
        options,
        references,
        ondelete,
        computed,
        known_flags,
        summary_name,
        hidden,
    )


def heading(title: str, *fields: str | Field, note: str | None = None) -> Heading:
    """Fields under one heading; a string is a column of the glossary with the usual settings."""
    return Heading(title, tuple(field(item) if isinstance(item, str) else item for item in fields), note)


def primary_key(name: str = "pk") -> Field:
    """The serial primary key of a table, never published."""
    return field(name, nullable=False, hidden=True, primary_key=True)


def spectrum_key(name: str = "spectrum_pk", *, nullable: bool = True) -> Field:
    """The key of the spectrum, unique over all spectrum tables."""
    return field(
        name,
        key="spectrum_pk",
        references="spectrum.pk",
        unique=True,
        nullable=nullable,
        summary_name="spectrum_pk",
    )


def source_key(*, index: bool = True) -> Field:
    """The link of a spectrum to its source; summary files call it `source`."""
    return field("source_pk", references="source.pk", index=index, summary_name="source")


def row_times() -> tuple[Field, Field]:
    """When the row was created and modified, filled in by Python."""
    return (
        field("created", nullable=False, default=utcnow),
        field("modified", nullable=False, default=utcnow),
    )
