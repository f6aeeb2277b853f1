"""One start of a program: begun in a folder of its own, listened to while the task's heart beats, ended when it must.

What both kinds of program have in common. What they are given and give back is said in `files_run` and `astra_run`.
"""

from __future__ import annotations

import logging
import os
import resource
import signal
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import psutil

import astra_assets
from astra_assets.compute import claims
from astra_assets.compute.batch import Batch
from astra_assets.compute.program.call import Call
from astra_assets.compute.program.output import Output
from astra_assets.compute.program.process import End, Running, quiet_seconds
from astra_assets.compute.rows import ResultShape
from astra_assets.compute.task_run import WAIT, BrokenTaskError, ShortOfMemoryError, TaskConditions, TaskRun
from astra_assets.pipelines.base import ExternalProgram
from astra_assets.text import duration_text

DATABASE_VARIABLES = ("ASTRA_DATABASE_URL",)
"""Not for programs that get files: they have no business in the database."""

log = logging.getLogger(__name__)


class ProgramRun(TaskRun):
    """One run of a task that a program does."""

    def __init__(
        self, batch: Batch, task: int, claim: claims.Claim, conditions: TaskConditions, call: Call
    ) -> None:
        super().__init__(batch, task, claim, conditions)
        self.call = call
        pipeline, self.step = batch.declaration()
        self.shape = ResultShape(pipeline, self.step, batch.context())
        self.running: Running | None = None
        self.output: Output | None = None
        self.hung = False
        # Inputs of earlier starts that are in no part, and yet done.
        self.through = 0

    @property
    def program(self) -> ExternalProgram:
        """The declaration of the program."""
        assert self.step.program is not None
        return self.step.program

    def start(self, folder: Path, values: dict[str, str], sdss_ids: Iterable[int] = ()) -> End:
        """Run the program once and return how it ended: by itself, or because the task must stop or it hung.

        Raises:
            BrokenTaskError: the program is not on this machine, or nothing can be started here.
            ClaimLostError: another process runs the task now; the program has ended.
            ShortOfMemoryError: it was killed for its memory, and the task can have more.
        """
        absent = self.call.absent(self.shape.pipeline, self.step)
        if absent is not None:
            raise BrokenTaskError(absent)
        command = self.call.arguments(self.placeholders() | values, sdss_ids)
        log.info("%s: %s", folder, _shown(command))
        self.output = Output(sys.stderr.buffer, self.program.progress)
        try:
            self.running = Running(command, folder, self.environment(), self.output)
        except OSError as error:
            raise BrokenTaskError(f"the program {self.call.program} cannot be started: {error}") from error
        self.hung = False
        while (end := self.running.poll(WAIT)) is None:
            self.tick()
            self.status.told = min(self.through + self.output.done, self.status.inputs)
            silence = self.call.silence_seconds
            if silence and quiet_seconds(self.output, folder) > silence:
                self.hung = True
            if self.hung or self.stop_reason:
                end = self.running.stop()
                break
        self.running = None
        if end.status == -signal.SIGKILL and not self.stop_reason and not self.hung:
            self._look_at_memory()
        return end

    def placeholders(self) -> dict[str, str]:
        """What is filled in for every start."""
        return {"procs": str(self.batch.procs), "v_astra": self.batch.v_astra}

    def environment(self) -> dict[str, str]:
        """Environment of the program: that of this process, but for where our own packages are found.

        What programs in Python print is not held back, for what it says is progress and sign of life.
        """
        own = str(Path(astra_assets.__file__).resolve().parents[1])
        variables = {name: value for name, value in os.environ.items() if self.may_see(name)}
        paths = [path for path in variables.pop("PYTHONPATH", "").split(os.pathsep) if path not in ("", own)]
        variables["PYTHONUNBUFFERED"] = "1"
        return variables | ({"PYTHONPATH": os.pathsep.join(paths)} if paths else {})

    def may_see(self, variable: str) -> bool:
        """Whether the program is given this variable of the environment."""
        return variable not in DATABASE_VARIABLES

    def told(self, end: End) -> str:
        """How the program ended, as the end of a sentence, and on further lines what it said last."""
        how = str(end)
        if self.hung:
            how = f"said and wrote nothing for {duration_text(self.call.silence_seconds)} and was ended"
        tail = self.output.tail if self.output is not None else ""
        return f"{how}; its last lines:\n{tail}" if tail else f"{how}, without a word"

    def wind_up(self) -> None:
        """End the program."""
        if self.running is not None:
            self.running.stop()
            self.running = None

    def processes(self) -> Iterable[int]:
        """The program and all below it."""
        return self.running.pids() if self.running is not None else ()

    def used(self) -> tuple[float, float]:
        """What programs have used that have ended, and what the one that runs uses."""
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        memory, cpu = 0.0, ended.ru_utime + ended.ru_stime
        for pid in self.processes():
            try:
                process = psutil.Process(pid)
                memory += process.memory_info().rss / 1024**2
                times = process.cpu_times()
            except psutil.Error:
                continue
            cpu += times.user + times.system
        self.memory.most_mb = max(self.memory.most_mb, memory)
        return memory, cpu

    def _look_at_memory(self) -> None:
        if self.conditions.more_memory and self.memory.killed():
            raise ShortOfMemoryError(
                f"{self.call.program} was killed for its memory; the task used {self.memory.most_mb:.0f} MB before"
            )


def _shown(command: Sequence[str]) -> str:
    """A command as the log shows it: long lists of objects are cut."""
    text = " ".join(command)
    return text if len(text) < 1_000 else f"{text[:1_000]} ... ({len(command)} arguments)"
