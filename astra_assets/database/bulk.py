"""Writing Arrow tables into the database in bulk: COPY on PostgreSQL, executemany on SQLite."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from sqlalchemy import Column, Connection, Table
from sqlalchemy.exc import DBAPIError

from astra_assets.database.arrow import ARROW_TYPES
from astra_assets.errors import ExpectedError
from astra_assets.registry.columns import info
from astra_assets.registry.sqltypes import FLOAT_ARRAY_DTYPE

CHUNK_ROWS = 20_000
"""Rows that are turned into the driver's form at a time, which bounds memory."""

CSV = pyarrow.csv.WriteOptions(include_header=False, quoting_style="needed")


class NullNotAllowedError(ExpectedError, ValueError):
    """A value is missing that a table of another Astra demands."""


@dataclass(frozen=True)
class TargetTable:
    """A table that rows of Arrow tables are written into.

    Columns of the rows are access keys or database names. Columns that are missing get their default, and so do NULLs
    in columns that must not be NULL. NaN becomes NULL, so that conditions mean the same in SQLite and PostgreSQL.
    Columns that the database computes are ignored.

    Attributes:
        connection: in whose transaction they are written.
        table: as it is declared.
        further: values of columns that only the database has, by name, the same for all rows.
        demanded: access keys of columns that may be NULL as declared, but not in this database.
    """

    connection: Connection
    table: Table
    further: Mapping[str, Any] = field(default_factory=dict)
    demanded: frozenset[str] = frozenset()

    def insert(self, rows: pa.Table) -> int:
        """Insert rows; returns how many.

        Raises KeyError for a column that the table does not have, ValueError for a NULL where there must be none.
        """
        prepared, columns = self._prepared(rows)
        if prepared.num_rows == 0:
            return 0
        if self.connection.dialect.name == "postgresql":
            _copy(self.connection, f"{self._name} ({columns})", prepared)
        else:
            _executemany(self.connection, self._insert_values(prepared, columns), prepared)
        return int(prepared.num_rows)

    def upsert(self, rows: pa.Table, key: Sequence[str], keep: Sequence[str], *, changed_only: bool) -> int:
        """Insert rows, or update those with the same `key`; returns how many were written.

        `key` is a set of columns with a unique constraint. An update sets the columns of `rows` but those of `key` and
        `keep`, and `modified`. With `changed_only`, rows whose columns are all as in the database already (`modified`
        apart) are left alone.

        Raises KeyError for a column that the table does not have, ValueError for a NULL where there must be none or
        for a key that occurs twice in `rows`.
        """
        given = {column.key for column in (_column(self.table, name) for name in rows.column_names)}
        prepared, columns = self._prepared(rows)
        if prepared.num_rows == 0:
            return 0
        _refuse_duplicates(self.table, prepared, key)
        compared = [
            name for name in prepared.column_names if name in given and name not in {*key, *keep, "modified"}
        ]
        updated = compared + [
            name for name in ("modified",) if name in prepared.column_names and name not in keep
        ]
        conflict = self._on_conflict(key, updated, compared if changed_only else [])
        if self.connection.dialect.name != "postgresql":
            statement = f"{self._insert_values(prepared, columns)} {conflict}"
            return _executemany(self.connection, statement, prepared)
        staging = self.connection.dialect.identifier_preparer.quote(f"staging_{self.table.name}")
        self.connection.exec_driver_sql(
            f"CREATE TEMPORARY TABLE {staging} ON COMMIT DROP AS "  # noqa: S608
            f"SELECT {columns} FROM {self._name} WITH NO DATA"
        )
        _copy(self.connection, f"{staging} ({columns})", prepared)
        merge = f"INSERT INTO {self._name} ({columns}) SELECT {columns} FROM {staging} {conflict}"  # noqa: S608
        written = self.connection.exec_driver_sql(merge).rowcount
        self.connection.exec_driver_sql(f"DROP TABLE {staging}")
        return int(written)

    def _prepared(self, rows: pa.Table) -> tuple[pa.Table, str]:
        """The rows as they are stored, and the names of their columns as SQL."""
        prepared = prepare(self.table, rows, self.demanded)
        for name, value in self.further.items():
            prepared = prepared.append_column(name, pa.repeat(pa.scalar(value), prepared.num_rows))
        return prepared, ", ".join(map(self._quoted, prepared.column_names))

    def _insert_values(self, prepared: pa.Table, columns: str) -> str:
        marks = ", ".join("?" * prepared.num_columns)
        return f"INSERT INTO {self._name} ({columns}) VALUES ({marks})"  # noqa: S608

    def _on_conflict(self, key: Sequence[str], updated: Sequence[str], compared: Sequence[str]) -> str:
        """The ON CONFLICT clause; with `compared`, only rows that differ in one of these columns are updated."""
        keys = ", ".join(map(self._quoted, key))
        if not updated:
            return f"ON CONFLICT ({keys}) DO NOTHING"
        clause = ", ".join(f"{name} = excluded.{name}" for name in map(self._quoted, updated))
        if compared:
            table = self.connection.dialect.identifier_preparer.quote(self.table.name)
            differs = "IS DISTINCT FROM" if self.connection.dialect.name == "postgresql" else "IS NOT"
            condition = " OR ".join(
                f"{table}.{name} {differs} excluded.{name}" for name in map(self._quoted, compared)
            )
            return f"ON CONFLICT ({keys}) DO UPDATE SET {clause} WHERE {condition}"
        return f"ON CONFLICT ({keys}) DO UPDATE SET {clause}"

    @property
    def _name(self) -> str:
        return self.connection.dialect.identifier_preparer.format_table(self.table)

    def _quoted(self, key: str) -> str:
        name = key if key in self.further else _column(self.table, key).name
        return self.connection.dialect.identifier_preparer.quote(name)


