"""What the tests of the engine share: an engine on a database of each kind, and small limits."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select

from astra_assets.compute.batch import BatchLimits, EnginePaths
from astra_assets.compute.child import PreparedStep
from astra_assets.compute.engine import Engine
from astra_assets.compute.local import LocalBackend
from astra_assets.compute.parts import FAILURES, RESULTS, TaskParts, described, manifest_rows
from astra_assets.compute.progress import TaskStatus
from astra_assets.models.base import table_of
from astra_assets.models.compute import ComputeBatch, ComputeOutcome
from astra_assets.spectra.base import Roots
from astra_assets_tests.compute import samples

QUICK = BatchLimits(flush_rows=3, flush_seconds=0.3, heartbeat_seconds=0.1, row_group=4, chunk_rows=7)


class Directly(LocalBackend):
    """Runs tasks in this process when they are started: for tests of everything but processes."""

    def start(self, batch, tasks):
        schema, key_name = described(batch.manifest)
        work = PreparedStep(batch.directory, batch.reference)
        for task in tasks:
            first, last = batch.tasks[task]
            folder = batch.task_folder(task)
            folder.mkdir(parents=True, exist_ok=True)
            parts = TaskParts(folder, key_name, schema)
            parts.look()
            for rows in manifest_rows(batch.manifest, first, last, batch_rows=3):
                new = [row for row in rows.to_pylist() if row[key_name] not in parts.finished]
                made = [(row[key_name], work.on(row)) for row in new]
                parts.write(RESULTS, [each.row for _, each in made if each.row is not None])
                parts.write(FAILURES, [reason(key_name, key, each) for key, each in made if each.row is None])
            counts: dict[str, Any] = parts.counts
            TaskStatus("done", last - first, **counts).write(folder)


def reason(key_name, key, made):
    return {key_name: key, "state": made.state, "code": made.code, "message": made.message}


class Bench:
    """A database, folders and an engine, with shortcuts for what tests ask."""

    def __init__(self, database, folder):
        self.database = database
        self.roots = Roots(folder / "sas", folder / "mwm")
        self.home = folder / "home"
        self.switches = folder / "switches"
        self.switches.mkdir(exist_ok=True)
        self.engine = self.make()

    def make(self, backend=None, **options):
        options = {"limits": QUICK, "pipelines": (samples.CLASS, samples.AFTER), **options}
        settings = {"switches": str(self.switches)}
        backend = backend or Directly()
        return Engine(
            self.database, EnginePaths(self.home, self.roots), "0.8.1", settings, backend, **options
        )

    def visits(self, kinds, **options):
        return samples.add_visits(self.database, self.roots.sas_base_dir, kinds, **options)

    def rows(self, model, *columns):
        table = table_of(model)
        wanted = [table.c[name] for name in columns] or list(table.c)
        with self.database.connect() as connection:
            return [tuple(row) for row in connection.execute(select(*wanted).order_by(*wanted))]

    def rows_of_batches(self):
        return self.rows(ComputeBatch, "state")

    def count(self, model):
        with self.database.connect() as connection:
            return connection.scalar(select(func.count()).select_from(table_of(model)))

    def outcomes(self, pipeline):
        outcome = table_of(ComputeOutcome)
        query = select(outcome).where(outcome.c.pipeline == pipeline.name).order_by(outcome.c.pk)
        with self.database.connect() as connection:
            return [row._mapping for row in connection.execute(query)]

    def switch(self, name, on=True):
        (self.switches / name).touch() if on else (self.switches / name).unlink()

    def log(self):
        path = self.switches / "log"
        return path.read_text().split() if path.exists() else []


@pytest.fixture
def bench(database, tmp_path):
    return Bench(database, tmp_path)


@pytest.fixture
def process_bench(tmp_path):
    """With real worker processes; what they do does not depend on the kind of database, which they do not see."""
    from astra_assets.database.database import Database

    database = Database(f"sqlite:///{tmp_path / 'astra.db'}")
    database.create_tables()
    return with_processes(Bench(database, tmp_path))


def with_processes(bench):
    bench.engine = bench.make(LocalBackend(procs=2))
    return bench
