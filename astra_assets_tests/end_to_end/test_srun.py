"""The verbs of the command line on a real cluster: what is asked for, what is shown, and what Ctrl-C and `cancel` end."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import time
from pathlib import Path

import pytest

from astra_assets_tests.end_to_end.conftest import watched_array
from astra_assets_tests.slurm_cluster import NODES

pytestmark = pytest.mark.slurm


def test_srun_waits_prints_the_account_and_shows_where_it_ran(slurm, arrays, ingested, cluster_settings):
    name = "astra.products.mwm.create_mwmVisit_and_mwmStar_products"
    line = f"astra-assets srun {name} --nodes 3 --procs 2 --mem 4000 --time=48:00:00"
    done = ingested.run(*line.split(), **cluster_settings)
    assert "+ 0 backlog" in done.stdout
    (number,) = arrays()
    assert len(slurm.states(number)) == 3
    batch = str(ingested.batches()[0]["batch_id"])
    told = ingested.run("astra-assets", "why", batch, **cluster_settings).stdout
    assert f"job: {number}_2" in told
    assert "node hours" in told


def test_a_seed_command_finds_its_partition_by_the_account(slurm, arrays, ingested, cluster_settings):
    line = "astra-assets srun mwm Source --mem=16000 --gres=gpu:v100 --account=notchpeak-gpu --time=48:00:00"
    ingested.run(*line.split(), **cluster_settings)
    (number,) = arrays()
    assert set(slurm.squeue("%P", "-j", number)) == {"notchpeak-gpu"}


def test_a_partition_that_is_not_there_ends_with_what_to_change(slurm, arrays, ingested, cluster_settings):
    failed = ingested.run("astra-assets", "srun", "mwm", "--partition", "nowhere", rc=2, **cluster_settings)
    assert "partition = nowhere" in failed.stderr
    assert "there are sdss-np, sdss-kp, notchpeak-gpu" in failed.stderr
    assert "change partition (--partition on the command line" in failed.stderr
    assert "+ 0 backlog" in ingested.run("astra-assets", "srun", "mwm", **cluster_settings).stdout


def on_terminal(place, command: list[str], settings: dict[str, str]) -> tuple[subprocess.Popen[bytes], int]:
    """A command as in a terminal; returns it and the descriptor of its screen and keyboard."""
    mine, theirs = pty.openpty()
    process = subprocess.Popen(
        command,
        env=place.environment | settings | {"COLUMNS": "200"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    return process, mine


def read_until(screen: int, text: str, seconds: float = 120) -> str:
    shown = ""
    deadline = time.monotonic() + seconds
    while text not in shown:
        assert time.monotonic() < deadline, shown
        shown += os.read(screen, 4096).decode(errors="replace")
    return shown


@pytest.mark.parametrize("answer", ["y", "n"])
def test_ctrl_c_in_srun_asks_whether_the_job_is_to_end(slurm, arrays, ingested, cluster_settings, answer):
    slurm.drain(*NODES)
    process, screen = on_terminal(ingested, ["astra-assets", "srun", "mwm"], cluster_settings)
    read_until(screen, "0 of 2 tasks running")
    os.kill(process.pid, signal.SIGINT)
    (number,) = arrays()
    read_until(screen, f"Cancel job {number} of MWM star on the cluster? [y/N]")
    os.write(screen, f"{answer}\n".encode())
    if answer == "y":
        read_until(screen, "What it has made is kept")
        assert process.wait(120) == 130
        assert set(slurm.states(number)) == {"CANCELLED"}
    else:
        read_until(screen, "The same command attaches to it")
        assert process.wait(120) == 130
        assert set(slurm.states(number)) == {"PENDING"}
    os.close(screen)
    slurm.resume(*NODES)
    done = ingested.run("astra-assets", "srun", "mwm", **cluster_settings)
    assert "+ 0 backlog" in done.stdout
    assert len(arrays()) == (2 if answer == "y" else 1)


def test_cancel_ends_the_array_and_gives_the_batch_up(slurm, arrays, ingested, cluster_settings):
    slurm.drain(*NODES)
    waiting = ingested.start("astra-assets", "srun", "mwm", **cluster_settings)
    number = watched_array(slurm, arrays, ingested)
    os.kill(waiting.pid, signal.SIGINT)  # not on a terminal: nobody is asked, the job goes on
    assert waiting.wait(120) == 130
    assert set(slurm.states(number)) == {"PENDING"}
    shown = json.loads(ingested.run("astra-assets", "status", "--json", rc=1, **cluster_settings).stdout)
    (active,) = [step for step in shown if step["active_batch"]]
    assert active["jobs"] == [number]
    assert "is cancelled" in ingested.run("astra-assets", "cancel", active["active_batch"], "--yes").stdout
    assert set(slurm.states(number)) == {"CANCELLED"}


def test_doctor_looks_at_the_cluster(slurm, arrays, ingested, cluster_settings, tmp_path):
    well = ingested.run("astra-assets", "doctor", **cluster_settings)
    assert "the controller answers" in well.stdout
    Path(cluster_settings["ASTRA_CONFIG"]).write_text(
        '[slurm]\npartition = "nowhere"\n[slurm.steps."corv/visit"]\npartition = "sdss-np"\nmem = "900G"\n'
        "[slurm.steps.corw]\nnodes = 2\n"
    )
    ill = ingested.run("astra-assets", "doctor", rc=1, **cluster_settings).stdout
    assert "PROBLEM Slurm: partition: there is no nowhere" in ill
    assert "mem: 900G is more than a node of partition sdss-np has" in ill
    assert "corv/visit" in ill
    assert '[slurm.steps."corw"] in astra.toml belongs to no step' in ill
