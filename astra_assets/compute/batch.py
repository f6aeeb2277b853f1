"""A batch on disk: where its files are and what `batch.json` says.

```
$ASTRA_HOME/batches/<pipeline key>-<step>/<batch id>/
    batch.json                      what is run, on what, with which options
    inputs.parquet                  the manifest: one row per input, in the order of their keys
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

A batch never changes once it is planned, but for what a cluster is asked for (`slurm`). Not here: how it is
planned (`plan`), run (`worker`) and collected (`collect`).
"""

from __future__ import annotations

import importlib
import itertools
import secrets
import sys
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from astra_assets.errors import ExpectedError
from astra_assets.files.json_files import read_json, write_json
from astra_assets.pipelines.base import Pipeline, PipelineDeclarationError, Step, WorkContext
from astra_assets.pipelines.options import SlurmOptions
from astra_assets.spectra.base import Roots

FORMAT = 1
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
        reference: `module:attribute` of the declaration; `import_path` a folder that its module is found in.
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
    """

    directory: Path
    batch_id: str
    pipeline: str
    step: str
    reference: str
    import_path: str
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
        """The pipeline and step that the batch runs, imported.

        Raises:
            PipelineDeclarationError: they are not where `batch.json` says.
        """
        module, _, attribute = self.reference.partition(":")
        if self.import_path and self.import_path not in sys.path:
            sys.path.append(self.import_path)
        found = getattr(importlib.import_module(module), attribute, None)
        if not isinstance(found, Pipeline):
            raise PipelineDeclarationError(
                f"{self.directory}: {self.reference} was to be the declaration of {self.pipeline}, found {found!r}"
            )
        return found, found.step(self.step)

    def write(self) -> None:
        """Write `batch.json`; the folder is complete with it."""
        content = asdict(replace(self, directory=Path(), roots=Roots(Path(), Path())))
        for name in ("directory", "attached"):
            del content[name]
        content |= {
            "format": FORMAT,
            "planned": self.planned.isoformat(timespec="microseconds"),
            "judged": self.judged.isoformat(timespec="microseconds"),
            "roots": {"sas_base_dir": str(self.roots.sas_base_dir), "mwm_astra": str(self.roots.mwm_astra)},
        }
        write_json(self.directory / "batch.json", content)


def read_batch(directory: Path) -> Batch:
    """The batch in a folder.

    Raises:
        BrokenBatchError: the folder is not there, or lacks a part of what every batch has.
    """
    if not directory.is_dir():
        raise BrokenBatchError(f"{directory}: the folder of the batch is not there")
    content = read_json(directory / "batch.json")
    if content is None:
        raise BrokenBatchError(f"{directory}: batch.json is missing or cannot be read")
    if content.pop("format", None) != FORMAT:
        raise BrokenBatchError(f"{directory}: batch.json was written by another version of this program")
    try:
        batch = Batch(directory=directory, **_typed(content))
    except (KeyError, TypeError, ValueError) as error:
        raise BrokenBatchError(f"{directory}: batch.json is not complete: {error!r}") from error
    if not batch.manifest.is_file():
        raise BrokenBatchError(f"{directory}: inputs.parquet is missing")
    return batch


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
