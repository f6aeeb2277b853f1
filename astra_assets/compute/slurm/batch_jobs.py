"""The jobs of one batch on its cluster: submitting, looking, cancelling, and what must be put right.

Nothing is submitted for a task while an earlier submission of it may still run, whoever made that. Not here: how a task is
(`look`), what is written down about submissions (`submissions`), how Slurm is asked (`client`).
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from astra_assets.compute import claims
from astra_assets.compute.batch import Batch
from astra_assets.compute.progress import Phase, TaskState, TaskStatus, read_status
from astra_assets.compute.slurm.client import QueuedTask, SlurmClient, SlurmError, SlurmMissingError
from astra_assets.compute.slurm.endings import Consequence, Ending
from astra_assets.compute.slurm.job_states import Fate, SlurmState
from astra_assets.compute.slurm.look import Look
from astra_assets.compute.slurm.patience import Patience, Rules
from astra_assets.compute.slurm.queue import SharedQueue, Snapshot
from astra_assets.compute.slurm.reasons import asked, impossible
from astra_assets.compute.slurm.submissions import GIVEN_UP, Submission, Submissions, job_ids, newest
from astra_assets.compute.slurm.submit import Submitter

HELD = re.compile(r"launch.failed.requeued.held|JobHoldMaxRequeue", re.IGNORECASE)
"""Reasons of tasks that Slurm put back into the queue and does not start again by itself."""

LONGEST_DEFERRAL_SECONDS = 600.0
"""Longest pause between two tries to submit while Slurm takes no job."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BatchJobs:
    """The jobs of one batch.

    Attributes:
        batch: whose jobs they are.
        client: how its cluster is asked; `queue` the queue of that cluster.
        rules: times and numbers; `patience` what this process has seen so far.
        book: what is written down about its submissions.
    """

    batch: Batch
    client: SlurmClient
    queue: SharedQueue
    rules: Rules
    patience: Patience
    book: Submissions = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "book", Submissions(self.batch.directory))

    def submit(self, tasks: Sequence[int]) -> None:
        """Submit these tasks, but for those that somebody else has submitted meanwhile.

        Raises:
            SlurmError: Slurm does not accept them as they are asked for, or is not installed.
            SlurmSpecError: what is asked for cannot be right.
        """
        with self.book.locked() as known:
            free = [task for task in tasks if _is_free(newest(known, task), task)]
            Submitter(self.client, self.batch, self.book, self.rules.memory_cap_mb).submit(known, free)

    def look(
        self, statuses: Mapping[int, TaskStatus | None]
    ) -> tuple[Mapping[int, TaskState], set[tuple[int, int]]]:
        """How every task is, and which submissions of tasks ended so that the step cannot go on.

        `statuses` is what the tasks wrote down last. What must be put right on the cluster is put right on the way.
        """
        known = self.book.read()
        if any(map(_is_open, known)):
            known = self._settled()
        known_for = {
            each.name: self.patience.since("submitted", each.name)
            for each in known
            if each.job_id is not None
        }
        snapshot = self.queue.look()
        self._cancel_what_counts_no_more(snapshot)
        self._cancel_what_waits_for_ever(snapshot)
        look = Look(
            client=self.client,
            patience=self.patience,
            rules=self.rules,
            batch=self.batch,
            known=self.book.read(),
            snapshot=snapshot,
            statuses=statuses,
            known_for=known_for,
        )
        states = {task: look.at(task) for task in statuses}
        self.book.ended(look.found)
        newest_of = {
            task: newest(look.known, task) for task, state in states.items() if state.phase is Phase.BROKEN
        }
        broken = {(task, each.number) for task, each in newest_of.items() if each is not None}
        return states, broken

    def resume(self) -> None:
        """A new run of the step goes on: what an earlier one has reported is tried again, and so is what was deferred."""
        known = self.book.read()
        if any(map(_is_deferred, known)):
            with self.book.locked() as known:
                for deferred in filter(_is_deferred, known):
                    self.book.save(replace(deferred, dropped=deferred.deferred))
        if not any(each.has_told for each in known):
            return
        snapshot = self.queue.look(max_age=0.0)
        with self.book.locked() as known:
            for told in [each for each in known if each.has_told]:
                over = {task for task in told.tasks if not _goes_on(told, task, snapshot)}
                for each in known:
                    pardoned = {*each.pardoned, *over.intersection(each.tasks)}
                    if each.number <= told.number and len(pardoned) > len(each.pardoned):
                        self.book.save(replace(each, pardoned=tuple(sorted(pardoned))))

    def reported(self, broken: set[tuple[int, int]]) -> None:
        """The ends of these submissions of tasks are known to whoever ran the step."""
        if not broken:
            return
        with self.book.locked() as known:
            for submission in known:
                endings = {
                    task: replace(ending, told=ending.told or (task, submission.number) in broken)
                    for task, ending in submission.endings.items()
                }
                if endings != submission.endings:
                    self.book.save(replace(submission, endings=endings))

    def cancel(self) -> None:
        """Cancel all jobs of the batch. Where a process lives on all the same, it can write no more."""
        for task in range(len(self.batch.tasks)):
            claims.revoke(self.batch.task_folder(task))
        try:
            end_jobs(self.client, self._given_up(GIVEN_UP), self.rules.cancel_seconds)
        except SlurmError as error:
            names = ", ".join(each.name for each in self.book.read())
            log.warning(
                "batch %s: its jobs cannot be cancelled now; they write nothing and end as soon as they run (%s): %s",
                self.batch.batch_id, names, error,
            )  # fmt: skip

    def stop(self) -> tuple[str, ...]:
        """Cancel the jobs on request, but keep the batch: the next run of the step submits the rest. Returns their ids.

        Raises:
            SlurmError: they cannot be cancelled now.
        """
        why = "it was stopped on request"
        try:
            jobs = self._given_up(why)
            end_jobs(self.client, jobs, self.rules.cancel_seconds)
        except SlurmError:
            # Nobody knows how long: the next run attaches to what runs.
            with self.book.locked() as known:
                for submission in known:
                    self.book.save(replace(submission, cancelled=submission.cancelled.replace(why, "")))
            raise
        batch = self.batch
        statuses = {task: read_status(batch.task_folder(task)) for task in range(len(batch.tasks))}
        rest = {
            task for task, status in statuses.items() if status is None or status.phase != Phase.DONE.value
        }
        stopped = Ending(Consequence.OVER, why, SlurmState.CANCELLED.name)
        with self.book.locked() as known:
            for submission in known:
                mine = [task for task in rest if newest(known, task) is submission]
                endings = {task: replace(submission.endings.get(task, stopped), told=True) for task in mine}
                self.book.save(replace(submission, endings={**submission.endings, **endings}))
        return tuple(sorted(jobs, key=int))

    def _given_up(self, why: str) -> set[str]:
        """Write down that all submissions are to end; returns the ids of their jobs."""
        with self.book.locked() as known:
            for submission in known:
                self.book.save(replace(submission, cancelled=submission.cancelled or why))
            unclear = [job for each in known if _is_open(each) for job in self.client.find(each.name)]
        return {*job_ids(known), *unclear}

    def _settled(self) -> list[Submission]:
        """Look for the jobs of submissions whose answer was lost, and end the pause after which another try is due."""
        with self.book.locked() as known:
            for submission in filter(_is_open, known):
                if submission.deferred:
                    if self.patience.since("deferred", submission.name) >= self._pause(known):
                        self.book.save(replace(submission, dropped=submission.deferred))
                    continue
                try:
                    jobs = self.client.find(submission.name)
                except SlurmMissingError:
                    raise
                except SlurmError:
                    self.patience.over("lost", submission.name)
                    continue
                lasted = self.patience.since("lost", submission.name)
                if jobs:
                    log.info("%s is job %s; the answer of Slurm was lost", submission.name, jobs[0])
                    self.book.save(replace(submission, job_id=jobs[0]))
                elif submission.unsent or lasted >= self.rules.settle_seconds:
                    log.info("%s never reached Slurm; its tasks are submitted again", submission.name)
                    self.book.save(replace(submission, dropped="it never reached Slurm"))
        return self.book.read()

    def _pause(self, known: Sequence[Submission]) -> float:
        """Seconds until the next try to submit, the longer the more often in a row Slurm took no job."""
        tries = 0
        for submission in reversed(known):
            if not submission.deferred:
                break
            tries += 1
        return min(self.rules.defer_seconds * 2.0 ** (tries - 1), LONGEST_DEFERRAL_SECONDS)

    def _cancel_what_counts_no_more(self, snapshot: Snapshot) -> None:
        """End what runs in the name of the batch beside what counts: late arrivals, copies that a later one replaces."""
        mine = [each for each in snapshot.tasks.values() if each.comment == self.batch.batch_id]
        active = [each for each in mine if each.state.fate is Fate.ACTIVE]
        if all(_counts(self.book.read(), each) for each in active):
            return
        # Whoever submits holds the lock until the id is written down.
        with self.book.locked() as known:
            open_names = {each.name for each in known if _is_open(each)}
            extra = [each for each in active if not _counts(known, each) and each.name not in open_names]
        by_job: dict[str, list[QueuedTask]] = {}
        for each in extra:
            by_job.setdefault(each.job_id, []).append(each)
        for job_id, some in by_job.items():
            if self.patience.since("extra", job_id) == 0:
                log.warning(
                    "batch %s: job %s runs beside the one that counts; it is cancelled",
                    self.batch.batch_id,
                    job_id,
                )
            tasks = [each.task for each in some if each.task is not None]
            self._try_cancel(job_id, tasks if job_id in job_ids(known) else None)

    def _cancel_what_waits_for_ever(self, snapshot: Snapshot) -> None:
        for submission in self.book.read():
            listed = [snapshot.tasks.get((submission.job_id or "", task)) for task in submission.tasks]
            active = [each for each in listed if each is not None and each.state.fate is Fate.ACTIVE]
            if not active or submission.job_id is None:
                continue
            if submission.cancelled:
                self._try_cancel(submission.job_id, None)
                continue
            waiting = [each for each in active if each.state is SlurmState.PENDING]
            self._let_go(submission, [each for each in waiting if HELD.search(each.reason)])
            never = next(filter(None, (impossible(each.reason) for each in waiting)), None)
            if never is None:
                self.patience.over("never", submission.name)
            elif (
                self.patience.since("never", submission.name) >= never.patience_seconds * self.rules.patience
                and not snapshot.stale
            ):
                wanted = asked(submission.options, never.options)
                why = f"job {submission.job_id} would wait for ever: {never}{wanted}"
                log.warning("batch %s: %s. It is cancelled", self.batch.batch_id, why)
                with self.book.locked() as known:
                    current = next(each for each in known if each.number == submission.number)
                    # More memory than any node has: they go on with what they had.
                    refused = current.raised_from is not None
                    self.book.save(replace(current, cancelled=why, refused=refused))
                self._try_cancel(submission.job_id, None)

    def _let_go(self, submission: Submission, held: list[QueuedTask]) -> None:
        """Tasks that Slurm could not start and holds: they are given back and submitted again."""
        tasks = [each.task for each in held if each.task is not None]
        if tasks:
            said = "job {}_{} could not be started and was held by Slurm ({})"
            self.book.ended(
                {
                    each.task: (
                        submission.number,
                        Ending(
                            Consequence.AGAIN,
                            said.format(each.job_id, each.task, each.reason),
                            each.state.name,
                        ),
                    )
                    for each in held
                    if each.task is not None
                }
            )
            self._try_cancel(str(submission.job_id), tasks)

    def _try_cancel(self, job_id: str, tasks: Sequence[int] | None) -> None:
        try:
            self.client.cancel(job_id, tasks)
        except SlurmMissingError:
            raise
        except SlurmError as error:
            log.info("job %s cannot be cancelled now: %s", job_id, error)


