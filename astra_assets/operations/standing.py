"""How a step stands, what a run of it would do, and what it ran last: records for the command line and the UI.

Belongs here: what is known and what follows from it. Does not belong here: finding it out (`work`), showing it (`cli`, `assets`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from astra_assets.compute import Account, Batch, Progress
from astra_assets.pipelines.options import SlurmOptions, seconds_of


@dataclass(frozen=True)
class LastBatch:
    """What is shown of the batch that a step ran last.

    Attributes:
        batch_id, state, backend, directory: of the batch.
        inputs: inputs of the batch.
        seconds: from start to end; None while it runs.
    """

    batch_id: str
    state: str
    backend: str
    directory: Path
    inputs: int
    seconds: float | None


@dataclass(frozen=True)
class Standing:
    """How a step stands now.

    Attributes:
        account: what became of its inputs.
        batch: the active batch; None where there is none.
        progress: how far that is, as its workers have written down.
        jobs: what the cluster calls its jobs.
        unavailable: why the step cannot run here; empty where it can.
        wanted: it cannot run, and the site names its program: an error, not a step that is left out.
    """

    account: Account
    batch: Batch | None = None
    progress: Progress | None = None
    jobs: tuple[str, ...] = ()
    unavailable: str = ""
    wanted: bool = False

    @property
    def unfinished(self) -> bool:
        """True if something is to be done: a backlog, a batch that is not collected, a named program that cannot run."""
        return self.wanted or ((self.account.backlog > 0 or self.batch is not None) and not self.unavailable)


@dataclass(frozen=True)
class Preview:
    """What a run would do.

    Attributes:
        account: how the step stands.
        inputs: inputs that it would look at; a requirement of the step may skip some of them.
        options: what the batch would ask for.
        seconds_each: mean time of one result so far; None before the first result.
        bytes_each: disk space of one input in the folder of a batch, manifest, results and logs together.
        on_cluster: True where the batch would run on a cluster.
        attached: id of the active batch that a run would go on with instead; empty where there is none.
        unavailable: why the step cannot run here; empty where it can.
        submits_nothing: True for a filter, which only the database works on.
    """

    account: Account
    inputs: int
    options: SlurmOptions
    seconds_each: float | None
    bytes_each: float
    on_cluster: bool = False
    attached: str = ""
    unavailable: str = ""
    submits_nothing: bool = False

    @property
    def tasks(self) -> int:
        """Tasks that the batch would be cut into, each on a node of its own."""
        return min(self.options.nodes, max(self.inputs, 1))

    @property
    def inputs_per_task(self) -> int:
        """Inputs of the largest task."""
        return -(-self.inputs // self.tasks)

    @property
    def seconds(self) -> float | None:
        """Expected wall time without waiting; None before the first result."""
        if self.seconds_each is None:
            return None
        return -(-self.inputs_per_task // self.options.procs) * self.seconds_each

    @property
    def node_hours(self) -> float | None:
        """Expected wall time of all tasks together; None before the first result."""
        return None if self.seconds is None else self.seconds * self.tasks / 3600

    @property
    def disk(self) -> float:
        """Bytes that the folder of the batch would take."""
        return self.inputs * self.bytes_each

    @property
    def notes(self) -> list[str]:
        """What somebody should know before running it, as sentences."""
        notes = [self.unavailable] if self.unavailable else []
        if self.attached:
            notes.append(f"a run goes on with the active batch {self.attached} instead of planning this one")
        allowed = seconds_of(self.options.time) if self.on_cluster else None
        if self.seconds is not None and allowed is not None and self.seconds > allowed:
            notes.append(
                f"tasks would take longer than their wall time of {self.options.time}: ask for more --nodes, --procs or --time"
            )
        return notes
