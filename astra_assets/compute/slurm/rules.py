"""Times and numbers by which batches on a cluster are watched; nothing is decided here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rules:
    """Times and numbers.

    Attributes:
        poll_seconds: time between two looks at the files of a batch.
        grace_seconds: how long a task may show no life before it counts as gone, where Slurm does not know it any more, or
            says that it ended well and its files are not to be seen yet (shared file systems can be late).
        settle_seconds: how long a submission whose answer was lost is looked for before it counts as never made.
        cancel_seconds: how long to wait for tasks that were cancelled.
        patience: factor on the time that an impossible reason for waiting must last.
        memory_cap_mb: most memory that a task is given after it was short of it.
        overruns: how often the rest of a task is submitted again after the end of its wall time; the same for set-up lines
            that failed.
    """

    poll_seconds: float = 5.0
    grace_seconds: float = 120.0
    settle_seconds: float = 60.0
    cancel_seconds: float = 60.0
    patience: float = 1.0
    memory_cap_mb: float = 512_000.0
    overruns: int = 1