def end_jobs(client: SlurmClient, jobs: Iterable[str], seconds: float) -> None:
    """Cancel jobs and wait, for so long at the most, until none of their tasks is there any more."""
    jobs = set(jobs)
    if not jobs:
        return
    for job_id in sorted(jobs):
        client.cancel(job_id)
    deadline = time.monotonic() + seconds
    pause = 0.2
    while any(task.job_id in jobs and task.state.fate is Fate.ACTIVE for task in client.queue()):
        if time.monotonic() > deadline:
            log.warning("job %s takes long to end; it writes nothing any more", ", ".join(sorted(jobs)))
            return
        time.sleep(pause)
        pause = min(2 * pause, 5.0)


def _is_open(submission: Submission) -> bool:
    """True if it is not known whether Slurm has taken it."""
    return submission.job_id is None and not submission.dropped


def _is_deferred(submission: Submission) -> bool:
    """True if Slurm took no job when it was made, and it waits for another try."""
    return bool(submission.deferred) and _is_open(submission)


def _is_free(submission: Submission | None, task: int) -> bool:
    """True if nothing that was submitted for a task can still run."""
    return submission is None or task in submission.endings


def _counts(known: list[Submission], queued: QueuedTask) -> bool:
    """True if a task in the queue is what counts for it."""
    if queued.task is None:
        return False
    submission = newest(known, queued.task)
    return submission is not None and submission.job_id == queued.job_id


def _goes_on(submission: Submission, task: int, snapshot: Snapshot) -> bool:
    """True if a task waits or runs, and is not about to end."""
    if snapshot.stale or submission.job_id is None:
        return False
    queued = snapshot.tasks.get((submission.job_id, task))
    return (
        queued is not None and queued.state.fate is Fate.ACTIVE and queued.state is not SlurmState.COMPLETING
    )
