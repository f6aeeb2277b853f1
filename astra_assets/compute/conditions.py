"""Under which conditions a task runs: as a process of this machine, or as a copy that a cluster has started.

Read from the environment that Slurm gives a task and from what is written down about its submission. What follows from
the conditions is decided by `supervisor`, what is submitted by `slurm`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from astra_assets.compute.claims import Rank
from astra_assets.files.json_files import read_json


@dataclass(frozen=True)
class Conditions:
    """What a task must know of how it was started.

    Attributes:
        parent: process whose end ends this one, too; None for none.
        rank: which copy of the task this is; None on this machine, where one copy at most is started.
        job: what the cluster calls the task, such as `123_4`, on which `node`.
        memory_mb: what the task may use, None where that is not known or not limited.
        spare: what was in hand when the copy before died is not blamed for that.
        more_memory: the task is started again with more memory when it was short of it. Otherwise a worker process that
            dies of that counts like any other.
    """

    parent: int | None = None
    rank: Rank | None = None
    job: str = ""
    node: str = ""
    memory_mb: float | None = None
    spare: bool = False
    more_memory: bool = False


def submission_file(directory: Path, number: int) -> Path:
    """What is written down about one submission of a batch."""
    return directory / "jobs" / f"{number}.json"


def on_cluster(directory: Path, submission: int, task: int, environment: Mapping[str, str]) -> Conditions:
    """The conditions of one task of a submission, in the environment that Slurm has given it."""
    content = read_json(submission_file(directory, submission)) or {}
    array = environment.get("SLURM_ARRAY_JOB_ID") or environment.get("SLURM_JOB_ID", "")
    return Conditions(
        rank=(submission, int(environment.get("SLURM_RESTART_COUNT") or 0)),
        job=f"{array}_{task}" if array else "",
        node=environment.get("SLURMD_NODENAME", ""),
        memory_mb=_memory(environment),
        spare=task in content.get("spared", ()),
        more_memory=bool(content.get("more_memory")),
    )


def _memory(environment: Mapping[str, str]) -> float | None:
    """Memory of the task in MB; Slurm tells nothing where a task may use all of its node."""
    whole, each = environment.get("SLURM_MEM_PER_NODE"), environment.get("SLURM_MEM_PER_CPU")
    if whole:
        return float(whole)
    return float(each) * float(environment.get("SLURM_CPUS_ON_NODE") or 1) if each else None
