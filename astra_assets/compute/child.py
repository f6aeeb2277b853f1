"""What one worker process does: take a row, find its spectrum, call the function, answer.

Runs below the supervisor of a task (`supervisor`), which alone writes files. Nothing that happens to one
input may end the process, short of a signal.
"""

from __future__ import annotations

import logging
import os
import resource
import signal
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astra_assets.compute.passing import IO_ERROR
from astra_assets.files.os_errors import UNWRITABLE

if TYPE_CHECKING:
    from astra_assets.compute.step_reference import StepReference

LOG_FORMAT = "%(asctime)s %(process)d %(name)s: %(message)s"
"""Lines of a task's log."""

MESSAGE_LENGTH = 1000
"""Characters of a message that are kept with an outcome; the log has all of it."""


@dataclass(frozen=True)
class Ready:
    """The process can work; setting up took `seconds`."""

    seconds: float


@dataclass(frozen=True)
class Broken:
    """The pipeline cannot be set up."""

    message: str


@dataclass(frozen=True)
class Finished:
    """What became of one input: a row, or a state (`failed`, `skipped`) with code and message.

    `trace` is the traceback of an unexpected exception, for the log; `peak_memory` is of the process, in MB,
    `cpu_seconds` what it has used so far.
    """

    row: dict[str, Any] | None
    state: str = "done"
    code: str = ""
    message: str = ""
    trace: str = ""
    peak_memory: float = 0.0
    cpu_seconds: float = 0.0


def serve(connection: Connection[Any, Any], directory: Path, reference: StepReference | None) -> None:
    """Work on the rows that come through the connection until None comes, or its other end is gone."""
    _ignore_signals()
    threading.Thread(target=_die_with_supervisor, daemon=True).start()
    started = time.perf_counter()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=LOG_FORMAT)
    try:
        # Imported here, for numerical libraries read the number of threads when they are imported.
        from threadpoolctl import threadpool_limits

        work = PreparedStep(directory, reference)
        threadpool_limits(1)
    except BaseException:  # noqa: BLE001 - whatever it is, the supervisor must hear of it
        connection.send(Broken(traceback.format_exc(limit=-6)))
        return
    connection.send(Ready(time.perf_counter() - started))
    while True:
        try:
            row = connection.recv()
        except EOFError:
            return
        if row is None:
            return
        try:
            answer: Finished | Refused = work.on(row)
        except OSError as error:
            answer = Refused(error.errno or 0, str(error.strerror), str(error.filename or ""))
        connection.send(answer)


@dataclass(frozen=True)
class Refused:
    """Nothing can be written where the step writes, which says nothing about the input: the parts of an OSError."""

    code: int
    reason: str
    path: str


class PreparedStep:
    """The pipeline of a batch, set up in this process."""

    def __init__(self, directory: Path, reference: StepReference | None) -> None:
        from astra_assets.compute.batch import read_batch
        from astra_assets.compute.rows import ResultShape
        from astra_assets.spectra.model_spectra import ModelSpectra

        batch = read_batch(directory, reference)
        pipeline, self.step = batch.declaration()
        self.context = batch.context()
        self.resources = self.step.resources(self.context)
        self.shape = ResultShape(pipeline, self.step, self.context)
        self.models = ModelSpectra(self.context.roots.mwm_astra, pipeline.key, batch.v_astra)

    def on(self, row: dict[str, Any]) -> Finished:
        """What becomes of one row of the manifest.

        Raises:
            OSError: nothing can be written where the step writes, which says nothing about the input.
        """
        from astra_assets.pipelines.base import Skip, Unusable
        from astra_assets.spectra.base import SpectrumError

        started = time.perf_counter()
        try:
            made = self._call(row)
            values = self.shape.row(made, row)
            # Before the row is: whoever sees the row finds the arrays that belong to it.
            if pixels := self.shape.pixels(made):
                self.models.write(row[self.shape.key_name], self.context.planned, pixels)
        except Skip as reason:
            return _reason("skipped", reason.code, reason.message)
        except (Unusable, SpectrumError) as error:
            return _reason("failed", error.code, error.message)
        except OSError as error:
            if error.errno in UNWRITABLE:
                raise
            return _reason(
                "failed", IO_ERROR, f"{type(error).__name__}: {error}", traceback.format_exc(limit=-4)
            )
        except (Exception, SystemExit) as error:  # noqa: BLE001 - it belongs to this input alone
            trace = traceback.format_exc(limit=-4)
            return _reason("failed", type(error).__name__, str(error) or repr(error), trace)
        if "t_elapsed" in values and values["t_elapsed"] is None:
            values["t_elapsed"] = time.perf_counter() - started
        return Finished(values, peak_memory=peak_memory(), cpu_seconds=time.process_time())

    def _call(self, row: dict[str, Any]) -> Any:
        function = self.step.function
        assert function is not None
        if self.step.level == "source":
            return function(row, self.resources)
        from astra_assets.spectra.read import load

        return function(load(self.step.inputs, row, self.context.roots), self.resources)


def peak_memory() -> float:
    """Largest resident memory of this process so far, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


def _reason(state: str, code: str, message: str, trace: str = "") -> Finished:
    return Finished(None, state, code, message[:MESSAGE_LENGTH], trace, peak_memory(), time.process_time())


def _ignore_signals() -> None:
    # A terminal or a cluster signals all processes of a task; the supervisor decides what follows.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _die_with_supervisor() -> None:
    """End this process when its supervisor is gone, even in the middle of a long fit."""
    supervisor = parent_process()
    if supervisor is not None:
        wait([supervisor.sentinel])
        os._exit(1)
