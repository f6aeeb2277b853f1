"""What PostgreSQL's planner believes about a table, brought up to date.

After bulk writing the planner still believes what was true before (an empty table, no spectrum with a source)
and joins millions of rows one by one. SQLite plans without statistics.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Table

from astra_assets.database.database import Database


def refresh_statistics(
    database: Database, connection: Connection, table: Table, columns: Sequence[str]
) -> None:
    """Have PostgreSQL look at a sample of some columns, in the transaction of the connection.

    Nothing happens on SQLite, nor where the table belongs to another user (PostgreSQL only warns).
    """
    if database.dialect != "postgresql":
        return
    quote = connection.dialect.identifier_preparer.quote
    schema = f"{quote(database.schema)}." if database.schema else ""
    names = ", ".join(quote(table.c[name].name) for name in columns)
    connection.exec_driver_sql(f"ANALYZE {schema}{quote(table.name)} ({names})")
