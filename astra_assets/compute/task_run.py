"""One run of one task, whatever does its work: claim, parts, status, heartbeat, requests to stop, how it ended.

The run alone writes the files of its task. What is done with the inputs is said in `supervisor` (functions, by worker
processes of ours) and in `program` (programs of other people).
"""

from __future__ import annotations

import itertools
import logging
import os
import signal
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from astra_assets.compute import claims
from astra_assets.compute.archive import ArchiveError, compare_archive
from astra_assets.compute.batch import Batch, submission_file
from astra_assets.compute.child import peak_memory
from astra_assets.compute.memory_watch import LOOK_SECONDS, MemoryWatch
from astra_assets.compute.parts import TaskParts, described
from astra_assets.compute.progress import Cause, Phase, TaskStatus, read_status
from astra_assets.files.json_files import read_json
from astra_assets.files.os_errors import STORAGE, UNWRITABLE, os_error_text

WAIT = 0.25
"""Longest time in seconds between two looks at signals, clock and parent."""

log = logging.getLogger(__name__)


class ClaimLostError(Exception):
    """Another process runs this task now."""


class BrokenTaskError(Exception):
    """The task cannot go on by being started again; the message says why."""


class ShortOfMemoryError(Exception):
    """A process was killed for its memory, and the task can have more."""


@dataclass(frozen=True)
class TaskConditions:
    """What a task must know of how it was started.

    Attributes:
        parent: process whose end ends this one, too; None for none.
        rank: which copy of the task this is; None on this machine, where one copy at most is started.
        job: what the cluster calls the task, such as `123_4`, on which `node`.
        memory_mb: what the task may use, None where that is not known or not limited.
        spare: what was in hand when the copy before died is not blamed for that.
        more_memory: the task is started again with more memory when it was short of it. Otherwise a worker process that
            dies of that counts like any other.
    """

    parent: int | None = None
    rank: claims.Rank | None = None
    job: str = ""
    node: str = ""
    memory_mb: float | None = None
    spare: bool = False
    more_memory: bool = False


@dataclass(frozen=True)
class Ended:
    """How a run of a task ended; `cause` tells why it stopped, where something is to follow from it."""

    phase: Phase
    cause: Cause = Cause.OTHER


