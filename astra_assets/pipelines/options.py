"""What a step asks of the place where it runs, and what is asked for beyond its declaration.

Only the options belong here; how a cluster is asked for them is in `astra_assets.compute.slurm`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace


@dataclass(frozen=True)
class SlurmOptions:
    """What a step asks of a cluster. Defaults name no site.

    Attributes:
        nodes: number of tasks into which a batch is cut; each runs on one node.
        procs: worker processes of each task.
        time: wall time, `[days-]hours:minutes:seconds`.
        mem: memory of each task, as `sbatch --mem` reads it; `0` is all that a node has.
        gres: generic resources of each task, such as `gpu:v100:1`.
        qos: quality of service.
        account: whom the time is charged to.
        partition: part of the cluster.
        constraint: features that nodes must have.
        exclusive: whether a task has its node for itself.
        throttle: at most this many tasks run at once.
        nice: lowers the priority.
        extra: further arguments of sbatch, such as `--reservation=night`.
        setup: lines of shell that run before the worker, such as `module load cuda`.
    """

    nodes: int = 1
    procs: int = 1
    time: str = "24:00:00"
    mem: str | None = None
    gres: str | None = None
    qos: str | None = None
    account: str | None = None
    partition: str | None = None
    constraint: str | None = None
    exclusive: bool | None = None
    throttle: int | None = None
    nice: int | None = None
    extra: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "extra", tuple(self.extra))
        object.__setattr__(self, "setup", tuple(self.setup))

    def beside(self, other: SlurmOptions) -> str:
        """What is different from other options, as people write it: `time = 48:00:00, mem = 16G`."""
        names = [each.name for each in fields(self) if getattr(self, each.name) != getattr(other, each.name)]
        return ", ".join(f"{name} = {getattr(self, name)}" for name in names)


@dataclass(frozen=True)
class ResourceRequest:
    """What is asked for beyond a declaration: by a site, in the launchpad, on the command line; None where nothing is.

    The attributes are those of `SlurmOptions`.
    """

    nodes: int | None = None
    procs: int | None = None
    time: str | None = None
    mem: str | None = None
    gres: str | None = None
    qos: str | None = None
    account: str | None = None
    partition: str | None = None
    constraint: str | None = None
    exclusive: bool | None = None
    throttle: int | None = None
    nice: int | None = None
    extra: tuple[str, ...] | None = None
    setup: tuple[str, ...] | None = None

    def over(self, options: SlurmOptions) -> SlurmOptions:
        """These options, where something is asked for, and those of the declaration elsewhere."""
        asked = {each.name: getattr(self, each.name) for each in fields(self)}
        return replace(options, **{name: value for name, value in asked.items() if value is not None})


AS_DECLARED = ResourceRequest()
"""Nothing is asked for beyond the declaration."""
