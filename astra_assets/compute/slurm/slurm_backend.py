"""Batches on a cluster: arrays of tasks, watched through what the tasks write and the shared queue.

Nothing is submitted for a task while an earlier submission of it may still run, whoever made that. Belongs here: starting,
cancelling and what must be put right. Does not belong here: how a task is (`look`), what is written down about submissions
(`submissions`), how Slurm is asked (`client`).
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from astra_assets.compute import claims
from astra_assets.compute.batch import Batch, BatchError
from astra_assets.compute.progress import Phase, TaskState, read_status
from astra_assets.compute.slurm.client import QueuedTask, SlurmClient, SlurmError, SlurmMissingError
from astra_assets.compute.slurm.endings import Consequence, Ending
from astra_assets.compute.slurm.job_states import Fate, SlurmState
from astra_assets.compute.slurm.look import NOT_SUBMITTED, Look
from astra_assets.compute.slurm.patience import Patience, Rules
from astra_assets.compute.slurm.queue import SharedQueue, Snapshot
from astra_assets.compute.slurm.reasons import asked, impossible
from astra_assets.compute.slurm.spec import SlurmSpecError, problems
from astra_assets.compute.slurm.submissions import GIVEN_UP, Submission, Submissions, job_ids, newest
from astra_assets.compute.slurm.submit import Submitter
from astra_assets.pipelines.base import Pipeline, Step
from astra_assets.pipelines.options import ResourceRequest, SlurmOptions

HELD = re.compile(r"launch.failed.requeued.held|JobHoldMaxRequeue", re.IGNORECASE)
"""Reasons of tasks that Slurm put back into the queue and does not start again by itself."""

OptionsOf = Callable[[Pipeline, Step, ResourceRequest], SlurmOptions]
"""What a step asks of the cluster, after everything that anybody asked for."""

log = logging.getLogger(__name__)


def as_declared(_pipeline: Pipeline, step: Step, resources: ResourceRequest) -> SlurmOptions:
    """What a step declares, under what is asked for."""
    return resources.over(step.slurm)


@dataclass
class SlurmBackend:
    """Tasks as arrays of a cluster.

    Attributes:
        client: how Slurm is asked.
        queue: the queue as all steps and processes of the deployment see it.
        options_of: what a step asks for, with what the site asks for.
        rules: times and numbers.
        patience: what this process has seen so far; a test gives it a clock of its own.
    """

    client: SlurmClient
    queue: SharedQueue
    options_of: OptionsOf = as_declared
    rules: Rules = field(default_factory=Rules)
    patience: Patience = field(default_factory=Patience)
    _shown: dict[str, set[tuple[int, int]]] = field(default_factory=dict, init=False, repr=False)

    @property
    def name(self) -> str:
        """What batches record."""
        return "slurm"

    @property
    def poll_seconds(self) -> float:
        """How long to wait at most between two looks at a running batch."""
        return self.rules.poll_seconds

    def options(self, pipeline: Pipeline, step: Step, resources: ResourceRequest) -> SlurmOptions:
        """What a batch of this step asks for.

        Raises:
            SlurmSpecError: it cannot be right.
        """
        options = self.options_of(pipeline, step, resources)
        found = problems(options)
        if found:
            raise SlurmSpecError(f"{pipeline.key} {step.name}", found)
        return options

    def start(self, batch: Batch, tasks: Sequence[int]) -> None:
        """Submit these tasks, but for those that somebody else has submitted meanwhile.

        While the controller does not answer nothing is submitted, and `poll` leads to another try.
        """
        book = Submissions(batch.directory)
        with book.locked() as known:
            free = [task for task in tasks if _is_free(newest(known, task), task)]
            try:
                Submitter(self.client, batch, book, self.rules.memory_cap_mb).submit(known, free)
            except (SlurmError, SlurmSpecError) as error:
                raise BatchError(f"{batch.pipeline} {batch.step}, batch {batch.batch_id}: {error}") from error

    def job(self, batch: Batch) -> str | None:
        """Ids of all jobs of the batch, as far as Slurm's answers are known."""
        return " ".join(job_ids(Submissions(batch.directory).read())) or None

    def poll(self, batch: Batch) -> Mapping[int, TaskState]:
        """How every task is."""
        statuses = {task: read_status(batch.task_folder(task)) for task in range(len(batch.tasks))}
        if all(status is not None and status.phase == Phase.DONE.value for status in statuses.values()):
            return dict.fromkeys(statuses, TaskState(Phase.DONE))
        book = Submissions(batch.directory)
        known = book.read()
        if not known:
            return dict.fromkeys(statuses, NOT_SUBMITTED)
        if any(map(_is_open, known)):
            known = self._settled(book)
        known_for = {
            each.name: self.patience.since("submitted", each.name)
            for each in known
            if each.job_id is not None
        }
        snapshot = self.queue.look()
        self._cancel_what_counts_no_more(batch, book, snapshot)
        self._cancel_what_waits_for_ever(batch, book, snapshot)
        look = Look(self.client, self.patience, self.rules, batch, book.read(), snapshot, statuses, known_for)
        states = {task: look.at(task) for task in statuses}
        book.ended(look.found)
        broken = [task for task, state in states.items() if state.phase is Phase.BROKEN]
        self._shown[batch.batch_id] = {
            (task, submission.number)
            for task in broken
            if (submission := newest(look.known, task)) is not None
        }
        return states

    def resume(self, batch: Batch) -> None:
        """Errors that an earlier run of the step has reported are none any more: their tasks are submitted again.

        So are tasks of the same submission that have ended since or are just ending, as of an array that was cancelled.
        """
        book = Submissions(batch.directory)
        if not any(each.has_told for each in book.read()):
            return
        snapshot = self.queue.look(max_age=0.0)
        with book.locked() as known:
            for told in [each for each in known if each.has_told]:
                over = {task for task in told.tasks if not _goes_on(told, task, snapshot)}
                for each in known:
                    pardoned = {*each.pardoned, *over.intersection(each.tasks)}
                    if each.number <= told.number and len(pardoned) > len(each.pardoned):
                        book.save(replace(each, pardoned=tuple(sorted(pardoned))))

    def detach(self, batch: Batch) -> str:
        """What goes on without this process; errors that it has seen count as reported."""
        book = Submissions(batch.directory)
        shown = self._shown.pop(batch.batch_id, set())
        if shown:
            with book.locked() as known:
                for submission in known:
                    endings = {
                        task: replace(ending, told=ending.told or (task, submission.number) in shown)
                        for task, ending in submission.endings.items()
                    }
                    if endings != submission.endings:
                        book.save(replace(submission, endings=endings))
        jobs = self.job(batch)
        return (
            f"what was submitted ({f'job {jobs}' if jobs else 'nothing yet'}) goes on on the cluster; run the same again "
            f"to attach to it, or type astra-assets cancel {batch.batch_id}"
        )

    def cancel(self, batch: Batch) -> None:
        """Cancel all jobs of the batch. Where a process lives on all the same, it can write no more."""
        book = Submissions(batch.directory)
        for task in range(len(batch.tasks)):
            claims.revoke(batch.task_folder(task))
        try:
            self._end(self._given_up(book, GIVEN_UP))
        except SlurmError as error:
            names = ", ".join(each.name for each in book.read())
            log.warning(
                "batch %s: its jobs cannot be cancelled now; they write nothing and end as soon as they run (%s): %s",
                batch.batch_id, names, error,
            )  # fmt: skip

    def stop(self, batch: Batch) -> tuple[str, ...]:
        """Cancel the jobs of a batch on request, but keep it: the next run of the step submits the rest. Returns their ids.

        Raises:
            SlurmError: they cannot be cancelled now.
        """
        book = Submissions(batch.directory)
        why = "it was stopped on request"
        try:
            jobs = self._given_up(book, why)
            self._end(jobs)
        except SlurmError:
            # Nobody knows how long: the next run attaches to what runs.
            with book.locked() as known:
                for submission in known:
                    book.save(replace(submission, cancelled=submission.cancelled.replace(why, "")))
            raise
        statuses = {task: read_status(batch.task_folder(task)) for task in range(len(batch.tasks))}
        rest = {
            task for task, status in statuses.items() if status is None or status.phase != Phase.DONE.value
        }
        stopped = Ending(Consequence.OVER, why, SlurmState.CANCELLED.name)
        with book.locked() as known:
            for submission in known:
                mine = [task for task in rest if newest(known, task) is submission]
                endings = {task: replace(submission.endings.get(task, stopped), told=True) for task in mine}
                book.save(replace(submission, endings={**submission.endings, **endings}))
        return tuple(sorted(jobs, key=int))

    def _given_up(self, book: Submissions, why: str) -> set[str]:
        """Write down that all submissions are to end; returns the ids of their jobs."""
        with book.locked() as known:
            for submission in known:
                book.save(replace(submission, cancelled=submission.cancelled or why))
            unclear = [job for each in known if _is_open(each) for job in self.client.find(each.name)]
        return {*job_ids(known), *unclear}

    def abandon(self, batch_id: str, job: str | None) -> None:
        """Cancel the jobs of a batch whose folder is gone: those that name it, and `job`."""
        try:
            named = {each.job_id for each in self.client.queue() if each.comment == batch_id}
            self._end(named | set((job or "").split()))
        except SlurmError as error:
            log.warning(
                "batch %s: its jobs (%s) could not be cancelled: %s", batch_id, job or "none known", error
            )

    def _settled(self, book: Submissions) -> list[Submission]:
        """Look for the jobs of submissions whose answer was lost."""
        with book.locked() as known:
            for submission in filter(_is_open, known):
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
                    book.save(replace(submission, job_id=jobs[0]))
                elif submission.unsent or lasted >= self.rules.settle_seconds:
                    log.info("%s never reached Slurm; its tasks are submitted again", submission.name)
                    book.save(replace(submission, dropped="it never reached Slurm"))
        return book.read()

    def _cancel_what_counts_no_more(self, batch: Batch, book: Submissions, snapshot: Snapshot) -> None:
        """End what runs in the name of the batch beside what counts: late arrivals, copies that a later one replaces."""
        mine = [each for each in snapshot.tasks.values() if each.comment == batch.batch_id]
        active = [each for each in mine if each.state.fate is Fate.ACTIVE]
        if all(_counts(book.read(), each) for each in active):
            return
        # Whoever submits holds the lock until the id is written down.
        with book.locked() as known:
            open_names = {each.name for each in known if _is_open(each)}
            extra = [each for each in active if not _counts(known, each) and each.name not in open_names]
        by_job: dict[str, list[QueuedTask]] = {}
        for each in extra:
            by_job.setdefault(each.job_id, []).append(each)
        for job_id, some in by_job.items():
            if self.patience.since("extra", job_id) == 0:
                log.warning(
                    "batch %s: job %s runs beside the one that counts; it is cancelled",
                    batch.batch_id,
                    job_id,
                )
            tasks = [each.task for each in some if each.task is not None]
            self._try_cancel(job_id, tasks if job_id in job_ids(known) else None)

    def _cancel_what_waits_for_ever(self, batch: Batch, book: Submissions, snapshot: Snapshot) -> None:
        for submission in book.read():
            listed = [snapshot.tasks.get((submission.job_id or "", task)) for task in submission.tasks]
            active = [each for each in listed if each is not None and each.state.fate is Fate.ACTIVE]
            if not active or submission.job_id is None:
                continue
            if submission.cancelled:
                self._try_cancel(submission.job_id, None)
                continue
            waiting = [each for each in active if each.state is SlurmState.PENDING]
            self._let_go(book, submission, [each for each in waiting if HELD.search(each.reason)])
            never = next(filter(None, (impossible(each.reason) for each in waiting)), None)
            if never is None:
                self.patience.over("never", submission.name)
            elif (
                self.patience.since("never", submission.name) >= never.patience_seconds * self.rules.patience
                and not snapshot.stale
            ):
                wanted = asked(submission.options, never.options)
                why = f"job {submission.job_id} would wait for ever: {never}{wanted}"
                log.warning("batch %s: %s. It is cancelled", batch.batch_id, why)
                with book.locked() as known:
                    current = next(each for each in known if each.number == submission.number)
                    # More memory than any node has: they go on with what they had.
                    refused = current.raised_from is not None
                    book.save(replace(current, cancelled=why, refused=refused))
                self._try_cancel(submission.job_id, None)

    def _let_go(self, book: Submissions, submission: Submission, held: list[QueuedTask]) -> None:
        """Tasks that Slurm could not start and holds: they are given back and submitted again."""
        tasks = [each.task for each in held if each.task is not None]
        if tasks:
            said = "job {}_{} could not be started and was held by Slurm ({})"
            book.ended(
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

    def _end(self, jobs: Iterable[str]) -> None:
        """Cancel jobs and wait until none of their tasks is there any more."""
        jobs = set(jobs)
        if not jobs:
            return
        for job_id in sorted(jobs):
            self.client.cancel(job_id)
        deadline = time.monotonic() + self.rules.cancel_seconds
        pause = 0.2
        while any(task.job_id in jobs and task.state.fate is Fate.ACTIVE for task in self.client.queue()):
            if time.monotonic() > deadline:
                log.warning("job %s takes long to end; it writes nothing any more", ", ".join(sorted(jobs)))
                return
            time.sleep(pause)
            pause = min(2 * pause, 5.0)


def _is_open(submission: Submission) -> bool:
    """True if it is not known whether Slurm has taken it."""
    return submission.job_id is None and not submission.dropped


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
