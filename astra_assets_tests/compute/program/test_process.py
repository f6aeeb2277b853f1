"""Programs that do not end as one would wish, and what they start."""

from __future__ import annotations

import io
import os
import signal
import sys

import psutil
import pytest

from astra_assets.compute.program.output import Output
from astra_assets.compute.program.process import Running
from astra_assets_tests.compute.test_recovery import wait_for

pytestmark = pytest.mark.processes


@pytest.fixture
def start(tmp_path):
    """Start a program in Python that says `ready` at some time, and wait until it does."""

    def started(code, **options):
        output = Output(io.BytesIO())
        running = Running([sys.executable, "-c", code], tmp_path, os.environ, output, **options)
        wait_for(lambda: "ready" in output.tail)
        return running

    return started


def test_a_program_that_ignores_sigterm_is_killed(start):
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(99)"
    assert str(start(code, grace_seconds=0.2).stop()) == "was ended by signal 9 (SIGKILL)"


def test_without_its_guard_a_program_is_killed_with_all_it_started(start):
    code = "import subprocess, time; subprocess.Popen(['sleep', '99']); print('ready', flush=True); time.sleep(99)"
    running = start(code)
    below = wait_for(lambda: len(running.pids()) == 2 and [psutil.Process(pid) for pid in running.pids()])
    os.kill(below[0].ppid(), signal.SIGKILL)
    assert str(running.poll(10)) == "was ended with its guard, whose status is -9"
    wait_for(lambda: not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in below))


def test_something_that_escapes_and_holds_the_output_is_not_waited_for(start):
    code = "import subprocess; subprocess.Popen(['sleep', '20'], start_new_session=True); print('ready', flush=True)"
    ended = start(code).poll(15)
    assert ended.well
    assert str(ended) == "ended with exit status 0"