def prepare(target: Table, rows: pa.Table, demanded: frozenset[str] = frozenset()) -> pa.Table:
    """The rows as they are stored.

    Access keys as names, types of the registry, defaults filled in, NaN turned into NULL. `demanded` are columns that
    must not be NULL, although they may as declared.
    """
    arrays: dict[str, pa.ChunkedArray] = {}
    for name in rows.column_names:
        column = _column(target, name)
        if column.computed is None:
            arrays[column.key] = _as_stored(column, rows[name])
    for column in target.columns:
        fallback = _default(column)
        if column.key not in arrays:
            if fallback is not None:
                kind = ARROW_TYPES[info(column).definition.kind]
                arrays[column.key] = pa.chunked_array([pa.repeat(pa.scalar(fallback, kind), rows.num_rows)])
        elif not column.nullable and fallback is not None:
            arrays[column.key] = arrays[column.key].fill_null(fallback)
        _refuse_null(target, column, arrays.get(column.key))
        if column.key in demanded and (column.key not in arrays or arrays[column.key].null_count):
            raise NullNotAllowedError(
                f"the table {target.name} of this database demands {column.key}, which our rows may lack, so they cannot "
                "be written; ask the owner of the database to let it be NULL"
            )
    return pa.table(arrays)


def _column(target: Table, name: str) -> Column[Any]:
    """A column by its access key or its name in the database."""
    if name in target.columns:
        return target.columns[name]
    for column in target.columns:
        if column.name == name:
            return column
    raise KeyError(
        f"the table {target.name} has no column {name!r}; it has {', '.join(target.columns.keys())}"
    )


def _as_stored(column: Column[Any], values: pa.ChunkedArray) -> pa.ChunkedArray:
    wanted = ARROW_TYPES[info(column).definition.kind]
    try:
        cast = values.cast(wanted)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{column}: values of type {values.type} do not fit {wanted}: {error}") from error
    if pa.types.is_floating(wanted):
        cast = pc.if_else(pc.is_nan(cast), pa.scalar(None, wanted), cast)
    return cast


def _default(column: Column[Any]) -> Any:
    """The default of a column that Python fills in, None when there is none."""
    default = column.default
    if default is None or not (default.is_scalar or default.is_callable):
        return None
    return default.arg(None) if default.is_callable else default.arg  # type: ignore[attr-defined]


def _refuse_null(target: Table, column: Column[Any], values: pa.ChunkedArray | None) -> None:
    serial = column.primary_key and column.autoincrement in (True, "auto")
    if column.nullable or column.computed is not None or (values is None and serial):
        return
    if values is None:
        raise ValueError(
            f"the rows for the table {target.name} lack the column {column.key!r}, which must not be NULL"
        )
    if values.null_count:
        row = values.is_null().index(pa.scalar(True)).as_py()
        raise ValueError(
            f"{target.name}.{column.key} must not be NULL, but is in row {row} of {len(values)} (from 0)"
        )


