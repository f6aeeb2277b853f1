"""Rows of the database as Arrow batches: types from the registry, and how each driver's values become them.

Reading only; writing Arrow tables into the database is in `bulk.py`.

PostgreSQL is read through ADBC. SQLite is, too, but not from the database's own file: ADBC brings a second
SQLite library into the process, and POSIX file locks do not hold between two libraries of one process
(https://sqlite.org/howtocorrupt.html, section 2.2.1). So the query runs in Python's own SQLite, which writes
the rows to a temporary file, and ADBC reads that.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote

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
    MetaData,
    Numeric,
    Select,
    String,
    Table,
    insert,
)
from sqlalchemy.sql.elements import ColumnElement, Label
from sqlalchemy.types import TypeEngine

from astra_assets.models.columns import ColumnInfo
from astra_assets.models.kinds import INFO_KEY, Kind
from astra_assets.models.sqltypes import FLOAT_ARRAY_DTYPE, Bytes, FloatArray

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

SPOOL_SUFFIX = ".rows"
"""Ending of the temporary files that SQLite writes the rows of a query to."""

SPOOL_LIFETIME_S = 86_400.0
"""Seconds after which a temporary file that a killed process left is removed."""

POSTGRESQL_BATCH_BYTES = 32 * 1024 * 1024
"""Bytes that the PostgreSQL driver collects before it hands over a batch."""


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


def batches(
    engine: Engine, query: Query, *, schema_map: dict[str | None, str | None], rows: int
) -> Generator[pa.RecordBatch]:
    """The rows of a query as batches of at most `rows` rows, all with the schema of `query_schema`.

    There is no batch when there is no row.
    """
    if rows < 1:
        raise ValueError(f"a batch has at least one row, found batch_rows={rows}")
    schema = query_schema(query)
    raw = (
        _postgresql(engine, query, schema_map)
        if engine.dialect.name == "postgresql"
        else _sqlite(engine, query, schema, rows)
    )
    with contextlib.closing(raw):
        for batch in raw:
            done = conform(batch, schema)
            for start in range(0, done.num_rows, rows):
                yield done.slice(start, rows)


def conform(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """A driver's batch with the names and types that the registry gives; columns are taken by position."""
    if batch.num_columns != len(schema):
        raise ValueError(
            f"the query has {len(schema)} columns ({', '.join(schema.names)}), "
            f"the driver returned {batch.num_columns}"
        )
    return pa.RecordBatch.from_arrays(
        [to_type(array, field.type) for array, field in zip(batch.columns, schema, strict=True)],
        schema=schema,
    )


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


def _postgresql(
    engine: Engine, query: Query, schema_map: dict[str | None, str | None]
) -> Generator[pa.RecordBatch]:
    """Batches of a query that PostgreSQL sends as one binary COPY; memory does not grow with rows."""
    from adbc_driver_postgresql import dbapi

    with engine.connect():
        # The dialect learns from the server how to write literals.
        compiled = query.compile(
            engine,
            schema_translate_map=schema_map or None,
            render_schema_translate=bool(schema_map),
            compile_kwargs={"literal_binds": True},
        )
    uri = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with dbapi.connect(uri, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.adbc_statement.set_options(
            **{"adbc.postgresql.batch_size_hint_bytes": str(POSTGRESQL_BATCH_BYTES)}
        )
        # Without parameters to fill in, the doubled percent signs of the driver's parameter style become
        # single ones.
        cursor.execute(str(compiled) % ())
        with cursor.fetch_record_batch() as reader:
            yield from reader


def _sqlite(engine: Engine, query: Query, schema: pa.Schema, rows: int) -> Generator[pa.RecordBatch]:
    """Batches of a query that Python's SQLite wrote to a temporary file."""
    from adbc_driver_sqlite import dbapi

    path = _spool(engine, query, schema)
    try:
        with (
            dbapi.connect(f"file:{quote(str(path))}?immutable=1", autocommit=True) as connection,
            connection.cursor() as cursor,
        ):
            cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": str(rows + 1)})
            cursor.execute("SELECT * FROM rows ORDER BY rowid")
            path.unlink()
            with cursor.fetch_record_batch() as reader:
                first = True
                for batch in reader:
                    yield batch.slice(1) if first else batch
                    first = False
    finally:
        path.unlink(missing_ok=True)


def _spool(engine: Engine, query: Query, schema: pa.Schema) -> Path:
    """Run a query in SQLite and write its rows to a new file beside the database; returns its path.

    The first row is an example of every type: the reader takes a column's type from the rows that it sees
    first, which may all be NULL.
    """
    database = Path(str(engine.url.database))
    remove_old_spools(database)
    handle, name = tempfile.mkstemp(prefix=f".{database.name}-", suffix=SPOOL_SUFFIX, dir=database.parent)
    os.close(handle)
    path = Path(name)
    declared = [_spool_type(field.type) for field in schema]
    names = [f"c{number}" for number in range(len(declared))]
    spooled = Table("rows", MetaData(), *(Column(name) for name in names), schema="spool")
    try:
        with engine.connect() as connection:
            raw = connection.connection.driver_connection
            assert raw is not None
            raw.execute("ATTACH DATABASE ? AS spool", (str(path),))
            raw.execute("PRAGMA spool.journal_mode = OFF")
            raw.execute("PRAGMA spool.synchronous = OFF")
            columns = ", ".join(f"{name} {sql}" for name, (sql, _) in zip(names, declared, strict=True))
            raw.execute(f"CREATE TABLE spool.rows ({columns})")
            marks = ", ".join("?" * len(names))
            examples = [example for _, example in declared]
            raw.execute(f"INSERT INTO spool.rows VALUES ({marks})", examples)  # noqa: S608
            connection.execute(insert(spooled).from_select(names, query))
            connection.commit()
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def _spool_type(wanted: pa.DataType) -> tuple[str, Any]:
    """How SQLite stores values of an Arrow type, and an example value."""
    if pa.types.is_boolean(wanted) or pa.types.is_integer(wanted):
        return "INTEGER", 0
    if pa.types.is_floating(wanted):
        return "REAL", 0.0
    if pa.types.is_binary(wanted) or pa.types.is_list(wanted):
        return "BLOB", b"\0"
    return "TEXT", "-"


def remove_old_spools(database: Path) -> None:
    """Remove temporary files that a process left beside the database when it was killed a day or more ago."""
    for path in database.parent.glob(f".{database.name}-*{SPOOL_SUFFIX}"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > SPOOL_LIFETIME_S:
                path.unlink()