class TaskRun(ABC):
    """One run of one task."""

    def __init__(self, batch: Batch, task: int, claim: claims.Claim, conditions: TaskConditions) -> None:
        self.batch, self.claim, self.conditions = batch, claim, conditions
        self.first, self.last = batch.tasks[task]
        self.folder = batch.task_folder(task)
        schema, self.key_name = described(batch.manifest)
        self.parts = TaskParts(self.folder, self.key_name, schema)
        self.memory = MemoryWatch(conditions.memory_mb)
        self.began = self.looked = self.beaten = time.monotonic()
        self.earlier = read_status(self.folder) or TaskStatus("", 0, runs=0)
        self.status = TaskStatus(
            Phase.RUNNING.value,
            inputs=self.last - self.first,
            host=socket.gethostname(),
            pid=os.getpid(),
            token=claim.token,
            started=time.time(),
            job=conditions.job,
            node=conditions.node,
            runs=self.earlier.runs + 1,
        )
        self.stop_reason, self.cause = "", Cause.OTHER

    @abstractmethod
    def work(self) -> Phase:
        """Work until the last input or until there is a `stop_reason`.

        Raises:
            BrokenTaskError: it makes no sense to go on or to start again.
            ClaimLostError: another process runs the task now.
            ShortOfMemoryError: it is to be started again with more memory.
        """

    @abstractmethod
    def wind_up(self) -> None:
        """End whatever processes there are, however the work ended."""

    @abstractmethod
    def processes(self) -> Iterable[int]:
        """Process ids of those that do the work."""

    @abstractmethod
    def used(self) -> tuple[float, float]:
        """Peak memory in MB and processor time in seconds of the processes that do the work, as far as known."""

    def run(self) -> Ended:
        """Work until the last input, a request to stop, or the loss of the claim."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            signal.signal(number, self._on_signal)
        try:
            self.parts.look()
            self.beat()
            self.need_archive()
            phase = self.work()
        except BrokenTaskError as error:
            phase = Phase.BROKEN
            self.status.message = str(error)
            log.error("%s", error)  # noqa: TRY400 - the traceback that counts is in the message
        except ClaimLostError:
            log.warning("another process runs this task now; this one ends without writing anything more")
            return Ended(Phase.STOPPED)
        except ShortOfMemoryError as error:
            phase, self.cause, self.stop_reason = Phase.STOPPED, Cause.MEMORY, str(error)
            log.warning("%s", error)
        except OSError as error:
            text = os_error_text(error) if error.errno in STORAGE else None
            if text is None:
                raise
            log.error("%s", text)  # noqa: TRY400 - a traceback tells no more
            self.stop_reason = text
            phase, self.cause = (
                (Phase.BROKEN, Cause.STORAGE) if error.errno in UNWRITABLE else (Phase.STOPPED, Cause.OTHER)
            )
        finally:
            self.wind_up()
        # A full disk may not even take this; the exit status tells then.
        with suppress(OSError) if self.cause is Cause.STORAGE else nullcontext():
            self._write_end(phase)
        counts = ", ".join(itertools.starmap("{1} {0}".format, self.parts.counts.items()))
        log.info("%s: %s%s", phase.value, counts, f", {self.stop_reason}" if self.stop_reason else "")
        return Ended(phase, self.cause)

    def _write_end(self, phase: Phase) -> None:
        if self.claim.holds():
            self.status.phase = phase.value
            self.status.message = self.status.message or self.stop_reason
            self.status.ended = time.time()
            self._write_status()

    def tick(self) -> None:
        """What is to be done again and again while the work goes on: look at parent and memory, beat the heart."""
        now = time.monotonic()
        parent = self.conditions.parent
        if parent is not None and os.getppid() != parent:
            self.stop_reason = f"process {parent}, which started this one, is gone"
        if self.memory.limit_mb is not None and now - self.looked >= LOOK_SECONDS:
            self.looked = now
            self.memory.look([os.getpid(), *self.processes()])
        if now - self.beaten >= self.batch.limits.heartbeat_seconds:
            self.beat()

    def beat(self) -> None:
        """Write the status.

        Raises:
            ClaimLostError: it is not ours to write any more.
        """
        self.need_claim()
        self.beaten = time.monotonic()
        self._write_status()

    def need_archive(self) -> None:
        """Raise BrokenTaskError where the files of the batch, or most of them, cannot be found on this machine."""
        try:
            compare_archive(self.batch.directory)
        except ArchiveError as error:
            raise BrokenTaskError(f"root_missing: {error}") from error

    def need_claim(self) -> None:
        """Raise ClaimLostError where another process runs the task now."""
        if not self.claim.holds():
            raise ClaimLostError

    def _write_status(self) -> None:
        counts, status = self.parts.counts, self.status
        status.done, status.failed, status.skipped = counts["done"], counts["failed"], counts["skipped"]
        memory, cpu_seconds = self.used()
        peak = max(peak_memory() + memory, self.memory.most_mb, self.earlier.peak_memory)
        status.peak_memory = round(peak, 1)
        wall, cpu = time.monotonic() - self.began, time.process_time() + cpu_seconds
        status.wall_seconds = round(self.earlier.wall_seconds + wall, 3)
        status.cpu_seconds = round(self.earlier.cpu_seconds + cpu, 3)
        status.write(self.folder)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if number == signal.SIGUSR1:
            self.stop_reason, self.cause = self.stop_reason or "the time limit is near", Cause.TIME
        else:
            self.stop_reason = self.stop_reason or f"stopped by {signal.Signals(number).name}"


def on_cluster(directory: Path, submission: int, task: int, environment: Mapping[str, str]) -> TaskConditions:
    """The conditions of one task of a submission, in the environment that Slurm has given it."""
    content = read_json(submission_file(directory, submission)) or {}
    array = environment.get("SLURM_ARRAY_JOB_ID") or environment.get("SLURM_JOB_ID", "")
    return TaskConditions(
        rank=(submission, int(environment.get("SLURM_RESTART_COUNT") or 0)),
        job=f"{array}_{task}" if array else "",
        node=environment.get("SLURMD_NODENAME", ""),
        memory_mb=_memory(environment),
        spare=task in content.get("spared", ()),
        more_memory=bool(content.get("more_memory")),
    )


def _memory(environment: Mapping[str, str]) -> float | None:
    """Memory of the task in MB; Slurm tells nothing where a task may use all of its node."""
    whole, each = environment.get("SLURM_MEM_PER_NODE"), environment.get("SLURM_MEM_PER_CPU")
    if whole:
        return float(whole)
    return float(each) * float(environment.get("SLURM_CPUS_ON_NODE") or 1) if each else None
