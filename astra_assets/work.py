"""Running the steps of a release's pipelines: submit, collect, account, and looking into what happened.

Belongs here: the engine's verbs for the command line and the assets. Does not belong here: how a batch works inside
(`compute`), data and products (`operations`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import desc, func, select

from astra_assets.compute import (
    Account,
    Batch,
    Engine,
    EnginePaths,
    LocalBackend,
    NothingToDo,
    Progress,
    Sparingly,
)
from astra_assets.compute.batch import read_batch
from astra_assets.models.base import table_of
from astra_assets.models.compute import ComputeBatch
from astra_assets.models.errors import ExpectedError
from astra_assets.models.version import major_minor
from astra_assets.pipelines import PIPELINES
from astra_assets.pipelines.base import Pipeline, Step
from astra_assets.pipelines.options import Resources

if TYPE_CHECKING:
    from astra_assets.models.database import Database
    from astra_assets.releases import Release
    from astra_assets.settings import Settings
    from astra_assets.spectra.base import Roots

Say = Callable[[str], None]
"""Where a verb reports what it does: one line of text at a time."""


@dataclass(frozen=True)
class Restriction:
    """What to work on, where it is not everything that is unprocessed.

    Attributes:
        sdss_ids: only these objects.
        limit: at most this many inputs; the rest is a visible backlog.
        retry_failed: failures that used up their attempts are tried again.
        force: results that exist are made anew.
    """

    sdss_ids: tuple[int, ...] = ()
    limit: int | None = None
    retry_failed: bool = False
    force: bool = False


@dataclass(frozen=True)
class LastBatch:
    """What the UI shows of the batch that a step ran last.

    Attributes:
        batch_id, state, directory: of the batch.
        inputs: inputs of the batch.
        seconds: from start to end; None while it runs.
    """

    batch_id: str
    state: str
    directory: str
    inputs: int
    seconds: float | None

    @property
    def rate(self) -> float | None:
        """Inputs per second."""
        return self.inputs / self.seconds if self.seconds else None


@dataclass(frozen=True)
class Preview:
    """What a run would do.

    Attributes:
        account: how the step stands.
        tasks: tasks that the batch would be cut into, with `procs` processes each.
        seconds_each: mean time of one result so far; None before the first result.
    """

    account: Account
    tasks: int
    procs: int
    seconds_each: float | None

    @property
    def seconds(self) -> float | None:
        """Expected wall time; None before the first result."""
        if self.seconds_each is None:
            return None
        return self.account.backlog * self.seconds_each / (self.tasks * self.procs)


@cache
def local_backend(procs: int | None) -> LocalBackend:
    """The backend of this process: it knows the workers that it started."""
    return LocalBackend(procs)


class Work:
    """The pipelines of a release at work."""

    def __init__(self, settings: Settings, database: Database, roots: Roots, release: Release) -> None:
        self.settings = settings
        self.database = database
        self.roots = roots
        self.release = release

    @cached_property
    def engine(self) -> Engine:
        """The engine for the release's version."""
        settings = self.settings
        return Engine(
            database=self.database,
            paths=EnginePaths(settings.home, self.roots),
            v_astra=self.release.v_astra,
            settings=settings.pipeline_settings,
            backend=local_backend(settings.procs),
            max_attempts=settings.max_attempts,
        )

    def steps(self) -> Iterator[tuple[Pipeline, Step]]:
        """Every step of the release's pipelines, in the order in which they run."""
        for pipeline in PIPELINES:
            if pipeline.key in self.release.pipelines:
                yield from ((pipeline, step) for step in pipeline.steps)

    def submit(
        self, pipeline: Pipeline, step: Step, restriction: Restriction, resources: Resources, say: Say
    ) -> Batch | NothingToDo:
        """Plan a batch and start it, or attach to the active one; does not wait."""
        planned = self.engine.plan(
            pipeline,
            step,
            sdss_ids=restriction.sdss_ids or None,
            limit=restriction.limit,
            retry_failed=restriction.retry_failed,
            force=restriction.force,
            resources=resources,
        )
        if isinstance(planned, NothingToDo):
            say(str(planned))
            return planned
        attached = "going on with" if planned.attached else "started"
        say(
            f"{pipeline.name} {step.name}: {attached} batch {planned.batch_id}: {planned.n_inputs:,} inputs, "
            f"{len(planned.tasks)} tasks of {planned.procs} processes, {planned.directory}"
        )
        self.engine.start(planned)
        return planned

    def collect(
        self, pipeline: Pipeline, step: Step, say: Say, progress: Callable[[Progress], object] | None = None
    ) -> Account:
        """Wait for the active batch and collect it; the account of the step, also when there is no batch."""
        batch = self.engine.active(pipeline, step)
        if batch is None:
            return self.engine.account(pipeline, step)
        return self.engine.collect(batch, progress or Sparingly(say))

    def cancel(self, batch_id: str) -> str:
        """End a batch without collecting it; its inputs are unprocessed again. Returns what was done.

        Raises:
            ExpectedError: there is no such batch, or it is not active.
        """
        table = table_of(ComputeBatch)
        query = select(table.c.state, table.c.directory).where(table.c.batch_id == batch_id)
        with self.database.connect() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise ExpectedError(f"there is no batch {batch_id!r}; astra-assets status shows the active ones")
        if row.state != "active":
            raise ExpectedError(f"batch {batch_id} is {row.state} already; there is nothing to cancel")
        self.engine.cancel(read_batch(Path(row.directory)))
        return f"batch {batch_id} is cancelled; its inputs are unprocessed again"

    def accounts_of_steps(self) -> list[tuple[Account, tuple[Pipeline, Step]]]:
        """How every step stands, with the step."""
        return [(self.engine.account(pipeline, step), (pipeline, step)) for pipeline, step in self.steps()]

    def last_batch(self, pipeline: Pipeline, step: Step) -> LastBatch | None:
        """The batch that a step ran last."""
        batches = ComputeBatch.c
        query = (
            select(ComputeBatch.__table__)
            .where(batches.pipeline == pipeline.name, batches.step == step.name)
            .where(batches.v_astra_major_minor == major_minor(self.release.v_astra))
            .order_by(desc(batches.planned))
            .limit(1)
        )
        with self.database.connect() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        seconds = (row.finished - row.started).total_seconds() if row.finished and row.started else None
        return LastBatch(row.batch_id, row.state, row.directory, row.n_inputs, seconds)

    def preview(self, pipeline: Pipeline, step: Step, resources: Resources) -> Preview:
        """What running a step would do."""
        account = self.engine.account(pipeline, step)
        options = self.engine.backend.options(step, resources)
        elapsed = table_of(pipeline.table).c.t_elapsed
        with self.database.connect() as connection:
            mean = connection.execute(select(func.avg(elapsed))).scalar_one()
        return Preview(account, min(options.nodes, max(account.backlog, 1)), options.procs, mean)
