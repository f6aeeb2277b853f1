"""Running one task by a program that gets a table of inputs and gives back a table of results.

The inputs that are in no part yet are given to the program in portions. What it has written when it ends, by itself or not,
is judged row by row, and goes into the same parts as the results of functions. What follows:

- It ended well and its table can be read to the end: inputs without a row have failed.
- It died, hung, or its table breaks off, but rows came of it: it is started again with the rest. The first of the rest is
  suspected of having killed it and comes last; what sees several starts die has failed.
- Nothing came of it: the task is broken, and nothing is recorded for single inputs.

Not here: what every start of a program has in common (`program_run`), what its rows mean (`judge`).
"""

from __future__ import annotations

import itertools
import logging
import shutil
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from astra_assets.compute import claims
from astra_assets.compute.batch import Batch
from astra_assets.compute.in_hand import InHand
from astra_assets.compute.parts import FAILURES, RESULTS, manifest_rows
from astra_assets.compute.passing import PROGRAM_FAILED, PROGRAM_NO_RESULT
from astra_assets.compute.program.call import Call
from astra_assets.compute.program.judge import Judge, JudgedRows
from astra_assets.compute.program.manifest import Handed, ManifestError, hand_out, write_manifest
from astra_assets.compute.program.process import End
from astra_assets.compute.program.program_run import ProgramRun
from astra_assets.compute.program.tables import TableError, read_results
from astra_assets.compute.progress import Phase
from astra_assets.compute.task_run import BrokenTaskError, TaskConditions

PART_ROWS = 5_000
"""Rows of a part, at most."""

