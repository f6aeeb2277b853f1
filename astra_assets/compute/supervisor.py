"""Running one task of a batch: hand out its inputs, write parts, beat the heart, stop in order, go on after a kill.

The supervisor alone writes the files of its task. Worker processes are in `crew` and `child`, files in
`parts`, claims in `claims`.
"""

from __future__ import annotations

import itertools
import logging
import os
import signal
import socket
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from astra_assets.compute import claims
from astra_assets.compute.batch import Batch, read_batch
from astra_assets.compute.child import Broken, Finished, Ready, peak_memory
from astra_assets.compute.conditions import Conditions
from astra_assets.compute.crew import Crew, Died, Member
from astra_assets.compute.in_hand import InHand
from astra_assets.compute.memory import LOOK_SECONDS, MemoryWatch
from astra_assets.compute.parts import FAILURES, RESULTS, TaskParts, described, manifest_rows
from astra_assets.compute.states import Cause, Phase, TaskStatus, read_status

WORKER_DIED = "WorkerDied"
"""Code of an input that several worker processes died of."""

WAIT = 0.25
"""Longest time in seconds between two looks at signals, clock and parent."""

FIRST_FLUSH = 2.0
"""Seconds after which the first part is written; the time doubles from part to part up to the limit of the batch."""

LOGGED_FAILURES = 20
"""Failures of each code whose messages go to the log; all of them are in the parts."""

log = logging.getLogger(__name__)


class _ClaimLostError(Exception):
    """Another process runs this task now."""


class _BrokenError(Exception):
    """The pipeline cannot be set up in the worker processes."""


class _ShortOfMemoryError(Exception):
    """A worker process was killed for its memory, and the task can have more."""


@dataclass(frozen=True)
class Ended:
    """How a run of a task ended; `cause` tells why it stopped, where something is to follow from it."""

    phase: Phase
    cause: Cause = Cause.OTHER


def run_task(directory: Path, task: int, conditions: Conditions) -> Ended:
    """Run a task until it is done or must stop."""
    batch = read_batch(directory)
    folder = batch.task_folder(task)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        claim = claims.take(folder, conditions.rank)
    except claims.TaskTakenError as error:
        log.warning("%s; this one ends", error)
        return Ended(Phase.STOPPED)
    return Supervisor(batch, task, claim, conditions).run()


