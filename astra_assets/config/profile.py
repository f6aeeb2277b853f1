"""What is asked of a cluster beyond the declarations: by a site in `astra.toml`, in the launchpad, on the command line.

The options themselves are declared in `pipelines.options`; here is how people write them, and which request wins over which.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    create_model,
    field_validator,
)

from astra_assets.compute.slurm.variables import request_of
from astra_assets.pipelines.base import Pipeline, Step
from astra_assets.pipelines.options import OPTIONS, ResourceRequest, SlurmOptions, megabytes_of


def as_text(value: object) -> object:
    """A plain number is as good as a text: `mem = 0`."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Text = Annotated[str | None, BeforeValidator(as_text)]


class _Asked(BaseModel):
    """What tables and launchpad have in common, whatever options there are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*", mode="after")
    @classmethod
    def possible(cls, value: Any, info: ValidationInfo) -> Any:
        """What is asked for is something that can be asked for."""
        option = OPTIONS.get(str(info.field_name))
        if option is not None and value is not None:
            found = list(option.check(value))
            if found:
                raise ValueError("; ".join(found))
        return value

    @property
    def resources(self) -> ResourceRequest:
        """The same as the engine knows it."""
        return ResourceRequest(**{name: getattr(self, name) for name in OPTIONS})


def _model_fields() -> dict[str, Any]:
    """A field for each option: of its type, or None where it is not asked for."""
    types = get_type_hints(SlurmOptions)
    found: dict[str, Any] = {}
    for each in fields(SlurmOptions):
        kind = types[each.name]
        if kind == tuple[str, ...]:
            kind = list[str]
        optional = Text if kind in (str, str | None) else kind | None
        found[each.name] = (optional, Field(default=None, description=OPTIONS[each.name].help))
    return found


if TYPE_CHECKING:

    class Asked(_Asked):
        """Options of a step that somebody asks for; what is None is not asked for."""

else:
    Asked = create_model(
        "Asked",
        __base__=_Asked,
        __module__=__name__,
        __doc__="Options of a step that somebody asks for; what is None is not asked for.",
        **_model_fields(),
    )


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
        is_partition: Callable[[str | None, str], bool] = lambda _cluster, _name: False,
        environment: Mapping[str, str] = os.environ,
    ) -> SlurmOptions:
        """What a step gets: its declaration, under sbatch's variables, under what the site asks for, under `resources`.

        Astra's own command line took the account for the partition where only the former was given. So does this where the
        cluster has such a partition, which `is_partition` tells.
        """
        options = step.slurm
        tables = (self, self.steps.get(pipeline.key), self.steps.get(f"{pipeline.key}/{step.name}"))
        requests = [
            request_of(environment),
            *(table.resources for table in tables if table is not None),
            resources,
        ]
        for request in requests:
            options = request.over(options)
            account = request.asked.get("account")
            if account and "partition" not in request.asked:
                alike = self.partition_like_account
                if is_partition(options.cluster, account) if alike is None else alike:
                    options = replace(options, partition=account)
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