def _refuse_duplicates(target: Table, rows: pa.Table, key: Sequence[str]) -> None:
    """A key that occurs twice would be an error in PostgreSQL, and the last row would win in SQLite."""
    names: list[str] = []
    for name in key:
        column = _column(target, name)
        if column.computed is None:
            names.append(column.key)
        else:
            words = set(re.findall(r"\w+", str(column.computed.sqltext)))
            names += [other.key for other in target.columns if other.name in words]
    complete = rows.select([name for name in dict.fromkeys(names) if name in rows.column_names])
    for name in complete.column_names:
        complete = complete.filter(pc.is_valid(complete[name]))
    counts = complete.group_by(complete.column_names).aggregate([([], "count_all")])
    twice = counts.filter(pc.greater(counts["count_all"], 1))
    if twice.num_rows:
        first = {name: twice[name][0].as_py() for name in complete.column_names}
        raise ValueError(
            f"{twice.num_rows} keys occur more than once in the rows for the table {target.name}, "
            f"the first is {first}; keep one row of each"
        )


def _executemany(connection: Connection, statement: str, rows: pa.Table) -> int:
    written = 0
    for batch in rows.combine_chunks().to_batches(max_chunksize=CHUNK_ROWS):
        values = [_python_values(array) for array in batch.columns]
        result = connection.exec_driver_sql(statement, list(zip(*values, strict=True)))
        written += result.rowcount
    return written


def _python_values(array: pa.Array) -> list[Any]:
    """The values of a column as sqlite3 takes them."""
    found = array.type
    if pa.types.is_list(found):
        return list(_blobs(array))
    if pa.types.is_timestamp(found):
        array = array.cast(pa.string())
    elif pa.types.is_floating(found):
        # NaN is how NumPy spells a missing value, and SQLite stores it as NULL.
        floats: list[Any] = array.to_numpy(zero_copy_only=False).tolist()
        return floats
    elif pa.types.is_integer(found):
        values = array.fill_null(0).to_numpy(zero_copy_only=False)
        if array.null_count:
            values = values.astype(object)
            values[array.is_null().to_numpy(zero_copy_only=False)] = None
        integers: list[Any] = values.tolist()
        return integers
    others: list[Any] = array.to_numpy(zero_copy_only=False).tolist()
    return others


def _blobs(array: pa.ListArray) -> Iterator[bytes | None]:
    """SQLite's form of each float array."""
    values = array.values.to_numpy(zero_copy_only=False).astype(FLOAT_ARRAY_DTYPE)
    offsets = array.offsets.to_numpy()
    for valid, start, end in zip(array.is_valid().to_pylist(), offsets[:-1], offsets[1:], strict=True):
        yield values[start:end].tobytes() if valid else None


def _copy(connection: Connection, target: str, rows: pa.Table) -> None:
    """COPY rows into a table of PostgreSQL, within the transaction of the connection."""
    if not connection.in_transaction():
        connection.begin()
    raw = connection.connection.driver_connection
    assert isinstance(raw, psycopg.Connection)
    statement = f"COPY {target} FROM STDIN (FORMAT csv)"
    try:
        with raw.cursor() as cursor, cursor.copy(statement.encode()) as copy:
            for batch in rows.combine_chunks().to_batches(max_chunksize=CHUNK_ROWS):
                text = pa.RecordBatch.from_arrays(
                    [_csv_values(array) for array in batch.columns], names=batch.schema.names
                )
                buffer = io.BytesIO()
                pyarrow.csv.write_csv(text, buffer, CSV)
                copy.write(buffer.getbuffer())
    except psycopg.Error as error:
        raise DBAPIError.instance(
            statement, None, error, psycopg.Error, hide_parameters=True, dialect=connection.dialect
        ) from error


def _csv_values(array: pa.Array) -> pa.Array:
    """The values of a column as PostgreSQL reads them from CSV.

    Byte strings are in hexadecimal, lists in braces.
    """
    if pa.types.is_binary(array.type):
        return pa.array(
            [None if value is None else f"\\x{value.hex()}" for value in array.to_pylist()], pa.string()
        )
    if pa.types.is_list(array.type):
        texts = pa.ListArray.from_arrays(array.offsets, array.values.cast(pa.string()).fill_null("NULL"))
        lists = pc.binary_join_element_wise("{", pc.binary_join(texts, ","), "}", "")
        return pc.if_else(pc.is_null(array), pa.scalar(None, pa.string()), lists)
    return array
