"""Batches on a cluster: arrays of tasks, watched through what the tasks write and the shared queue.

What is done with the jobs of one batch is in `batch_jobs`; how Slurm is asked is in `client`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from astra_assets.compute.batch import Batch, BatchError
from astra_assets.compute.progress import Phase, TaskState, read_status
from astra_assets.compute.slurm.batch_jobs import BatchJobs, end_jobs
from astra_assets.compute.slurm.client import SlurmClient, SlurmError
from astra_assets.compute.slurm.look import NOT_SUBMITTED
from astra_assets.compute.slurm.patience import Patience, Rules
from astra_assets.compute.slurm.queue import SharedQueue
from astra_assets.compute.slurm.spec import SlurmSpecError
from astra_assets.compute.slurm.submissions import Submissions, job_ids
from astra_assets.compute.slurm.variables import honoured, refused, unused
from astra_assets.pipelines.base import Pipeline, Step
from astra_assets.pipelines.options import ResourceRequest, SlurmOptions, problems

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
    _queues: dict[str, SharedQueue] = field(default_factory=dict, init=False, repr=False)
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
            SlurmSpecError: it cannot be right, or a variable of sbatch asks for something that would be dropped.
        """
        options = self.options_of(pipeline, step, resources)
        found = problems(options)
        if found:
            found += [f"the environment has {each}" for each in honoured(os.environ)]
        found += refused(os.environ, options)
        if found:
            raise SlurmSpecError(f"{pipeline.key} {step.name}", found)
        for text in unused(os.environ):
            log.warning("%s %s: %s", pipeline.key, step.name, text)
        return options

    def start(self, batch: Batch, tasks: Sequence[int]) -> None:
        """Submit these tasks, but for those that somebody else has submitted meanwhile.

        While the controller does not answer, or takes no job, nothing is submitted, and `poll` leads to another try.
        """
        try:
            self._jobs(batch).submit(tasks)
        except (SlurmError, SlurmSpecError) as error:
            raise BatchError(f"{batch.pipeline} {batch.step}, batch {batch.batch_id}: {error}") from error

    def job(self, batch: Batch) -> str | None:
        """Ids of all jobs of the batch, as far as Slurm's answers are known; as sbatch writes them, `4711;cluster`."""
        ids = job_ids(Submissions(batch.directory).read())
        where = f";{batch.slurm.cluster}" if batch.slurm.cluster else ""
        return " ".join(f"{job_id}{where}" for job_id in ids) or None

    def poll(self, batch: Batch) -> Mapping[int, TaskState]:
        """How every task is."""
        statuses = {task: read_status(batch.task_folder(task)) for task in range(len(batch.tasks))}
        if all(status is not None and status.phase == Phase.DONE.value for status in statuses.values()):
            return dict.fromkeys(statuses, TaskState(Phase.DONE))
        if not Submissions(batch.directory).read():
            return dict.fromkeys(statuses, NOT_SUBMITTED)
        states, self._shown[batch.batch_id] = self._jobs(batch).look(statuses)
        return states

    def resume(self, batch: Batch) -> None:
        """Errors that an earlier run of the step has reported are none any more: their tasks are submitted again.

        So are tasks of the same submission that have ended since or are just ending, as of an array that was cancelled.
        """
        self._jobs(batch).resume()

    def detach(self, batch: Batch) -> str:
        """What goes on without this process; errors that it has seen count as reported."""
        self._jobs(batch).reported(self._shown.pop(batch.batch_id, set()))
        jobs = self.job(batch)
        return (
            f"what was submitted ({f'job {jobs}' if jobs else 'nothing yet'}) goes on on the cluster; run the same again "
            f"to attach to it, or type astra-assets cancel {batch.batch_id}"
        )

    def cancel(self, batch: Batch) -> None:
        """Cancel all jobs of the batch. Where a process lives on all the same, it can write no more."""
        self._jobs(batch).cancel()

    def stop(self, batch: Batch) -> tuple[str, ...]:
        """Cancel the jobs of a batch on request, but keep it: the next run of the step submits the rest. Returns their ids.

        Raises:
            SlurmError: they cannot be cancelled now.
        """
        return self._jobs(batch).stop()

    def abandon(self, batch_id: str, job: str | None) -> None:
        """Cancel the jobs of a batch whose folder is gone: those that name it, and `job`."""
        known = [each.partition(";")[::2] for each in (job or "").split()]
        client = (
            self.client.on(next((cluster for _, cluster in known if cluster), None)) if known else self.client
        )
        try:
            named = {each.job_id for each in client.queue() if each.comment == batch_id}
            end_jobs(client, named | {job_id for job_id, _ in known}, self.rules.cancel_seconds)
        except SlurmError as error:
            log.warning(
                "batch %s: its jobs (%s) could not be cancelled: %s", batch_id, job or "none known", error
            )

    def _jobs(self, batch: Batch) -> BatchJobs:
        """The jobs of a batch, on the cluster that it was planned for."""
        cluster = batch.slurm.cluster
        queue = self._queues.setdefault(cluster or "", self.queue.on(cluster))
        return BatchJobs(batch, queue.client, queue, self.rules, self.patience)
