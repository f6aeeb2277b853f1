"""A program that runs: started without a shell in a process group of its own, listened to, and ended with all it started.

The program dies with this process, by whatever it dies: `guard` sees to that. Not here: what it is given and gives back.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil

from astra_assets.compute.program import guard
from astra_assets.compute.program.output import Output

GRACE_SECONDS = 5.0
"""Time that a program has to end in order when it must end; workers themselves have 15 s."""

DRAIN_SECONDS = 1.0
"""How long is waited for the rest of the output of a program that has ended: something that it left behind may hold it."""

CHUNK = 65_536


@dataclass(frozen=True)
class End:
    """How a program ended.

    Attributes:
        status: exit status; negative for a signal; None where it could not be started.
        error: why it could not be started, or what became of its guard, as the end of a sentence.
    """

    status: int | None
    error: str = ""

    @property
    def well(self) -> bool:
        """True if it says itself that all is well."""
        return self.status == 0

    def __str__(self) -> str:
        if self.error:
            return self.error
        if self.status is not None and self.status < 0:
            name = signal.Signals(-self.status).name if -self.status in set(signal.Signals) else ""
            return f"was ended by signal {-self.status}" + (f" ({name})" if name else "")
        return f"ended with exit status {self.status}"


class Running:
    """A program that was started. Raises OSError where no process can be started at all."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        output: Output,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self.output, self.grace_seconds = output, grace_seconds
        self.group: int | None = None
        reading, writing = os.pipe()
        try:
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", guard.__file__, str(writing), str(grace_seconds), *command],
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(writing,),
                # What a terminal or a cluster signals is for this process, which decides what follows.
                start_new_session=True,
            )
        except OSError:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        assert self._guard.stdin is not None
        assert self._guard.stdout is not None
        self._lifeline: IO[bytes] = self._guard.stdin
        self._said: dict[str, Any] = {}
        self._reports = threading.Thread(target=self._hear, args=(reading,), daemon=True)
        self._listener = threading.Thread(target=self._listen, args=(self._guard.stdout,), daemon=True)
        self._reports.start()
        self._listener.start()

    def poll(self, timeout: float) -> End | None:
        """How the program ended; None if it has not within `timeout` seconds."""
        try:
            self._guard.wait(timeout)
        except subprocess.TimeoutExpired:
            return None
        self._let_go()
        self._reports.join(DRAIN_SECONDS)
        if self.group is not None and "status" not in self._said:
            guard.end_group(self.group, signal.SIGKILL)
        self._listener.join(DRAIN_SECONDS)
        self.output.close()
        if "status" in self._said:
            return End(int(self._said["status"]))
        if "error" in self._said:
            return End(None, f"could not be run: {self._said['error']}")
        return End(None, f"was ended with its guard, whose status is {self._guard.returncode}")

    def stop(self) -> End:
        """End the program and all it started, and wait for that."""
        self._let_go()
        ended = self.poll(3 * self.grace_seconds)
        if ended is None:
            if self.group is not None:
                guard.end_group(self.group, signal.SIGKILL)
            self._guard.kill()
            ended = self.poll(self.grace_seconds)
        return ended or End(None, "does not end, whatever it is sent")

    def pids(self) -> list[int]:
        """Process ids of the program and all below it."""
        try:
            return [each.pid for each in psutil.Process(self._guard.pid).children(recursive=True)]
        except psutil.Error:
            return []

    def _let_go(self) -> None:
        """Close the pipe by which the guard knows that this process lives."""
        with contextlib.suppress(BrokenPipeError):
            self._lifeline.close()

    def _hear(self, descriptor: int) -> None:
        """What the guard reports."""
        with os.fdopen(descriptor, encoding="utf-8", errors="replace") as reports:
            for line in reports:
                with contextlib.suppress(json.JSONDecodeError):
                    self._said |= json.loads(line)
                self.group = self._said.get("pid", self.group)

    def _listen(self, stream: IO[bytes]) -> None:
        """What the program prints."""
        with stream:
            while data := os.read(stream.fileno(), CHUNK):
                self.output.feed(data)


def quiet_seconds(output: Output, folder: Path) -> float:
    """How long a program has neither said nor written anything."""
    now = time.time()
    changed = now - (time.monotonic() - output.heard)
    with contextlib.suppress(OSError):
        changed = max(changed, *(path.stat().st_mtime for path in (folder, *folder.iterdir())))
    return max(0.0, now - changed)
