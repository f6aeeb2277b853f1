"""Rows beside the table they are meant for, so that the database itself compares them.

What is new, what differs, what is as it is.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Integer,
    MetaData,
    Table,
    Update,
    and_,
    bindparam,
    case,
    delete,
    func,
    or_,
    select,
    update,
)

from astra_assets.database.database import Database
from astra_assets.ingest.statistics import refresh_statistics
from astra_assets.registry.columns import ColumnInfo
from astra_assets.registry.kinds import INFO_KEY, Definition, Kind

ROW = "stage_row"
OWN_KEY = "stage_pk"
EXTRA_INFO = {INFO_KEY: ColumnInfo(Definition(Kind.int64, "Number of the row, or key of the row it matches"))}


def written(connection: Connection, statement: Update) -> int:
    """Run an update; returns how many rows it wrote.

    Python's sqlite3 does not count the rows of statements that begin with WITH, so SQLite is asked.
    """
    result = connection.execute(statement)
    if connection.dialect.name == "sqlite":
        return int(connection.execute(select(func.changes())).scalar_one())
    return int(result.rowcount)


class Stage:
    """A table that holds some rows of a file until the end of the transaction. Made by `staged`.

    Attributes:
        target: the table that the rows are compared with.
        table: the rows, with the number of each in the column `stage_row`.
        same: condition that a row of the target is the one that a staged row is meant for.
    """

    def __init__(self, connection: Connection, target: Table, table: Table, key: Sequence[str]) -> None:
        self._connection = connection
        self._key = key
        self.target = target
        self.table = table
        self.same: ColumnElement[bool] = target.c["pk"] == table.c[OWN_KEY]

    def match(self) -> None:
        """Find the row of the target that each staged row is meant for, where it is not known yet."""
        # Row by row through the target's index: no planner can take it into its head to read the whole target.
        same_key = (self.target.c[name] == self.table.c[name] for name in self._key)
        existing = select(self.target.c["pk"]).where(*same_key).limit(1).scalar_subquery()
        unknown = self.table.c[OWN_KEY].is_(None)
        self._connection.execute(update(self.table).where(unknown).values({OWN_KEY: existing}))

    @property
    def row(self) -> Column[int]:
        """The number of each staged row."""
        return self.table.c[ROW]

    def update(
        self,
        columns: Sequence[str],
        now: datetime,
        *,
        keep: Collection[str] = (),
        only_where: Mapping[str, ColumnElement[bool]] | None = None,
        own_bits: Mapping[str, int] | None = None,
        also_set: Mapping[str, Any] | None = None,
    ) -> int:
        """Update the rows of the target whose content differs; returns how many there were.

        Args:
            columns: columns that are compared and written.
            now: what `modified` becomes in rows that differ.
            keep: columns in which a missing value leaves what is there.
            only_where: columns that are written only where a condition on the target's row holds.
            own_bits: bits of columns of flags that stay as they are in the target.
            also_set: further columns that are set in rows that differ.
        """
        differences: list[ColumnElement[bool]] = []
        new: dict[str, Any] = {}
        for name in columns:
            old, given = self.target.c[name], self.table.c[name]
            value: ColumnElement[Any] = given
            if own_bits and name in own_bits:
                value = old.bitwise_and(own_bits[name]).bitwise_or(given)
            differs: ColumnElement[bool] = old.is_distinct_from(value)
            if name in keep:
                differs, value = and_(given.is_not(None), differs), func.coalesce(given, old)
            if only_where and name in only_where:
                differs, value = and_(only_where[name], differs), case((only_where[name], value), else_=old)
            differences.append(differs)
            new[name] = value
        if not differences:
            return 0
        statement = (
            update(self.target)
            .where(self.same, or_(*differences))
            .values({**new, **(also_set or {}), "modified": now})
        )
        return written(self._connection, statement)

    def discard(self, rows: Collection[int]) -> None:
        """Take rows off the stage, by their numbers."""
        if rows:
            self._connection.execute(
                delete(self.table).where(self.row == bindparam("number")), [{"number": row} for row in rows]
            )

    def new_rows(self) -> NDArray[np.int64]:
        """Numbers of the staged rows whose key the target does not have, ascending."""
        absent = select(self.row).where(self.table.c[OWN_KEY].is_(None)).order_by(self.row)
        return np.fromiter(self._connection.scalars(absent), dtype=np.int64)


@contextmanager
def staged(
    database: Database, connection: Connection, target: Table, rows: pa.Table, key: Sequence[str]
) -> Iterator[Stage]:
    """Put rows (columns named by access keys of the target) beside the target for the time of the block.

    `key` is a set of columns with a unique constraint in the target; it must be unique in the rows, too. To look
    rows up it may also be columns that only an index begins with; one of several rows that fit is found then.
    """
    table = Table(
        f"stage_{target.name}_{secrets.token_hex(4)}",
        MetaData(),
        Column(ROW, BigInteger, info=EXTRA_INFO),
        Column(OWN_KEY, BigInteger, info=EXTRA_INFO),
        *(Column(name, column_type(target, name), info=target.c[name].info) for name in rows.column_names),
        # A temporary table of PostgreSQL cannot be in the schema that the connection's statements go to.
        prefixes=["UNLOGGED" if database.dialect == "postgresql" else "TEMPORARY"],
    )
    table.create(connection)
    database.insert(connection, table, rows.append_column(ROW, pa.array(np.arange(len(rows)))))
    stage = Stage(connection, target, table, key)
    stage.match()
    refresh_statistics(database, connection, table, (ROW, OWN_KEY))
    yield stage
    table.drop(connection)


def column_type(target: Table, name: str) -> Any:
    """The type of a staged column; keys that refer to other tables are plain integers."""
    return Integer() if target.c[name].primary_key else target.c[name].type
