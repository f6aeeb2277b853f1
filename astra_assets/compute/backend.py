"""What the engine needs of a place where batches run: this machine, a cluster.

A backend starts the worker program (`worker`) for the tasks of a batch and tells how they are. It knows
neither the database nor what is computed: the folder of the batch has all that a worker needs, and `Batch`
what a cluster is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from astra_assets.compute.batch import Batch
from astra_assets.compute.progress import TaskState
from astra_assets.pipelines.base import Pipeline, Step
from astra_assets.pipelines.options import ResourceRequest, SlurmOptions


class Backend(Protocol):
    """A place where batches run. All methods may be called by a process that did not start the batch."""

    @property
    def name(self) -> str:
        """What batches record: `local`, `slurm`."""

    @property
    def poll_seconds(self) -> float:
        """How long to wait at most between two looks at a running batch."""

    def options(self, pipeline: Pipeline, step: Step, resources: ResourceRequest) -> SlurmOptions:
        """What a batch of this step gets: number of tasks (`nodes`), processes of each (`procs`), and the rest.

        What `resources` asks for wins over everything else.
        """

    def start(self, batch: Batch, tasks: Sequence[int]) -> None:
        """Start these tasks, none of which runs.

        Called again for tasks that stopped: they go on after the parts that exist.

        Raises:
            BatchError: the backend does not accept the batch as it is asked for.
        """

    def job(self, batch: Batch) -> str | None:
        """What the backend calls what was started for a batch, whoever started it; None while it cannot tell."""

    def resume(self, batch: Batch) -> None:
        """A new run goes on with a batch: what ended an earlier run with an error is not an error any more.

        Tasks that were `BROKEN` when an earlier run was told so are `STOPPED` from now on.
        """

    def poll(self, batch: Batch) -> Mapping[int, TaskState]:
        """How every task of the batch is. `STOPPED` tasks will be started again; `UNKNOWN` ones are waited for."""

    def detach(self, batch: Batch) -> str:
        """This process stops watching, on request or by an error; returns a sentence on what goes on and how to go on."""

    def cancel(self, batch: Batch) -> None:
        """End all tasks of the batch; returns when none can write any more."""

    def abandon(self, batch_id: str, job: str | None) -> None:
        """End what may still run for a batch whose folder is gone; `job` is what `job` told of it last."""
