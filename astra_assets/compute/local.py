"""Running batches on this machine: one worker program for each task, children of this process.

Workers end when this process ends, in whatever way: they look after it, write what they have, and stop.
Whoever comes next goes on after the parts that they left. Not here: what a worker does (`supervisor`).
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import psutil

import astra_assets
from astra_assets.compute import claims
from astra_assets.compute.batch import Batch
from astra_assets.compute.progress import Phase, TaskState, TaskStatus, read_status, storage_text
from astra_assets.compute.worker import EXIT_STORAGE, THREADS, worker_command
from astra_assets.pipelines.base import Pipeline, Step
from astra_assets.pipelines.options import ResourceRequest, SlurmOptions

MOST_PROCESSES = 8
"""Worker processes of a batch unless more are asked for: a laptop should stay usable."""

GRACE_SECONDS = 15.0
"""Time that workers have to write what they have when they are told to stop."""

STALE_SECONDS = 60.0
"""Age of the heartbeat of a worker on another machine above which it is taken for dead."""


@dataclass
class LocalBackend:
    """Tasks as processes of this machine.

    Attributes:
        procs: worker processes of a batch; by default one for each core, at most `MOST_PROCESSES`.
    """

    procs: int | None = None
    # Of the whole process: who starts a batch and who collects it may use different objects.
    _workers: ClassVar[dict[tuple[str, int], subprocess.Popen[bytes]]] = {}

    @property
    def name(self) -> str:
        """What batches record."""
        return "local"

    @property
    def poll_seconds(self) -> float:
        """How long to wait at most between two looks at a running batch."""
        return 0.5

    def options(self, _pipeline: Pipeline, step: Step, resources: ResourceRequest) -> SlurmOptions:
        """One task with a process for each core, whatever the step asks of a cluster."""
        here = replace(step.slurm, nodes=1, procs=self.procs or min(cores(), MOST_PROCESSES))
        return resources.over(here)

    def start(self, batch: Batch, tasks: Sequence[int]) -> None:
        """Start a worker program for each of these tasks."""
        for task in tasks:
            log_file = batch.log_file(task)
            log_file.parent.mkdir(parents=True, exist_ok=True)
            program = worker_command(batch.directory, batch.reference, "--parent", str(os.getpid()))
            with log_file.open("ab") as stream:
                self._workers[batch.batch_id, task] = subprocess.Popen(
                    [*program, str(task)],
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=subprocess.STDOUT,
                    env=environment(),
                    # Ctrl-C in a terminal is for this process alone; it tells the workers.
                    start_new_session=True,
                )

    def job(self, batch: Batch) -> str | None:
        """Process ids of the workers that this process started; those of others were told by whoever started them."""
        mine = [worker for (batch_id, _), worker in self._workers.items() if batch_id == batch.batch_id]
        return " ".join(str(worker.pid) for worker in mine) or None

    def resume(self, batch: Batch) -> None:
        """Nothing to do: a task is broken only for the process that started its worker, until it detaches."""

    def poll(self, batch: Batch) -> Mapping[int, TaskState]:
        """How every task is."""
        return {task: self._state(batch, task) for task in range(len(batch.tasks))}

    def detach(self, batch: Batch) -> str:
        """Stop the workers that this process started, after they have written what they have."""
        self._end(self._own(batch.batch_id))
        return "its workers were stopped and what they had is kept; run the same again to go on"

    def cancel(self, batch: Batch) -> None:
        """End all workers of the batch that live on this machine."""
        self._end(self._own(batch.batch_id))
        for task in range(len(batch.tasks)):
            pid = claims.living_owner(batch.task_folder(task))
            with contextlib.suppress(psutil.Error):
                if pid is not None:
                    process = psutil.Process(pid)
                    process.terminate()
                    process.wait(GRACE_SECONDS)

    def abandon(self, batch_id: str, job: str | None) -> None:
        """Stop the workers that this process started; those of others end without their folder."""
        del job
        self._end(self._own(batch_id))

    def _state(self, batch: Batch, task: int) -> TaskState:
        folder = batch.task_folder(task)
        worker = self._workers.get((batch.batch_id, task))
        alive = worker is not None and worker.poll() is None
        # Only now: a worker writes its last status before it ends.
        status = read_status(folder)
        if not alive and status is not None and status.phase == Phase.DONE.value:
            self._workers.pop((batch.batch_id, task), None)
            return TaskState(Phase.DONE)
        if alive or claims.living_owner(folder) is not None:
            return TaskState(Phase.RUNNING)
        host = claims.owner_host(folder)
        if worker is None and status is not None and host not in (None, socket.gethostname()):
            age = time.time() - status.heartbeat
            if status.phase == Phase.RUNNING.value and age < STALE_SECONDS:
                return TaskState(Phase.RUNNING, f"it runs on {host}")
        return self._ended(folder, worker, status)

    def _ended(
        self, folder: Path, worker: subprocess.Popen[bytes] | None, status: TaskStatus | None
    ) -> TaskState:
        """How a task ended before its last input."""
        if worker is not None and worker.returncode == EXIT_STORAGE:
            return TaskState(Phase.BROKEN, storage_text(folder, status))
        if worker is not None and status is not None and status.phase == Phase.BROKEN.value:
            return TaskState(Phase.BROKEN, status.message)
        told = status.message if status is not None and status.phase == Phase.STOPPED.value else ""
        if worker is None and told:
            return TaskState(Phase.STOPPED, told)
        return TaskState(Phase.STOPPED, f"{self._end_of(worker)}{f': {told}' if told else ''}")

    def _end_of(self, worker: subprocess.Popen[bytes] | None) -> str:
        if worker is None:
            return "not started by this process"
        code = worker.returncode
        return f"the worker ended by signal {-code}" if code < 0 else f"the worker ended with status {code}"

    def _own(self, batch_id: str) -> list[subprocess.Popen[bytes]]:
        """The workers of a batch that this process started; they are its own no longer."""
        mine = [key for key in self._workers if key[0] == batch_id]
        return [self._workers.pop(key) for key in mine]

    def _end(self, workers: Sequence[subprocess.Popen[bytes]]) -> None:
        living = [worker for worker in workers if worker.poll() is None]
        for worker in living:
            worker.terminate()
        deadline = time.monotonic() + GRACE_SECONDS
        for worker in living:
            try:
                worker.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(worker.pid, signal.SIGKILL)
                worker.wait()


def cores() -> int:
    """Number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def environment() -> dict[str, str]:
    """Environment of a worker: this package can be imported, numerical libraries use one thread."""
    package = str(Path(astra_assets.__file__).resolve().parents[1])
    paths = [package, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return os.environ | dict.fromkeys(THREADS, "1") | {"PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}
