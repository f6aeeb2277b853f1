"""The worker processes of one task: starting them, handing out rows, taking back answers, noticing deaths.

Only the handling of processes belongs here; what is handed out and what follows from an answer is decided by
`supervisor`.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from astra_assets.compute.child import Broken, Finished, Ready, Refused, serve
from astra_assets.compute.step_reference import StepReference

PRELOAD = (
    "threadpoolctl",
    "astropy.io.fits",
    "astra_assets.compute.batch",
    "astra_assets.compute.rows",
    "astra_assets.spectra.model_spectra",
    "astra_assets.spectra.read",
)
"""Modules that every worker process needs, imported once."""


@dataclass(frozen=True)
class Died:
    """A worker process ended by itself; `reason` is its signal or exit status, `killed` True for signal 9."""

    reason: str
    killed: bool = False


Answer = Ready | Broken | Finished | Refused | Died


@dataclass
class Member:
    """One worker process; `row` is the row of the manifest that it has in hand."""

    slot: int
    process: ForkServerProcess
    connection: Connection[Any, Any]
    ready: bool = False
    row: dict[str, Any] | None = field(default=None)


def start_server(reference: StepReference | None) -> None:
    """Start the process that worker processes are forked from; it imports the pipeline meanwhile.

    Where a program does the work there are no worker processes.
    """
    if reference and reference.import_path:
        paths = (reference.import_path, os.environ.get("PYTHONPATH", ""))
        os.environ["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    if reference and reference.program:
        return
    modules = [reference.module] if reference else []
    multiprocessing.set_forkserver_preload(["astra_assets.compute.child", *PRELOAD, *modules])
    forkserver.ensure_running()


class Crew:
    """Up to `size` worker processes of a batch.

    They are forked from the server process that `start_server` starts, never from this one, whose threads
    (Arrow has some) a fork would break.
    """

    def __init__(self, directory: Path, size: int, reference: StepReference | None) -> None:
        self.directory, self.size, self.reference = directory, size, reference
        self.members: list[Member] = []
        self.memory: dict[int, float] = {}
        self.cpu: dict[int | None, float] = {}
        self._context = multiprocessing.get_context("forkserver")

    @property
    def idle(self) -> list[Member]:
        """Members that wait for a row."""
        return [member for member in self.members if member.ready and member.row is None]

    @property
    def busy(self) -> list[Member]:
        """Members that have a row in hand."""
        return [member for member in self.members if member.row is not None]

    @property
    def pids(self) -> list[int]:
        """Process ids of the members."""
        return [member.process.pid for member in self.members if member.process.pid is not None]

    def fill(self, wanted: int) -> None:
        """Start processes until there are `wanted`, or as many as the crew may have."""
        used = {member.slot for member in self.members}
        free = [slot for slot in range(self.size) if slot not in used]
        for slot in free[: max(0, min(wanted, self.size) - len(self.members))]:
            ours, theirs = self._context.Pipe()
            process = self._context.Process(
                target=serve, args=(theirs, self.directory, self.reference), daemon=True
            )
            process.start()
            theirs.close()
            self.members.append(Member(slot, process, ours))

    def give(self, member: Member, row: dict[str, Any]) -> None:
        """Hand a row to an idle member."""
        member.row = row
        try:
            member.connection.send(row)
        except (BrokenPipeError, ConnectionResetError):
            # It died while idle; `answers` will find it at its end.
            return

    def answers(self, timeout: float) -> Iterator[tuple[Member, Answer]]:
        """Answers that came within `timeout` seconds. Members that died are no longer members."""
        by_connection = {member.connection: member for member in self.members}
        for connection in wait(list(by_connection), timeout):
            member = by_connection[connection]  # type: ignore[index]
            try:
                answer: Answer = member.connection.recv()
            except (EOFError, ConnectionResetError):
                answer = self._bury(member)
            if isinstance(answer, Ready):
                member.ready = True
            elif isinstance(answer, Finished):
                self.memory[member.slot] = max(answer.peak_memory, self.memory.get(member.slot, 0.0))
                self.cpu[member.process.pid] = answer.cpu_seconds
            yield member, answer

    def _bury(self, member: Member) -> Died:
        member.process.join(10)
        self.members.remove(member)
        member.connection.close()
        code = member.process.exitcode
        if code is not None and code < 0:
            return Died(f"signal {-code}", killed=-code == signal.SIGKILL)
        return Died(f"exit status {code}")

    def dismiss(self) -> None:
        """End all processes at once, whatever they have in hand."""
        for member in self.members:
            member.process.kill()
        for member in self.members:
            member.process.join(10)
            member.connection.close()
        self.members.clear()
