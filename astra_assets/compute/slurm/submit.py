"""Submitting tasks of a batch: written down first, then Slurm is asked, then its answer is written down.

Which tasks may be submitted is decided by `batch_jobs`, under the lock of `submissions`.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from astra_assets.compute.batch import Batch
from astra_assets.compute.local import environment
from astra_assets.compute.slurm.client import (
    SlurmClient,
    SlurmMissingError,
    SlurmUnavailableError,
    SubmissionDeferredError,
    SubmissionRefusedError,
    SubmissionUnclearError,
)
from astra_assets.compute.slurm.endings import Consequence
from astra_assets.compute.slurm.memory_request import Memory, memory_for, size_of
from astra_assets.compute.slurm.spec import JobSpec, output_in, script
from astra_assets.compute.slurm.submissions import Submission, Submissions, newest
from astra_assets.compute.worker import THREADS, worker_command
from astra_assets.models.base import utcnow

EXPORTED = (*THREADS, "PYTHONPATH")
"""Variables that a job gets whatever the cluster does with the environment of whoever submits."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Submitter:
    """Submits tasks of one batch."""

    client: SlurmClient
    batch: Batch
    book: Submissions
    memory_cap_mb: float

    def submit(self, known: list[Submission], tasks: Sequence[int]) -> None:
        """Submit tasks, in one array for those that need the same memory.

        `known` is what was submitted before. While the controller does not answer or takes no job, what was to be submitted
        stays written down without an id.

        Raises:
            SubmissionRefusedError: Slurm does not accept it as it is asked for.
            SlurmSpecError: what is asked for cannot be right.
            SlurmMissingError: Slurm's programs are not installed.
        """
        by_memory: dict[Memory, list[int]] = defaultdict(list)
        for task in tasks:
            by_memory[memory_for(task, self.batch.slurm.mem, known, self.memory_cap_mb)].append(task)
        number = max((each.number for each in known), default=0)
        refused: list[int] = []
        for memory, same in by_memory.items():
            number += 1
            submission = self._submission(number, memory, same, known)
            text = script(self._spec(submission))
            self.batch.log_file(0).parent.mkdir(parents=True, exist_ok=True)
            if not self.book.add(submission):
                # Somebody else has just submitted; what that leaves over is seen at the next look.
                return
            if not self._ask(submission, text):
                refused += same
        if refused:
            self.submit(self.book.read(), refused)

    def _ask(self, submission: Submission, text: str) -> bool:
        """Ask Slurm and write down what it says; False if it does not have the memory that is asked for beyond the last time."""
        batch_id = self.batch.batch_id
        try:
            job_id = self.client.submit(text)
        except SubmissionRefusedError as error:
            self.book.save(replace(submission, dropped=str(error), refused=True))
            if submission.raised_from is None:
                raise
            log.warning("batch %s: the cluster has not more memory than before: %s", batch_id, error)
            return False
        except SlurmMissingError as error:
            self.book.save(replace(submission, dropped=str(error)))
            raise
        except SlurmUnavailableError as error:
            log.warning("batch %s: it is submitted as soon as Slurm answers: %s", batch_id, error)
            self.book.save(replace(submission, unsent=True))
        except SubmissionDeferredError as error:
            log.warning("batch %s: %s. It is tried again", batch_id, error)
            self.book.save(replace(submission, deferred=str(error)))
        except SubmissionUnclearError as error:
            log.warning("batch %s: %s. It is looked for", batch_id, error)
        else:
            self.book.save(replace(submission, job_id=job_id))
            why = f", since {submission.why}" if submission.why else ""
            log.info("batch %s: %d tasks submitted as job %s%s", batch_id, len(submission.tasks), job_id, why)
        return True

    def _submission(
        self, number: int, memory: Memory, tasks: list[int], known: list[Submission]
    ) -> Submission:
        batch = self.batch
        before = {task: last.endings.get(task) for task in tasks if (last := newest(known, task)) is not None}
        endings = {task: ending for task, ending in before.items() if ending is not None}
        whys = dict.fromkeys(ending.message for ending in endings.values())
        short = (task for task, ending in endings.items() if ending.consequence is Consequence.MEMORY)
        return Submission(
            number=number,
            name=f"astra-{batch.directory.parent.name}-{batch.batch_id}-{number}",
            tasks=tuple(tasks),
            options=replace(batch.slurm, mem=memory.mem),
            declared=batch.slurm.mem,
            when=utcnow().isoformat(timespec="seconds"),
            why="; ".join(list(whys)[:3]),
            spared=tuple(short) if memory.raised_from is not None else (),
            memory_mb=size_of(memory.mem),
            more_memory=memory.more,
            raised_from=memory.raised_from,
            log_sizes={task: size for task in tasks if (size := self._log_size(task))},
        )

    def _log_size(self, task: int) -> int:
        try:
            return self.batch.log_file(task).stat().st_size
        except FileNotFoundError:
            return 0

    def _spec(self, submission: Submission) -> JobSpec:
        batch = self.batch
        variables = environment()
        return JobSpec(
            name=submission.name,
            comment=batch.batch_id,
            tasks=submission.tasks,
            options=submission.options,
            command=worker_command(batch.directory, batch.reference, "--submission", str(submission.number)),
            output=output_in(batch.log_file(0).parent),
            directory=batch.directory,
            environment={name: variables[name] for name in EXPORTED},
        )
