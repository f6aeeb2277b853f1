"""What is asked of Slurm and how it answers: one protocol for the real command line (`command_line`) and a stand-in (`fake`).

Only the protocol, its records and its errors belong here. Every method may be called from any process; none of them repeats
a call by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from astra_assets.compute.slurm.job_states import SlurmState
from astra_assets.errors import ExpectedError


class SlurmError(ExpectedError):
    """Slurm did not do what it was asked; the message says what, and what to do."""


class SlurmMissingError(SlurmError):
    """The programs of Slurm are not installed on this machine."""


class SlurmUnavailableError(SlurmError):
    """The controller does not answer now. It says nothing about jobs: wait and ask again."""


class SubmissionDeferredError(SlurmError):
    """Slurm does not take the job now, for a cause that passes: nothing was submitted; the message names the cause."""


class SubmissionUnclearError(SlurmError):
    """The answer to a submission was lost: the job may have been accepted, or be accepted in a moment.

    `find` its name, more than once, before it is submitted again.
    """


class SubmissionRefusedError(SlurmError):
    """Slurm does not accept the job as it is asked for; the message names the option to change."""


@dataclass(frozen=True)
class QueuedTask:
    """One task of an array, or one job, of this user, as the queue lists it.

    Attributes:
        job_id: id of the array, or of a job that is none.
        task: number in the array; None for a job that is no array.
        name: name of the job.
        comment: its comment.
        state: how it is.
        reason: why it waits or ended, in Slurm's word; empty where there is none.
        node: where it runs or ran; empty while it waits.
        run_seconds: since it was started the last time.
    """

    job_id: str
    task: int | None
    name: str
    comment: str
    state: SlurmState
    reason: str = ""
    node: str = ""
    run_seconds: float = 0.0

    @property
    def refused(self) -> bool:
        """True for the record that Slurm keeps of a job that it did not accept."""
        return self.state is SlurmState.FAILED and self.reason == "BadConstraints"


@dataclass(frozen=True)
class TaskDetail:
    """What Slurm tells about one task when it is asked for that task alone.

    Attributes:
        state: how it is or ended.
        exit_code: exit status of its program.
        signal: number of the signal that ended it, 0 if none did.
        reason: why it waits or ended, in Slurm's word; empty where there is none.
        node: where it runs or ran.
        restarts: how often Slurm put it back into the queue by itself.
        memory_asked_mb: memory that the task may use, in MB: what was asked for, or what the cluster gives; None if that
            is not known.
        memory_used_mb: its peak, in MB; None where the cluster keeps no accounts.
        run_seconds: since it was started the last time.
        cancelled_by: user who cancelled it; None if that is not known.
    """

    state: SlurmState
    exit_code: int = 0
    signal: int = 0
    reason: str = ""
    node: str = ""
    restarts: int = 0
    memory_asked_mb: float | None = None
    memory_used_mb: float | None = None
    run_seconds: float = 0.0
    cancelled_by: str | None = None


class SlurmClient(Protocol):
    """What is needed of Slurm.

    All methods raise SlurmUnavailableError while the controller does not answer, and SlurmMissingError where the programs are
    not installed.
    """

    def on(self, cluster: str | None) -> SlurmClient:
        """The same for a cluster of this name; None is the cluster that the programs take by themselves."""

    def submit(self, script: str) -> str:
        """Submit the text of a job; returns its id.

        Raises:
            SubmissionRefusedError: Slurm says no; nothing was submitted.
            SubmissionDeferredError: Slurm says not now; nothing was submitted.
            SubmissionUnclearError: no answer came; the job may have been accepted.
            SlurmUnavailableError: the controller was not reached; nothing was submitted.
        """

    def queue(self) -> list[QueuedTask]:
        """All tasks of all jobs of this user that Slurm knows, also those that ended lately, in one call."""

    def find(self, name: str) -> list[str]:
        """Ids of the jobs of this user with exactly this name, ascending, also ended ones that Slurm still knows."""

    def detail(self, job_id: str, task: int | None) -> TaskDetail | None:
        """One task; None if Slurm does not know it, or not any more.

        A task that was cancelled by its number before it ever ran is forgotten at once, while the rest of its array is not.
        """

    def cancel(self, job_id: str, tasks: Sequence[int] | None = None) -> None:
        """Cancel these tasks of a job, or all of it. What ended before or is not known is left alone without an error."""

    def ping(self) -> str | None:
        """None if the controller answers, else a sentence that says why it does not. Raises nothing."""
