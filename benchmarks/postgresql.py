"""A PostgreSQL server of our own for the measurements, on the loopback address, gone afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SERVER_FOLDERS = ("usr/lib/postgresql/*/bin", "usr/local/pgsql/bin", "opt/homebrew/opt/postgresql*/bin")

START_TIMEOUT_S = 60.0


def program(name: str) -> str | None:
    """Path of a server program, which Debian keeps outside of PATH; None where there is none."""
    found = [path for pattern in SERVER_FOLDERS for path in sorted(Path("/").glob(f"{pattern}/{name}"))]
    return str(found[-1]) if found else shutil.which(name)


def missing() -> str | None:
    """What a server needs and is not there; None when nothing is missing."""
    if not program("initdb") or not program("postgres"):
        return "no PostgreSQL server programs (initdb, postgres): install Debian's package postgresql"
    if os.geteuid() == 0 and shutil.which("runuser") is None:
        return "PostgreSQL refuses to run as root and there is no runuser to change the user"
    return None


@contextmanager
def server() -> Iterator[str]:
    """URL of the database `postgres` of a fresh server, without flushes to disk.

    Raises RuntimeError when it does not start.
    """
    folder = Path(tempfile.mkdtemp(prefix="astra-bench-postgresql-"))
    as_user: list[str] = []
    if os.geteuid() == 0:
        as_user = ["runuser", "-u", "postgres", "--"]
        shutil.chown(folder, "postgres")
    data, log = folder / "data", folder / "log"
    try:
        init = [*as_user, str(program("initdb")), "-D", str(data), "-U", "astra", "-A", "trust", "-E", "UTF8"]
        subprocess.run([*init, "--no-sync"], check=True, stdout=subprocess.DEVNULL, cwd=folder)
        port = _free_port()
        options = ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "max_wal_size=4GB"]
        command = [*as_user, str(program("postgres")), "-D", str(data), "-p", str(port), "-k", str(folder)]
        with log.open("w") as stream:
            process = subprocess.Popen(
                [*command, *options], stdout=stream, stderr=subprocess.STDOUT, cwd=folder
            )
        try:
            url = f"postgresql://astra@127.0.0.1:{port}/postgres"
            _wait(url, process, log)
            yield url
        finally:
            _stop(process, data)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    import psycopg

    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the PostgreSQL server does not answer:\n{log.read_text()}") from None
            time.sleep(0.1)
        else:
            return


def _stop(process: subprocess.Popen[bytes], data: Path) -> None:
    """A fast shutdown, asked of the server itself rather than of runuser."""
    pid_file = data / "postmaster.pid"
    if process.poll() is None and pid_file.exists():
        os.kill(int(pid_file.read_text().split()[0]), signal.SIGINT)
    elif process.poll() is None:
        process.terminate()
    process.wait(START_TIMEOUT_S)
