"""Running the steps of a release's pipelines: submit, collect, account, and looking into what happened.

Belongs here: the engine's verbs for the command line and the assets. Does not belong here: how a batch works inside
(`compute`), data and products (`operations`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import desc, func, select

from astra_assets import pipelines
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
from astra_assets.compute.batch import BrokenBatchError, read_batch
from astra_assets.compute.program.call import Site, call_of
from astra_assets.compute.progress import Meter, Phase, read_status
from astra_assets.compute.slurm.client import SlurmError
from astra_assets.compute.slurm.command_line import CommandLineClient
from astra_assets.compute.slurm.diagnose import examine as diagnose
from astra_assets.compute.slurm.patience import Rules
from astra_assets.compute.slurm.queue import SharedQueue
from astra_assets.compute.slurm.slurm_backend import SlurmBackend
from astra_assets.compute.step_inputs import Selection
from astra_assets.compute.usage import Usage, usage_of
from astra_assets.config.programs import Absence, absence_of, unknown_programs
from astra_assets.config.settings import SettingsError
from astra_assets.errors import ExpectedError
from astra_assets.models.base import table_of
from astra_assets.models.compute import ComputeBatch
from astra_assets.operations.standing import LastBatch, Preview, Standing
from astra_assets.pipelines.base import Pipeline, Step
from astra_assets.pipelines.options import AS_DECLARED, ResourceRequest
from astra_assets.registry.version import major_minor

if TYPE_CHECKING:
    from astra_assets.config.releases import Release
    from astra_assets.config.settings import Compute, Settings
    from astra_assets.database.database import Database
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
class NotAvailable:
    """A step that cannot run here; it is left out, and nothing else fails for that reason.

    Attributes:
        pipeline, step: names.
        reason: why, and what to do, as a sentence.
    """

    pipeline: str
    step: str
    reason: str

    def __str__(self) -> str:
        return f"{self.pipeline} {self.step} is skipped: {self.reason}"


EVERYTHING = Restriction()
"""All that is unprocessed."""


def everything_goes(pipeline: Pipeline, step: Step) -> None:
    """The guard of a deployment whose files may all be written."""


@cache
def local_backend(procs: int | None) -> LocalBackend:
    """The backend of this process: it knows the workers that it started."""
    return LocalBackend(procs)


def mean_seconds(database: Database, pipeline: Pipeline, step: Step) -> float | None:
    """Mean time of one result of a step, or of those that write the same table; None before the first one."""
    results = table_of(pipeline.written_by(step)).c
    query = select(func.avg(results.t_elapsed))
    if "pipeline" in results:
        query = query.where(results.pipeline == pipeline.name)
    with database.connect() as connection:
        mean = connection.execute(query).scalar_one()
    return None if mean is None else float(mean)


def has_partition(client: CommandLineClient, cluster: str | None, name: str) -> bool:
    """True if the cluster has a partition of this name; False where that cannot be told."""
    try:
        return name in client.on(cluster).show(["sinfo", "--noheader", "--format=%R"]).split()
    except SlurmError:
        return False


class Work:
    """The pipelines of a release at work."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        roots: Roots,
        release: Release,
        compute: Compute | None = None,
        *,
        guard: Callable[[Pipeline, Step], None] = everything_goes,
    ) -> None:
        self.settings = settings
        self.guard = guard
        self.database = database
        self.roots = roots
        self.release = release
        self.compute = compute or settings.compute

    @cached_property
    def engine(self) -> Engine:
        """The engine for the release's version: new batches run where they are to, others go on where they were begun."""
        settings = self.settings
        unknown = list(unknown_programs(self.programs, pipelines.PIPELINES))
        if self.compute == "slurm":
            unknown += settings.slurm.unknown_steps(pipelines.PIPELINES)
        if unknown:
            raise SettingsError(unknown)
        here = local_backend(settings.procs)
        backend, other = (self._slurm, here) if self.compute == "slurm" else (here, self._slurm)
        return Engine(
            database=self.database,
            paths=EnginePaths(settings.home, self.roots),
            v_astra=self.release.v_astra,
            settings=settings.pipeline_settings,
            backend=backend,
            others=(other,),
            max_attempts=settings.max_attempts,
            programs=self.programs,
        )

    @cached_property
    def programs(self) -> Site:
        """What the site says about programs of other people."""
        return {name: each.said for name, each in self.settings.programs.items()}

    @cached_property
    def slurm_client(self) -> CommandLineClient:
        """How the cluster is asked."""
        # Each batch says which cluster it is on.
        return CommandLineClient(cluster=None)

    @cached_property
    def _slurm(self) -> SlurmBackend:
        """The cluster; asking it for nothing costs nothing."""
        profile, client = self.settings.slurm, self.slurm_client
        queue = SharedQueue(client, self.settings.home / "slurm", profile.poll_seconds)
        usual = Rules()
        rules = Rules(
            poll_seconds=min(profile.poll_seconds, usual.poll_seconds),
            memory_cap_mb=profile.memory_cap_mb or usual.memory_cap_mb,
        )
        is_partition = cache(partial(has_partition, client))
        return SlurmBackend(client, queue, partial(profile.options, is_partition=is_partition), rules)

    def steps(self) -> Iterator[tuple[Pipeline, Step]]:
        """Every step of the release's pipelines, in the order in which they run."""
        for pipeline in pipelines.chosen(self.release.pipelines, plug_ins=self.release.plug_ins):
            yield from ((pipeline, step) for step in pipeline.steps)

    def unavailable(self, pipeline: Pipeline, step: Step) -> str | None:
        """Why a step cannot run here, as a sentence; None where it can."""
        absence = self.absence(pipeline, step)
        return None if absence is None else absence.reason

    def left_out(self, pipeline: Pipeline, step: Step) -> str | None:
        """Why a step is left out: its program is not here, and nobody has named one; None for every other step."""
        absence = self.absence(pipeline, step)
        return None if absence is None or absence.named else absence.reason

    def absence(self, pipeline: Pipeline, step: Step) -> Absence | None:
        """Whether the program of a step is missing here, and whether that is an error.

        What set-up lines put on the search path of a node, and what is only there, cannot be seen from here: on a cluster
        a program is taken for installed where the site names it or has such lines for the step.
        """
        prepared = False
        if step.program is not None and self.compute == "slurm":
            call = call_of(pipeline, step, self.programs)
            options = self.settings.slurm.options(pipeline, step, AS_DECLARED)
            prepared = bool(options.setup) or (call is not None and call.named)
        return absence_of(pipeline, step, self.programs, prepared=prepared, database=self.settings.database)

    def submit(
        self, pipeline: Pipeline, step: Step, restriction: Restriction, resources: ResourceRequest, say: Say
    ) -> Batch | NothingToDo | NotAvailable:
        """Plan a batch and start it, or attach to the active one; does not wait.

        A step whose program nobody has named and that is not here is left out.

        Raises:
            ExpectedError: the program that `[programs]` names cannot run here.
        """
        absence = self.absence(pipeline, step)
        if absence is not None and absence.named:
            raise ExpectedError(f"{pipeline.name} {step.name} cannot run: {absence.reason}")
        if absence is not None:
            left_out = NotAvailable(pipeline.name, step.name, absence.reason)
            say(str(left_out))
            return left_out
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
        self._need_allowed(pipeline, step, planned)
        attached = "attached to" if planned.attached else "started"
        say(
            f"{pipeline.name} {step.name}: {attached} batch {planned.batch_id}: {planned.n_inputs:,} inputs, "
            f"{len(planned.tasks)} tasks of {planned.procs} processes, {planned.directory}"
        )
        self.engine.start(planned)
        jobs = self.jobs(pipeline, step)
        if jobs and planned.attached:
            say(f"{pipeline.name} {step.name}: on the cluster as job {', '.join(jobs)}")
        return planned

    def _need_allowed(self, pipeline: Pipeline, step: Step, planned: Batch) -> None:
        """Raise what `guard` raises; a batch that was planned for nothing is cancelled."""
        try:
            self.guard(pipeline, step)
        except ExpectedError:
            if not planned.attached:
                self.engine.cancel(planned)
            raise

    def collect(
        self, pipeline: Pipeline, step: Step, say: Say, progress: Callable[[Progress], object] | None = None
    ) -> Account:
        """Wait for the active batch and collect it; the account of the step, also when there is no batch."""
        batch = self.engine.active(pipeline, step)
        if batch is None:
            return self.engine.account(pipeline, step)
        return self.engine.collect(batch, progress or Sparingly(say))

    def batch_id(self, pipeline: Pipeline, step: Step) -> str:
        """Id of the active batch of a step; empty where there is none."""
        batch = self.engine.active(pipeline, step)
        return "" if batch is None else batch.batch_id

    def jobs(self, pipeline: Pipeline, step: Step) -> tuple[str, ...]:
        """What the cluster calls the jobs of the active batch of a step; empty where none runs on a cluster."""
        batch = self.engine.active(pipeline, step)
        return () if batch is None or batch.backend != "slurm" else usage_of(batch).job_ids

    def stop(self, pipeline: Pipeline, step: Step) -> str | None:
        """End the jobs of a step on the cluster, and keep what they have made: the next run goes on after it.

        Returns what was done; None where the step has nothing on a cluster.

        Raises:
            SlurmError: they cannot be ended now.
        """
        batch = self.engine.active(pipeline, step)
        if batch is None or batch.backend != self._slurm.name:
            return None
        jobs = self._slurm.stop(batch)
        return (
            f"{pipeline.name} {step.name}: job {', '.join(jobs) or '(none yet)'} is cancelled. What it has made is kept: running "
            f"the step again goes on after it, astra-assets cancel {batch.batch_id} gives it up"
        )

    def usage(self, last: LastBatch) -> Usage | None:
        """What a batch has used; None where its folder is there no longer."""
        try:
            return usage_of(read_batch(last.directory))
        except BrokenBatchError:
            return None

    def folder_of_active(self, batch_id: str) -> Path:
        """The folder of a batch that is active.

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
        return Path(row.directory)

    def cancel(self, batch_id: str) -> str:
        """End a batch without collecting it; its inputs are unprocessed again. Returns what was done.

        Raises:
            ExpectedError: there is no such batch, or it is not active.
        """
        self.engine.cancel(read_batch(self.folder_of_active(batch_id)))
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
            .order_by(desc(batches.planned), desc(batches.batch_id))
            .limit(1)
        )
        with self.database.connect() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        seconds = (row.finished - row.started).total_seconds() if row.finished and row.started else None
        return LastBatch(row.batch_id, row.state, row.backend, Path(row.directory), row.n_inputs, seconds)

    def standing(self, pipeline: Pipeline, step: Step) -> Standing:
        """How a step stands now; asks neither workers nor the cluster, only the database and the folder of the batch."""
        account = self.engine.account(pipeline, step)
        absence = self.absence(pipeline, step)
        missing: dict[str, Any] = {
            "unavailable": "" if absence is None else absence.reason,
            "wanted": absence is not None and absence.named,
        }
        batch = self.engine.active(pipeline, step)
        if batch is None:
            return Standing(account, **missing)
        statuses = [read_status(batch.task_folder(task)) for task in range(len(batch.tasks))]
        running = sum(status is not None and status.phase == Phase.RUNNING.value for status in statuses)
        meter = Meter(f"{batch.pipeline} {batch.step}", batch.n_inputs, len(batch.tasks))
        return Standing(account, batch, meter.read(statuses, running), usage_of(batch).job_ids, **missing)

    def preview(
        self,
        pipeline: Pipeline,
        step: Step,
        resources: ResourceRequest,
        restriction: Restriction = EVERYTHING,
    ) -> Preview:
        """What running a step would do."""
        account = self.engine.account(pipeline, step)
        active = self.engine.active(pipeline, step)
        inputs = self._to_look_at(pipeline, step, restriction, account)
        return Preview(
            account,
            inputs=min(inputs, restriction.limit or inputs),
            options=self.engine.backend.options(pipeline, step, resources),
            seconds_each=mean_seconds(self.database, pipeline, step),
            bytes_each=self._bytes_each(pipeline, step),
            on_cluster=self.compute == "slurm",
            attached="" if active is None else active.batch_id,
            unavailable=self.unavailable(pipeline, step) or "",
            submits_nothing=step.is_filter,
        )

    def _to_look_at(self, pipeline: Pipeline, step: Step, restriction: Restriction, account: Account) -> int:
        """Inputs that a run would look at, before its limit."""
        asked = (restriction.sdss_ids or None, None, restriction.retry_failed, restriction.force)
        selection = Selection(*asked)
        if selection == Selection() or step.is_filter:
            return account.backlog
        query = self.engine.inputs(pipeline, step).unprocessed(selection).order_by(None)
        with self.database.connect() as connection:
            return connection.execute(select(func.count()).select_from(query.subquery())).scalar_one()

    def doubts(self, preview: Preview) -> tuple[str, ...]:
        """Why the cluster would not run what is previewed, as far as it can be told by asking it; none for this machine."""
        if not preview.on_cluster or preview.submits_nothing:
            return ()
        return tuple(text for level, text in diagnose(self.slurm_client, preview.options) if level != "ok")

    def _bytes_each(self, pipeline: Pipeline, step: Step) -> float:
        """Of the last batch of the step, or eight bytes for each column of its result table before the first one."""
        last = self.last_batch(pipeline, step)
        files = [path for path in last.directory.rglob("*") if path.is_file()] if last else []
        if last is None or not files:
            return 8.0 * len(table_of(pipeline.written_by(step)).columns)
        return sum(path.stat().st_size for path in files) / max(last.inputs, 1)
