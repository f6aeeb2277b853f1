"""Every state that Slurm documents for a job, classified exactly once by what it means for a task of ours.

The list is that of `squeue(1)` and `sacct(1)`, "JOB STATE CODES", from version 20.11 on, and of the page "Job State Codes" of
version 25.11; what newer versions add is `UNKNOWN` until it is listed here, and unknown is never a failure. What is done about a
state is not said here.
"""

from __future__ import annotations

import enum


class Fate(enum.Enum):
    """What becomes of a task that is in a state."""

    ACTIVE = "active"
    """Waits, runs, or will run again by itself: nothing may be submitted in its place."""
    DONE = "done"
    """Ended with exit status 0."""
    RETRY = "retry as is"
    """Ended early by a cause that may be gone: what is unfinished can be submitted again."""
    RETRY_MORE_MEMORY = "retry with more memory"
    """Killed for using more memory than it asked for."""
    GIVE_UP = "give up"
    """Somebody wanted it to end."""
    UNKNOWN = "unknown"
    """Cannot be told; asked again later."""


class SlurmState(enum.Enum):
    """A state: its long name, its short name (the long one again where it has none), its fate."""

    BOOT_FAIL = ("BF", Fate.RETRY)
    CANCELLED = ("CA", Fate.GIVE_UP)
    COMPLETED = ("CD", Fate.DONE)
    CONFIGURING = ("CF", Fate.ACTIVE)
    COMPLETING = ("CG", Fate.ACTIVE)
    DEADLINE = ("DL", Fate.GIVE_UP)
    EXPEDITING = ("EXPEDITING", Fate.ACTIVE)
    """Put back into the queue, to be started before all others."""
    FAILED = ("F", Fate.RETRY)
    LAUNCH_FAILED = ("LF", Fate.RETRY)
    NODE_FAIL = ("NF", Fate.RETRY)
    OUT_OF_MEMORY = ("OOM", Fate.RETRY_MORE_MEMORY)
    PENDING = ("PD", Fate.ACTIVE)
    POWER_UP_NODE = ("PO", Fate.ACTIVE)
    PREEMPTED = ("PR", Fate.RETRY)
    RUNNING = ("R", Fate.ACTIVE)
    RECONFIG_FAIL = ("RC", Fate.RETRY)
    RESV_DEL_HOLD = ("RD", Fate.ACTIVE)
    REQUEUE_FED = ("RF", Fate.ACTIVE)
    REQUEUE_HOLD = ("RH", Fate.ACTIVE)
    REQUEUED = ("RQ", Fate.ACTIVE)
    RESIZING = ("RS", Fate.ACTIVE)
    REVOKED = ("RV", Fate.UNKNOWN)
    """Another cluster of the federation runs it; this one cannot say how it is."""
    SIGNALING = ("SI", Fate.ACTIVE)
    SPECIAL_EXIT = ("SE", Fate.ACTIVE)
    """Requeued and held, until somebody releases or cancels it."""
    STAGE_OUT = ("SO", Fate.ACTIVE)
    STOPPED = ("ST", Fate.ACTIVE)
    SUSPENDED = ("S", Fate.ACTIVE)
    TIMEOUT = ("TO", Fate.RETRY)
    UPDATE_DB = ("UPDATE_DB", Fate.ACTIVE)
    """The accounts are being told about it."""
    UNKNOWN = ("", Fate.UNKNOWN)
    """A word that is not listed here."""

    def __init__(self, short: str, fate: Fate) -> None:
        self.short, self.fate = short, fate

    @property
    def ended(self) -> bool:
        """True if no process of the task is left and Slurm will not start another one."""
        return self.fate not in (Fate.ACTIVE, Fate.UNKNOWN)

    @property
    def occupies_a_node(self) -> bool:
        """True while a node is held: for counting what runs."""
        return self in _ON_A_NODE

    @classmethod
    def read(cls, text: str) -> SlurmState:
        """The state that squeue, scontrol or sacct names, in either form: `CANCELLED by 1000`, `COMPLETED+`, `CG`."""
        word = text.strip().partition(" ")[0].rstrip("+").upper()
        return _BY_NAME.get(word, cls.UNKNOWN)


_BY_NAME = {state.name: state for state in SlurmState} | {
    state.short: state for state in SlurmState if state.short
}
_ON_A_NODE = frozenset(
    (
        SlurmState.RUNNING,
        SlurmState.COMPLETING,
        SlurmState.CONFIGURING,
        SlurmState.RESIZING,
        SlurmState.SIGNALING,
        SlurmState.STAGE_OUT,
        SlurmState.STOPPED,
        SlurmState.SUSPENDED,
    )
)
