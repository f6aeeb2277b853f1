"""How a task and a batch stand: what workers write down, what backends tell, and progress as people read it.

Only descriptions belong here; who acts on them is the engine and its backends.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from astra_assets.files.json_files import read_json, write_json
from astra_assets.files.os_errors import free_space
from astra_assets.text import duration_text, size_text


class Phase(enum.Enum):
    """Where a task is."""

    WAITING = "waiting"
    """Not started, or queued."""
    RUNNING = "running"
    DONE = "done"
    """Ended well: every input has a result or an outcome."""
    STOPPED = "stopped"
    """Ended before the last input, on request or by a kill; it can be started again."""
    BROKEN = "broken"
    """Cannot go on by being started again: the pipeline cannot be set up."""
    UNKNOWN = "unknown"
    """Cannot be told now; not a failure."""


class Cause(enum.Enum):
    """Why a task stopped before its last input, where something follows from that."""

    OTHER = "other"
    TIME = "time"
    """The time that the cluster gave it is nearly over."""
    MEMORY = "memory"
    """It was short of memory."""
    STORAGE = "storage"
    """Nothing can be written any more: the disk is full, a quota is used up, or the file system is read-only."""


@dataclass(frozen=True)
class TaskState:
    """What a backend says about one task.

    Attributes:
        phase: where the task is.
        message: why, where it is not obvious.
        changed: True where a stopped task is started again under other conditions (more memory), so that this is
            not yet another try of the same.
    """

    phase: Phase
    message: str = ""
    changed: bool = False


@dataclass
class TaskStatus:
    """The content of `status.json`, written by the worker of a task.

    Attributes:
        phase: value of `Phase`, as the worker sees itself.
        inputs: rows of the manifest that belong to the task.
        done: inputs with a result, written to parts; `failed` and `skipped` likewise.
        told: further inputs that a program says it has done; nothing is recorded of them yet.
        host: name of the machine, `pid` of the process that supervises the task, `token` of its claim.
        started: seconds since 1970 at which this process began, `heartbeat` when it last wrote, `ended` when it
            ended in order (0 before), all by the clock of its machine.
        peak_memory: largest sum over the worker processes of their peak resident memory, in MB.
        died: worker processes that ended by a signal.
        message: why the task cannot go on, or why it stopped.
        job: what the cluster calls the task, such as `123_4`, on which `node`; empty on this machine.
        runs: processes that have run the task so far, this one included.
        wall_seconds: how long all of them ran together; `cpu_seconds` what they and their worker processes
            used.
    """

    phase: str
    inputs: int
    done: int = 0
    failed: int = 0
    skipped: int = 0
    host: str = ""
    pid: int = 0
    token: str = ""
    started: float = 0.0
    heartbeat: float = 0.0
    peak_memory: float = 0.0
    died: int = 0
    message: str = ""
    ended: float = 0.0
    job: str = ""
    node: str = ""
    runs: int = 1
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    told: int = 0

    @property
    def finished(self) -> int:
        """Inputs that need no more work."""
        return self.done + self.failed + self.skipped

    def write(self, folder: Path) -> None:
        """Write `status.json` into the folder of the task."""
        self.heartbeat = time.time()
        content = asdict(self)
        content["state"] = content.pop("phase")
        write_json(folder / "status.json", content, sync=False)


def read_status(folder: Path) -> TaskStatus | None:
    """The status in the folder of a task; None while there is none."""
    content = read_json(folder / "status.json")
    if content is None:
        return None
    content["phase"] = content.pop("state", Phase.UNKNOWN.value)
    known: dict[str, Any] = {
        each.name: content[each.name] for each in fields(TaskStatus) if each.name in content
    }
    return TaskStatus(**known)


def storage_text(folder: Path, status: TaskStatus | None) -> str:
    """Say why a task in this folder could not write any more; a full disk may not have taken its last status either."""
    if status is not None and status.phase == Phase.BROKEN.value and status.message:
        return status.message
    free = free_space(folder)
    space = "" if free is None else f", {size_text(free)} are free on its file system"
    return f"{folder}: nothing can be written there or where the step writes{space}; what was done is kept"


@dataclass(frozen=True)
class Progress:
    """How far a batch is.

    Attributes:
        label: pipeline and step.
        inputs: inputs of the batch, of which `done` have a result, `failed` failed and `skipped` were
            skipped; `told` are further ones that a program says it has done.
        running: tasks that run, of `tasks`.
        rate: inputs per second since watching began; None while it cannot be told.
        waiting: why tasks wait, as most of them say; empty where none waits or that is not known.
    """

    label: str
    inputs: int
    done: int
    failed: int
    skipped: int
    running: int
    tasks: int
    rate: float | None = None
    waiting: str = ""
    told: int = 0

    @property
    def finished(self) -> int:
        """Inputs that need no more work, as far as is known."""
        return self.done + self.failed + self.skipped + self.told

    @property
    def seconds_left(self) -> float | None:
        """Estimated time to the end; None while it cannot be told."""
        return (self.inputs - self.finished) / self.rate if self.rate else None

    def __str__(self) -> str:
        text = f"{self.label}: {self.finished} of {self.inputs}, {self.failed} failed, {self.skipped} skipped"
        if self.finished < self.inputs:
            text += f", {self.running} of {self.tasks} tasks running"
            if self.waiting:
                text += f", waiting: {self.waiting}"
        if self.rate:
            text += f", {self.rate:.3g}/s"
        if self.seconds_left:
            text += f", {duration_text(self.seconds_left)} left"
        return text


class Meter:
    """Makes `Progress` of the status files of a batch, with the rate since the meter was made."""

    def __init__(self, label: str, inputs: int, tasks: int) -> None:
        self.label, self.inputs, self.tasks = label, inputs, tasks
        self.began = time.monotonic()
        self.finished_then: int | None = None

    def read(self, statuses: Iterable[TaskStatus | None], running: int, waiting: str = "") -> Progress:
        """Progress according to these statuses."""
        known = [status for status in statuses if status is not None]
        finished = sum(status.finished + status.told for status in known)
        if self.finished_then is None:
            self.finished_then = finished
        elapsed = time.monotonic() - self.began
        gained = finished - self.finished_then
        return Progress(
            label=self.label,
            inputs=self.inputs,
            done=sum(status.done for status in known),
            failed=sum(status.failed for status in known),
            skipped=sum(status.skipped for status in known),
            running=running,
            tasks=self.tasks,
            rate=gained / elapsed if gained > 0 and elapsed > 0 else None,
            waiting=waiting,
            told=sum(status.told for status in known),
        )


class Sparingly:
    """Passes progress on as text at growing intervals: after 2 s, then ever later, at last every 5 minutes."""

    def __init__(self, say: Callable[[str], object]) -> None:
        self.say = say
        self.pause = 2.0
        self.next = time.monotonic() + self.pause
        self.last = ""

    def __call__(self, progress: Progress) -> None:
        """Say where things are, unless it was said a short time ago."""
        text = str(progress)
        if time.monotonic() >= self.next and text != self.last:
            self.say(text)
            self.last = text
            self.pause = min(self.pause * 1.6, 300.0)
            self.next = time.monotonic() + self.pause
