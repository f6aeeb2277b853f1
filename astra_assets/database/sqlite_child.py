"""A program that reads SQLite through ADBC and writes Arrow: the other end of `sqlite_reader`.

It is a process of its own because ADBC has an SQLite library of its own, and POSIX file locks do not hold between two
such libraries of one process (https://sqlite.org/howtocorrupt.html, section 2.2.1). It imports of ours
only what imports nothing else, and as little as possible, so that it is ready soon and small.

Each line of its standard input is a request: JSON with `uri`, `sql` and `rows`, the most rows of a batch. The
answer on its standard output is the line READY and an Arrow IPC stream, or nothing of this where the query
cannot even start; then a line of JSON with `error`, null when all rows were sent. It ends when its standard
input does.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any, BinaryIO

import adbc_driver_manager
import adbc_driver_sqlite
import pyarrow as pa

from astra_assets.database.ahead import read_ahead

READY = b"arrow\n"

CACHE_KIB = 4096
"""Memory of SQLite's page cache."""

BUSY_TIMEOUT_MS = 30_000
"""How long SQLite waits for another process that has the file to itself, which one does that was the last to use it."""


def answer(request: dict[str, Any], out: BinaryIO) -> None:
    """Send the rows of one query."""
    with (
        adbc_driver_sqlite.connect(request["uri"]) as database,
        adbc_driver_manager.AdbcConnection(database) as connection,
    ):
        for setting in (f"busy_timeout = {BUSY_TIMEOUT_MS}", f"cache_size = -{CACHE_KIB}"):
            with adbc_driver_manager.AdbcStatement(connection) as statement:
                statement.set_sql_query(f"PRAGMA {setting}")
                statement.execute_update()
        with adbc_driver_manager.AdbcStatement(connection) as statement:
            statement.set_options(**{"adbc.sqlite.query.batch_rows": str(request["rows"])})
            statement.set_sql_query(request["sql"])
            handle, _ = statement.execute_query()
            with pa.RecordBatchReader._import_from_c(handle.address) as reader:  # noqa: SLF001 (the way that ADBC shows)
                out.write(READY)
                # While one batch is sent, the next is read.
                with pa.ipc.new_stream(out, reader.schema) as stream, read_ahead(iter(reader), 1) as batches:
                    for batch in batches:
                        stream.write_batch(batch)


def main() -> None:
    """Answer requests until there are no more."""
    # Ctrl-C reaches every process of a terminal; whoever asked decides what ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Arrow's own allocator keeps more than it needs.
    pa.set_memory_pool(pa.system_memory_pool())
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)  # whatever else is printed does not get between the rows
        for line in sys.stdin.buffer:
            error = None
            try:
                answer(json.loads(line), out)
            except BrokenPipeError:
                return
            except Exception as found:  # noqa: BLE001 (it is raised where the rows are read)
                error = f"{type(found).__name__}: {found}"
            out.write(json.dumps({"error": error}).encode() + b"\n")
            out.flush()


if __name__ == "__main__":
    main()
