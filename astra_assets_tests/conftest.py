"""Fixtures that several parts share: a real PostgreSQL server, databases of both kinds, folders."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from contextlib import contextmanager
from pathlib import Path

import pytest

from astra_assets_tests.project import SHARED

# a cluster of its own for each module that asks for it
from astra_assets_tests.slurm_cluster import slurm, slurm_cluster  # noqa: F401

NO_SKIP = "ASTRA_TESTS_FAIL_ON_SKIP"
SERVER_FOLDERS = ("/usr/lib/postgresql/*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql*/bin")


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts background jobs deaf to Ctrl-C, and so would be the programs that tests start and interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)


LONG = ("slurm", "end_to_end", "browser", "processes")
"""Markers of tests that take long, the longest first."""
LEAST_WORKERS = 4


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with modules that take long, so that no process is left with one in the end."""
    ranks: dict[Path, int] = {}
    for item in items:
        marked = (rank for rank, name in enumerate(LONG) if item.get_closest_marker(name))
        ranks[item.path] = min(next(marked, len(LONG)), ranks.get(item.path, len(LONG)))
    items.sort(key=lambda item: ranks[item.path])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Long tests mostly wait for a cluster, a server or a browser: run at least four at once, also on two processors."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    return max(LEAST_WORKERS, os.cpu_count() or 1)


def pytest_sessionfinish(session, exitstatus):
    """Where everything is installed on purpose a skipped test means that something is wrong."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get(NO_SKIP) and reporter and reporter.stats.get("skipped") and exitstatus == 0:
        reporter.write_line(f"{NO_SKIP} is set and tests were skipped", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def server_program(name: str) -> str | None:
    """Path of a PostgreSQL server program, which Debian keeps outside of PATH."""
    for pattern in SERVER_FOLDERS:
        found = sorted(Path("/").glob(f"{pattern.lstrip('/')}/{name}"))
        if found:
            return str(found[-1])
    return shutil.which(name)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="session")
def postgresql_server():
    """Base URL of a PostgreSQL server of our own on the loopback address.

    It believes everybody but members of a role `checked`, who need their password.
    """
    initdb, postgres = server_program("initdb"), server_program("postgres")
    if not initdb or not postgres:
        pytest.skip("no PostgreSQL server programs (initdb, postgres): install Debian's package postgresql")
    # not below pytest's folder: another pytest that starts closes that one to other users, and so to the server
    folder = Path(tempfile.mkdtemp(prefix="astra-postgresql-"))
    as_user: list[str] = []
    if os.geteuid() == 0:  # the server refuses to run as root
        if shutil.which("runuser") is None:
            pytest.skip("PostgreSQL refuses to run as root and there is no runuser to change the user")
        as_user = ["runuser", "-u", "postgres", "--"]
        shutil.chown(folder, "postgres")
    port = free_port()
    data = folder / "data"
    subprocess.run(
        [*as_user, initdb, "-D", data, "-U", "astra", "-A", "trust", "-E", "UTF8", "--no-sync"],
        check=True,
        capture_output=True,
        cwd=folder,
    )
    rules = data / "pg_hba.conf"
    rules.write_text(f"host all +checked 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")
    settings = ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "full_page_writes=off"]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [*as_user, postgres, "-D", data, "-p", str(port), "-k", folder, *settings],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
        )
    try:
        wait_for_server(port, server, folder / "log")
        yield f"postgresql://astra@127.0.0.1:{port}"
    finally:
        if server.poll() is None:
            stop_server(data)
            server.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def wait_for_server(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    import time

    import psycopg

    deadline = time.monotonic() + 60
    while True:
        try:
            psycopg.connect(f"postgresql://astra@127.0.0.1:{port}/postgres", connect_timeout=2).close()
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the PostgreSQL server does not answer:\n{log.read_text()}")
            time.sleep(0.1)
        else:
            return


def stop_server(data: Path) -> None:
    """Ask the server itself (not runuser) for a fast shutdown."""
    import signal

    pid = int((data / "postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGINT)


@contextmanager
def fresh_database(server: str, template: str = "template0"):
    """URL of a database that exists as long as it is needed."""
    import psycopg

    name = f"astra_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')
    yield f"{server}/{name}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture
def postgresql_url(postgresql_server):
    """URL of a fresh, empty database."""
    with fresh_database(postgresql_server) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request, tmp_path):
    """URL of an empty database, once of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'astra.db'}"
    return request.getfixturevalue("postgresql_url")


EMPTY_ALL = """
do $$ declare item record; begin
  set local session_replication_role = replica;
  for item in select tablename as name from pg_tables where schemaname = 'public' loop
    execute format('delete from %I', item.name);
  end loop;
  for item in select sequencename as name from pg_sequences where schemaname = 'public' loop
    execute format('alter sequence %I restart', item.name);
  end loop;
end $$"""


@pytest.fixture(scope="session")
def shared_postgresql(postgresql_server):
    """A database whose tables are created once and emptied after each test: creating them anew takes a second."""
    from astra_assets.database.database import Database

    with fresh_database(postgresql_server) as url:
        made = Database(url)
        yield made
        made.engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request, tmp_path):
    """A database of each kind with all tables, empty; a test that alters tables takes `database_url` instead."""
    import psycopg

    from astra_assets.database.database import Database
    from astra_assets.pipelines import PIPELINES

    assert PIPELINES, "with the pipelines their tables are imported"
    if request.param == "sqlite":
        made = Database(f"sqlite:///{tmp_path / 'astra.db'}")
        made.create_tables()
        yield made
        made.engine.dispose()
        return
    made = request.getfixturevalue("shared_postgresql")
    made.create_tables()
    yield made
    made.engine.dispose()
    with psycopg.connect(made.url, autocommit=True) as connection:
        connection.execute(EMPTY_ALL)


@pytest.fixture(scope="session")
def real_spectra() -> Path:
    """Folder of real SDSS spectra that lies beside the project, not in it."""
    folder = SHARED / "real-spectra"
    if not folder.is_dir():
        pytest.skip(f"no real spectra: {folder} is not there")
    return folder
