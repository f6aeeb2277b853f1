"""Rows of the database as Arrow batches: types from the registry, and how each driver's values become them.

Reading only; writing Arrow tables into the database is in `bulk.py`.

PostgreSQL is read through ADBC. SQLite is, too, but in a process of its own (`sqlite_reader`).
"""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import (
    Boolean,
    Column,
    CompoundSelect,
    DateTime,
    Engine,
    Float,
    Integer,
    LargeBinary,
    Numeric,
    Select,
    String,
)
from sqlalchemy.sql.elements import ColumnElement, Label
from sqlalchemy.types import TypeEngine

from astra_assets.database import sqlite_reader
from astra_assets.database.urls import hide_secrets, reader_conninfo, shown
from astra_assets.errors import ExpectedError, PassingError
from astra_assets.registry.columns import ColumnInfo
from astra_assets.registry.kinds import INFO_KEY, Kind
from astra_assets.registry.sqltypes import FLOAT_ARRAY_DTYPE, Bytes, FloatArray

Query: TypeAlias = Select[Any] | CompoundSelect[Any]
"""What can be read as Arrow batches."""

ARROW_TYPES: dict[Kind, pa.DataType] = {
    Kind.text: pa.string(),
    Kind.boolean: pa.bool_(),
    Kind.int32: pa.int32(),
    Kind.int64: pa.int64(),
    Kind.float32: pa.float64(),
    Kind.float64: pa.float64(),
    Kind.bits: pa.int64(),
    Kind.datetime: pa.timestamp("us"),
    Kind.bytes: pa.binary(),
    Kind.floats: pa.list_(pa.float64()),
}
"""Arrow type of each kind that the database stores. `float32` is double in the database and becomes single
only in files."""

SQL_TYPES: tuple[tuple[type[TypeEngine[Any]], pa.DataType], ...] = (
    (FloatArray, pa.list_(pa.float64())),
    (Bytes, pa.binary()),
    (Boolean, pa.bool_()),
    (Integer, pa.int64()),
    (Float, pa.float64()),
    (Numeric, pa.float64()),
    (String, pa.string()),
    (DateTime, pa.timestamp("us")),
    (LargeBinary, pa.binary()),
)
"""Arrow type of an expression, by its SQL type."""

POSTGRESQL_BATCH_BYTES = 8 * 1024 * 1024
"""Bytes that the PostgreSQL driver collects before it hands over a batch."""


POSTGRESQL_SETTINGS = (
    "SET LOCAL jit = off",
    """SELECT set_config('work_mem', '64MB', true)
    WHERE pg_size_bytes(current_setting('work_mem')) < pg_size_bytes('64MB')""",
)
"""What holds for a transaction that reads many rows: expressions are not compiled, which takes seconds for joins of wide
tables and saves less, and what is sorted stays off the disk for longer."""

IN_ONE_PROCESS = "SET LOCAL max_parallel_workers_per_gather = 0"
"""For rows that are sent in one stream: workers would join some of the tables once each and hand their rows on to the
process that sends, which takes more processor time than it saves, and the driver is not faster than one process anyway."""


class WrongValueError(ExpectedError, ValueError):
    """A value of the database that its column cannot have.

    Attributes:
        column: its name in the query.
        reason: what is wrong with it.
        row: how many rows of the query come before; None where the driver does not say.
        record: what the driver read of that row; None with `row`.
    """

    def __init__(
        self, column: str, reason: str, row: int | None = None, record: pa.RecordBatch | None = None
    ) -> None:
        super().__init__(f"column {column}: {reason}" + ("" if row is None else f", row {row + 1}"))
        self.column = column
        self.reason = reason
        self.row = row
        self.record = record


class PostgresqlReadError(ExpectedError, RuntimeError):
    """A query that PostgreSQL refused, or that could not be read to its end."""


class ConnectionEndedError(PostgresqlReadError, PassingError):
    """The connection ended before all rows were read: the server was restarted, or somebody ended it."""


def registered(column: ColumnElement[Any]) -> ColumnInfo | None:
    """What the registry knows about a column of a query; None for other expressions.

    Labels, aliases and subqueries are looked through.
    """
    if isinstance(column, Label):
        return registered(column.element)
    for root in column.base_columns:
        if isinstance(root, Column) and INFO_KEY in root.info:
            found: ColumnInfo = root.info[INFO_KEY]
            return found
        if isinstance(root, Label) and root is not column:
            return registered(root)
    return None


def arrow_type(column: ColumnElement[Any]) -> pa.DataType:
    """The Arrow type of a column of a query.

    Raises TypeError for an expression whose SQL type is not known; give it one with `sqlalchemy.type_coerce`.
    """
    found = registered(column)
    if found is not None:
        return ARROW_TYPES[found.definition.kind]
    for sql_type, made in SQL_TYPES:
        if isinstance(column.type, sql_type):
            return made
    raise TypeError(
        f"the type of {column} is not known ({column.type!r}); "
        "give it one with sqlalchemy.type_coerce(expression, type)"
    )


