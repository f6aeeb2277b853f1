"""A batch on disk: where its files are and what `batch.json` says.

```
$ASTRA_HOME/batches/<pipeline key>-<step>/<batch id>/
    batch.json                      what is run, on what, with which options
    inputs.parquet                  the manifest: one row per input, in the order of their keys
    archive.json                    where its files are, and some of those that were there when it was started
    tasks/<n>/claim.json            which process runs the task
    tasks/<n>/status.json           state, counts, host, peak memory, heartbeat
    tasks/<n>/results-<k>.parquet   results, with rows of further tables and problems nested in them
    tasks/<n>/failures-<k>.parquet  inputs that failed or were skipped, with code and message
    tasks/<n>/*.damaged             parts that were set aside since they were not what was written
    tasks/<n>/in-hand.txt           what each worker process is at
    tasks/<n>/deaths.json           which inputs were in hand when processes died, and how often
    tasks/<n>/program-*/            inputs and results of one start of a program; kept where it did not end well
    tasks/<n>/astra.json            how many inputs Astra's own command line was given
    logs/task-<n>.log               what the processes of a task say
    jobs/<n>.json                   what was submitted to a cluster, and how its tasks ended
```

A batch never changes once it is planned, but for what a cluster is asked for (`slurm`). `batch.json` names a registered
pipeline and its step, and nothing that a process imports or executes (`step_reference`). Its folder is readable and writable
for its owner alone. Not here: how it is planned (`plan`), run (`worker`) and collected (`collect`).
"""

from __future__ import annotations

import itertools
import pwd
import secrets
from collections.abc import Collection
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from astra_assets.compute.step_reference import StepReference
from astra_assets.errors import ExpectedError
from astra_assets.files.json_files import read_json, write_json
from astra_assets.pipelines.base import Pipeline, Step, WorkContext
from astra_assets.pipelines.options import SlurmOptions
from astra_assets.spectra.base import Roots

FORMAT = 2
"""Version of the layout; a batch of another one is set aside."""


class BatchError(ExpectedError):
    """A batch cannot go on; the message says which, why, and what to type."""


class BrokenBatchError(BatchError):
    """The folder of a batch is not there or not whole."""


@dataclass(frozen=True)
class BatchLimits:
    """Sizes and intervals of the machinery; the defaults suit spectra that take between milliseconds and minutes.

    Attributes:
        chunk_rows: inputs read from the database at once while planning.
        row_group: rows of a row group of the manifest.
        flush_rows: finished inputs after which a worker writes a part.
        flush_seconds: time after which it does so anyway; what a kill can cost.
        heartbeat_seconds: how often a worker writes its status.
        deaths: how many worker processes may die with the same input in hand before it is recorded as failed.
        restarts: how often a task that died is started again without having finished a single input more.
    """

    chunk_rows: int = 20_000
    row_group: int = 5_000
    flush_rows: int = 1_000
    flush_seconds: float = 20.0
    heartbeat_seconds: float = 2.0
    deaths: int = 3
    restarts: int = 4


@dataclass(frozen=True)
class BatchAccess:
    """Who has to do with batches, next to the user who planned them.

    Attributes:
        operators: ids of users whose parts are collected, too.
        group_readable: whether the group may read the folders; by default only their owner may.
    """

    operators: frozenset[int] = frozenset()
    group_readable: bool = False

    @property
    def mode(self) -> int:
        """Mode of the folder of a batch."""
        return 0o750 if self.group_readable else 0o700


@dataclass(frozen=True)
class EnginePaths:
    """The folders of a deployment: what we write (`home`) and where spectra are (`roots`)."""

    home: Path
    roots: Roots

    def step_folder(self, pipeline: Pipeline, step: Step) -> Path:
        """Folder of all batches of a step."""
        return self.home / "batches" / f"{pipeline.key}-{step.name}"


