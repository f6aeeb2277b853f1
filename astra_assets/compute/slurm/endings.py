"""How a task ended on the cluster, and what follows from that: a pure function of what Slurm and the task itself say.

Asking Slurm is in `look`, submitting again in `batch_jobs`.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from astra_assets.compute.memory_watch import NEAR
from astra_assets.compute.progress import Phase, TaskStatus
from astra_assets.compute.slurm.client import TaskDetail
from astra_assets.compute.slurm.job_states import Fate, SlurmState
from astra_assets.compute.slurm.reasons import impossible
from astra_assets.compute.slurm.spec import EXIT_SETUP
from astra_assets.compute.worker import EXIT_BROKEN, EXIT_MEMORY, EXIT_STOPPED, EXIT_STORAGE, EXIT_TIME

KILLED = 9
"""Signal that cannot be handled."""

_MEMORY_WORDS = re.compile(
    r"^slurmstepd\b.*(exceeded (job |step )?memory limit|oom[-_ ]kill|out[- ]of[- ]memory)",
    re.IGNORECASE | re.MULTILINE,
)


_SOMEBODY = "somebody (the cluster keeps no accounts that tell by whom)"


_STATUSES = {
    EXIT_SETUP: "ended by a set-up line that failed",
    EXIT_STOPPED: "stopped before its last input",
    EXIT_STORAGE: "could not write any more",
    EXIT_BROKEN: "ended since its pipeline cannot be set up",
}


class Consequence(enum.Enum):
    """What follows from an end."""

    AGAIN = "again"
    """It is submitted again; if that does not help often enough, the step ends with an error."""
    AGAIN_FREELY = "again, freely"
    """It is submitted again, as often as need be: others needed the node."""
    MEMORY = "memory"
    """It is submitted again with more memory, as long as there is more."""
    TIME = "time"
    """Its rest is submitted again once, then the step ends with an error."""
    SETUP = "setup"
    """A set-up line failed, as can be the fault of a node: the same."""
    OVER = "over"
    """The step ends with an error: somebody wanted it, or trying again does not help."""


@dataclass(frozen=True)
class Ending:
    """How a task of a submission ended.

    Attributes:
        consequence: what follows.
        message: what happened, as the end of a sentence.
        state: Slurm's word, `GONE` where Slurm does not know the task any more.
        exit_code, signal: of the program; `node` where it ran, `run_seconds` how long.
        memory_asked_mb, memory_used_mb: None where they are not known.
        told: a run of the step has ended with this as its error.
    """

    consequence: Consequence
    message: str
    state: str
    exit_code: int = 0
    signal: int = 0
    node: str = ""
    run_seconds: float = 0.0
    memory_asked_mb: float | None = None
    memory_used_mb: float | None = None
    told: bool = False


def ending_of(
    job: str, detail: TaskDetail, status: TaskStatus | None, said: str, used_mb: float | None = None
) -> Ending:
    """How a task ended that Slurm says is over.

    `job` is what Slurm calls the task, `status` what the task wrote down in this submission, `said` what its log got in
    this submission, `used_mb` the largest memory that is known besides.
    """
    used = max((each for each in (detail.memory_used_mb, used_mb) if each), default=None)
    label = f"job {job} on {detail.node}" if detail.node else f"job {job}"
    consequence, message = _judged(label, detail, status, said, used)
    return Ending(
        consequence,
        message,
        detail.state.name,
        detail.exit_code,
        detail.signal,
        detail.node,
        detail.run_seconds,
        detail.memory_asked_mb,
        used,
    )


def gone(job: str, *, waited: bool) -> Ending:
    """The end of a task that Slurm does not know any more and that shows no life.

    If it `waited` when it was last seen it was cancelled: Slurm forgets tasks at once that are cancelled before they start.
    """
    if waited:
        said = f"job {job} was cancelled by {_SOMEBODY} before it started, not by this program"
        return Ending(Consequence.OVER, said, state="GONE")
    said = f"job {job} is not known to Slurm any more, and its task shows no life"
    return Ending(Consequence.AGAIN, said, state="GONE")


def _judged(
    job: str, detail: TaskDetail, status: TaskStatus | None, said: str, used: float | None
) -> tuple[Consequence, str]:
    if detail.state is SlurmState.CANCELLED:
        return (
            Consequence.OVER,
            f"{job} was cancelled by {detail.cancelled_by or _SOMEBODY}, not by this program",
        )
    never = impossible(detail.reason)
    if never is not None:
        return Consequence.OVER, f"{job} cannot run as it is asked for: {never}"
    if detail.state is SlurmState.TIMEOUT or detail.exit_code == EXIT_TIME:
        return Consequence.TIME, f"{job} came to the end of its wall time"
    if _short_of_memory(detail, said, used):
        asked = f"; it asked for {detail.memory_asked_mb:.0f} MB" if detail.memory_asked_mb else ""
        return Consequence.MEMORY, f"{job} was short of memory{asked}"
    ended = detail.exit_code in (EXIT_BROKEN, EXIT_STORAGE)
    if ended and status is not None and status.phase == Phase.BROKEN.value:
        return Consequence.OVER, status.message
    return _consequence(detail), f"{job} {_how(detail)}"


def _consequence(detail: TaskDetail) -> Consequence:
    """What follows where the state and the exit status tell all."""
    if detail.state.fate is Fate.GIVE_UP or detail.exit_code in (EXIT_BROKEN, EXIT_STORAGE):
        return Consequence.OVER
    if detail.state is SlurmState.PREEMPTED:
        return Consequence.AGAIN_FREELY
    return Consequence.SETUP if detail.exit_code == EXIT_SETUP else Consequence.AGAIN


def _how(detail: TaskDetail) -> str:
    if detail.exit_code in _STATUSES:
        return _STATUSES[detail.exit_code]
    if detail.state is SlurmState.PREEMPTED:
        return "had to make room for another one"
    if detail.state is SlurmState.COMPLETED:
        return "ended well, but has not done all of its inputs"
    how = f"signal {detail.signal}" if detail.signal else f"exit status {detail.exit_code}"
    return f"ended: {detail.state.name}, {how}"


def _short_of_memory(detail: TaskDetail, said: str, used: float | None) -> bool:
    if detail.state.fate is Fate.RETRY_MORE_MEMORY or detail.exit_code == EXIT_MEMORY:
        return True
    if detail.state is not SlurmState.FAILED:
        return False
    if _MEMORY_WORDS.search(said):
        return True
    killed = KILLED in (detail.signal, detail.exit_code - 128)
    near = used is not None and detail.memory_asked_mb is not None and used >= NEAR * detail.memory_asked_mb
    return killed and near
