"""Waiting for a batch: looking at its tasks, starting again those that stopped, saying how far it is.

A task that is killed goes on after the parts that it left. Only one that dies again and again without
finishing a single input more ends the waiting. Where tasks run is the business of backends.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from astra_assets.compute.backend import Backend
from astra_assets.compute.batch import Batch, BatchError
from astra_assets.compute.parts import FAILURES, RESULTS, part_files
from astra_assets.compute.progress import Meter, Phase, Progress, TaskState, read_status

FIRST_PAUSE = 0.05
"""Seconds between the first two looks; pauses grow from there to what the backend wants."""

LOG_LINES = 12
"""Last lines of a task's log that an error shows."""

log = logging.getLogger(__name__)


@dataclass
class Watch:
    """One process that watches one batch; `started` is told what the backend calls its job, and what else it becomes."""

    backend: Backend
    batch: Batch
    started: Callable[[str], object] = lambda _: None
    _told: str | None = field(default=None, init=False)
    _finished: dict[int, int] = field(default_factory=dict, init=False)
    _restarts: dict[int, int] = field(default_factory=dict, init=False)

    def start_stopped(self, states: Mapping[int, TaskState] | None = None) -> None:
        """Start the tasks that neither run nor are done, and tell the job if it is another one than before.

        It may be another one without a start: of a process that was killed while it submitted the job is only found later.

        Raises:
            BatchError: a task stopped too often without getting any further.
        """
        states = self.backend.poll(self.batch) if states is None else states
        stopped = [task for task, state in states.items() if state.phase is Phase.STOPPED]
        for task in stopped:
            self._count_start(task, states[task])
        if stopped:
            self.backend.start(self.batch, stopped)
        job = self.backend.job(self.batch)
        if job not in (None, self._told):
            self.started(job)
            self._told = job

    def wait(self, progress: Callable[[Progress], object]) -> None:
        """Return when all tasks are done; `progress` is called at every look.

        Raises:
            BatchError: a task cannot go on.
        """
        batch = self.batch
        self.backend.resume(batch)
        meter = Meter(f"{batch.pipeline} {batch.step}", batch.n_inputs, len(batch.tasks))
        pause = FIRST_PAUSE
        while True:
            states = self.backend.poll(batch)
            running = sum(state.phase is Phase.RUNNING for state in states.values())
            statuses = (read_status(batch.task_folder(task)) for task in range(len(batch.tasks)))
            reasons = Counter(state.message for state in states.values() if state.phase is Phase.WAITING)
            waiting = reasons.most_common(1)[0][0] if reasons else ""
            progress(meter.read(statuses, running, waiting))
            for task, state in states.items():
                if state.phase is Phase.BROKEN:
                    raise BatchError(
                        self._error(task, state.message, "Mend the cause and run the step again.")
                    )
            if all(state.phase is Phase.DONE for state in states.values()):
                return
            self.start_stopped(states)
            time.sleep(pause)
            pause = min(pause * 1.5, self.backend.poll_seconds)

    def reopen(self, tasks: Iterable[int]) -> None:
        """Let tasks go on that said they were done: parts of theirs are missing or damaged."""
        for task in tasks:
            folder = self.batch.task_folder(task)
            status = read_status(folder)
            if status is not None:
                status.phase = Phase.STOPPED.value
                status.message = (
                    "parts of its results are missing or damaged, and only their inputs are done again"
                )
                status.write(folder)

    def has_parts(self) -> bool:
        """True if a task has written anything that could be collected."""
        folders = (self.batch.task_folder(task) for task in range(len(self.batch.tasks)))
        return any(part_files(folder, kind) for folder in folders for kind in (RESULTS, FAILURES))

    def _count_start(self, task: int, state: TaskState) -> None:
        status = read_status(self.batch.task_folder(task))
        finished = 0 if status is None else status.finished
        first = task not in self._finished
        if first or state.changed or finished > self._finished[task]:
            self._restarts[task] = 0
        else:
            self._restarts[task] += 1
        self._finished[task] = finished
        if self._restarts[task] > self.batch.limits.restarts:
            times = f"stopped {self._restarts[task]} times without finishing one more input: {state.message}"
            raise BatchError(self._error(task, times, "Mend the cause and run the step again: it goes on."))
        if not first:
            log.warning(
                "task %d of batch %s: %s; it is started again", task, self.batch.batch_id, state.message
            )

    def _error(self, task: int, message: str, advice: str) -> str:
        batch = self.batch
        log_file = batch.log_file(task)
        text = log_file.read_text(errors="replace") if log_file.exists() else ""
        tail = "\n".join(text.splitlines()[-LOG_LINES:])
        said = f" The end of {log_file}:\n{tail}" if tail else ""
        return (
            f"{batch.pipeline} {batch.step}, batch {batch.batch_id}, task {task}: {message}\n{advice}{said}"
        )
