"""The connection to the database, SQLite or PostgreSQL: engines, transactions, tables, keys of spectra.

How rows are read as Arrow batches is in `arrow.py`, how they are written in bulk in `bulk.py`; `Database`
brings both together. Tables are declared elsewhere; those of pipelines exist once their module is imported.
"""

from __future__ import annotations

import contextlib
import importlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
from sqlalchemy import (
    URL,
    Column,
    Connection,
    Engine,
    ExceptionContext,
    Table,
    create_engine,
    event,
    func,
    insert,
    inspect,
    literal,
    select,
)
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateIndex, CreateSchema, CreateTable

from astra_assets.database import arrow, bulk, sqlite_reader
from astra_assets.database.inventory import Inventory
from astra_assets.database.placement import OWN_SCHEMA, Placement, look_around, neighbours
from astra_assets.database.reflect import found_tables, relation_names
from astra_assets.database.urls import hide_secrets, parse_url, shown
from astra_assets.errors import ExpectedError
from astra_assets.models.base import Base, table_of
from astra_assets.models.source import Source
from astra_assets.models.spectrum import SpectrumKey

BUSY_TIMEOUT_S = 600.0
"""Seconds that SQLite waits for another process to finish writing."""

SQLITE_CACHE_KIB = 64 * 1024
"""KiB of pages that a SQLite connection keeps in memory; its own 2 MiB are too few for large indexes."""

MODEL_MODULES = ("source", "spectrum", "boss", "apogee", "mwm", "compute", "ingest")
"""Modules of this layer that declare tables."""

CREATE_LOCK = 0x61737472
"""Key of the PostgreSQL advisory lock that is held while tables are created ("astr")."""


class NotAllowedError(ExpectedError, PermissionError):
    """The user of the database may not do what is needed; the message says whom to ask for what."""


class NoSchemaError(ExpectedError, LookupError):
    """The configured schema is not there, and one with a similar name is."""


class DatabaseLocked(ExpectedError, RuntimeError):  # noqa: N818 (says what happened, as sqlite3 does)
    """Another process kept the SQLite file locked for longer than we wait."""


