"""What is asked of a cluster beyond the declarations: by a site in `astra.toml`, in the launchpad, on the command line.

Belongs here: the options as people write them, what each means, and which wins over which. Does not belong here: the
declarations themselves (`pipelines`), how a cluster is asked (`compute.slurm`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from astra_assets.compute.slurm.spec import megabytes_of, problems
from astra_assets.pipelines.base import Pipeline, Step
from astra_assets.pipelines.options import ResourceRequest, SlurmOptions


def as_text(value: object) -> object:
    """A plain number is as good as a text: `mem = 0`."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Text = Annotated[str | None, BeforeValidator(as_text)]


class Asked(BaseModel):
    """Options of a step that somebody asks for; what is None is not asked for. The names are those of `ResourceRequest`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    nodes: int | None = Field(default=None, description="Tasks that a batch is cut into, each on one node.")
    procs: int | None = Field(default=None, description="Worker processes of each task.")
    time: Text = Field(default=None, description="Wall time, [days-]hours:minutes:seconds.")
    mem: Text = Field(default=None, description="Memory of each task: 16000 (MB), 64G, 0 for all of a node.")
    gres: str | None = Field(default=None, description="Generic resources of each task, e.g. gpu:v100:1.")
    qos: str | None = Field(default=None, description="Quality of service.")
    account: str | None = Field(default=None, description="Account that the time is charged to.")
    partition: str | None = Field(default=None, description="Partition of the cluster.")
    constraint: str | None = Field(default=None, description="Features that nodes must have.")
    exclusive: bool | None = Field(default=None, description="A task has its node for itself.")
    throttle: int | None = Field(default=None, description="At most this many tasks run at once.")
    nice: int | None = Field(default=None, description="Lowers the priority of the job.")
    extra: list[str] | None = Field(
        default=None, description="Further argument of sbatch, e.g. --reservation=night."
    )
    setup: list[str] | None = Field(
        default=None, description="Line of shell that runs before the worker, e.g. module load cuda."
    )

    @field_validator(*(each.name for each in fields(ResourceRequest)), mode="after")
    @classmethod
    def possible(cls, value: Any, info: ValidationInfo) -> Any:
        """What is asked for is something that can be asked for."""
        if value is not None:
            name = str(info.field_name)
            asked: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value}
            found = problems(replace(SlurmOptions(), **asked))
            if found:
                raise ValueError("; ".join(each.removeprefix(f"{name}: ") for each in found))
        return value

    @property
    def resources(self) -> ResourceRequest:
        """The same as the engine knows it."""
        asked: dict[str, Any] = {}
        for each in fields(ResourceRequest):
            value = getattr(self, each.name)
            asked[each.name] = tuple(value) if isinstance(value, list) else value
        return ResourceRequest(**asked)


class SlurmProfile(Asked):
    """The table `[slurm]` of `astra.toml`: what a site asks of its cluster for every step, and for single ones.

    A step is named by its pipeline's key, or by key and step: `[slurm.steps.bossnet]`, `[slurm.steps."bossnet/star"]`.
    The more particular table wins.
    """

    steps: dict[str, Asked] = Field(default={}, description="Tables of single pipelines and steps.")
    partition_like_account: bool | None = Field(
        default=None,
        description="The partition is named like the account where only the account is asked for. "
        "Without a word: where the cluster has such a partition.",
    )
    poll_seconds: float = Field(
        default=15.0, gt=0, description="How often the queue is asked for, once for all jobs of a deployment."
    )
    memory_cap: Text = Field(
        default=None,
        description="Memory beyond which a task that ran out of it is not given more, e.g. 180G.",
    )

    @field_validator("memory_cap", mode="after")
    @classmethod
    def size(cls, value: str | None) -> str | None:
        """A size as sbatch reads it."""
        if value is not None:
            megabytes_of(value)
        return value

    @property
    def memory_cap_mb(self) -> float | None:
        """The cap in MB; None where there is none."""
        return (megabytes_of(self.memory_cap) or None) if self.memory_cap else None

    @property
    def is_set(self) -> bool:
        """True when a site has written such a table."""
        return bool(self.model_fields_set)

    def options(
        self,
        pipeline: Pipeline,
        step: Step,
        resources: ResourceRequest,
        is_partition: Callable[[str], bool] = lambda _: False,
    ) -> SlurmOptions:
        """What a step gets: its declaration, under what the site asks for, under `resources`.

        Astra's own command line took the account for the partition where only the former was given. So does this where the
        cluster has such a partition, which `is_partition` tells.
        """
        options = step.slurm
        tables = (self, self.steps.get(pipeline.key), self.steps.get(f"{pipeline.key}/{step.name}"))
        for asked in (*(table.resources for table in tables if table is not None), resources):
            options = asked.over(options)
            if asked.account and not asked.partition:
                alike = self.partition_like_account
                if is_partition(asked.account) if alike is None else alike:
                    options = replace(options, partition=asked.account)
        return options

    def unknown_steps(self, pipelines: tuple[Pipeline, ...]) -> Iterator[str]:
        """A sentence for each table that belongs to no step."""
        known = {pipeline.key for pipeline in pipelines} | {
            f"{pipeline.key}/{step.name}" for pipeline in pipelines for step in pipeline.steps
        }
        for name in self.steps:
            if name not in known:
                near = [other for other in sorted(known) if other.startswith(name.partition("/")[0])]
                yield (
                    f'[slurm.steps."{name}"] in astra.toml belongs to no step; '
                    f"there are: {', '.join(near or sorted(known))}"
                )
