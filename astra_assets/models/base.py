"""Build tables: the declarative base, `table` for those of Astra, `PipelineResult` for results.

A table is declared in Astra's order of fields and headings, which files follow. Result tables stand with their pipeline.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import (
    Boolean,
    Column,
    Computed,
    DateTime,
    Double,
    ForeignKey,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedColumn, declared_attr, mapped_column
from sqlalchemy.orm.decl_api import DeclarativeAttributeIntercept
from sqlalchemy.schema import SchemaItem
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from astra_assets.errors import ExpectedError
from astra_assets.models.fields import Field, Heading, field, utcnow
from astra_assets.registry.columns import (
    COMMON_COLUMNS,
    HIDDEN_COLUMNS,
    LAST_COLUMNS,
    Pending,
    Virtual,
    complete,
    definition,
)
from astra_assets.registry.flags import flag_definitions
from astra_assets.registry.kinds import INFO_KEY, Definition, Kind
from astra_assets.registry.sqltypes import Bytes, FloatArray
from astra_assets.text import snake_case

__all__ = [
    "Base",
    "LayoutEntry",
    "PipelineResult",
    "bit",
    "layout",
    "pixel_names",
    "table",
    "table_of",
    "utcnow",
]

NAMING = {
    "ix": "%(table_name)s_%(column_0_N_name)s",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "fk": "%(table_name)s_%(column_0_name)s_fkey",
    "pk": "%(table_name)s_pkey",
}
"""Names of indexes and constraints, as PostgreSQL and Astra name them."""


@dataclass(frozen=True)
class LayoutEntry:
    """One field of a table, in the order of Astra's files.

    `name` is the name in the database; `column` is None for pixels, which have none.
    """

    heading: str
    name: str
    column: Column[Any] | None
    definition: Definition


def table(name: str, *parts: Heading | Field | str | SchemaItem) -> Table:
    """A table from headings and fields in Astra's order, then constraints and indexes.

    A field outside a heading continues the heading before it. `Table.info["layout"]` lists all fields in
    order, virtual ones included.
    """
    columns: list[Column[Any]] = []
    layout: list[LayoutEntry] = []
    for title, item, note in _flat(parts):
        made = None if item.definition.kind is Kind.pixels else item.column(title, note)
        if made is not None:
            columns.append(made)
        layout.append(LayoutEntry(title, item.name, made, item.definition))
    constraints = [part for part in parts if isinstance(part, SchemaItem)]
    return Table(name, Base.metadata, *columns, *constraints, info={"layout": layout})


def _flat(parts: Sequence[Heading | Field | str | SchemaItem]) -> Iterator[tuple[str, Field, str | None]]:
    """Heading, field and note of each field, in order."""
    title = ""
    for part in parts:
        if isinstance(part, Heading):
            title = part.title
            for item in part.fields:
                yield title, item, part.note
        elif isinstance(part, Field | str):
            yield title, field(part) if isinstance(part, str) else part, None


class _Intercept(DeclarativeAttributeIntercept):
    """The metaclass of all tables.

    It only tells type checkers that a class built from a Table has attributes named as its columns.
    """

    if TYPE_CHECKING:

        def __getattr__(cls, name: str) -> Any: ...  # noqa: N805 (of a metaclass)


class Base(DeclarativeBase, metaclass=_Intercept):
    """Base of all tables. `Model.c` is short for the columns of its table, by access key."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text,
        int: Integer,
        float: Double,
        bool: Boolean,
        bytes: Bytes,
        datetime: DateTime,
        list[float]: FloatArray,
    }
    c: ClassVar[ReadOnlyColumnCollection[str, Column[Any]]]

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        made = cls.__dict__.get("__table__")
        if isinstance(made, Table):
            cls.c = made.columns


def table_of(model: type[Base]) -> Table:
    """The Table of a model class."""
    made = model.__table__
    assert isinstance(made, Table)
    return made


def layout(model: type[Base]) -> list[LayoutEntry]:
    """The fields of a model in the order of Astra's files, virtual ones included."""
    entries: list[LayoutEntry] = table_of(model).info["layout"]
    return entries


def pixel_names(model: type[Base]) -> tuple[str, ...]:
    """The fields of a model that are arrays of pixels, in order."""
    return tuple(entry.name for entry in layout(model) if entry.column is None)


