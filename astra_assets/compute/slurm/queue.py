"""The queue of a cluster as all steps and processes of a deployment see it: asked for once per interval, kept in a file.

```
$ASTRA_HOME/slurm/queue.json    the last answer, when it was asked for, and what went wrong since
$ASTRA_HOME/slurm/lock          held by whoever asks
$ASTRA_HOME/slurm/clock         touched to read the clock of the file system
```

So the cost for the controller depends neither on the number of steps that wait nor on that of their tasks. Times are those of
the file system, which all machines share; clocks of machines are not compared. What states mean is not said here.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from astra_assets.compute.slurm.client import QueuedTask, SlurmClient, SlurmUnavailableError
from astra_assets.compute.slurm.job_states import SlurmState
from astra_assets.files.json_files import read_json, write_json
from astra_assets.files.locks import try_lock

LONGEST_PAUSE = 300.0
"""Seconds between two questions at most, while the controller does not answer."""

FIRST_ANSWER_SECONDS = 60.0
"""How long to wait for the first answer while another process asks for it."""


log = logging.getLogger(__name__)

Key = tuple[str, int | None]
"""Id of a job and number of a task in it."""


@dataclass(frozen=True)
class Snapshot:
    """The last answer.

    Attributes:
        tasks: all tasks that Slurm knew, by job and number.
        age: seconds since the question was asked, on the clock of the file system; infinite if there never was an answer.
        problem: why the controller did not answer the latest questions; empty if it did.
    """

    tasks: Mapping[Key, QueuedTask]
    age: float
    problem: str = ""

    @property
    def stale(self) -> bool:
        """True if later questions were not answered: what is missing here is not known to be gone."""
        return bool(self.problem) or self.age == float("inf")


@dataclass(frozen=True)
class _Kept:
    """What is in the file: the last answer and when it was asked for, the last question and how often in a row it failed."""

    tasks: Mapping[Key, QueuedTask] = field(default_factory=dict)
    answered: float | None = None
    asked: float = float("-inf")
    failures: int = 0
    problem: str = ""


@dataclass
class SharedQueue:
    """One view of the queue for all processes that use a folder.

    Attributes:
        client: how Slurm is asked.
        folder: where the answer is kept, on a file system that all these processes share.
        interval_seconds: time between two questions.
        clock: seconds, the same for all of them; by default the clock of the file system.
    """

    client: SlurmClient
    folder: Path
    interval_seconds: float = 20.0
    clock: Callable[[], float] | None = None
    _read: tuple[object, _Kept] | None = field(default=None, init=False, repr=False)

    def on(self, cluster: str | None) -> SharedQueue:
        """The queue of a cluster of this name; this one if its client asks that cluster already."""
        client = self.client.on(cluster)
        if client is self.client:
            return self
        folder = self.folder / "clusters" / cluster if cluster else self.folder
        return replace(self, client=client, folder=folder)

    def look(self, max_age: float | None = None) -> Snapshot:
        """The last answer; a new one if it is older than the interval, or than `max_age`.

        While the controller does not answer, it is asked ever more rarely, whatever `max_age` says, and the last answer is
        returned as it is. Raises SlurmMissingError where Slurm's programs are not installed.
        """
        now, kept = self._now(), self._kept()
        if self._due(kept, now, max_age):
            with self._locked(wait=kept.answered is None or max_age is not None) as locked:
                now, kept = self._now(), self._kept()
                if locked and self._due(kept, now, max_age):
                    kept = self._ask(kept, now)
                    now = self._now()
        age = float("inf") if kept.answered is None else max(0.0, now - kept.answered)
        return Snapshot(kept.tasks, age, kept.problem)

    def _due(self, kept: _Kept, now: float, max_age: float | None) -> bool:
        pause = self.interval_seconds if max_age is None else min(max_age, self.interval_seconds)
        if kept.failures:
            pause = min(self.interval_seconds * 2.0**kept.failures, max(LONGEST_PAUSE, self.interval_seconds))
        # A clock that was set back must not stop all questions.
        return not 0.0 <= now - kept.asked < pause

    def _ask(self, kept: _Kept, now: float) -> _Kept:
        try:
            tasks = {(task.job_id, task.task): task for task in self.client.queue()}
        except SlurmUnavailableError as error:
            if not kept.failures:
                log.warning("Slurm does not answer; what runs goes on, and it is asked again: %s", error)
            made = _Kept(kept.tasks, kept.answered, now, kept.failures + 1, str(error))
        else:
            if kept.failures:
                log.info("Slurm answers again after %d questions in vain", kept.failures)
            made = _Kept(tasks, now, now)
        write_json(self._file, _content(made), sync=False)
        return made

    def _kept(self) -> _Kept:
        """What is in the file, read again only when another one is there."""
        try:
            stat = self._file.stat()
        except FileNotFoundError:
            return _Kept()
        version = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if self._read is None or self._read[0] != version:
            content = read_json(self._file)
            self._read = (version, _Kept() if content is None else _from_content(content))
        return self._read[1]

    def _now(self) -> float:
        if self.clock is not None:
            return self.clock()
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "clock"
        path.touch()
        return path.stat().st_mtime

    @contextlib.contextmanager
    def _locked(self, *, wait: bool) -> Iterator[bool]:
        """True if this process is the one that asks; another one's answer is waited for only if `wait`."""
        # Some shared file systems have no locks: then it is asked more often than needed.
        seconds = FIRST_ANSWER_SECONDS if wait else 0.0
        with try_lock(self.folder / "lock", seconds=seconds, optional=True) as held:
            yield held

    @property
    def _file(self) -> Path:
        return self.folder / "queue.json"


def _content(kept: _Kept) -> dict[str, Any]:
    return {
        "asked": kept.asked,
        "answered": kept.answered,
        "failures": kept.failures,
        "problem": kept.problem,
        "tasks": [
            [
                task.job_id, task.task, task.name, task.comment, task.state.name, task.reason, task.node,
                task.run_seconds,
            ]
            for task in kept.tasks.values()
        ],
    }  # fmt: skip


def _from_content(content: Mapping[str, Any]) -> _Kept:
    """What a file says; nothing if another version of this program wrote it."""
    try:
        tasks = [
            QueuedTask(job_id, task, name, comment, SlurmState.read(state), *rest)
            for job_id, task, name, comment, state, *rest in content["tasks"]
        ]
        return _Kept(
            {(task.job_id, task.task): task for task in tasks},
            content["answered"],
            float(content["asked"]),
            int(content["failures"]),
            str(content["problem"]),
        )
    except (KeyError, TypeError, ValueError):
        return _Kept()
