"""Which table is in which PostgreSQL schema: in an existing schema of another Astra, ours are in one of our own.

A schema is foreign when it has Astra's tables and none of those that only we make. Nothing is ever created in it.
Where a schema has no tables of a survey, `Surroundings` tells where else there are some.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, Table, event, func, select, text

from astra_assets.models.base import Base, table_of
from astra_assets.models.compute import ComputeBatch, ComputeOutcome
from astra_assets.models.ingest import IngestFile, IngestSpectrum

if TYPE_CHECKING:
    import psycopg

ASTRA_TABLES = frozenset({"source", "spectrum"})
"""Tables of every Astra: a schema with one of them holds a survey."""

OUR_TABLES = frozenset(
    table_of(model).name for model in (ComputeBatch, ComputeOutcome, IngestFile, IngestSpectrum)
)
"""Tables that only we make: a schema with one of them is ours."""

OWN_SCHEMA = "astra_assets"
"""Schema of our tables next to a foreign one, unless another is set."""

_TABLES_IN_SCHEMA = """
SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE CASE WHEN %(schema)s::text IS NULL
  THEN pg_catalog.pg_table_is_visible(c.oid) AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  ELSE n.nspname = %(schema)s END AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
"""
"""Without a schema, names are looked for in all schemas of the search path, as statements do."""

_SCHEMAS = """
SELECT n.nspname AS name, coalesce(bool_or(c.relname IN ('source', 'spectrum')), false) AS has_survey
FROM pg_catalog.pg_namespace n LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' GROUP BY n.nspname ORDER BY n.nspname
"""

SIMILAR = 0.65
"""From this ratio of difflib on names are similar: one letter of three may differ."""

MOST_SHOWN = 3
"""Names that a message lists."""


def is_foreign(names: Iterable[str]) -> bool:
    """Is a schema with these tables that of another Astra?"""
    found = set(names)
    return bool(found & ASTRA_TABLES) and not found & OUR_TABLES


@dataclass
class Placement:
    """Where each table of a PostgreSQL database is.

    Attributes:
        schema: the configured one; None for the default of the connection.
        own_schema: for tables that a foreign schema lacks.
        theirs: the tables of a foreign schema; None as long as nobody has connected, empty where it is not foreign.
    """

    schema: str | None
    own_schema: str
    theirs: frozenset[str] | None = None

    @property
    def foreign(self) -> bool:
        """Is the configured schema that of another Astra?"""
        return bool(self.theirs)

    def of(self, name: str) -> str | None:
        """The schema of a table; None for the default one."""
        return self.own_schema if self.theirs and name not in self.theirs else self.schema

    def attach(self, engine: Engine) -> None:
        """Let every statement of an engine name each table with its schema."""
        event.listen(engine, "connect", self._look)
        engine.dialect.identifier_preparer.schema_for_object = self._schema_of

    def _look(self, connection: psycopg.Connection[Any], _record: object) -> None:
        if self.theirs is not None:
            return
        before = connection.autocommit
        connection.autocommit = True
        names = frozenset(row[0] for row in connection.execute(_TABLES_IN_SCHEMA, {"schema": self.schema}))
        connection.autocommit = before
        self.theirs = names if is_foreign(names) else frozenset()

    def _schema_of(self, item: Any) -> Any:
        """The schema of a table or an alias in a statement, None for the default one."""
        return self.of(item.name) if isinstance(item, Table) and item.schema is None else item.schema


@dataclass(frozen=True)
class Surroundings:
    """What a database has where tables of a survey were looked for and not found.

    Attributes:
        location: the database, as it is shown.
        schema: where tables were looked for; None in SQLite, and where the search path names no schema that exists.
        exists: is there this schema?
        neighbours: schemas whose names are similar to that of one that is not there.
        surveys: other schemas that have tables of a survey.
        others: tables that are in the schema and none of ours.
    """

    location: str
    schema: str | None = None
    exists: bool = True
    neighbours: tuple[str, ...] = ()
    surveys: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    def absence(self, what: str, command: str) -> str:
        """Say where `what` was looked for, and what to do: `command`, unless that would make a second survey."""
        if not self.exists and self.schema is None:
            start = f"no schema of the search path is in {self.location}"
        elif not self.exists:
            start = f"there is no schema {self.schema} in {self.location}"
        elif self.schema is None:
            start = f"{self.location} has {what}"
        else:
            start = f"the schema {self.schema} of {self.location} has {what}"
        return f"{start}; {self.advice or f'type: {command}'}"

    @property
    def advice(self) -> str:
        """What to do instead of making tables; empty where nothing speaks against that."""
        if self.neighbours:
            return f"did you mean {' or '.join(self.neighbours)}? Set ASTRA_DATABASE_SCHEMA"
        if self.surveys:
            return f"tables of a survey are in {_listed(self.surveys)}: set ASTRA_DATABASE_SCHEMA to the schema that is meant"
        if not self.exists and self.schema is None:
            return "set ASTRA_DATABASE_SCHEMA, or search_path in the options of the URL"
        if self.others and self.schema is None:
            return f"it has tables of another program ({_listed(self.others)}): set ASTRA_DATABASE_URL to another file"
        if self.others:
            return (
                f"it has tables of another program ({_listed(self.others)}): set ASTRA_DATABASE_SCHEMA to the schema of the "
                "survey, or to a new one for a survey of your own"
            )
        return ""


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:MOST_SHOWN])
    return f"{shown} and {len(names) - MOST_SHOWN} more" if len(names) > MOST_SHOWN else shown


def look_around(
    connection: Connection, location: str, schema: str | None, names: Iterable[str]
) -> Surroundings:
    """Find out what there is where a schema (None for the default one) has the tables `names`, but no survey."""
    others = tuple(sorted(set(names).difference(Base.metadata.tables)))
    if connection.dialect.name != "postgresql":
        return Surroundings(location, others=others)
    schema = schema or connection.scalar(select(func.current_schema()))
    surveys = {row.name: row.has_survey for row in connection.execute(text(_SCHEMAS))}
    return Surroundings(
        location,
        schema,
        exists=schema in surveys,
        neighbours=neighbours(schema, surveys),
        surveys=tuple(name for name, has_survey in surveys.items() if has_survey and name != schema),
        others=others,
    )


def neighbours(schema: str | None, schemas: Iterable[str]) -> tuple[str, ...]:
    """The schemas whose names are similar to that of one that is not among them."""
    known = {name.lower(): name for name in schemas}
    if schema is None or schema in known.values():
        return ()
    return tuple(known[name] for name in get_close_matches(schema.lower(), known, cutoff=SIMILAR))
