"""Which table is in which PostgreSQL schema: in an existing schema of another Astra, ours are in one of our own.

A schema is foreign when it has Astra's tables and none of those that only we make. Nothing is ever created in it.
Belongs here: where a table is. Does not belong here: what is in it (`survey.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, Table, event

from astra_assets.models.base import table_of
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
"""Schema of our tables beside a foreign one, unless another is set."""

_TABLES_IN_SCHEMA = """
SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = coalesce(%s, current_schema()) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
"""


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
        names = frozenset(row[0] for row in connection.execute(_TABLES_IN_SCHEMA, (self.schema,)))
        connection.autocommit = before
        self.theirs = names if is_foreign(names) else frozenset()

    def _schema_of(self, item: Any) -> Any:
        """The schema of a table or an alias in a statement, None for the default one."""
        return self.of(item.name) if isinstance(item, Table) and item.schema is None else item.schema