@dataclass(frozen=True)
class Database:
    """A SQLite or PostgreSQL database with our tables.

    `url` is a URL that `urls.parse_url` accepts. `schema` is a PostgreSQL schema, None for the default one. Where
    it is that of another Astra, tables of ours that it lacks are in `own_schema` (see `placement.py`). Raises
    UnusableUrlError for other databases, ValueError for a schema with SQLite, which has none.
    """

    url: str
    schema: str | None = None
    own_schema: str = OWN_SCHEMA

    def __post_init__(self) -> None:
        if self.dialect == "sqlite" and self.schema is not None:
            raise ValueError(
                f"SQLite has no schemas, found {self.schema!r}; leave it away or use a PostgreSQL database"
            )

    def __repr__(self) -> str:
        """The URL without its password."""
        return f"Database({self.location!r}, schema={self.schema!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {"url": self.url, "schema": self.schema, "own_schema": self.own_schema}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)

    @cached_property
    def parsed(self) -> URL:
        """The URL as SQLAlchemy takes it, with our driver."""
        return parse_url(self.url)

    @property
    def location(self) -> str:
        """The URL without its password, for messages."""
        return shown(self.parsed)

    @cached_property
    def dialect(self) -> str:
        """What the database is: "sqlite" or "postgresql"."""
        return self.parsed.get_backend_name()

    @cached_property
    def engine(self) -> Engine:
        """The SQLAlchemy engine; statements on it name each table with its schema."""
        if self.dialect == "sqlite":
            return _sqlite_engine(self.parsed)
        made = _postgresql_engine(self.parsed)
        self.placement.attach(made)
        return made

    @cached_property
    def placement(self) -> Placement:
        """Where each table is; known once a connection was made."""
        return Placement(self.schema, self.own_schema, frozenset() if self.dialect == "sqlite" else None)

    @property
    def foreign(self) -> bool:
        """Is the configured schema that of another Astra? Connects when nobody has yet."""
        if self.placement.theirs is None:
            with self.connect():
                pass
        return self.placement.foreign

    @property
    def inventory(self) -> Inventory:
        """What the database had of our tables when it was looked at last (`look`), or has now."""
        kept: Inventory | None = self.__dict__.get("_inventory")
        return self.look() if kept is None else kept

    def look(self) -> Inventory:
        """Look up which tables and columns the database has. Reads the catalogue only."""
        with self.connect() as connection:
            return self._look(connection)

    def _look(self, connection: Connection) -> Inventory:
        found = found_tables(connection, self.schema)
        ours = found_tables(connection, self.own_schema) if self.placement.foreign else {}
        has_survey = table_of(Source).name in found
        around = None if has_survey else look_around(connection, self.location, self.schema, found)
        hidden = frozenset(ours) & frozenset(found)
        made = Inventory(self.dialect, {**ours, **found}, self.placement.foreign, hidden, around)
        self.__dict__["_inventory"] = made
        return made

    @contextlib.contextmanager
    def connect(self) -> Iterator[Connection]:
        """A connection for reading; what is written on it is lost unless committed."""
        with self.engine.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def connect_to_scan(self) -> Iterator[Connection]:
        """A connection for a query over many rows: as `connect`, with `arrow.POSTGRESQL_SETTINGS`."""
        with self.connect() as connection:
            if self.dialect == "postgresql":
                for setting in arrow.POSTGRESQL_SETTINGS:
                    connection.exec_driver_sql(setting)
            yield connection

    @contextlib.contextmanager
    def begin(self) -> Iterator[Connection]:
        """A connection in a transaction, committed at the end, rolled back on an exception.

        In SQLite it takes the write lock at once: at most one such transaction at a time, others wait ten minutes,
        then raise DatabaseLocked.
        """
        with self.engine.execution_options(**{WRITES: True}).begin() as connection:
            yield connection

    def create_tables(self, tables: Iterable[Table | type[Base]] | None = None) -> list[str]:
        """Create the tables that are missing, all by default; returns their names.

        Existing tables are left as they are. All means those of this layer and of every pipeline that is
        imported. A missing PostgreSQL schema is created. What the schema of another Astra lacks is created in
        `own_schema`, without foreign keys to Astra's tables, which would hinder changes there.

        Raises NotAllowedError where the database's user may not create them, NoSchemaError where a schema that is not
        there has a name similar to that of another one.
        """
        if tables is None:
            for name in MODEL_MODULES:
                importlib.import_module(f"astra_assets.models.{name}")
            wanted = list(Base.metadata.sorted_tables)
        else:
            chosen = {item if isinstance(item, Table) else table_of(item) for item in tables}
            wanted = [item for item in Base.metadata.sorted_tables if item in chosen]
        if self.dialect == "sqlite":
            _make_folder(Path(str(self.parsed.database)).parent)
        with self.begin() as connection:
            if self.dialect == "postgresql":
                connection.execute(select(func.pg_advisory_xact_lock(CREATE_LOCK)))
            schema = self.own_schema if self.placement.foreign else self.schema
            looked = inspect(connection)
            existing = frozenset[str]().union(*relation_names(looked, schema), self.placement.theirs or ())
            missing = [item for item in wanted if item.name not in existing]
            if missing:
                new = schema if schema is not None and not looked.has_schema(schema) else None
                if new is not None and new == self.schema:
                    _refuse_neighbour(new, looked.get_schema_names(), self.location)
                _create(connection, missing, self.placement, new)
        self.__dict__.pop("_inventory", None)
        return [item.name for item in missing]

    def may_create_tables(self) -> bool:
        """May the database's user create tables where those of ours would go?"""
        if self.dialect == "sqlite":
            return True
        with self.connect() as connection:
            configured = self.own_schema if self.placement.foreign else self.schema
            schema = configured or connection.scalar(select(func.current_schema()))
            if schema is None:
                return False
            if inspect(connection).has_schema(schema):
                return bool(connection.scalar(select(func.has_schema_privilege(schema, "CREATE"))))
            database = func.current_database()
            return bool(connection.scalar(select(func.has_database_privilege(database, "CREATE"))))

    def columns(self, table: Table | type[Base]) -> list[Column[Any]]:
        """The columns of a table that the database has, in our order: a schema of an older Astra lacks the newest."""
        target = table if isinstance(table, Table) else table_of(table)
        with self.connect() as connection:
            schema = self.placement.of(target.name)
            found = {column["name"] for column in inspect(connection).get_columns(target.name, schema=schema)}
        return [column for column in target.columns if column.name in found]

    def arrow_schema(self, query: arrow.Query) -> pa.Schema:
        """The schema of the batches of a query, without running it."""
        return arrow.query_schema(query)

    def arrow_batches(self, query: arrow.Query, *, batch_rows: int = 50_000) -> Iterator[pa.RecordBatch]:
        """The rows of a query as Arrow batches of at most `batch_rows` rows; no batch when there is no row.

        Columns are named by their access keys or labels, duplicates numbered (`pk`, `pk_1`). Types come from
        the registry, else from SQL. The query runs on a connection of its own: it sees what is committed.
        Memory does not grow with rows. Close the iterator (or read it to its end) to free the connection.
        """
        return arrow.batches(self.engine, query, rows=batch_rows)

    def get_ready(self) -> None:
        """Begin what the first query for Arrow batches would wait for, while the caller does something else."""
        if self.dialect == "sqlite":
            sqlite_reader.get_ready()

    def arrow_table(self, query: arrow.Query) -> pa.Table:
        """All rows of a query as one Arrow table, for results that fit into memory."""
        return pa.Table.from_batches(list(self.arrow_batches(query)), schema=self.arrow_schema(query))

    def insert(self, connection: Connection, table: Table | type[Base], rows: pa.Table) -> int:
        """Insert rows in bulk; returns how many. What is done with their columns tells `bulk.TargetTable`."""
        return self._target(connection, table).insert(rows)

    def upsert(
        self,
        connection: Connection,
        table: Table | type[Base],
        rows: pa.Table,
        key: Sequence[str],
        keep: Sequence[str] = ("created",),
        *,
        changed_only: bool = False,
    ) -> int:
        """Insert rows, or update those that exist by `key`; returns how many were written. See `bulk.TargetTable.upsert`."""
        return self._target(connection, table).upsert(rows, key, keep, changed_only=changed_only)

    def _target(self, connection: Connection, table: Table | type[Base]) -> bulk.TargetTable:
        target = table if isinstance(table, Table) else table_of(table)
        if not self.placement.foreign:
            return bulk.TargetTable(connection, target)
        inventory: Inventory = self.__dict__.get("_inventory") or self._look(connection)
        return bulk.TargetTable(connection, target, inventory.further(target), inventory.demanded(target))

    def need_writable(self, *models: type[Base]) -> None:
        """Check that rows of these tables can be written, before they are made. See `Inventory.need_writable`."""
        if self.foreign:
            self.look().need_writable(*models)

    @staticmethod
    def reserve_spectrum_pks(connection: Connection, count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Make `count` new rows in the table `spectrum`; returns their keys, ascending, int64."""
        if count < 1:
            return np.empty(0, dtype=np.int64)
        keys = table_of(SpectrumKey)
        numbers = select(literal(1).label("number")).cte("numbers", recursive=True)
        numbers = numbers.union_all(select(numbers.c.number + 1).where(numbers.c.number < count))
        new = (
            insert(keys)
            .from_select(["spectrum_flags"], select(literal(0)).select_from(numbers))
            .returning(keys.c.pk)
        )
        return np.sort(np.fromiter(connection.scalars(new), dtype=np.int64, count=count))


def _create(
    connection: Connection, tables: Sequence[Table], placement: Placement, schema: str | None
) -> None:
    """Create a schema, if it is given, and tables, each after those that it refers to, with their indexes."""
    theirs = placement.theirs or frozenset()
    try:
        if schema is not None:
            connection.execute(CreateSchema(schema))
        for item in tables:
            kept = [key for key in item.foreign_key_constraints if key.referred_table.name not in theirs]
            connection.execute(CreateTable(item, include_foreign_key_constraints=kept))
            for index in sorted(item.indexes, key=lambda index: str(index.name)):
                connection.execute(CreateIndex(index))
    except ProgrammingError as error:
        if not isinstance(error.orig, psycopg.errors.InsufficientPrivilege):
            raise
        raise NotAllowedError(_not_allowed(error, placement)) from error


def _refuse_neighbour(schema: str, schemas: Sequence[str], location: str) -> None:
    similar = neighbours(schema, schemas)
    if similar:
        raise NoSchemaError(
            f"there is no schema {schema} in {location}, but {' and '.join(similar)}: set ASTRA_DATABASE_SCHEMA to the one "
            f"that is meant; nothing was created. Where a new survey is meant, type in psql: CREATE SCHEMA {schema}"
        )


def _not_allowed(error: ProgrammingError, placement: Placement) -> str:
    first = hide_secrets(str(error.orig).splitlines()[0])
    schema = placement.own_schema if placement.foreign else placement.schema or "public"
    setting = "ASTRA_OWN_SCHEMA" if placement.foreign else "ASTRA_DATABASE_SCHEMA"
    return (
        f"tables of ours cannot be created in the schema {schema}: {first}. Ask the owner of the database for: "
        f"CREATE SCHEMA {schema} AUTHORIZATION your_user; or set {setting} to a schema of yours. "
        "Products can be written without"
    )


WRITES = "astra_assets_writes"
"""Execution option of a connection that will write: SQLite takes the write lock at its start."""


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NotAllowedError(
            f"the folder {folder} of the SQLite database cannot be made ({error.strerror}); set ASTRA_DATABASE_URL"
        ) from error


def _postgresql_engine(url: URL) -> Engine:
    # A pooler may give each transaction another server process, which does not know what was prepared before.
    return create_engine(
        url, pool_pre_ping=True, hide_parameters=True, connect_args={"prepare_threshold": None}
    )


def _sqlite_engine(url: URL) -> Engine:
    made = create_engine(
        url, poolclass=NullPool, connect_args={"timeout": BUSY_TIMEOUT_S}, hide_parameters=True
    )
    event.listen(made, "connect", _on_sqlite_connect)
    event.listen(made, "begin", _on_sqlite_begin)
    event.listen(made, "handle_error", _on_sqlite_error)
    return made


def _on_sqlite_connect(connection: sqlite3.Connection, _record: Any) -> None:
    # Transactions are begun by us: Python's sqlite3 would begin them only before the first write, after reads
    # that they then miss.
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA cache_size = -{SQLITE_CACHE_KIB}")


def _on_sqlite_begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _on_sqlite_error(context: ExceptionContext) -> None:
    error = context.original_exception
    waited = (
        isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
    )
    if waited and context.engine is not None:
        path = context.engine.url.database
        raise DatabaseLocked(
            f"{path}: another process kept the database locked for more than {BUSY_TIMEOUT_S:g} s. "
            f"See which one with: fuser -v {path}; then wait for it or stop it and try again."
        ) from error
