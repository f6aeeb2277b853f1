"""How long something must last before it is believed, and how long it has lasted on the clock of this process.

Clocks of other machines, in heartbeats for instance, are only looked at for whether they change.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Rules:
    """Times and numbers.

    Attributes:
        poll_seconds: time between two looks at the files of a batch.
        grace_seconds: how long a task may show no life before it counts as gone, where Slurm does not know it any more, or
            says that it ended well and its files are not to be seen yet (shared file systems can be late).
        defer_seconds: how long to wait before the first further try to submit while Slurm takes no job; it doubles with each.
        settle_seconds: how long a submission whose answer was lost is looked for before it counts as never made.
        cancel_seconds: how long to wait for tasks that were cancelled.
        patience: factor on the time that an impossible reason for waiting must last.
        memory_cap_mb: most memory that a task is given after it was short of it.
        overruns: how often the rest of a task is submitted again after the end of its wall time; the same for set-up lines
            that failed.
    """

    poll_seconds: float = 5.0
    grace_seconds: float = 120.0
    defer_seconds: float = 30.0
    settle_seconds: float = 60.0
    cancel_seconds: float = 60.0
    patience: float = 1.0
    memory_cap_mb: float = 512_000.0
    overruns: int = 1


Subject = tuple[Hashable, ...]


@dataclass
class Patience:
    """When this process first saw what it sees, and when something last changed."""

    clock: Callable[[], float] = time.monotonic
    _since: dict[Subject, float] = field(default_factory=dict, init=False)
    _values: dict[Subject, tuple[Hashable, float]] = field(default_factory=dict, init=False)

    def since(self, *subject: Hashable) -> float:
        """Seconds since this was first seen, 0 the first time."""
        now = self.clock()
        return now - self._since.setdefault(subject, now)

    def has(self, *subject: Hashable) -> bool:
        """True if this was seen and is not over."""
        return subject in self._since

    def over(self, *subject: Hashable) -> None:
        """This is not seen any more: it begins anew the next time."""
        self._since.pop(subject, None)

    def unchanged(self, value: Hashable, *subject: Hashable) -> float:
        """Seconds for which something has been seen to have this value."""
        now = self.clock()
        seen = self._values.get(subject)
        if seen is None or seen[0] != value:
            seen = self._values[subject] = (value, now)
        return now - seen[1]
