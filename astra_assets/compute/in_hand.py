"""What each worker process is at, kept where it survives a kill, and what inputs processes died of.

An input that kills its process (a crash in a library, memory) must not be tried for ever, and one that
merely was in hand when a whole task was killed must not be blamed for it. So inputs that were in hand are
done last and alone, and only one that sees several processes die is given up. Not here: who decides what to
do next (`supervisor`).
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from astra_assets.files.json_files import read_json, write_json

_WIDTH = 21


class InHand:
    """The inputs in hand, one slot for each worker process, and the number of deaths by input.

    With `spare` what was in hand when the process before was killed is not blamed for that (the task was short
    of memory), only done last and alone.
    """

    def __init__(self, folder: Path, *, spare: bool = False) -> None:
        self.path = folder / "in-hand.txt"
        self.deaths_path = folder / "deaths.json"
        self.deaths = {int(key): int(count) for key, count in (read_json(self.deaths_path) or {}).items()}
        text = self.path.read_text(encoding="ascii", errors="replace") if self.path.exists() else ""
        # Slots that were never used are holes in the file, zeros that belong to no number.
        left = [key for key in map(int, re.findall(r"\d+", text)) if key]
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
        if left:
            self.blame(left, 0 if spare else 1)

    def put(self, slot: int, key: int) -> None:
        """Worker process number `slot` takes up an input; 0 for none."""
        # One write at a fixed place without flushing: the kernel keeps it when the process is killed.
        os.pwrite(self._descriptor, f"{key:>{_WIDTH - 1}}\n".encode("ascii"), slot * _WIDTH)

    def blame(self, keys: list[int], deaths: int = 1) -> None:
        """Processes died with these inputs in hand; `deaths` is how much that counts for each."""
        for key in keys:
            self.deaths[key] = self.deaths.get(key, 0) + deaths
        write_json(self.deaths_path, {str(key): count for key, count in self.deaths.items()})

    def clear(self) -> None:
        """Forget what is in hand: the task ends, and not by one of its inputs."""
        os.ftruncate(self._descriptor, 0)
