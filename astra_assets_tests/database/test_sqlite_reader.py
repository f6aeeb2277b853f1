"""SQLite is read by a process of its own: one for many queries, gone with us, its end is an error."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
import time

import psutil
import pyarrow as pa
import pytest

from astra_assets.database import sqlite_reader
from astra_assets.database.sqlite_reader import SqliteReadError, read

NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {}) SELECT i, i * 0.5 AS half FROM n"


@pytest.fixture
def path(tmp_path):
    """A database with one table."""
    found = tmp_path / "a b%20c#d.db"
    with sqlite3.connect(found) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE words (word TEXT)")
        connection.executemany("INSERT INTO words VALUES (?)", [("one",), ("zwölf",), (None,)])
    connection.close()
    return found


@pytest.fixture(autouse=True)
def none_idle():
    """Every test starts and ends without processes."""
    sqlite_reader._idle.stop()
    yield
    sqlite_reader._idle.stop()


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if str(sqlite_reader.PROGRAM) in child.cmdline()]


def rows(batches) -> list[dict]:
    return pa.Table.from_batches(list(batches)).to_pylist()


def test_rows_come_in_batches_and_in_order(path):
    batches = list(read(path, NUMBERS.format(1000), 300))
    assert [batch.num_rows for batch in batches] == [300, 300, 300, 100]
    assert pa.Table.from_batches(batches)["i"].to_pylist() == list(range(1, 1001))
    assert rows(read(path, "SELECT word FROM words ORDER BY rowid", 10)) == [
        {"word": "one"},
        {"word": "zwölf"},
        {"word": None},
    ]


def test_one_process_answers_one_query_after_the_other(path):
    for _ in range(3):
        assert rows(read(path, "SELECT 1 AS one", 10)) == [{"one": 1}]
    (process,) = children()
    assert process.is_running()


def test_queries_at_the_same_time_have_a_process_each_and_few_stay(path):
    started = [read(path, NUMBERS.format(100), 10) for _ in range(4)]
    assert all(next(batches).num_rows == 10 for batches in started)
    assert len(children()) == 4
    assert [sum(batch.num_rows for batch in batches) for batches in started] == [90] * 4
    assert len(children()) == sqlite_reader.MOST_IDLE


def test_an_abandoned_read_ends_its_process(path):
    batches = read(path, NUMBERS.format(10_000_000), 1000)
    next(batches)
    batches.close()
    assert children() == []


def test_a_refused_query_names_the_file_and_what_sqlite_says(path):
    with pytest.raises(SqliteReadError, match=r"a b%20c#d\.db.*no such table: stars"):
        list(read(path, "SELECT * FROM stars", 10))
    assert rows(read(path, "SELECT 1 AS one", 10)) == [{"one": 1}]


def test_an_error_in_the_middle_is_raised_after_the_rows_before_it(path):
    too_far = "CASE WHEN i > 50 THEN abs(-9223372036854775807 - 1) END AS x"
    batches = read(path, f"SELECT {too_far} FROM ({NUMBERS.format(99)})", 10)
    assert [next(batches).num_rows for _ in range(5)] == [10] * 5
    with pytest.raises(SqliteReadError, match="integer overflow"):
        next(batches)


def test_a_database_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(SqliteReadError, match="there is no such file"):
        list(read(tmp_path / "none.db", "SELECT 1", 10))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.processes
def test_a_reader_that_is_killed_is_an_error_and_the_next_query_has_a_new_one(path):
    batches = read(path, NUMBERS.format(10_000_000), 1000)
    next(batches)
    (process,) = children()
    process.kill()
    with pytest.raises(SqliteReadError, match="ended before all rows were read"):
        list(batches)
    assert rows(read(path, "SELECT 1 AS one", 10)) == [{"one": 1}]
    (idle,) = children()
    idle.kill()
    idle.wait(60)
    assert rows(read(path, "SELECT 2 AS two", 10)) == [{"two": 2}]


@pytest.mark.processes
def test_readers_do_not_outlive_a_program_that_is_killed(path):
    code = f"""
import os, signal
from pathlib import Path
from astra_assets.database.sqlite_reader import read
list(read(Path({str(path)!r}), "SELECT 1", 10))
running = read(Path({str(path)!r}), {NUMBERS.format(10_000_000)!r}, 1000)
next(running)
list(read(Path({str(path)!r}), "SELECT 1", 10))
import psutil
print(*(child.pid for child in psutil.Process().children()), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    pids = [int(pid) for pid in done.stdout.split()]
    assert len(pids) == 2
    deadline = time.monotonic() + 60
    while any(psutil.pid_exists(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.processes
def test_an_interrupt_of_the_terminal_ends_no_reader(path):
    assert rows(read(path, "SELECT 1 AS one", 10)) == [{"one": 1}]
    (process,) = children()
    process.send_signal(signal.SIGINT)
    assert rows(read(path, "SELECT 2 AS two", 10)) == [{"two": 2}]
    assert children() == [process]


@pytest.mark.processes
def test_a_fork_starts_its_own_reader(path):
    assert rows(read(path, "SELECT 1 AS one", 10)) == [{"one": 1}]
    code = """
import multiprocessing, os, sys, warnings
from pathlib import Path
from astra_assets.database.sqlite_reader import read
path = Path(sys.argv[1])
def ask(number):
    return [row["n"] for batch in read(path, f"SELECT {number} AS n", 10) for row in batch.to_pylist()]
ask(0)
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map(ask, range(20)) == [[n] for n in range(20)]
assert ask(7) == [7]
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_threads_share_the_readers_that_wait(path):
    found = []

    def ask(number: int) -> None:
        found.extend(rows(read(path, f"SELECT {number} AS n", 10)))

    for _ in range(3):
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(row["n"] for row in found) == sorted([0, 1, 2, 3] * 3)
    assert len(children()) <= sqlite_reader.MOST_IDLE


def test_the_locks_of_other_connections_hold_while_we_read(path):
    """What two SQLite libraries in one process would break: a lock that one of them drops as it closes the file."""
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    assert len(rows(read(path, "SELECT word FROM words", 10))) == 3
    code = "import sqlite3, sys\nsqlite3.connect(sys.argv[1], timeout=0).execute('DELETE FROM words')"
    blocked = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
    )
    assert "database is locked" in blocked.stderr
    writer.execute("COMMIT")
    writer.close()


def test_a_process_that_was_started_early_answers_the_next_query(path):
    sqlite_reader.get_ready()
    sqlite_reader.get_ready()
    (early,) = children()
    assert len(rows(read(path, "SELECT word FROM words", 10))) == 3
    assert children() == [early]


def test_a_process_that_died_while_it_waited_is_replaced_early(path):
    sqlite_reader.get_ready()
    (first,) = children()
    first.kill()
    first.wait()
    sqlite_reader.get_ready()
    (second,) = [child for child in children() if child != first]
    assert len(rows(read(path, "SELECT word FROM words", 10))) == 3
    assert second.is_running()