class Supervisor:
    """One run of one task."""

    def __init__(self, batch: Batch, task: int, claim: claims.Claim, conditions: Conditions) -> None:
        self.batch, self.claim, self.conditions = batch, claim, conditions
        self.first, self.last = batch.tasks[task]
        self.folder = batch.task_folder(task)
        schema, self.key_name = described(batch.manifest)
        self.parts = TaskParts(self.folder, self.key_name, schema)
        self.in_hand = InHand(self.folder, spare=conditions.spare)
        self.crew = Crew(batch.directory, batch.procs)
        self.memory = MemoryWatch(conditions.memory_mb)
        self.began = self.looked = time.monotonic()
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
        self.results: list[dict[str, Any]] = []
        self.failures: list[dict[str, Any]] = []
        self.late: deque[dict[str, Any]] = deque()
        self.set_up_seconds, self.made = 0.0, 0
        self.failed_set_ups = 0
        self.logged: Counter[str] = Counter()
        self.flushed = self.beaten = time.monotonic()
        self.flush_pause = min(FIRST_FLUSH, batch.limits.flush_seconds)

    def run(self) -> Ended:
        """Work until the last input, a request to stop, or the loss of the claim."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            signal.signal(number, self._on_signal)
        try:
            self.parts.look()
            self._beat()
            phase = self._work()
        except _BrokenError as error:
            phase = Phase.BROKEN
            self.status.message = str(error)
            log.error("%s", error)  # noqa: TRY400 - the traceback that counts is in the message
        except _ClaimLostError:
            log.warning("another process runs this task now; this one ends without writing anything more")
            return Ended(Phase.STOPPED)
        except _ShortOfMemoryError as error:
            phase, self.cause, self.stop_reason = Phase.STOPPED, Cause.MEMORY, str(error)
            log.warning("%s", error)
        finally:
            self.crew.dismiss()
            # What was in hand when memory ran short is done last and alone by the process that follows.
            if self.cause is not Cause.MEMORY and self.claim.holds():
                self.in_hand.clear()
        if self.claim.holds():
            self.status.phase = phase.value
            self.status.message = self.status.message or self.stop_reason
            self.status.ended = time.time()
            self._write_status()
        log.info("%s: %s%s", phase.value, self._counts(), f", {self.stop_reason}" if self.stop_reason else "")
        return Ended(phase, self.cause)

    def _work(self) -> Phase:
        rows = self._rows()
        upcoming = next(rows, None)
        while not self.stop_reason:
            upcoming = self._feed(upcoming, rows)
            if upcoming is None and not self.late and not self.crew.busy:
                break
            for member, answer in self.crew.answers(WAIT):
                self._take(member, answer)
            self._tick()
        self._flush()
        return Phase.STOPPED if self.stop_reason else Phase.DONE

    def _rows(self) -> Iterator[dict[str, Any]]:
        """Rows that are to be done now; those that a process died of before are put aside, or given up."""
        suspects = self.in_hand.deaths
        for batch in manifest_rows(self.batch.manifest, self.first, self.last):
            keys = batch.column(self.key_name).to_pylist()
            wanted = [place for place, key in enumerate(keys) if key not in self.parts.finished]
            for row in batch.take(wanted).to_pylist() if wanted else ():
                if row[self.key_name] in suspects:
                    self._put_off(row)
                else:
                    yield row

    def _feed(self, upcoming: dict[str, Any] | None, rows: Iterator[dict[str, Any]]) -> dict[str, Any] | None:
        """Give every idle process a row; returns the first row that found no process."""
        waiting = self.status.inputs - self.parts_finished - len(self.crew.busy)
        if upcoming is not None or self.late:
            self.crew.fill(min(self.batch.procs, max(1, waiting)))
        for member in self.crew.idle:
            if upcoming is None:
                break
            self._give(member, upcoming)
            upcoming = next(rows, None)
        if upcoming is None and self.late and not self.crew.busy and self.crew.idle:
            self._give(self.crew.idle[0], self.late.popleft())
        return upcoming

    @property
    def parts_finished(self) -> int:
        """Inputs that are done, written or not."""
        return len(self.parts.finished) + len(self.results) + len(self.failures)

    def _give(self, member: Member, row: dict[str, Any]) -> None:
        self.in_hand.put(member.slot, row[self.key_name])
        self.crew.give(member, row)

    def _take(self, member: Member, answer: Ready | Broken | Finished | Died) -> None:
        if isinstance(answer, Ready):
            self.set_up_seconds += answer.seconds
        elif isinstance(answer, Broken):
            raise _BrokenError(f"the pipeline {self.batch.pipeline} cannot be set up:\n{answer.message}")
        elif isinstance(answer, Died):
            self._on_death(member, answer)
        else:
            assert member.row is not None
            row, member.row = member.row, None
            self.in_hand.put(member.slot, 0)
            self._record(row, answer)

    def _record(self, item: dict[str, Any], answer: Finished) -> None:
        if answer.row is not None:
            self.results.append(answer.row)
            self.made += 1
            return
        key = int(item[self.key_name])
        reason = {"state": answer.state, "code": answer.code, "message": answer.message}
        self.failures.append({self.key_name: key, **reason})
        self.logged[answer.code] += 1
        if answer.state == "failed" and self.logged[answer.code] <= LOGGED_FAILURES:
            log.warning(
                "%s %d failed: %s: %s\n%s", self.key_name, key, answer.code, answer.message, answer.trace
            )

    def _on_death(self, member: Member, died: Died) -> None:
        self.status.died += 1
        if died.killed and self.conditions.more_memory and self.memory.killed():
            self._flush()
            raise _ShortOfMemoryError(
                f"a worker process was killed for its memory; the task used {self.memory.most_mb:.0f} MB before"
            )
        self.in_hand.put(member.slot, 0)
        if member.row is None:
            self.failed_set_ups += 1
            if self.failed_set_ups >= self.batch.limits.deaths:
                raise _BrokenError(f"worker processes die before they take up an input ({died.reason})")
            return
        key = int(member.row[self.key_name])
        log.warning("a worker process died (%s) with %s %d in hand", died.reason, self.key_name, key)
        self.in_hand.blame([key])
        self._put_off(member.row, died.reason)

    def _put_off(self, row: dict[str, Any], reason: str = "signal") -> None:
        """Do an input last and alone, or give it up if enough processes died of it."""
        deaths = self.in_hand.deaths[row[self.key_name]]
        if deaths < self.batch.limits.deaths:
            self.late.append(row)
            return
        message = f"{deaths} worker processes died ({reason}) while they had this input in hand"
        self._record(row, Finished(None, "failed", WORKER_DIED, message))

    def _tick(self) -> None:
        now = time.monotonic()
        limits = self.batch.limits
        parent = self.conditions.parent
        if parent is not None and os.getppid() != parent:
            self.stop_reason = f"process {parent}, which started this one, is gone"
        if self.memory.limit_mb is not None and now - self.looked >= LOOK_SECONDS:
            self.looked = now
            self.memory.look([os.getpid(), *self.crew.pids])
        full = len(self.results) + len(self.failures) >= limits.flush_rows
        if full or now - self.flushed >= self.flush_pause:
            self._flush()
            self.flush_pause = min(2 * self.flush_pause, limits.flush_seconds)
        if now - self.beaten >= limits.heartbeat_seconds:
            self._beat()

    def _beat(self) -> None:
        if not self.claim.holds():
            raise _ClaimLostError
        self.beaten = time.monotonic()
        self._write_status()

    def _flush(self) -> None:
        self.flushed = time.monotonic()
        if not self.results and not self.failures:
            return
        if not self.claim.holds():
            raise _ClaimLostError
        overhead = self.set_up_seconds / self.made if self.made else 0.0
        for row in self.results:
            if "t_overhead" in row:
                row["t_overhead"] = overhead
                row["t_elapsed"] += overhead
        self.parts.write(RESULTS, self.results)
        self.parts.write(FAILURES, self.failures)
        self.results, self.failures = [], []

    def _write_status(self) -> None:
        counts = self.parts.counts
        self.status.done, self.status.failed, self.status.skipped = (
            counts["done"],
            counts["failed"],
            counts["skipped"],
        )
        self.status.peak_memory = round(
            max(
                peak_memory() + sum(self.crew.memory.values()), self.memory.most_mb, self.earlier.peak_memory
            ),
            1,
        )
        wall, cpu = time.monotonic() - self.began, time.process_time() + sum(self.crew.cpu.values())
        self.status.wall_seconds = round(self.earlier.wall_seconds + wall, 3)
        self.status.cpu_seconds = round(self.earlier.cpu_seconds + cpu, 3)
        self.status.write(self.folder)

    def _counts(self) -> str:
        return ", ".join(itertools.starmap("{1} {0}".format, self.parts.counts.items()))

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if number == signal.SIGUSR1:
            self.stop_reason, self.cause = self.stop_reason or "the time limit is near", Cause.TIME
        else:
            self.stop_reason = self.stop_reason or f"stopped by {signal.Signals(number).name}"
