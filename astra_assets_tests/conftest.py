"""Fixtures that several parts share: a real PostgreSQL server, databases of both kinds, folders."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import uuid
from pathlib import Path

import pytest

NO_SKIP = "ASTRA_TESTS_FAIL_ON_SKIP"
PROJECT = Path(__file__).resolve().parents[1]
SERVER_FOLDERS = ("/usr/lib/postgresql/*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql*/bin")


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
def postgresql_server(tmp_path_factory):
    """Base URL of a PostgreSQL server of our own on the loopback address."""
    initdb, postgres = server_program("initdb"), server_program("postgres")
    if not initdb or not postgres:
        pytest.skip("no PostgreSQL server programs (initdb, postgres): install Debian's package postgresql")
    folder = tmp_path_factory.mktemp("postgresql")
    as_user: list[str] = []
    if os.geteuid() == 0:  # the server refuses to run as root
        if shutil.which("runuser") is None:
            pytest.skip("PostgreSQL refuses to run as root and there is no runuser to change the user")
        as_user = ["runuser", "-u", "postgres", "--"]
        shutil.chown(folder, "postgres")
        for parent in folder.parents:
            if parent.stat().st_uid == 0 and "pytest" in parent.name:
                parent.chmod(parent.stat().st_mode | 0o055)
    port = free_port()
    data = folder / "data"
    subprocess.run(
        [*as_user, initdb, "-D", data, "-U", "astra", "-A", "trust", "-E", "UTF8", "--no-sync"],
        check=True,
        capture_output=True,
        cwd=folder,
    )
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


@pytest.fixture
def postgresql_url(postgresql_server):
    """URL of a fresh, empty database."""
    import psycopg

    name = f"astra_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(f"{postgresql_server}/postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    yield f"{postgresql_server}/{name}"
    with psycopg.connect(f"{postgresql_server}/postgres", autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request, tmp_path):
    """URL of an empty database, once of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'astra.db'}"
    return request.getfixturevalue("postgresql_url")


@pytest.fixture
def database(database_url):
    """A database of each kind with all tables created."""
    from astra_assets.models.database import Database

    made = Database(database_url)
    made.create_tables()
    yield made
    made.engine.dispose()


@pytest.fixture(scope="session")
def real_spectra() -> Path:
    """Folder of real SDSS spectra that lies beside the project, not in it."""
    folder = PROJECT.parent / "shared" / "real-spectra"
    if not folder.is_dir():
        pytest.skip(f"no real spectra: {folder} is not there")
    return folder
