"""How the tasks of a batch are: what they wrote down, then what the queue says, then what Slurm says about one alone.

What cannot be told now is unknown, which is not a failure. Not here: what is done about it (`batch_jobs`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from astra_assets.compute.batch import Batch
from astra_assets.compute.progress import Phase, TaskState, TaskStatus
from astra_assets.compute.slurm.client import (
    QueuedTask,
    SlurmClient,
    SlurmError,
    SlurmMissingError,
    TaskDetail,
)
from astra_assets.compute.slurm.endings import Consequence, Ending, ending_of, gone
from astra_assets.compute.slurm.job_states import Fate, SlurmState
from astra_assets.compute.slurm.memory_request import memory_for
from astra_assets.compute.slurm.patience import Patience, Rules
from astra_assets.compute.slurm.queue import Snapshot
from astra_assets.compute.slurm.reasons import meaning
from astra_assets.compute.slurm.submissions import GIVEN_UP, Submission, newest

DETAILS = 50
"""Tasks that Slurm is asked about one by one in one look; the others wait for the next look."""

NOT_SUBMITTED = TaskState(Phase.STOPPED, "it is not submitted yet", changed=True)
"""A task that Slurm was never asked for, or never got."""

LOG_BYTES = 20_000
"""End of a log in which words of Slurm are looked for."""


@dataclass
class Look:
    """One look at a batch.

    Attributes:
        known: what was submitted.
        snapshot: the queue.
        statuses: what each task wrote down last.
        known_for: seconds since this process first saw the job ids of submissions, by name, from before the queue was read.
        found: ends that were not known before, by task, with the number of the submission.
    """

    client: SlurmClient
    patience: Patience
    rules: Rules
    batch: Batch
    known: list[Submission]
    snapshot: Snapshot
    statuses: Mapping[int, TaskStatus | None]
    known_for: Mapping[str, float]
    found: dict[int, tuple[int, Ending]] = field(default_factory=dict)
    _asked: int = 0

    def at(self, task: int) -> TaskState:
        """How a task is."""
        status = self.statuses[task]
        if status is not None and status.phase == Phase.DONE.value:
            return TaskState(Phase.DONE)
        submission = newest(self.known, task)
        if submission is None:
            return NOT_SUBMITTED
        if submission.job_id is None:
            return _without_job(submission)
        queued = self.snapshot.tasks.get((submission.job_id, task))
        if queued is not None and self._lives(submission, task, queued):
            return _active(queued.state.occupies_a_node, queued.reason, queued.node)
        ending = submission.endings.get(task)
        if ending is not None:
            return self._after(submission, task, ending)
        return self._unlisted(submission, task, queued)

    def _lives(self, submission: Submission, task: int, queued: QueuedTask) -> bool:
        """True if the queue says that a task waits or runs, and nothing newer says that it has ended."""
        back = ("back", submission.name, task)
        if queued.state.fate is not Fate.ACTIVE:
            self.patience.over(*back)
            return False
        if queued.state is SlurmState.PENDING:
            self.patience.since("waiting", submission.name, task)
        # A job that ended may be put back into the queue by hand; an answer from before its end says nothing.
        return task not in submission.endings or self.patience.since(*back) > self.snapshot.age

    def _unlisted(self, submission: Submission, task: int, queued: QueuedTask | None) -> TaskState:
        """A task that the queue does not list, or lists as ended, and whose end is not known yet."""
        known_for = self.known_for.get(submission.name, 0.0)
        if queued is None and (self.snapshot.stale or known_for <= self.snapshot.age):
            return TaskState(Phase.UNKNOWN, self.snapshot.problem or "it was submitted a moment ago")
        if self._asked >= DETAILS:
            return TaskState(Phase.UNKNOWN, "it was not asked for yet")
        self._asked += 1
        try:
            detail = self.client.detail(str(submission.job_id), task)
        except SlurmMissingError:
            raise
        except SlurmError as error:
            return TaskState(Phase.UNKNOWN, str(error))
        if detail is not None and not detail.state.ended:
            return _active(detail.state.occupies_a_node, detail.reason, detail.node)
        return self._grace(submission, task, detail) or self._ended(submission, task, detail)

    def _ended(self, submission: Submission, task: int, detail: TaskDetail | None) -> TaskState:
        ending = self._ending(submission, task, detail)
        self.found[task] = (submission.number, ending)
        ended = replace(submission, endings={**submission.endings, task: ending})
        self.known = [ended if each is submission else each for each in self.known]
        return self._after(ended, task, ending)

    def _grace(self, submission: Submission, task: int, detail: TaskDetail | None) -> TaskState | None:
        """What is waited for before a task counts as ended; None if for nothing."""
        grace = self.rules.grace_seconds
        if submission.cancelled:
            return None
        if detail is None:
            quiet = self._quiet(task)
            lives = quiet < self.patience.since("gone", submission.name, task)
            if quiet < grace and lives:
                return TaskState(Phase.RUNNING, "Slurm does not know it any more, but it shows life")
            if quiet < grace:
                return TaskState(
                    Phase.UNKNOWN, "Slurm does not know it any more; a sign of life is waited for"
                )
        elif detail.state.fate is Fate.DONE and self.patience.since("end", submission.name, task) < grace:
            return TaskState(Phase.UNKNOWN, "it has ended well; its files are waited for")
        return None

    def _quiet(self, task: int) -> float:
        """Seconds for which a task has written nothing, as this process sees it."""
        status = self.statuses[task]
        beat = None if status is None else (status.token, status.heartbeat)
        return self.patience.unchanged(beat, self.batch.batch_id, task)

    def _ending(self, submission: Submission, task: int, detail: TaskDetail | None) -> Ending:
        job = f"{submission.job_id}_{task}"
        if submission.cancelled:
            consequence = Consequence.AGAIN_FREELY if submission.refused else Consequence.OVER
            return Ending(consequence, submission.cancelled, detail.state.name if detail else "GONE")
        status = self.statuses[task]
        own = status if status is not None and status.job == job else None
        if detail is None:
            return gone(job, waited=own is None and self.patience.has("waiting", submission.name, task))
        return ending_of(job, detail, own, self._said(submission, task), own.peak_memory if own else None)

    def _said(self, submission: Submission, task: int) -> str:
        """The end of what a task's log got in this submission."""
        try:
            with self.batch.log_file(task).open("rb") as stream:
                size = stream.seek(0, 2)
                stream.seek(max(submission.log_sizes.get(task, 0), size - LOG_BYTES))
                return stream.read().decode(errors="replace")
        except FileNotFoundError:
            return ""

    def _after(self, submission: Submission, task: int, ending: Ending) -> TaskState:
        """What follows from an end."""
        message, consequence = ending.message, ending.consequence
        if task in submission.pardoned:
            return TaskState(Phase.STOPPED, message)
        if consequence is Consequence.OVER:
            kept = "" if message == GIVEN_UP else "; what it had written is kept"
            return TaskState(Phase.BROKEN, message + kept)
        if consequence is Consequence.MEMORY:
            return self._after_memory(task, message)
        if (
            consequence in (Consequence.TIME, Consequence.SETUP)
            and self._times(task, consequence) > self.rules.overruns
        ):
            return TaskState(Phase.BROKEN, f"{message} again; {self._advice(submission, task, consequence)}")
        return TaskState(Phase.STOPPED, message, changed=consequence is Consequence.AGAIN_FREELY)

    def _after_memory(self, task: int, message: str) -> TaskState:
        memory = memory_for(task, self.batch.slurm.mem, self.known, self.rules.memory_cap_mb)
        if memory.raised_from is not None:
            return TaskState(Phase.STOPPED, f"{message}, and {memory.mem} are asked for now", changed=True)
        limit = f"memory_cap is {self.rules.memory_cap_mb:.0f} MB"
        return TaskState(Phase.STOPPED, f"{message}, and it gets no more ({limit})")

    def _times(self, task: int, consequence: Consequence) -> int:
        counting = (each for each in self.known if task in each.endings and task not in each.pardoned)
        return sum(each.endings[task].consequence is consequence for each in counting)

    def _advice(self, submission: Submission, task: int, consequence: Consequence) -> str:
        if consequence is Consequence.SETUP:
            return "mend setup of the step (--setup, or setup in [slurm] of astra.toml)"
        status = self.statuses[task]
        done = f"{status.finished} of {status.inputs} inputs are done" if status else "nothing is done"
        return f"{done} and kept; ask for more time than {submission.options.time} (--time, or time in [slurm] of astra.toml)"


def _without_job(submission: Submission) -> TaskState:
    if submission.deferred:
        return TaskState(Phase.WAITING, submission.deferred)
    return TaskState(Phase.UNKNOWN, f"it is not known yet whether Slurm has taken {submission.name}")


def _active(runs: bool, reason: str, node: str) -> TaskState:
    if runs:
        return TaskState(Phase.RUNNING, node)
    return TaskState(Phase.WAITING, meaning(reason) if reason else "")
