"""What must last before it is believed, on the clock of this process alone.

Clocks of other machines, in heartbeats for instance, are only looked at for whether they change. Not here: how long is
long enough (`backend`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

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
