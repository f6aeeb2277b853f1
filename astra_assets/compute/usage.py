"""What a batch has used: node hours, processor time, memory, tries; from what its tasks and submissions wrote down.

The same for batches of this machine and of a cluster; asks neither the database nor the cluster.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from astra_assets.compute.batch import Batch
from astra_assets.compute.progress import TaskStatus, read_status
from astra_assets.files.json_files import read_json


@dataclass(frozen=True)
class Usage:
    """What a batch has used so far.

    Attributes:
        job_ids: what the cluster calls its jobs; empty on this machine.
        node_hours: time of all tasks together, of copies that died before their end, too.
        rate_per_hour: inputs that are finished, for each hour from the first start to the last sign of life.
        efficiency: processor time of the worker processes over the time that they could have used.
        peak_memory_mb: most memory of one task; `memory_asked_mb` the most that was asked for one, None where that is not
            known.
        tasks: tasks of the batch, `retries` how often any of them was started again.
    """

    job_ids: tuple[str, ...]
    node_hours: float
    rate_per_hour: float | None
    efficiency: float | None
    peak_memory_mb: float
    memory_asked_mb: float | None
    tasks: int
    retries: int


def usage_of(batch: Batch) -> Usage:
    """What a batch has used, according to its folder; all zero where nothing has run yet."""
    found = (read_status(batch.task_folder(task)) for task in range(len(batch.tasks)))
    statuses = [status for status in found if status is not None]
    jobs = _jobs(batch)
    wall = sum(status.wall_seconds for status in statuses)
    cpu = sum(status.cpu_seconds for status in statuses)
    return Usage(
        job_ids=tuple(str(job["job_id"]) for job in jobs if job.get("job_id")),
        node_hours=wall / 3600,
        rate_per_hour=_rate(statuses),
        efficiency=min(1.0, cpu / (wall * batch.procs)) if wall > 0 else None,
        peak_memory_mb=max((status.peak_memory for status in statuses), default=0.0),
        memory_asked_mb=_asked(jobs),
        tasks=len(batch.tasks),
        retries=sum(status.runs - 1 for status in statuses),
    )


def _rate(statuses: list[TaskStatus]) -> float | None:
    """Inputs per hour; the first start counts with the time that earlier copies of that task had used."""
    if not statuses:
        return None
    seconds = max(status.heartbeat for status in statuses) - min(_began(status) for status in statuses)
    finished = sum(status.finished for status in statuses)
    return 3600 * finished / seconds if seconds > 0 and finished else None


def _began(status: TaskStatus) -> float:
    return status.heartbeat - max(status.wall_seconds, status.heartbeat - status.started)


def _jobs(batch: Batch) -> list[Mapping[str, Any]]:
    files = [path for path in batch.jobs_folder.glob("*.json") if path.stem.isdecimal()]
    contents = (read_json(path) for path in sorted(files, key=lambda path: int(path.stem)))
    return [content for content in contents if content is not None]


def _asked(jobs: list[Mapping[str, Any]]) -> float | None:
    """The most memory that was asked for, where somebody asked for a size, or Slurm said what it gave."""
    endings = [ending for job in jobs for ending in job.get("endings", {}).values()]
    sizes = [ending.get("memory_asked_mb") for ending in endings] + [job.get("memory_mb") for job in jobs]
    return max((float(size) for size in sizes if size), default=None)
