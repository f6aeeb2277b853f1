"""The jobs on a real cluster: the same results as on this machine, and nothing is lost or done twice when things end early."""

from __future__ import annotations

import json
import os
import pty
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from astra_assets_tests.end_to_end.compare import assert_same_products, products, rows
from astra_assets_tests.slurm_cluster import NODES

pytestmark = pytest.mark.slurm


def batch_rows(place) -> list[dict[str, object]]:
    with sqlite3.connect(place.home / "astra.db") as database:
        database.row_factory = sqlite3.Row
        found = [dict(row) for row in database.execute("select * from compute_batch order by planned")]
    database.close()
    return found


def kill_family(process: subprocess.Popen[bytes]) -> None:
    """kill -9 of a process and of all that it started."""
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for member in family:
        member.kill()
    process.wait(30)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path) -> str:
    """A second, empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/cluster.db"
    return request.getfixturevalue("postgresql_url")


def test_the_cluster_gives_the_rows_and_the_products_of_this_machine(
    arrays, small, url, tmp_path, cluster_settings
):
    small.run("dagster", "job", "execute", "-j", "dr20")
    there = {**cluster_settings, "ASTRA_DATABASE_URL": url, "MWM_ASTRA": str(tmp_path / "cluster")}
    small.run("dagster", "job", "execute", "-j", "dr20", **there)
    assert_same_products(small.summary, tmp_path / "cluster" / "0.8.1" / "summary")
    if url.startswith("sqlite"):
        assert rows(tmp_path / "cluster.db") == rows(small.home / "astra.db")
    for step in json.loads(small.run("astra-assets", "status", "--json", **there).stdout):
        assert step["balanced"]
        assert step["backlog"] == 0 or step["unavailable"]
    names = arrays().values()
    for step in ("mwm-star", "snow_white-star", "corv-visit"):
        assert sum(name.startswith(f"astra-{step}-") for name in names) == 1, names
    again = small.run("dagster", "job", "execute", "-j", "dr20", **there)
    told = again.stdout + again.stderr
    assert told.count("left alone (inputs unchanged)") == len(products(small.summary))
    assert len(arrays()) == len(names), "nothing new, and so nothing is submitted"


def test_after_kill_9_of_the_job_the_next_run_attaches_to_the_array(slurm, arrays, small, cluster_settings):
    slurm.drain(*NODES)
    job = small.start("dagster", "job", "execute", "-j", "few", **cluster_settings)
    slurm.wait_until(arrays, 180, "the first array")
    kill_family(job)
    (first,) = arrays()
    again = small.start("dagster", "job", "execute", "-j", "few", **cluster_settings)
    log = small.folder / "started.log"
    slurm.wait_until(lambda: "attached to batch" in log.read_text(), 180, "the second run")
    slurm.resume(*NODES)
    assert again.wait(400) == 0, log.read_text()
    names = arrays()
    assert [number for number, name in names.items() if name.startswith("astra-mwm-star-")] == [first]
    assert [row["job"] for row in batch_rows(small) if row["pipeline"] == "MWM"] == [first]
    small.run("astra-assets", "status")


def wait_for_watching(slurm, arrays, place) -> str:
    """Until a step watches its array, which waits; returns the id of that."""
    slurm.wait_until(arrays, 240, "the first array")
    log = place.folder / "started.log"
    slurm.wait_until(lambda: "tasks running, waiting: " in log.read_text(), 120, "a step that watches")
    (number,) = arrays()
    return number


def test_a_killed_run_leaves_no_process_that_watches(slurm, arrays, small, cluster_settings):
    slurm.drain(*NODES)
    job = small.start("dagster", "job", "execute", "-j", "few", **cluster_settings)
    number = wait_for_watching(slurm, arrays, small)
    os.kill(job.pid, signal.SIGKILL)
    job.wait(30)
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
    number = wait_for_watching(slurm, arrays, small)
    os.kill(job.pid, signal.SIGINT)
    assert job.wait(120) != 0
    assert slurm.states(number) == ["PENDING", "PENDING"]
    said = (small.folder / "started.log").read_text()
    assert f"job {number} goes on on the cluster; run the same again to attach to it" in said
    assert "is cancelled" not in said


def test_independent_pipelines_wait_for_the_cluster_at_the_same_time(slurm, arrays, small, cluster_settings):
    small.run("astra-assets", "migrate")
    for key in ("mwm", "snow_white"):
        small.run("astra-assets", "run", key)
    slurm.drain(*NODES)
    steps = "key:corv/visit or key:line_forest/visit"
    command = ("dagster", "asset", "materialize", "-m", "astra_assets.definitions", "--select", steps)
    both = small.start(*command, **cluster_settings)
    slurm.wait_until(lambda: len(arrays()) == 2, 240, "two arrays")
    assert {name.split("-")[1] for name in arrays().values()} == {"corv", "line_forest"}
    assert {state for number in arrays() for state in slurm.states(number)} == {"PENDING"}
    slurm.resume(*NODES)
    assert both.wait(400) == 0, (small.folder / "started.log").read_text()


def prepared(small, cluster_settings) -> None:
    small.run("astra-assets", "migrate", **cluster_settings)


def test_srun_waits_prints_the_account_and_shows_where_it_ran(slurm, arrays, small, cluster_settings):
    prepared(small, cluster_settings)
    name = "astra.products.mwm.create_mwmVisit_and_mwmStar_products"
    line = f"astra-assets srun {name} --nodes 3 --procs 2 --mem 4000 --time=48:00:00"
    done = small.run(*line.split(), **cluster_settings)
    assert "+ 0 backlog" in done.stdout
    (number,) = arrays()
    assert len(slurm.states(number)) == 3
    batch = str(batch_rows(small)[0]["batch_id"])
    told = small.run("astra-assets", "why", batch, **cluster_settings).stdout
    assert f"job: {number}_2" in told
    assert "node hours" in told


def test_a_seed_command_finds_its_partition_by_the_account(slurm, arrays, small, cluster_settings):
    prepared(small, cluster_settings)
    line = "astra-assets srun mwm Source --mem=16000 --gres=gpu:v100 --account=notchpeak-gpu --time=48:00:00"
    small.run(*line.split(), **cluster_settings)
    (number,) = arrays()
    assert set(slurm.squeue("%P", "-j", number)) == {"notchpeak-gpu"}


def test_a_partition_that_is_not_there_ends_with_what_to_change(slurm, arrays, small, cluster_settings):
    prepared(small, cluster_settings)
    failed = small.run("astra-assets", "srun", "mwm", "--partition", "nowhere", rc=2, **cluster_settings)
    assert "partition = nowhere" in failed.stderr
    assert "there are sdss-np, sdss-kp, notchpeak-gpu" in failed.stderr
    assert "change partition (--partition on the command line" in failed.stderr
    assert "+ 0 backlog" in small.run("astra-assets", "srun", "mwm", **cluster_settings).stdout


def on_terminal(place, command: list[str], settings: dict[str, str]) -> tuple[subprocess.Popen[bytes], int]:
    """A command as in a terminal; returns it and the descriptor of its screen and keyboard."""
    mine, theirs = pty.openpty()
    process = subprocess.Popen(
        command,
        env=place.environment | settings,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    return process, mine


def read_until(screen: int, text: str, seconds: float = 60) -> str:
    shown = ""
    deadline = time.monotonic() + seconds
    while text not in shown:
        assert time.monotonic() < deadline, shown
        shown += os.read(screen, 4096).decode(errors="replace")
    return shown


@pytest.mark.parametrize("answer", ["y", "n"])
def test_ctrl_c_in_srun_asks_whether_the_job_is_to_end(slurm, arrays, small, cluster_settings, answer):
    prepared(small, cluster_settings)
    slurm.drain(*NODES)
    process, screen = on_terminal(small, ["astra-assets", "srun", "mwm"], cluster_settings)
    slurm.wait_until(arrays, 60, "the array")
    time.sleep(2)
    os.kill(process.pid, signal.SIGINT)
    (number,) = arrays()
    read_until(screen, f"Cancel job {number} of MWM star on the cluster? [y/N]")
    os.write(screen, f"{answer}\n".encode())
    if answer == "y":
        read_until(screen, "What it has made is kept")
        assert process.wait(60) == 130
        assert set(slurm.states(number)) == {"CANCELLED"}
    else:
        read_until(screen, "The same command attaches to it")
        assert process.wait(60) == 130
        assert set(slurm.states(number)) == {"PENDING"}
    os.close(screen)
    slurm.resume(*NODES)
    done = small.run("astra-assets", "srun", "mwm", **cluster_settings)
    assert "+ 0 backlog" in done.stdout
    assert len(arrays()) == (2 if answer == "y" else 1)


def test_cancel_ends_the_array_and_gives_the_batch_up(slurm, arrays, small, cluster_settings):
    prepared(small, cluster_settings)
    slurm.drain(*NODES)
    waiting = small.start("astra-assets", "srun", "mwm", **cluster_settings)
    slurm.wait_until(arrays, 60, "the array")
    time.sleep(2)
    os.kill(waiting.pid, signal.SIGINT)  # not on a terminal: nobody is asked, the job goes on
    assert waiting.wait(60) == 130
    (number,) = arrays()
    assert set(slurm.states(number)) == {"PENDING"}
    shown = json.loads(small.run("astra-assets", "status", "--json", rc=1, **cluster_settings).stdout)
    assert shown[0]["jobs"] == [number]
    assert "is cancelled" in small.run("astra-assets", "cancel", shown[0]["active_batch"], "--yes").stdout
    assert set(slurm.states(number)) == {"CANCELLED"}


def test_doctor_looks_at_the_cluster(slurm, arrays, small, cluster_settings, tmp_path):
    prepared(small, cluster_settings)
    well = small.run("astra-assets", "doctor", **cluster_settings)
    assert "the controller answers" in well.stdout
    Path(cluster_settings["ASTRA_CONFIG"]).write_text(
        '[slurm]\npartition = "nowhere"\n[slurm.steps."corv/visit"]\npartition = "sdss-np"\nmem = "900G"\n'
        "[slurm.steps.corw]\nnodes = 2\n"
    )
    ill = small.run("astra-assets", "doctor", rc=1, **cluster_settings).stdout
    assert "PROBLEM Slurm: partition: there is no nowhere" in ill
    assert "mem: 900G is more than a node of partition sdss-np has" in ill
    assert "corv/visit" in ill
    assert '[slurm.steps."corw"] in astra.toml belongs to no step' in ill
