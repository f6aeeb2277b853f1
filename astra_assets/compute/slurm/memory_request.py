"""How much memory a task is asked for when it is submitted again: twice as much after it was short of it, up to a cap.

A pure function of what was submitted before. Not here: telling that a task was short of memory (`endings`).
"""

from __future__ import annotations

from dataclasses import dataclass

from astra_assets.compute.slurm.endings import Consequence, Ending
from astra_assets.compute.slurm.submissions import Submission, newest
from astra_assets.pipelines.options import megabytes_of

FACTOR = 2.0
"""How much more a task gets that was short of memory."""


@dataclass(frozen=True)
class Memory:
    """What one task is asked for.

    Attributes:
        mem: as `sbatch --mem` reads it; None for what the cluster gives by itself.
        more: whether it could get more the next time.
        raised_from: what it had in MB, where it gets more than the last time.
    """

    mem: str | None
    more: bool
    raised_from: float | None = None


def memory_for(task: int, declared: str | None, submissions: list[Submission], cap_mb: float) -> Memory:
    """What a task is asked for now.

    `declared` is what its batch asks for. It holds until the task is short of memory, and again when somebody asks for
    something else.
    """
    last = newest(submissions, task)
    if last is None or last.declared != declared:
        size = size_of(declared)
        return Memory(declared, more=declared is None or (size is not None and size < cap_mb))
    if last.refused and last.raised_from is not None:
        return Memory(f"{last.raised_from:.0f}M", more=False)
    had = last.options.mem
    ending = last.endings.get(task)
    size = size_of(had) or (ending.memory_asked_mb if ending else None)
    if not _short(ending) or size is None:
        return Memory(had, last.more_memory)
    raised = min(FACTOR * size, cap_mb)
    if raised <= size or _refused(submissions, size):
        return Memory(had, more=False)
    return Memory(f"{raised:.0f}M", more=raised < cap_mb, raised_from=size)


def _short(ending: Ending | None) -> bool:
    return ending is not None and ending.consequence is Consequence.MEMORY


def size_of(mem: str | None) -> float | None:
    """Megabytes; None for what the cluster gives by itself, and for all of a node."""
    return (megabytes_of(mem) or None) if mem is not None else None


def _refused(submissions: list[Submission], size: float) -> bool:
    """True if the cluster has nothing larger than what was asked for before."""
    raised = (each.raised_from for each in submissions if each.refused)
    return any(before is not None and before <= size for before in raised)