def query_schema(query: Query) -> pa.Schema:
    """Names and types of the columns of a query, without running it.

    Names are as the query labels them; duplicates are numbered.
    """
    columns = query.selected_columns
    names: list[str] = []
    for key in columns.keys():  # noqa: SIM118 (a ColumnCollection iterates over columns)
        base = str(key)
        name = base
        for number in itertools.count(1):
            if name not in names:
                break
            name = f"{base}_{number}"
        names.append(name)
    return pa.schema(
        [pa.field(name, arrow_type(column)) for name, column in zip(names, columns, strict=True)]
    )


def batches(engine: Engine, query: Query, *, rows: int) -> Generator[pa.RecordBatch]:
    """The rows of a query as batches of at most `rows` rows, all with the schema of `query_schema`.

    There is no batch when there is no row.
    """
    if rows < 1:
        raise ValueError(f"a batch has at least one row, found batch_rows={rows}")
    schema = query_schema(query)
    raw = (
        driver_batches(engine, query)
        if engine.dialect.name == "postgresql"
        else _sqlite(engine, query, schema, rows)
    )
    before = 0
    with contextlib.closing(raw):
        for batch in raw:
            done = conform(batch, schema, before)
            before += done.num_rows
            for start in range(0, done.num_rows, rows):
                yield done.slice(start, rows)


def conform(batch: pa.RecordBatch, schema: pa.Schema, before: int = 0) -> pa.RecordBatch:
    """A driver's batch with the names and types that the registry gives; columns are taken by position.

    Raises WrongValueError when a value cannot have the type; `before` are the rows that came before the batch.
    """
    if batch.num_columns != len(schema):
        raise ValueError(
            f"the query has {len(schema)} columns ({', '.join(schema.names)}), "
            f"the driver returned {batch.num_columns}"
        )
    arrays = []
    for number, (array, field) in enumerate(zip(batch.columns, schema, strict=True)):
        try:
            arrays.append(to_type(array, field.type))
        except (ValueError, pa.ArrowException) as error:
            raise _wrong_value(batch, schema, number, str(error), before) from error
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _wrong_value(
    batch: pa.RecordBatch, schema: pa.Schema, number: int, reason: str, before: int
) -> WrongValueError:
    """The error of a column of a driver's batch, with the first row whose value cannot have the type."""
    column, wanted = batch.column(number), schema.field(number).type
    if _can_be(column, wanted):
        return WrongValueError(schema.names[number], reason)
    first, end = 0, len(column)
    while end - first > 1:
        middle = (first + end) // 2
        if _can_be(column.slice(first, middle - first), wanted):
            first = middle
        else:
            end = middle
    record = batch.slice(first, 1).rename_columns(schema.names)
    return WrongValueError(schema.names[number], reason, before + first, record)


def _can_be(array: pa.Array, wanted: pa.DataType) -> bool:
    try:
        to_type(array, wanted)
    except (ValueError, pa.ArrowException):
        return False
    return True


def to_type(array: pa.Array, wanted: pa.DataType) -> pa.Array:
    """A column as a driver returns it, as the wanted type.

    SQLite has float arrays as blobs, booleans as integers and times as texts.
    """
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    found = array.type
    if found == wanted:
        return array
    if pa.types.is_list(wanted) and (pa.types.is_binary(found) or pa.types.is_large_binary(found)):
        return floats_from_blobs(array.cast(pa.binary()))
    if pa.types.is_boolean(wanted) and (pa.types.is_integer(found) or pa.types.is_floating(found)):
        return pc.not_equal(array, pa.scalar(0, found))
    if pa.types.is_binary(wanted) and pa.types.is_string(found):
        return array.cast(pa.binary())
    return array.cast(wanted)


