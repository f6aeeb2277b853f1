"""What the engine needs of a place where batches run: this machine, a cluster.

A backend starts the worker program (`worker`) for the tasks of a batch and tells how they are. It knows
neither the database nor what is computed: the folder of the batch has all that a worker needs, and `Batch`
what a cluster is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from astra_assets.compute.batch import Batch
from astra_assets.compute.states import TaskState
from astra_assets.pipelines.base import Step
from astra_assets.pipelines.options import Resources, SlurmOptions


class Backend(Protocol):
    """A place where batches run. All methods may be called by a process that did not start the batch."""

    @property
    def name(self) -> str:
        """What batches record: `local`, `slurm`."""

    @property
    def poll_seconds(self) -> float:
        """How long to wait at most between two looks at a running batch."""

    def options(self, step: Step, resources: Resources) -> SlurmOptions:
        """What a batch of this step gets: number of tasks (`nodes`), processes of each (`procs`), and the rest.

        What `resources` asks for wins over everything else.
        """

    def start(self, batch: Batch, tasks: Sequence[int]) -> str | None:
        """Start these tasks, none of which runs; returns what the backend calls the job.

        Called again for tasks that stopped: they go on after the parts that exist.
        """

    def poll(self, batch: Batch) -> Mapping[int, TaskState]:
        """How every task of the batch is. `STOPPED` tasks will be started again; `UNKNOWN` ones are waited for."""

    def detach(self, batch: Batch) -> str:
        """This process stops watching, on request or by an error; returns a sentence on what goes on and how to go on."""

    def cancel(self, batch: Batch) -> None:
        """End all tasks of the batch; returns when none can write any more."""
