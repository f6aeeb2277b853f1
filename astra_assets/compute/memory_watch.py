"""Whether a worker process died for lack of memory: the kernel's count of such kills, and how much was in use before.

Only looking belongs here; what follows is decided by `supervisor`, what a cluster says by `slurm`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import psutil

NEAR = 0.8
"""Part of the limit above which a process that is killed by signal 9 is taken for killed for its memory."""

LOOK_SECONDS = 1.0
"""Time between two looks at the memory in use; each costs a file of /proc for each process."""


class MemoryWatch:
    """Watches the memory of one task, of which `limit_mb` is known or None.

    Attributes:
        used_mb: what the task uses as last seen; `most_mb` the most that was seen.
    """

    def __init__(self, limit_mb: float | None, cgroup_root: Path = Path("/sys/fs/cgroup")) -> None:
        self.limit_mb = limit_mb
        self.used_mb = self.most_mb = 0.0
        self._events = _events_file(cgroup_root)
        self._kills = self._count()

    def look(self, processes: Iterable[int]) -> None:
        """Sum up what these processes use now."""
        total = 0.0
        for pid in processes:
            try:
                total += psutil.Process(pid).memory_info().rss
            except psutil.Error:
                continue
        self.used_mb = total / 1024**2
        self.most_mb = max(self.most_mb, self.used_mb)

    def killed(self) -> bool:
        """True if a process that was just killed by signal 9 was so for its memory, as far as can be told."""
        kills = self._count()
        counted, self._kills = kills > self._kills, kills
        return counted or (self.limit_mb is not None and self.most_mb >= NEAR * self.limit_mb)

    def _count(self) -> int:
        """How often the kernel has killed a process of this control group for its memory."""
        try:
            text = "" if self._events is None else self._events.read_text(encoding="ascii")
        except OSError:
            return 0
        match = re.search(r"^oom_kill (\d+)$", text, re.MULTILINE)
        return int(match[1]) if match else 0


def _events_file(root: Path) -> Path | None:
    """The file in which the kernel counts for the control group of this process; None where there is none."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        _, controllers, path = line.split(":", 2)
        folder = root / "memory" if "memory" in controllers.split(",") else root
        name = "memory.oom_control" if "memory" in controllers.split(",") else "memory.events"
        if controllers in ("", "memory") or "memory" in controllers.split(","):
            file = folder / path.lstrip("/") / name
            if file.is_file():
                return file
    return None