@dataclass(frozen=True)
class Batch:
    """One planned batch, as `batch.json` describes it.

    Attributes:
        directory: its folder.
        batch_id: unique; sorts by time.
        pipeline: name of the pipeline, and `step` that of its step.
        v_astra: version of the products, such as `0.8.1`.
        code_version: of the pipeline when the batch was planned.
        planned: naive UTC time; rows that the batch makes carry it as `modified`. `judged` for a step that
            reads results of its own pipeline.
        judged: naive UTC time that outcomes carry as `modified`: when the batch was planned, or just before a
            batch was planned whose results this one reads and that was still running.
        backend: name of the backend that it was planned for.
        n_inputs: rows of the manifest.
        tasks: first and past-the-last row of the manifest for each task.
        procs: worker processes of each task.
        slurm: what the step asks of a cluster, after all overrides.
        roots: folders of spectra; `settings` further settings of the workers.
        limits: sizes and intervals.
        attached: True if the batch was not planned just now but found running.
        reference: where workers find the code of the step, as this process knows it; not in `batch.json`.
    """

    directory: Path
    batch_id: str
    pipeline: str
    step: str
    v_astra: str
    code_version: str
    planned: datetime
    judged: datetime
    backend: str
    n_inputs: int
    tasks: tuple[tuple[int, int], ...]
    procs: int
    slurm: SlurmOptions
    roots: Roots
    settings: dict[str, str]
    limits: BatchLimits
    attached: bool = False
    reference: StepReference | None = field(default=None, compare=False)

    @property
    def manifest(self) -> Path:
        """The table of inputs."""
        return self.directory / "inputs.parquet"

    def task_folder(self, task: int) -> Path:
        """Folder of one task."""
        return self.directory / "tasks" / str(task)

    def log_file(self, task: int) -> Path:
        """What the processes of one task print."""
        return self.directory / "logs" / f"task-{task}.log"

    @property
    def jobs_folder(self) -> Path:
        """Where is written down what was submitted to a cluster."""
        return self.directory / "jobs"

    def context(self) -> WorkContext:
        """What `setup` and the function of the step are told."""
        return WorkContext(self.roots, self.v_astra, self.planned, self.settings)

    def declaration(self) -> tuple[Pipeline, Step]:
        """The pipeline and step that the batch names: those that this process knows under these names.

        Raises:
            BatchError: there are none.
        """
        from astra_assets.pipelines import pipeline

        try:
            found = self.reference.load() if self.reference else pipeline(self.pipeline)
            step = found.step(self.step)
        except KeyError as error:
            raise self._not_known(error.args[0]) from None
        if found.name != self.pipeline:
            raise self._not_known(f"this process runs {found.name}")
        return found, step

    def _not_known(self, why: str) -> BatchError:
        return BatchError(
            f"{self.directory}: batch.json names the pipeline {self.pipeline!r} and the step {self.step!r}, but {why}. "
            f"Install the distribution that offers them, or cancel the batch: astra-assets cancel {self.batch_id}"
        )

    def write(self) -> None:
        """Write `batch.json`; the folder is complete with it."""
        content = asdict(replace(self, directory=Path(), roots=Roots(Path(), Path()), reference=None))
        for name in _NOT_WRITTEN:
            del content[name]
        content |= {
            "format": FORMAT,
            "planned": self.planned.isoformat(timespec="microseconds"),
            "judged": self.judged.isoformat(timespec="microseconds"),
            "roots": {"sas_base_dir": str(self.roots.sas_base_dir), "mwm_astra": str(self.roots.mwm_astra)},
        }
        write_json(self.directory / "batch.json", content)


def read_batch(directory: Path, reference: StepReference | None = None) -> Batch:
    """The batch in a folder; `reference` says where the code of its step is.

    Raises:
        BatchError: this user may not read it.
        BrokenBatchError: the folder is not there, lacks a part of what every batch has, has what no batch has, or has a
            `batch.json` of another owner.
    """
    if not directory.is_dir():
        raise BrokenBatchError(f"{directory}: the folder of the batch is not there")
    path = directory / "batch.json"
    try:
        content = read_json(path)
    except PermissionError as error:
        raise BatchError(
            f"{path}: this user may not read it. Run as {_user(directory)}, or let the group read batches: "
            "group_readable = true in [security] of astra.toml, for those that are planned from then on"
        ) from error
    if content is None:
        raise BrokenBatchError(f"{directory}: batch.json is missing or cannot be read")
    if content.pop("format", None) != FORMAT:
        raise BrokenBatchError(f"{directory}: batch.json was written by another version of this program")
    unknown = sorted(content.keys() - _WRITTEN)
    if unknown:
        raise BrokenBatchError(f"{directory}: batch.json has what no batch has: {', '.join(unknown)}")
    if (stranger := stranger_of(path, directory)) is not None:
        raise BrokenBatchError(f"{path}: belongs to {stranger}, not to the owner of the folder")
    try:
        batch = Batch(directory=directory, reference=reference, **_typed(content))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BrokenBatchError(f"{directory}: batch.json is not complete: {error!r}") from error
    if not batch.manifest.is_file():
        raise BrokenBatchError(f"{directory}: inputs.parquet is missing")
    return batch


def stranger_of(path: Path, directory: Path, trusted: Collection[int] = ()) -> str | None:
    """The owner of a file, where it is neither that of this folder nor one of the trusted users."""
    owner = path.stat().st_uid
    return None if owner == directory.stat().st_uid or owner in trusted else _user(path)


def _user(path: Path) -> str:
    """The owner of a file, for people."""
    owner = path.stat().st_uid
    try:
        return f"{pwd.getpwuid(owner).pw_name} (uid {owner})"
    except KeyError:
        return f"uid {owner}"


def submission_file(directory: Path, number: int) -> Path:
    """What is written down about one submission of the batch in a folder."""
    return directory / "jobs" / f"{number}.json"


def new_batch_id(planned: datetime) -> str:
    """An id that nobody else makes and that sorts by time."""
    return f"{planned:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def cut(n_inputs: int, n_tasks: int) -> tuple[tuple[int, int], ...]:
    """Row ranges of at most `n_tasks` tasks, none empty, sizes equal within one."""
    n_tasks = max(1, min(n_tasks, n_inputs))
    bounds = [n_inputs * task // n_tasks for task in range(n_tasks + 1)]
    return tuple(itertools.pairwise(bounds))


_NOT_WRITTEN = ("directory", "attached", "reference")
_WRITTEN = {each.name for each in fields(Batch)} - set(_NOT_WRITTEN)


def _typed(content: dict[str, Any]) -> dict[str, Any]:
    roots = content["roots"]
    return content | {
        "planned": datetime.fromisoformat(content["planned"]),
        "judged": datetime.fromisoformat(content["judged"]),
        "tasks": tuple((int(first), int(last)) for first, last in content["tasks"]),
        "slurm": SlurmOptions(**content["slurm"]),
        "roots": Roots(Path(roots["sas_base_dir"]), Path(roots["mwm_astra"])),
        "limits": BatchLimits(**content["limits"]),
    }