EXAMPLES = 5
"""Inputs that the log names."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StartOutcome:
    """What came of one start.

    Attributes:
        well: the program says itself that all is well, and its table can be read to the end.
        told: otherwise, what is wrong, how it ended, and what it said last.
        made: rows came of it, whatever they are worth.
    """

    well: bool
    told: str = ""
    made: bool = False


class FilesRun(ProgramRun):
    """One run of a task by a program that works on files."""

    def __init__(
        self, batch: Batch, task: int, claim: claims.Claim, conditions: TaskConditions, call: Call
    ) -> None:
        super().__init__(batch, task, claim, conditions, call)
        self.judge = Judge(self.shape, as_text=self.program.results == "csv")
        self.in_hand = InHand(self.folder)
        # Whether anything has come of the program since this run began, and how many starts in a row made nothing.
        self.hopeful, self.barren = False, 0

    def work(self) -> Phase:
        """Start the program until every input is in a part."""
        rows = pa.Table.from_batches(manifest_rows(self.batch.manifest, self.first, self.last))
        self._salvage(rows)
        keys: list[int] = rows[self.key_name].to_pylist()
        left = [place for place, key in enumerate(keys) if key not in self.parts.finished]
        order = deque(sorted(left, key=lambda place: keys[place] in self.in_hand.deaths))
        while order and not self.stop_reason:
            portion = [order.popleft() for _ in range(min(self.call.inputs, len(order)))]
            attempt = self._attempt(rows.take(pa.array(portion)))
            self.hopeful = self.hopeful or attempt.made
            self.barren = 0 if attempt.made else self.barren + 1
            rest = [place for place in portion if keys[place] not in self.parts.finished]
            if rest and not self.stop_reason:
                again = set(self._after_death([keys[place] for place in rest], attempt))
                rest = [place for place in rest if keys[place] in again]
                order.extendleft(reversed(rest[1:]))
                order.extend(rest[:1])
        return Phase.STOPPED if self.stop_reason else Phase.DONE

    def _after_death(self, rest: Sequence[int], attempt: StartOutcome) -> list[int]:
        """Inputs that are to be tried again of those that a start left over, the one that it may have died of first.

        Raises:
            BrokenTaskError: the program makes nothing at all.
        """
        deaths, limit = self.in_hand.deaths, self.batch.limits.deaths
        suspected = all(key in deaths for key in rest)
        self.in_hand.blame([rest[0]])
        if not suspected and (not self.hopeful or self.barren >= limit):
            raise BrokenTaskError(attempt.told)
        log.warning("%s", attempt.told)
        given_up = [key for key in rest if deaths[key] >= limit or self.barren >= limit] if suspected else []
        message = f"the program died {limit} times before it had a row for this input: {attempt.told}"
        self._write(FAILURES, [self.judge.failure(key, PROGRAM_FAILED, message) for key in given_up])
        return [key for key in rest if key not in self.parts.finished]

    def _attempt(self, rows: pa.Table) -> StartOutcome:
        """One start for these inputs; what it makes is in parts when this returns."""
        folder = self._new_folder()
        manifest = folder / f"inputs.{self.program.manifest}"
        try:
            handed = hand_out(rows, self.step, self.batch.roots, self.tick)
            write_manifest(manifest, handed.table, self.program.manifest)
        except ManifestError as error:
            raise BrokenTaskError(str(error)) from error
        self._write(FAILURES, handed.failures)
        attempt = StartOutcome(well=True, made=True)
        if handed.rows:
            began, before = time.monotonic(), len(self.parts.finished)
            results = self._results(folder)
            files = {"manifest": manifest, "results": results, "folder": folder}
            end = self.start(folder, {name: str(path) for name, path in files.items()})
            seconds_each = (time.monotonic() - began) / len(handed.rows)
            problem = self._take(results, handed, seconds_each, whole=end.well)
            attempt = self._outcome(end, problem, made=len(self.parts.finished) > before)
            self.status.told = 0
        if attempt.well:
            self._without_row(handed)
            shutil.rmtree(folder, ignore_errors=True)
        return attempt

    def _outcome(self, end: End, problem: str, *, made: bool) -> StartOutcome:
        # A program that is told to end may do so well, and yet has not done all.
        if end.well and not (problem or self.hung or self.stop_reason):
            return StartOutcome(well=True, made=True)
        wrong = f"{problem}; " if problem else ""
        return StartOutcome(False, f"{wrong}the program {self.call.program} {self.told(end)}", made)

    def _take(self, results: Path, handed: Handed, seconds_each: float, *, whole: bool) -> str:
        """Put what is in a table of results into parts; returns what is wrong with the table, empty where nothing is."""
        problem = ""
        try:
            try:
                table = read_results(results, self.program.results, whole=whole)
            except TableError as error:
                if not whole:
                    raise
                problem = str(error)
                table = read_results(results, self.program.results, whole=False)
            verdict = self.judge.judge(table, handed.rows, seconds_each)
        except TableError as error:
            return problem or str(error)
        self._report(verdict)
        self._write(RESULTS, verdict.results)
        self._write(FAILURES, verdict.failures)
        return problem

    def _salvage(self, rows: pa.Table) -> None:
        """Take what starts left behind whose worker was killed: good rows only, for nobody knows how the table went on."""
        for folder in sorted(self.folder.glob("program-*")):
            try:
                table = read_results(self._results(folder), self.program.results, whole=False)
                self.judge.check(table)
                keys = {key for key in self.judge.keys(table) if isinstance(key, int)} - self.parts.finished
                chosen = rows.filter(pc.is_in(rows[self.key_name], pa.array([*keys], pa.int64())))
                verdict = self.judge.judge(table, {row[self.key_name]: row for row in chosen.to_pylist()})
            except TableError as error:
                log.info("%s: nothing of it can be used: %s", folder, error)
                continue
            if verdict.results:
                log.info("%s: %d results of an earlier start are taken", folder, len(verdict.results))
                self._write(RESULTS, verdict.results)

    def _without_row(self, handed: Handed) -> None:
        """The program has said all it has to say: what it has no row for has failed."""
        left = [key for key in handed.rows if key not in self.parts.finished]
        message = f"the program {self.call.program} ended well and wrote no row for this input"
        self._write(FAILURES, [self.judge.failure(key, PROGRAM_NO_RESULT, message) for key in left])

    def _report(self, verdict: JudgedRows) -> None:
        if verdict.strangers:
            shown = ", ".join(map(str, verdict.strangers[:EXAMPLES]))
            log.warning(
                "%d rows of the results are of no input that the program was given, and are left out: %s %s",
                len(verdict.strangers), self.key_name, shown,
            )  # fmt: skip
        for failure in verdict.failures[:EXAMPLES]:
            log.warning(
                "%s %s failed: %s: %s",
                self.key_name,
                failure[self.key_name],
                failure["code"],
                failure["message"],
            )

    def _write(self, kind: str, rows: Sequence[Mapping[str, Any]]) -> None:
        for start in range(0, len(rows), PART_ROWS):
            self.need_claim()
            self.parts.write(kind, [dict(row) for row in rows[start : start + PART_ROWS]])
            self.tick()

    def _results(self, folder: Path) -> Path:
        """Where the program leaves its results in the folder of a start."""
        return folder / f"results.{self.program.results}"

    def _new_folder(self) -> Path:
        """A folder for one start; another copy of the task makes others."""
        for number in itertools.count(1):
            folder = self.folder / f"program-{self.claim.token}-{number}"
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            return folder
        raise AssertionError("unreachable")
