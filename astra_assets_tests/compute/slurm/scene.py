"""A batch on a stand-in for Slurm with a clock of its own: what happens is told line by line."""

from __future__ import annotations

from typing import Any

from astra_assets.compute.batch import BatchError
from astra_assets.compute.child import PreparedStep
from astra_assets.compute.parts import FAILURES, RESULTS, TaskParts, described, manifest_rows
from astra_assets.compute.progress import TaskStatus
from astra_assets.compute.slurm.fake import FakeSlurm
from astra_assets.compute.slurm.job_states import SlurmState
from astra_assets.compute.slurm.patience import Patience, Rules
from astra_assets.compute.slurm.queue import SharedQueue
from astra_assets.compute.slurm.slurm_backend import SlurmBackend
from astra_assets.compute.slurm.submissions import Submissions
from astra_assets.pipelines.options import ResourceRequest
from astra_assets_tests.compute.conftest import reason
from astra_assets_tests.compute.samples import FLUX

VISIT = FLUX.step("visit")
RULES = Rules(poll_seconds=0.001, cancel_seconds=0.5)


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        # time passes while somebody waits
        self.now += 0.01
        return self.now


def do(batch, task, *, phase="done", only=None, job=""):
    """Do the inputs of a task (the first `only` of those that are left) and write what a worker writes."""
    schema, key_name = described(batch.manifest)
    folder = batch.task_folder(task)
    folder.mkdir(parents=True, exist_ok=True)
    parts = TaskParts(folder, key_name, schema)
    parts.look()
    first, last = batch.tasks[task]
    rows = [row for some in manifest_rows(batch.manifest, first, last) for row in some.to_pylist()]
    rows = [row for row in rows if row[key_name] not in parts.finished][:only]
    work = PreparedStep(batch.directory, batch.reference)
    made = [(row[key_name], work.on(row)) for row in rows]
    parts.write(RESULTS, [each.row for _, each in made if each.row is not None])
    parts.write(FAILURES, [reason(key_name, key, each) for key, each in made if each.row is None])
    counts: dict[str, Any] = parts.counts
    TaskStatus(phase, last - first, job=job, **counts).write(folder)


class Scene:
    """An engine on FakeSlurm, and what happens to its batch."""

    def __init__(self, bench, nodes=2, **resources):
        self.bench, self.clock, self.slurm = bench, Clock(), FakeSlurm()
        self.backend = self.another()
        self.engine = bench.make(self.backend)
        self.resources = ResourceRequest(nodes=nodes, **resources)
        self.batch = None

    def another(self, **rules):
        """A backend as another process has it."""
        queue = SharedQueue(self.slurm, self.bench.home / "slurm", 20.0, self.clock)
        return SlurmBackend(
            self.slurm, queue, rules=Rules(**vars(RULES) | rules), patience=Patience(self.clock)
        )

    def begin(self, inputs=6, kinds=None):
        """Plan and start a batch; `kinds` say what becomes of each input."""
        self.pks = self.bench.visits(kinds or [0] * inputs)
        self.batch = self.engine.plan(FLUX, VISIT, resources=self.resources)
        self.engine.start(self.batch)
        return self.batch

    def look(self, after=30.0, backend=None):
        """Phases of the tasks some seconds later."""
        self.clock.now += after
        self.states = (backend or self.backend).poll(self.batch)
        return [state.phase.value for state in self.states.values()]

    def message(self, task=0):
        return self.states[task].message

    def again(self):
        """Start what has stopped, as whoever watches does."""
        stopped = [task for task, state in self.states.items() if state.phase.value == "stopped"]
        self.backend.start(self.batch, stopped)

    def set(self, task, state, job=None, **changes):
        """What Slurm says about a task of the latest job."""
        self.slurm.set(job or self.job.job_id, task, state, **changes)

    def finish(self, *tasks):
        """The tasks do all that is left, and end well."""
        for task in tasks:
            do(self.batch, task)
            if task in self.job.tasks:
                self.set(task, SlurmState.COMPLETED)

    @property
    def job(self):
        """The job that was submitted last."""
        return self.slurm.submitted[-1]

    @property
    def written(self):
        return Submissions(self.batch.directory).read()

    def collected(self):
        """The account after collecting, with every input in it once."""
        account = self.engine.collect(self.batch)
        assert account.balanced
        assert account.backlog == 0
        return account

    def error(self):
        """The error with which collecting ends."""
        try:
            self.engine.collect(self.batch)
        except BatchError as error:
            return str(error)
        raise AssertionError("no error")
