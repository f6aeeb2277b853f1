"""Running one task of a batch by worker processes: hand out its inputs, write parts, go on after a kill.

Tasks that a program does are in `program`. What every run of a task has in common is in `task_run`; worker processes are in
`crew` and `child`, files in `parts`.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from astra_assets.compute import claims
from astra_assets.compute.batch import Batch, read_batch
from astra_assets.compute.child import Broken, Finished, Ready, Refused
from astra_assets.compute.crew import Answer, Crew, Died, Member
from astra_assets.compute.in_hand import InHand
from astra_assets.compute.parts import FAILURES, RESULTS, manifest_rows
from astra_assets.compute.passing import FILE_CODES, WORKER_DIED
from astra_assets.compute.program.call import call_of_batch
from astra_assets.compute.progress import Cause, Phase
from astra_assets.compute.step_reference import StepReference
from astra_assets.compute.task_run import (
    WAIT,
    BrokenTaskError,
    Ended,
    ShortOfMemoryError,
    TaskConditions,
    TaskRun,
)

FIRST_FLUSH = 2.0
"""Seconds after which the first part is written; the time doubles from part to part up to the limit of the batch."""

LOGGED_FAILURES = 20
"""Failures of each code whose messages go to the log; all of them are in the parts."""

log = logging.getLogger(__name__)


def run_task(
    directory: Path, task: int, conditions: TaskConditions, reference: StepReference | None
) -> Ended:
    """Run a task until it is done or must stop; without a `reference` its pipeline is a registered one."""
    batch = read_batch(directory, reference)
    folder = batch.task_folder(task)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        claim = claims.take(folder, conditions.rank)
    except claims.TaskTakenError as error:
        log.warning("%s; this one ends", error)
        return Ended(Phase.STOPPED)
    call = call_of_batch(batch)
    if call is None:
        return Supervisor(batch, task, claim, conditions).run()
    # Not needed by all other tasks, and neither are the readers of tables that come with them.
    from astra_assets.compute.program.astra_run import AstraRun
    from astra_assets.compute.program.files_run import FilesRun

    kind = AstraRun if call.protocol == "astra" else FilesRun
    return kind(batch, task, claim, conditions, call).run()


class Supervisor(TaskRun):
    """One run of one task."""

    def __init__(self, batch: Batch, task: int, claim: claims.Claim, conditions: TaskConditions) -> None:
        super().__init__(batch, task, claim, conditions)
        self.in_hand = InHand(self.folder, spare=conditions.spare)
        self.crew = Crew(batch.directory, batch.procs, batch.reference)
        self.results: list[dict[str, Any]] = []
        self.failures: list[dict[str, Any]] = []
        self.late: deque[dict[str, Any]] = deque()
        self.set_up_seconds, self.made = 0.0, 0
        self.failed_set_ups = 0
        self.logged: Counter[str] = Counter()
        self.flushed = time.monotonic()
        self.flush_pause = min(FIRST_FLUSH, batch.limits.flush_seconds)

    def work(self) -> Phase:
        """Hand out the inputs of the task to the crew until all are done."""
        rows = self._rows()
        upcoming = next(rows, None)
        while not self.stop_reason:
            upcoming = self._feed(upcoming, rows)
            if upcoming is None and not self.late and not self.crew.busy:
                break
            for member, answer in self.crew.answers(WAIT):
                self._take(member, answer)
            self._flush_in_time()
            self.tick()
        self._flush()
        return Phase.STOPPED if self.stop_reason else Phase.DONE

    def wind_up(self) -> None:
        """End the crew."""
        self.crew.dismiss()
        # What was in hand when memory ran short is done last and alone by the process that follows.
        if self.cause is not Cause.MEMORY and self.claim.holds():
            self.in_hand.clear()

    def processes(self) -> Iterable[int]:
        """The crew."""
        return self.crew.pids

    def used(self) -> tuple[float, float]:
        """What the crew has used."""
        return sum(self.crew.memory.values()), sum(self.crew.cpu.values())

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

    def _take(self, member: Member, answer: Answer) -> None:
        if isinstance(answer, Ready):
            self.set_up_seconds += answer.seconds
        elif isinstance(answer, Broken):
            raise BrokenTaskError(f"the pipeline {self.batch.pipeline} cannot be set up:\n{answer.message}")
        elif isinstance(answer, Refused):
            with suppress(OSError):
                self._flush()
            raise OSError(answer.code, answer.reason, answer.path)
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
        if answer.code in FILE_CODES:
            self._need_archive_still()
        reason = {"state": answer.state, "code": answer.code, "message": answer.message}
        self.failures.append({self.key_name: key, **reason})
        self.logged[answer.code] += 1
        if answer.state == "failed" and self.logged[answer.code] <= LOGGED_FAILURES:
            log.warning(
                "%s %d failed: %s: %s\n%s", self.key_name, key, answer.code, answer.message, answer.trace
            )

    def _need_archive_still(self) -> None:
        """Look at the archive again before an input is said to have no file; what is done already is written first."""
        try:
            self.need_archive()
        except BrokenTaskError:
            self._flush()
            raise

    def _on_death(self, member: Member, died: Died) -> None:
        self.status.died += 1
        if died.killed and self.conditions.more_memory and self.memory.killed():
            self._flush()
            raise ShortOfMemoryError(
                f"a worker process was killed for its memory; the task used {self.memory.most_mb:.0f} MB before"
            )
        self.in_hand.put(member.slot, 0)
        if member.row is None:
            self.failed_set_ups += 1
            if self.failed_set_ups >= self.batch.limits.deaths:
                raise BrokenTaskError(f"worker processes die before they take up an input ({died.reason})")
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

    def _flush_in_time(self) -> None:
        limits = self.batch.limits
        full = len(self.results) + len(self.failures) >= limits.flush_rows
        if full or time.monotonic() - self.flushed >= self.flush_pause:
            self._flush()
            self.flush_pause = min(2 * self.flush_pause, limits.flush_seconds)

    def _flush(self) -> None:
        self.flushed = time.monotonic()
        if not self.results and not self.failures:
            return
        self.need_claim()
        overhead = self.set_up_seconds / self.made if self.made else 0.0
        for row in self.results:
            if "t_overhead" in row:
                row["t_overhead"] = overhead
                row["t_elapsed"] += overhead
        self.parts.write(RESULTS, self.results)
        self.parts.write(FAILURES, self.failures)
        self.results, self.failures = [], []
