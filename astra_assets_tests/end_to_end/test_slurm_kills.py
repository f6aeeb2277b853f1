"""The jobs on a real cluster when they are killed or interrupted: nothing is lost or done twice, and nobody goes on unasked."""

from __future__ import annotations

import os
import signal
import time

import psutil
import pytest

from astra_assets_tests.end_to_end.conftest import kill_all, watched_array
from astra_assets_tests.slurm_cluster import NODES

pytestmark = pytest.mark.slurm


def test_after_kill_9_of_the_job_the_next_run_attaches_to_the_array(slurm, arrays, small, cluster_settings):
    slurm.drain(*NODES)
    job = small.start("dagster", "job", "execute", "-j", "few", **cluster_settings)
    slurm.wait_until(arrays, 180, "the first array")
    kill_all(job)
    (first,) = arrays()
    again = small.start("dagster", "job", "execute", "-j", "few", **cluster_settings)
    log = small.folder / "started.log"
    slurm.wait_until(lambda: "attached to batch" in log.read_text(), 180, "the second run")
    slurm.resume(*NODES)
    assert again.wait(400) == 0, log.read_text()
    names = arrays()
    assert [number for number, name in names.items() if name.startswith("astra-mwm-star-")] == [first]
    assert [row["job"] for row in small.batches() if row["pipeline"] == "MWM"] == [first]
    small.run("astra-assets", "status", "--release", "few")


def test_a_killed_run_leaves_no_process_that_watches(slurm, arrays, small, cluster_settings):
    slurm.drain(*NODES)
    job = small.start("dagster", "job", "execute", "-j", "few", **cluster_settings)
    number = watched_array(slurm, arrays, small)
    os.kill(job.pid, signal.SIGKILL)
    job.wait(60)
    deadline = time.monotonic() + 90
    while left := watchers(small):
        assert time.monotonic() < deadline, left
        time.sleep(0.5)
    assert slurm.states(number) == ["PENDING", "PENDING"]


def watchers(place) -> list[str]:
    """Processes of this deployment on this machine, the jobs of the cluster left out."""
    found = []
    for process in psutil.process_iter():
        try:
            variables = process.environ()
            if variables.get("ASTRA_HOME") == str(place.home) and "SLURM_JOB_ID" not in variables:
                found.append(f"{process.pid} {process.status()} {' '.join(process.cmdline())}")
        except psutil.Error:
            continue
    return found


def test_ctrl_c_of_a_job_leaves_the_array_and_says_so(slurm, arrays, small, cluster_settings):
    slurm.drain(*NODES)
    job = small.start("dagster", "job", "execute", "-j", "few", **cluster_settings)
    number = watched_array(slurm, arrays, small)
    os.kill(job.pid, signal.SIGINT)
    assert job.wait(120) != 0
    assert slurm.states(number) == ["PENDING", "PENDING"]
    said = (small.folder / "started.log").read_text()
    assert f"job {number} goes on on the cluster; run the same again to attach to it" in said
    assert "is cancelled" not in said