def bit(model: type[Base], column: str, name: str) -> int:
    """The value of a flag: `bit(SnowWhite, "result_flags", "low_snr")` is 1.

    Raises KeyError, which lists the flags that there are, when the column has no such flag.
    """
    found = {flag.name: flag.value for flag in flag_definitions(model, column)}
    if name not in found:
        raise KeyError(f"{model.__name__}.{column} has no flag {name!r}; it has {', '.join(found) or 'none'}")
    return found[name]


RUN_HEADING = "Astra Metadata"
"""Heading of the columns that say how a result was made."""


def _common(name: str, *arguments: Any, **options: Any) -> MappedColumn[Any]:
    """A column that every result table has; in the database these come before the pipeline's own."""
    order = COMMON_COLUMNS.index(name) - len(COMMON_COLUMNS)
    return mapped_column(*arguments, info={INFO_KEY: Pending(definition(name))}, sort_order=order, **options)


class PipelineResult(Base):
    """Base of all result tables: one row per spectrum and minor version of Astra.

    A result table is a class with the pipeline's own columns (`columns.known`, `column`, `flags`, `virtual`).
    Its table is called like the class in snake case, unless `__tablename__` says otherwise.
    """

    __abstract__ = True

    task_pk: Mapped[int] = _common("task_pk", Integer, primary_key=True)
    source_pk: Mapped[int | None] = _common(
        "source_pk", Integer, ForeignKey("source.pk", ondelete="CASCADE"), index=True
    )
    spectrum_pk: Mapped[int] = _common(
        "spectrum_pk", Integer, ForeignKey("spectrum.pk", ondelete="CASCADE"), index=True
    )
    v_astra: Mapped[int] = _common("v_astra")
    created: Mapped[datetime] = _common("created", default=utcnow)
    modified: Mapped[datetime] = _common("modified", default=utcnow)
    t_elapsed: Mapped[float | None] = _common("t_elapsed")
    t_overhead: Mapped[float | None] = _common("t_overhead")
    tag: Mapped[str] = _common("tag", default="", index=True)
    v_astra_major_minor: Mapped[int] = _common(
        "v_astra_major_minor", Computed("v_astra / 1000", persisted=True)
    )

    @declared_attr.directive
    @classmethod
    def __tablename__(cls) -> str:
        return snake_case(cls.__name__)

    @declared_attr.directive
    @classmethod
    def __table_args__(cls) -> tuple[Any, ...]:
        return (UniqueConstraint("spectrum_pk", "v_astra_major_minor"),)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        concrete = not cls.__dict__.get("__abstract__", False)
        if concrete:
            _need_free_name(cls)
        super().__init_subclass__(**kwargs)
        if concrete:
            _complete_result(cls)


class TableDeclarationError(ExpectedError):
    """A table is declared in a way that cannot work; the message says which and what to change."""


def _need_free_name(model: type[PipelineResult]) -> None:
    """Two result tables must not have one name: pipelines of several distributions meet here."""
    for mapper in Base.registry.mappers:
        other = mapper.class_
        if table_of(other).name == model.__tablename__:
            files = [
                getattr(sys.modules.get(each.__module__), "__file__", each.__module__)
                for each in (model, other)
            ]
            raise TableDeclarationError(
                f"the result table {model.__name__} in {files[0]} has the name {model.__tablename__!r}, which is that of "
                f"{other.__name__} in {files[1]}: give the class another name"
            )


def _complete_result(model: type[PipelineResult]) -> None:
    """Name, kind and heading of each column of a result table, and the order of its fields in files."""
    columns = table_of(model).columns
    own = [name for name, _ in columns.items() if name not in COMMON_COLUMNS]
    declared = [name for name, value in vars(model).items() if isinstance(value, Virtual) or name in own]
    inherited = [name for name in own if name not in declared]
    entries = [_layout_entry(columns["task_pk"], RUN_HEADING)]
    title = ""
    for name in (*inherited, *declared):
        value = vars(model).get(name)
        if isinstance(value, Virtual):
            title = value.category or title
            entries.append(LayoutEntry(title, name, None, value.definition))
            continue
        pending = columns[name].info.get(INFO_KEY)
        title = (pending.category if isinstance(pending, Pending) else None) or title
        entries.append(_layout_entry(columns[name], title))
    entries += [_layout_entry(columns[name], RUN_HEADING) for name in LAST_COLUMNS]
    table_of(model).info["layout"] = entries


def _layout_entry(column: Column[Any], title: str) -> LayoutEntry:
    about = complete(column, title, hidden=column.name in HIDDEN_COLUMNS)
    return LayoutEntry(title, column.name, column, about.definition)
