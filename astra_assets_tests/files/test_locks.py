"""Locks between processes: held by one at a time, and gone with their holder."""

from __future__ import annotations

import errno
import fcntl
import subprocess
import sys
import time
from pathlib import Path

import pytest

from astra_assets.files.locks import locked, try_lock

HOLD = """
import sys, time
from pathlib import Path
from astra_assets.files.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
def held_by_another(tmp_path):
    """Start a process that holds a lock for some seconds."""
    started = []

    def hold(seconds: float) -> Path:
        path = tmp_path / "new" / "lock"
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(path), str(seconds)],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        return path

    yield hold
    for process in started:
        process.kill()
        process.communicate()


def test_a_lock_that_another_process_holds_is_waited_for_and_that_is_said_once(held_by_another):
    path = held_by_another(0.5)
    said = []
    with locked(path, waiting=lambda: said.append("waiting")):
        assert said == ["waiting"]
    with locked(path, waiting=lambda: said.append("again")):
        assert said == ["waiting"]


def test_trying_ends_at_once_or_after_some_time(held_by_another):
    path = held_by_another(60)
    with try_lock(path) as held:
        assert not held
    before = time.monotonic()
    with try_lock(path, seconds=0.3) as held:
        assert not held
    assert time.monotonic() - before >= 0.3


def test_a_lock_ends_with_the_process_that_held_it(held_by_another):
    path = held_by_another(0.3)
    with try_lock(path, seconds=20) as held:
        assert held


@pytest.mark.parametrize("lock", [locked, try_lock])
def test_a_file_system_without_locks_is_an_error_or_passed_over(tmp_path, monkeypatch, lock):
    def none(descriptor, flags):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    with pytest.raises(OSError, match="No locks"), lock(tmp_path / "lock"):
        pass
    with lock(tmp_path / "lock", optional=True) as held:
        assert held in (None, True)
