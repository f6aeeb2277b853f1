"""Everything can be killed at any moment; the next run ends in the rows of an undisturbed one."""

from __future__ import annotations

import contextlib
import os
import signal
import time

import psutil
import pytest

from astra_assets_tests.end_to_end.compare import rows
from astra_assets_tests.end_to_end.conftest import kill_all

PIPELINES = ("MWM", "SnowWhite", "Corv")
"""Those of the release `few`."""


@pytest.fixture
def undisturbed(small_finished) -> dict[str, list[tuple[object, ...]]]:
    return rows(small_finished.home / "astra.db", *PIPELINES)


def wait_for_work(place, step: str, process) -> None:
    """Until a batch of this step has results, or is about to."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        batches = place.home / "batches" / step
        if any(batches.glob("*/tasks/*/status.json")):
            return
        assert process.poll() is None, (place.folder / "started.log").read_text()
        time.sleep(0.02)
    pytest.fail(f"no batch of {step} within 300 s")


def test_kill_of_job_and_workers_at_every_step_then_the_same_command_gives_the_same_rows(small, undisturbed):
    for step in ("mwm-star", "snow_white-star", "corv-visit"):
        job = small.start("dagster", "job", "execute", "-j", "few")
        wait_for_work(small, step, job)
        time.sleep(1.0)  # somewhere in the work; there is no moment at which it may not be killed
        kill_all(job)
    small.run("dagster", "job", "execute", "-j", "few")
    assert rows(small.home / "astra.db") == undisturbed


def test_kill_and_ctrl_c_of_the_job_alone_leave_nobody_writing_and_lose_nothing(small, undisturbed):
    job = small.start("dagster", "job", "execute", "-j", "few")
    wait_for_work(small, "snow_white-star", job)
    os.kill(job.pid, signal.SIGKILL)
    job.wait(60)
    job = small.start("dagster", "job", "execute", "-j", "few")
    wait_for_work(small, "corv-visit", job)
    os.kill(job.pid, signal.SIGINT)
    assert job.wait(120) != 0
    status = small.run("astra-assets", "status", rc=None)
    assert status.returncode in {0, 1}, status.stderr
    small.run("dagster", "job", "execute", "-j", "few")
    assert rows(small.home / "astra.db") == undisturbed


def test_kill_of_a_worker_does_not_even_fail_the_job(small, undisturbed):
    job = small.start("dagster", "job", "execute", "-j", "few")
    wait_for_work(small, "corv-visit", job)
    for child in psutil.Process(job.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    assert job.wait(300) == 0, (small.folder / "started.log").read_text()
    assert rows(small.home / "astra.db") == undisturbed
