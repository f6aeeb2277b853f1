"""Rows of an SQLite file as Arrow batches, read by a process of its own.

Why a process: see `sqlite_child`, the program that it runs. A process that has answered waits for the next
query, so that only the first query of a program waits for one to start. Which types the batches are to have is
said in `arrow.py`.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import json
import os
import subprocess
import sys
import threading
from collections.abc import Generator
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import pyarrow as pa

from astra_assets.errors import ExpectedError, PassingError

PROGRAM = Path(__file__).with_name("sqlite_child.py")

MOST_IDLE = 2
"""Processes that wait for the next query; more are ended when they have answered."""

PIPE_BYTES = 1 << 20
"""Room in the pipe, where the system lets us choose (Linux): the default of 64 kB means many more switches."""

_READY = b"arrow\n"
_STOP_TIMEOUT_S = 10.0


class SqliteReadError(ExpectedError, RuntimeError):
    """A query that could not be read to its end."""


class ReaderEndedError(SqliteReadError, PassingError):
    """The process that read a query ended before it was done; most likely it was killed."""


def read(path: Path, sql: str, rows: int) -> Generator[pa.RecordBatch]:
    """The rows of a query in batches of at most `rows`, with the types that SQLite's values have.

    Memory does not grow with the rows. Raises SqliteReadError, naming the file, when SQLite refuses the query;
    ReaderEndedError when the process that reads it ends.
    """
    if not path.is_file():
        raise SqliteReadError(f"{path}: there is no such file")
    process = _idle.take()
    answered = False
    try:
        yield from process.ask(path, sql, rows)
        answered = True
    finally:
        if answered:
            _idle.give_back(process)
        else:
            process.stop()


def get_ready() -> None:
    """Start the process that the next query needs, unless one waits already; returns at once."""
    _idle.get_ready()


class _Process:
    """A running `sqlite_child`."""

    def __init__(self) -> None:
        # -P: the folder of the program is no place to import modules from.
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(PROGRAM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests: IO[bytes] = self._process.stdin
        self._answers: IO[bytes] = self._process.stdout
        set_size = getattr(fcntl, "F_SETPIPE_SZ", None)
        if set_size is not None:
            with contextlib.suppress(OSError):  # more than this user may have: it works with less
                fcntl.fcntl(self._answers.fileno(), set_size, PIPE_BYTES)

    def ask(self, path: Path, sql: str, rows: int) -> Generator[pa.RecordBatch]:
        """Send a query and yield its batches. Raises SqliteReadError."""
        # mode=rw, not ro: the last reader of a database in WAL mode tidies up after itself.
        request = {"uri": f"file:{quote(str(path))}?mode=rw", "sql": sql, "rows": rows}
        try:
            self._requests.write(json.dumps(request).encode() + b"\n")
            self._requests.flush()
            line = self._answers.readline()
            if line == _READY:
                with pa.ipc.open_stream(self._answers) as reader:
                    yield from reader
                line = self._answers.readline()
            end: dict[str, Any] = json.loads(line)
        except (OSError, ValueError, pa.ArrowInvalid) as error:
            raise ReaderEndedError(
                f"{path}: the process that reads the database ended before all rows were read "
                f"(exit status {self._status()}). Doing the same again loses nothing; if it ends again, see "
                "whether the system's log says that memory is short"
            ) from error
        if end["error"] is not None:
            reason, _, _ = str(end["error"]).partition("\nquery: ")  # which may be long
            raise SqliteReadError(f"{path}: the database could not be read: {reason}")

    def _status(self) -> int | None:
        try:
            return self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return None

    @property
    def alive(self) -> bool:
        """Whether the process can be asked."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        self._answers.close()
        with contextlib.suppress(BrokenPipeError):
            self._requests.close()

    def forget(self) -> None:
        """Leave the process to the one that started it."""
        self._process.returncode = 0


class _Idle:
    """Processes that wait for a query."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._processes: list[_Process] = []

    def take(self) -> _Process:
        """One that waits, else a new one."""
        with self._lock:
            while self._processes:
                process = self._processes.pop()
                if process.alive:
                    return process
                process.stop()
        return _Process()

    def get_ready(self) -> None:
        """See that there is one."""
        with self._lock:
            if not any(process.alive for process in self._processes):
                self._processes.append(_Process())

    def give_back(self, process: _Process) -> None:
        """Let it wait, unless enough others do."""
        with self._lock:
            if len(self._processes) < MOST_IDLE:
                self._processes.append(process)
                return
        process.stop()

    def stop(self) -> None:
        """End all."""
        with self._lock:
            while self._processes:
                self._processes.pop().stop()

    def after_fork(self) -> None:
        """In a fork they are not ours."""
        self._lock = threading.Lock()
        for process in self._processes:
            process.forget()
        self._processes.clear()


_idle = _Idle()
atexit.register(_idle.stop)
os.register_at_fork(after_in_child=_idle.after_fork)
