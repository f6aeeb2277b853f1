"""What was submitted for a batch, written down before and after, and how its tasks ended.

```
<folder of the batch>/jobs/<n>.json     submission number n
<folder of the batch>/jobs/lock         held by whoever submits or writes down an end
```

A submission is written down before Slurm is asked, under a name of its own that `Submission.name` says, and its job id after the
answer. Whoever finds one without an id looks for that name before anything is submitted again. Of the submissions of a
task the one with the highest number counts. Not here: what is asked of Slurm and what follows from an end (`batch_jobs`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from astra_assets.compute.batch import submission_file
from astra_assets.compute.slurm.endings import Consequence, Ending
from astra_assets.files.json_files import read_json, write_json, write_new_json
from astra_assets.files.locks import locked
from astra_assets.pipelines.options import SlurmOptions

GIVEN_UP = "the batch was cancelled"
"""Why jobs were cancelled whose results nobody wants any more."""


@dataclass(frozen=True)
class Submission:
    """One submission: an array of some tasks of a batch.

    Attributes:
        number: from 1; part of the name of the job.
        name: name of the job, `astra-<pipeline>-<step>-<batch id>-<number>`.
        tasks: tasks of the batch, which are the numbers of the array.
        options: what was asked for, with the memory that these tasks need by now; `declared` the memory that the batch
            asked for at that time.
        when: UTC, by the clock of whoever submitted.
        why: why these tasks were submitted again; empty for the first time.
        spared: tasks whose inputs in hand are not to blame for the end before.
        memory_mb: memory of each task in MB, where a size was asked for; `more_memory` whether they can get more still;
            `raised_from` what they had in MB where it was raised for this submission.
        log_sizes: size of the log of each task when it was submitted.
        job_id: None while Slurm's answer is not known.
        unsent: the controller was not reached, so that Slurm cannot have taken it unless it is found.
        deferred: why Slurm takes no job now, in its words; it is submitted anew later. Empty if that was not its answer.
        dropped: why it counts no more: it never reached Slurm, or Slurm did not accept it; empty if it counts.
        refused: Slurm does not run it as it is asked for.
        cancelled: why we cancelled it; empty if we did not.
        endings: how tasks ended that had not done all of their inputs.
        pardoned: tasks that go on in a later run of the step, however they ended in this submission.
    """

    number: int
    name: str
    tasks: tuple[int, ...]
    options: SlurmOptions
    declared: str | None
    when: str
    why: str = ""
    spared: tuple[int, ...] = ()
    memory_mb: float | None = None
    more_memory: bool = False
    raised_from: float | None = None
    log_sizes: Mapping[int, int] = field(default_factory=dict)
    job_id: str | None = None
    unsent: bool = False
    deferred: str = ""
    dropped: str = ""
    refused: bool = False
    cancelled: str = ""
    endings: Mapping[int, Ending] = field(default_factory=dict)
    pardoned: tuple[int, ...] = ()

    @property
    def has_told(self) -> bool:
        """True if an error of it has ended a run of the step, and no later run has gone on since."""
        return any(ending.told and task not in self.pardoned for task, ending in self.endings.items())


class Submissions:
    """The submissions of one batch on disk."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.folder = directory / "jobs"

    def read(self) -> list[Submission]:
        """All submissions, in the order of their numbers."""
        numbers = sorted(int(path.stem) for path in self.folder.glob("*.json") if path.stem.isdecimal())
        contents = ((number, read_json(submission_file(self.directory, number))) for number in numbers)
        return [_from_content(number, content) for number, content in contents if content is not None]

    @contextlib.contextmanager
    def locked(self) -> Iterator[list[Submission]]:
        """All submissions while nobody else submits for this batch or writes down an end.

        Where a file system has no locks, `add` still lets one of two succeed.
        """
        with locked(self.folder / "lock", optional=True):
            yield self.read()

    def add(self, submission: Submission) -> bool:
        """Write down a new submission; False if somebody else has made one of this number meanwhile."""
        path = submission_file(self.directory, submission.number)
        return write_new_json(path, _content(submission))

    def save(self, submission: Submission) -> None:
        """Write down what is known by now about a submission."""
        write_json(submission_file(self.directory, submission.number), _content(submission))

    def ended(self, endings: Mapping[int, tuple[int, Ending]]) -> None:
        """Write down ends: by task, the number of the submission and how it ended. An earlier word on the same counts."""
        if not endings:
            return
        with self.locked() as known:
            for submission in known:
                mine = {
                    task: ending for task, (number, ending) in endings.items() if number == submission.number
                }
                if not mine.keys() <= submission.endings.keys():
                    self.save(replace(submission, endings={**mine, **submission.endings}))


def newest(submissions: list[Submission], task: int) -> Submission | None:
    """The submission of a task that counts; None if there is none."""
    counting = (each for each in reversed(submissions) if task in each.tasks and not each.dropped)
    return next(counting, None)


def job_ids(submissions: list[Submission]) -> tuple[str, ...]:
    """What Slurm calls these submissions, as far as is known."""
    return tuple(each.job_id for each in submissions if each.job_id is not None)


def _content(submission: Submission) -> dict[str, Any]:
    content = asdict(submission)
    content["endings"] = {
        str(task): asdict(ending) | {"consequence": ending.consequence.value}
        for task, ending in submission.endings.items()
    }
    return content


def _from_content(number: int, content: Mapping[str, Any]) -> Submission:
    known: dict[str, Any] = {
        each.name: content[each.name] for each in fields(Submission) if each.name in content
    }
    endings = {int(task): _ending(ending) for task, ending in known.get("endings", {}).items()}
    return Submission(
        **known
        | {
            "number": number,
            "tasks": tuple(known["tasks"]),
            "options": SlurmOptions(**known["options"]),
            "spared": tuple(known.get("spared", ())),
            "pardoned": tuple(known.get("pardoned", ())),
            "log_sizes": {int(task): size for task, size in known.get("log_sizes", {}).items()},
            "endings": endings,
        }
    )


def _ending(content: Mapping[str, Any]) -> Ending:
    known: dict[str, Any] = {each.name: content[each.name] for each in fields(Ending) if each.name in content}
    # Batches that an earlier version submitted have it as `verdict`.
    consequence = content.get("consequence") or content["verdict"]
    return Ending(**known | {"consequence": Consequence(consequence)})
