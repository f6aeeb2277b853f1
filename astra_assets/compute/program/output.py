"""What a program prints: passed on to the log line by line, whatever it is, and looked through for progress.

Binary output, lines without end and floods do no harm: what goes to the log is text, in lines of bounded length, up to a
bounded size. Not here: starting programs (`process`).
"""

from __future__ import annotations

import contextlib
import re
import time
from collections import deque
from typing import BinaryIO

LINE_LENGTH = 2_000
"""Characters of a line that go to the log."""

LOG_BYTES = 20_000_000
"""What one start of a program may write to the log; of what comes after only the end is kept."""

TAIL_LINES = 12
"""Last lines that are told with an error."""

REDRAW_SECONDS = 60.0
"""Lines that a program draws over each other (progress bars) go to the log this often."""

_ENDS = re.compile(rb"\r\n|\n|\r")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Output:
    """The output of one start of a program.

    Attributes:
        done: inputs that the program says it has done; 0 as long as it says nothing.
        heard: time (monotonic) at which it said something last.
    """

    def __init__(self, log: BinaryIO, progress: str | None = None) -> None:
        self.log = log
        self.progress = re.compile(progress) if progress else None
        self.done = 0
        self.heard = time.monotonic()
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._line = bytearray()
        self._left_out = 0
        self._written = 0
        self._drawn = 0.0
        self._redrawn = False

    @property
    def tail(self) -> str:
        """The last lines, each a line of its own; empty where the program said nothing."""
        return "\n".join(self._tail)

    def feed(self, data: bytes) -> None:
        """Take what the program has printed since."""
        self.heard = time.monotonic()
        start = 0
        for end in _ENDS.finditer(data):
            self._more(data[start : end.start()])
            self._end(redrawn=end[0] == b"\r")
            start = end.end()
        self._more(data[start:])

    def close(self) -> None:
        """The program says nothing more."""
        if self._line or self._left_out:
            self._end(redrawn=False)
        if self._written > LOG_BYTES:
            self._log(
                f"... the program said more than {LOG_BYTES / 1e6:.0f} MB; it ended with:\n{self.tail}\n"
            )

    def _more(self, data: bytes) -> None:
        room = LINE_LENGTH - len(self._line)
        self._line += data[:room]
        self._left_out += len(data) - len(data[:room])

    def _end(self, *, redrawn: bool) -> None:
        text = _readable(bytes(self._line))
        if self._left_out:
            text += f" ... and {self._left_out:,} bytes"
        self._line.clear()
        self._left_out = 0
        if not text.strip():
            return
        self._look_for_progress(text)
        if self._tail and self._redrawn:
            self._tail[-1] = text
        else:
            self._tail.append(text)
        self._redrawn = redrawn
        now = time.monotonic()
        if redrawn and now - self._drawn < REDRAW_SECONDS:
            return
        self._drawn = now
        if self._written <= LOG_BYTES:
            self._written += len(text)
            self._log(f"{text}\n")

    def _look_for_progress(self, text: str) -> None:
        found = self.progress.search(text) if self.progress else None
        if found is not None and found["done"].isdecimal():
            self.done = int(found["done"])

    def _log(self, text: str) -> None:
        # With a full disk the program must still be listened to, or it would stand still.
        with contextlib.suppress(OSError):
            self.log.write(text.encode(errors="replace"))
            self.log.flush()


def _readable(line: bytes) -> str:
    """The text of a line: no colours, no control characters, no bytes that are no text."""
    text = _COLOURS.sub("", line.decode("utf-8", errors="replace"))
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text).rstrip()
