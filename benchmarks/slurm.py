"""An array of trivial work on a Slurm cluster of our own: through the engine, and as anybody would submit it.

Both run the same worker program on the same inputs, in as many tasks, on the same nodes; so the difference is what planning,
watching and collecting cost. The cluster is that of deploy/slurm-test-cluster.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq
from common import seconds
from harness import Result, Task, best_of, compare, run
from trivial import TRIVIAL

from astra_assets.compute import Batch, Engine, EnginePaths
from astra_assets.compute.local import environment
from astra_assets.compute.slurm.command_line import CommandLineClient
from astra_assets.compute.slurm.queue import SharedQueue
from astra_assets.compute.slurm.slurm_backend import SlurmBackend
from astra_assets.compute.slurm.spec import JobSpec, output_in, script
from astra_assets.compute.worker import worker_command
from astra_assets.database.database import Database
from astra_assets.pipelines.options import ResourceRequest
from astra_assets.spectra.base import Roots

INPUTS_PER_TASK = 5

NODE_CPUS = 2
"""Processors of each of the two nodes that work: more tasks at once only wait for each other on a laptop."""

SCRIPTS = Path(__file__).resolve().parents[1] / "deploy" / "slurm-test-cluster"
STEP = TRIVIAL.steps[0]


def missing() -> str:
    """Why there is no cluster here; empty if there is one."""
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
    lacking = [
        name for name in ("slurmctld", "slurmd", "sbatch", "munged") if shutil.which(name, path=path) is None
    ]
    if lacking:
        return f"{', '.join(lacking)} not found: install slurm-wlm and munge"
    return "" if os.geteuid() == 0 else "only root can start a cluster"


@contextmanager
def cluster() -> Iterator[str]:
    """SLURM_CONF of a cluster that is there as long as it is needed."""
    root = Path(tempfile.mkdtemp(prefix="astra-slurm-"))
    root.chmod(0o755)
    settings = {
        "SLURM_TEST_ROOT": str(root),
        "SLURM_TEST_PORT_BASE": str(20_000 + os.getpid() % 1_500 * 20),
        "SLURM_TEST_NODE_CPUS": str(NODE_CPUS),
    }
    try:
        subprocess.run(
            [SCRIPTS / "start-slurm.sh"], env=os.environ | settings, check=True, capture_output=True
        )
        yield str(root / "etc" / "slurm.conf")
    finally:
        subprocess.run(
            [SCRIPTS / "stop-slurm.sh", "--purge"], env=os.environ | settings, check=True, capture_output=True
        )


def array(folder: Path, tasks: int) -> list[Result]:
    """An array of as many tasks."""
    url = f"sqlite:///{folder / 'astra.db'}"
    run(Task("synthetic:fill_sources", {"url": url, "rows": tasks * INPUTS_PER_TASK}))
    with cluster() as conf:
        where = {"url": url, "folder": str(folder), "conf": conf, "tasks": tasks}
        best = best_of({"ours": Task("slurm:ours", where), "plain": Task("slurm:plain", where)}, 1)
    peer = ("sbatch, squeue", best["plain"].seconds["plain"])
    return compare(f"slurm-array-{tasks}", best["ours"], [peer])


def ours(url: str, folder: str, conf: str, tasks: int) -> dict[str, float]:
    """Plan, submit, watch, collect, account."""
    engine = _engine(url, folder, conf, "0.8.1")
    asked = ResourceRequest(nodes=tasks)
    took = seconds(lambda: _check(engine.run(TRIVIAL, STEP, resources=asked).results, tasks))
    return {"ours": took}


def plain(url: str, folder: str, conf: str, tasks: int) -> dict[str, float]:
    """The same array by `sbatch`, and `squeue` once a second until it is gone."""
    engine = _engine(url, folder, conf, "0.9.0")
    batch = engine.plan(TRIVIAL, STEP, resources=ResourceRequest(nodes=tasks))
    if not isinstance(batch, Batch):
        raise TypeError(f"a batch was to be planned, found: {batch}")
    logs = batch.log_file(0).parent
    logs.mkdir(parents=True)
    command = worker_command(batch.directory, batch.reference)
    variables = {
        name: value for name, value in environment().items() if name == "PYTHONPATH" or "THREADS" in name
    }
    numbers = tuple(range(tasks))
    job = JobSpec(
        "plain", "plain", numbers, batch.slurm, command, output_in(logs), batch.directory, variables
    )
    took = seconds(lambda: _by_hand(script(job)))
    _check(
        sum(pq.read_metadata(part).num_rows for part in batch.directory.glob("tasks/*/results-*.parquet")),
        tasks,
    )
    engine.cancel(batch)
    return {"plain": took}


def _by_hand(text: str) -> None:
    subprocess.run(["sbatch", "--parsable"], input=text, text=True, check=True, capture_output=True)
    while subprocess.run(["squeue", "--me", "--noheader"], check=True, capture_output=True).stdout:
        time.sleep(1)


def _check(made: int, tasks: int) -> None:
    if made != tasks * INPUTS_PER_TASK:
        raise ValueError(f"{tasks * INPUTS_PER_TASK} results were expected, found {made}")


def _engine(url: str, folder: str, conf: str, v_astra: str) -> Engine:
    os.environ["SLURM_CONF"] = conf
    root = Path(folder)
    client = CommandLineClient()
    backend = SlurmBackend(client, SharedQueue(client, root / "home" / "slurm"))
    database = Database(url)
    database.create_tables()
    engine = Engine(database, EnginePaths(root / "home", Roots(root, root)), v_astra, {}, backend)
    # Loads what the first use would load.
    engine.account(TRIVIAL, STEP)
    return engine
