"""Slurm in memory, for tests of whatever stands on a `SlurmClient`: faults are injected by setting attributes.

It schedules nothing by itself: states are what a test sets, unless a function is given that runs the tasks.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from astra_assets.compute.slurm.client import (
    QueuedTask,
    SlurmUnavailableError,
    SubmissionDeferredError,
    SubmissionRefusedError,
    SubmissionUnclearError,
    TaskDetail,
)
from astra_assets.compute.slurm.job_states import SlurmState
from astra_assets.pipelines.options import megabytes_of


@dataclass
class FakeTask:
    """One task as a test sees and sets it."""

    state: SlurmState = SlurmState.PENDING
    reason: str = ""
    node: str = ""
    exit_code: int = 0
    signal: int = 0
    restarts: int = 0
    memory_used_mb: float | None = None
    run_seconds: float = 0.0
    cancelled_by: str | None = None


@dataclass
class FakeJob:
    """A submission: its text, the options in it, the command that its last line runs, its tasks."""

    job_id: str
    script: str
    options: dict[str, str]
    command: list[str]
    tasks: dict[int, FakeTask]

    @property
    def name(self) -> str:
        """Name of the job."""
        return self.options["job-name"]


@dataclass
class FakeSlurm:
    """A `SlurmClient` without Slurm.

    Attributes:
        run: runs a task that waits when the queue is read next, and returns its exit status; None runs nothing.
        down: number of next calls at which the controller does not answer.
        empty: number of next readings of the queue that show nothing although there are jobs.
        lose_answers: number of next submissions that are accepted while their answer is lost.
        lose_submissions: number of next submissions that are lost with their answer.
        refuse: message with which submissions are refused; empty to accept them. `defer` likewise, for now only.
        jobs: all jobs that Slurm still knows, by id; `submitted` those ever accepted, in order.
        cancelled: what was cancelled: id and tasks.
        calls: how often each method was called.
    """

    run: Callable[[FakeJob, int], int] | None = None
    down: int = 0
    empty: int = 0
    lose_answers: int = 0
    lose_submissions: int = 0
    refuse: str = ""
    defer: str = ""
    jobs: dict[str, FakeJob] = field(default_factory=dict)
    submitted: list[FakeJob] = field(default_factory=list)
    cancelled: list[tuple[str, tuple[int, ...] | None]] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)

    def on(self, cluster: str | None) -> FakeSlurm:
        """This one: it is the only cluster."""
        del cluster
        return self

    def submit(self, script: str) -> str:
        """Accept a job, unless a fault is set."""
        self._called("submit")
        if self.refuse:
            raise SubmissionRefusedError(self.refuse)
        if self.defer:
            raise SubmissionDeferredError(self.defer)
        if self.lose_submissions > 0:
            self.lose_submissions -= 1
            raise SubmissionUnclearError("sbatch did not answer")
        job = _read(script, str(1001 + len(self.submitted)))
        self.jobs[job.job_id] = job
        self.submitted.append(job)
        if self.lose_answers > 0:
            self.lose_answers -= 1
            raise SubmissionUnclearError("sbatch did not answer")
        return job.job_id

    def queue(self) -> list[QueuedTask]:
        """All tasks of all jobs that are not forgotten."""
        self._called("queue")
        if self.run is not None:
            self.work()
        if self.empty > 0:
            self.empty -= 1
            return []
        return [
            QueuedTask(
                job.job_id, number, job.name, job.options.get("comment", ""),
                task.state, task.reason, task.node, task.run_seconds,
            )
            for job in self.jobs.values()
            for number, task in job.tasks.items()
        ]  # fmt: skip

    def find(self, name: str) -> list[str]:
        """Ids of jobs of this name."""
        self._called("find")
        return [job.job_id for job in self.jobs.values() if job.name == name]

    def detail(self, job_id: str, task: int | None) -> TaskDetail | None:
        """What was set for a task; None if the job is forgotten or has no such task."""
        self._called("detail")
        job = self.jobs.get(job_id)
        if job is None or task not in job.tasks:
            return None
        known = job.tasks[task]
        asked = megabytes_of(job.options.get("mem", "0"))
        return TaskDetail(
            known.state, known.exit_code, known.signal, known.reason, known.node, known.restarts,
            asked or None, known.memory_used_mb, known.run_seconds, known.cancelled_by,
        )  # fmt: skip

    def cancel(self, job_id: str, tasks: Sequence[int] | None = None) -> None:
        """Cancel what has not ended."""
        self._called("cancel")
        self.cancelled.append((job_id, None if tasks is None else tuple(tasks)))
        job = self.jobs.get(job_id)
        if job is None:
            return
        for number in list(job.tasks) if tasks is None else [each for each in tasks if each in job.tasks]:
            state = job.tasks[number].state
            if tasks is not None and state is SlurmState.PENDING:
                # As Slurm does: what never ran and is cancelled by its number leaves no trace.
                del job.tasks[number]
            elif not state.ended:
                self.set(job_id, number, SlurmState.CANCELLED)

    def ping(self) -> str | None:
        """None unless the controller is down."""
        try:
            self._called("ping")
        except SlurmUnavailableError as error:
            return str(error)
        return None

    def set(self, job_id: str, task: int, state: SlurmState, **changes: object) -> None:
        """Set the state of a task, and what else `FakeTask` has."""
        tasks = self.jobs[job_id].tasks
        tasks[task] = replace(tasks[task], state=state, **changes)  # type: ignore[arg-type]

    def forget(self, job_id: str) -> None:
        """Slurm does not know this job any more, as some minutes after its end."""
        del self.jobs[job_id]

    def work(self) -> None:
        """Run all tasks that wait, one after the other."""
        assert self.run is not None
        for job in list(self.jobs.values()):
            for number, task in list(job.tasks.items()):
                if task.state is SlurmState.PENDING:
                    self.set(job.job_id, number, SlurmState.RUNNING, node="np001")
                    status = self.run(job, number)
                    ended = SlurmState.COMPLETED if status == 0 else SlurmState.FAILED
                    self.set(job.job_id, number, ended, node="np001", exit_code=status)

    def _called(self, method: str) -> None:
        self.calls[method] += 1
        if self.down > 0:
            self.down -= 1
            raise SlurmUnavailableError("the controller of Slurm does not answer")


def _read(script: str, job_id: str) -> FakeJob:
    """The job that a text describes."""
    options: dict[str, str] = {}
    for line in re.findall(r"^#SBATCH (.*)$", script, re.MULTILINE):
        (argument,) = shlex.split(line)
        name, _, value = argument.removeprefix("--").partition("=")
        options[name] = value
    last = script.rstrip("\n").splitlines()[-1]
    command = shlex.split(last)[1:-1]
    return FakeJob(job_id, script, options, command, {task: FakeTask() for task in _tasks(options["array"])})


def _tasks(array: str) -> list[int]:
    numbers: list[int] = []
    for part in array.partition("%")[0].split(","):
        first, _, last = part.partition("-")
        numbers.extend(range(int(first), int(last or first) + 1))
    return numbers
