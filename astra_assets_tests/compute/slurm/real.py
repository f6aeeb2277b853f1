"""Batches on a real cluster: engines whose times suit tests, and looking at what happens.

As a program, `DATABASE_URL FOLDER`, it runs a batch as the command line does, for tests that kill it.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pyarrow.parquet as pq

from astra_assets.compute.parts import FAILURES, RESULTS, part_files
from astra_assets.compute.slurm.command_line import CommandLineClient
from astra_assets.compute.slurm.patience import Rules
from astra_assets.compute.slurm.queue import SharedQueue
from astra_assets.compute.slurm.slurm_backend import SlurmBackend
from astra_assets.compute.slurm.submissions import Submissions
from astra_assets.database.database import Database
from astra_assets.pipelines.options import ResourceRequest
from astra_assets_tests.compute.conftest import Bench
from astra_assets_tests.compute.samples import FLUX, SampleFlux
from astra_assets_tests.project import PROJECT

VISIT = FLUX.step("visit")
RULES = Rules(poll_seconds=0.3, grace_seconds=5.0, settle_seconds=2.0, cancel_seconds=20.0, patience=0.05)
SMALL = ResourceRequest(nodes=2, procs=1, mem="4000", time="00:10:00")


def backend(home, timeout_seconds=15.0, **rules):
    client = CommandLineClient(timeout_seconds)
    queue = SharedQueue(client, home / "slurm", interval_seconds=1.0)
    return SlurmBackend(client, queue, rules=Rules(**vars(RULES) | rules))


class Real(Bench):
    """A database, folders, and an engine on the cluster, with shortcuts for what tests ask."""

    def __init__(self, database, folder):
        super().__init__(database, folder)
        self.engine = self.make(backend(self.home))
        self.pool = ThreadPoolExecutor(1)

    def begin(self, inputs=8, resources=SMALL, **options):
        """Plan and start a batch of slow spectra."""
        self.switch("slow")
        self.pks = self.visits([0] * inputs)
        batch = self.engine.plan(FLUX, VISIT, resources=resources, **options)
        self.engine.start(batch)
        return batch

    def collecting(self, batch):
        """Collect in a thread; `.result()` is the account."""
        return self.pool.submit(self.engine.collect, batch)

    def orchestrator(self):
        """Another process that runs the step."""
        program = [sys.executable, "-m", "astra_assets_tests.compute.slurm.real"]
        return subprocess.Popen(
            [*program, self.database.url, str(self.home.parent)],
            cwd=PROJECT,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finished(self, account, failed=0):
        """Every spectrum has its result once, and the account balances."""
        pks = [pk for (pk,) in self.rows(SampleFlux, "spectrum_pk")]
        assert len(pks) == len(set(pks)) == len(self.pks) - failed
        assert (account.results, account.failed, account.backlog) == (len(self.pks) - failed, failed, 0)
        assert account.balanced


def jobs(batch):
    """Ids of all jobs of a batch, in order."""
    return [each.job_id for each in Submissions(batch.directory).read()]


def keys_in_parts(batch):
    folders = [batch.task_folder(task) for task in range(len(batch.tasks))]
    files = [path for folder in folders for kind in (RESULTS, FAILURES) for path in part_files(folder, kind)]
    return [key for path in files for key in pq.read_table(path)["spectrum_pk"].to_pylist()]


def supervisors(batch):
    """Processes that run tasks of a batch, by the number of the task; of several copies of a task the last one."""
    found = {}
    for process in sorted(psutil.process_iter(["cmdline"]), key=lambda each: each.pid):
        line = process.info["cmdline"] or []
        if "astra_assets.compute.worker" in line and str(batch.directory) in line:
            found[int(line[-1])] = process
    return found


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    real = Real(Database(sys.argv[1]), Path(sys.argv[2]))
    print(real.engine.run(FLUX, VISIT, resources=SMALL))  # noqa: T201