def floats_from_blobs(array: pa.Array) -> pa.Array:
    """Lists of floats from blobs of little-endian float64.

    Raises ValueError when a blob's length is no multiple of 8.
    """
    lengths = pc.fill_null(pc.binary_length(array), 0).to_numpy(zero_copy_only=False)
    if np.any(lengths % FLOAT_ARRAY_DTYPE.itemsize):
        raise ValueError("a float array in SQLite has a multiple of 8 bytes; found a blob that has not")
    offsets = np.concatenate([[0], np.cumsum(lengths // FLOAT_ARRAY_DTYPE.itemsize)]).astype(np.int32)
    values = np.frombuffer(
        b"".join(blob for blob in array.to_pylist() if blob is not None), dtype=FLOAT_ARRAY_DTYPE
    )
    return pa.ListArray.from_arrays(
        pa.array(offsets),
        pa.array(values.astype(np.float64)),
        mask=pc.is_null(array) if array.null_count else None,
    )


def driver_batches(engine: Engine, query: Query) -> Generator[pa.RecordBatch]:
    """Batches of a query that PostgreSQL sends as one binary COPY; memory does not grow with rows.

    All statements are in one transaction, so that a pooler gives them one server process, and what is set ends with it.
    Raises PostgresqlReadError.
    """
    # Not the drivers' DBAPI, which loads every data frame library that is installed.
    import adbc_driver_manager
    import adbc_driver_postgresql
    from adbc_driver_manager import AdbcConnection, AdbcStatement

    with engine.connect() as learning:
        # The dialect learns from the server how to write literals.
        compiled = query.compile(engine, compile_kwargs={"literal_binds": True})
        raw = learning.connection.driver_connection
        assert raw is not None
        uri = reader_conninfo(raw)
    try:
        with (
            adbc_driver_postgresql.connect(uri) as database,
            AdbcConnection(database) as connection,
            AdbcStatement(connection) as statement,
        ):
            connection.set_autocommit(False)
            for setting in (*POSTGRESQL_SETTINGS, IN_ONE_PROCESS):
                statement.set_sql_query(setting)
                statement.execute_update()
            statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(POSTGRESQL_BATCH_BYTES)})
            # Without parameters to fill in, the doubled percent signs of the driver's parameter style become
            # single ones.
            statement.set_sql_query(str(compiled) % ())
            handle, _ = statement.execute_query()
            with pa.RecordBatchReader._import_from_c(handle.address) as reader:  # noqa: SLF001 (the way that ADBC shows)
                yield from reader
            # This ends the transaction.
            connection.set_autocommit(True)
    except (adbc_driver_manager.Error, pa.ArrowException, OSError) as error:
        raise _read_error(error, shown(engine.url)) from error


def _read_error(error: Exception, location: str) -> PostgresqlReadError:
    """What to tell about an error of the driver; one that ended the connection may be gone the next time."""
    reason = hide_secrets(" ".join(str(error).partition("\nQuery")[0].split())).rstrip(".")
    text = f"{location}: the database could not be read: {reason}"
    if re.search(_CONNECTION_ENDED, reason):
        return ConnectionEndedError(f"{text}. Doing the same again loses nothing")
    return PostgresqlReadError(f"{text}; type: astra-assets doctor")


_CONNECTION_ENDED = (
    "server closed the connection|terminating connection|connection to server was lost|no connection to the server|"
    "SSL connection has been closed|could not receive data from server"
)
"""What libpq and the server say when a connection ends early."""


def _sqlite(engine: Engine, query: Query, schema: pa.Schema, rows: int) -> Generator[pa.RecordBatch]:
    """Batches of a query that another process reads (see `sqlite_reader`).

    The first row is an example of every type: the driver takes a column's type from the rows that it sees
    first, which may all be NULL.
    """
    compiled = query.compile(engine, compile_kwargs={"literal_binds": True})
    examples = [_example(field.type) for field in schema]
    path = Path(str(engine.url.database)).absolute()
    first = ", ".join(literal for literal, _ in examples)
    statement = f"SELECT {first} UNION ALL SELECT * FROM ({compiled})"  # noqa: S608 (made of constants and a query)
    with contextlib.closing(sqlite_reader.read(path, statement, rows)) as found:
        try:
            for number, batch in enumerate(found):
                if number == 0:
                    _check_examples(batch, schema, [made for _, made in examples])
                yield batch.slice(0 if number else 1)
        except sqlite_reader.SqliteReadError as error:
            mismatch = _MISMATCH.search(str(error))
            if mismatch is None:
                raise
            column = int(mismatch["column"])
            reason = f"expected values like {examples[column][1]!r}, found {mismatch['found']}; {_ANY_TYPE}"
            raise WrongValueError(schema.names[column], reason) from error


_MISMATCH = re.compile(r"Type mismatch in column (?P<column>\d+): expected .* but got (?P<found>.*)")
"""What the driver says of a value that is not of the type of its first ones."""
_ANY_TYPE = "SQLite stores what it is given, so a program wrote a value of another type"


def _check_examples(batch: pa.RecordBatch, schema: pa.Schema, examples: Sequence[Any]) -> None:
    """The driver makes text of all values of a column where there is text among its first ones."""
    for number, (column, example) in enumerate(zip(batch.columns, examples, strict=True)):
        if column[0].as_py() != example:
            reason = f"expected values like {example!r}, found {column.type} among them; {_ANY_TYPE}"
            raise _wrong_value(batch.slice(1), schema, number, reason, 0)


def _example(wanted: pa.DataType) -> tuple[str, Any]:
    """A value of the SQLite type that values of an Arrow type have: as SQL and as read."""
    if pa.types.is_boolean(wanted) or pa.types.is_integer(wanted):
        return "0", 0
    if pa.types.is_floating(wanted):
        return "0.0", 0.0
    if pa.types.is_binary(wanted) or pa.types.is_list(wanted):
        return "x'00'", b"\0"
    return "'-'", "-"
