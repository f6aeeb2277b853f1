"""Dagster's servers as a service runs them: started, waited for, and told to end."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from astra_assets_tests.conftest import free_port
from astra_assets_tests.end_to_end.conftest import Place

HOST = "127.0.0.1"


@contextmanager
def served(place: Place, *command: str, **settings: str) -> Iterator[str]:
    """The address of a web server that a command starts; all its processes are told to end in the end."""
    port = free_port()
    process = place.start(*command, "--host", HOST, "--port", str(port), **settings)
    address = f"http://{HOST}:{port}"
    try:
        _wait_for_answer(address, process, place)
        yield address
    finally:
        _end(process)


def _wait_for_answer(address: str, process: subprocess.Popen[bytes], place: Place) -> None:
    deadline = time.monotonic() + 180
    while True:
        try:
            urllib.request.urlopen(f"{address}/server_info", timeout=5).close()
        except OSError:
            told = (place.folder / "started.log").read_text()
            assert process.poll() is None, told
            assert time.monotonic() < deadline, told
            time.sleep(0.3)
        else:
            return


def _end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM to all processes of a service, SIGKILL to those that are still there after a while."""
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.send_signal(signal.SIGTERM)
    _, alive = psutil.wait_procs(family, 30)
    for member in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    process.wait(30)
