"""Running the steps of a release's pipelines: submit, collect and stop, which the command line and the Dagster ops share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import desc, select

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
from astra_assets.compute.batch import BatchError, read_batch
from astra_assets.compute.program.call import call_of
from astra_assets.compute.slurm.client import SlurmError
from astra_assets.compute.slurm.command_line import CommandLineClient
from astra_assets.compute.slurm.patience import Rules
from astra_assets.compute.slurm.queue import SharedQueue
from astra_assets.compute.slurm.slurm_backend import SlurmBackend
from astra_assets.compute.usage import Usage, usage_of
from astra_assets.config.programs import Absence, absence_of, unknown_programs
from astra_assets.config.settings import SettingsError
from astra_assets.errors import ExpectedError
from astra_assets.models.compute import ComputeBatch, ComputeOutcome
from astra_assets.models.source import Source
from astra_assets.operations.source_files import need_unfrozen
from astra_assets.pipelines.base import Pipeline, Step
from astra_assets.pipelines.options import AS_DECLARED, ResourceRequest
from astra_assets.registry.version import major_minor

if TYPE_CHECKING:
    from astra_assets.compute.step_inputs import Selection
    from astra_assets.config.releases import Release
    from astra_assets.config.settings import Compute
    from astra_assets.operations.deployment import Deployment, Say


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


@dataclass(frozen=True)
class LastBatch:
    """The batch that a step ran last.

    Attributes:
        batch_id, state, backend, directory: of the batch.
        inputs: inputs of the batch.
    """

    batch_id: str
    state: str
    backend: str
    directory: Path
    inputs: int


class StepRunner:
    """Runs the steps of a release's pipelines, on this machine or on a cluster.

    Attributes:
        deployment: settings, database and folders.
        release: says which pipelines, and for which version results are.
        compute: where new batches run; as the settings say by default.
        under_way: steps that this object has submitted and not collected, in this order.

    Raises:
        OperationError: there are no tables yet.
    """

    def __init__(self, deployment: Deployment, release: Release, compute: Compute | None = None) -> None:
        deployment.need_tables(Source, ComputeBatch, ComputeOutcome)
        self.deployment = deployment
        self.release = release
        self.compute: Compute = compute or deployment.settings.compute
        self.under_way: list[tuple[Pipeline, Step]] = []

    @cached_property
    def engine(self) -> Engine:
        """The engine for the release's version: new batches run where they are to, others go on where they were begun."""
        settings = self.deployment.settings
        unknown = list(unknown_programs(self.deployment.programs, pipelines.PIPELINES))
        if self.compute == "slurm":
            unknown += settings.slurm.unknown_steps(pipelines.PIPELINES)
        if unknown:
            raise SettingsError(unknown)
        here = _local_backend(settings.procs)
        backend, other = (self._slurm, here) if self.compute == "slurm" else (here, self._slurm)
        return Engine(
            database=self.deployment.database,
            paths=EnginePaths(settings.home, self.deployment.roots),
            v_astra=self.release.v_astra,
            settings=settings.pipeline_settings,
            backend=backend,
            others=(other,),
            max_attempts=settings.max_attempts,
            programs=self.deployment.programs,
            access=settings.security.access,
        )

    @cached_property
    def slurm_client(self) -> CommandLineClient:
        """How the cluster is asked."""
        # Each batch says which cluster it is on.
        return CommandLineClient(cluster=None)

    @cached_property
    def _slurm(self) -> SlurmBackend:
        """The cluster; asking it for nothing costs nothing."""
        settings, client = self.deployment.settings, self.slurm_client
        profile = settings.slurm
        queue = SharedQueue(client, settings.home / "slurm", profile.poll_seconds)
        usual = Rules()
        rules = Rules(
            poll_seconds=min(profile.poll_seconds, usual.poll_seconds),
            memory_cap_mb=profile.memory_cap_mb or usual.memory_cap_mb,
        )
        is_partition = cache(partial(_has_partition, client))
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
        """Whether the program of a step is missing here, and whether that is an error."""
        return absent_program(self.deployment, pipeline, step, self.compute)

    def submit(
        self, pipeline: Pipeline, step: Step, selection: Selection, resources: ResourceRequest, say: Say
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
        planned = self.engine.plan(pipeline, step, selection, resources)
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
        self.under_way.append((pipeline, step))
        return planned

    def _need_allowed(self, pipeline: Pipeline, step: Step, planned: Batch) -> None:
        """Check that the step may write what it writes; a batch that was planned for nothing is cancelled."""
        try:
            need_unfrozen(self.deployment, pipeline, step, self.release)
        except ExpectedError:
            if not planned.attached:
                self.engine.cancel(planned)
            raise

    def collect(
        self, pipeline: Pipeline, step: Step, say: Say, progress: Callable[[Progress], object] | None = None
    ) -> Account:
        """Wait for the active batch and collect it; the account of the step, also when there is no batch."""
        batch = self.engine.active(pipeline, step)
        engine, show = self.engine, progress or Sparingly(say)
        account = engine.account(pipeline, step) if batch is None else engine.collect(batch, show)
        if (pipeline, step) in self.under_way:
            self.under_way.remove((pipeline, step))
        return account

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
        with self.deployment.database.connect() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        return LastBatch(row.batch_id, row.state, row.backend, Path(row.directory), row.n_inputs)


def absent_program(
    deployment: Deployment, pipeline: Pipeline, step: Step, compute: Compute | None = None
) -> Absence | None:
    """Return whether the program of a step is missing here, and whether that is an error; None where it can run.

    What set-up lines put on the search path of a node, and what is only there, cannot be seen from here: on a cluster
    a program is taken for installed where the site names it or has such lines for the step.
    """
    settings, programs = deployment.settings, deployment.programs
    prepared = False
    if step.program is not None and (compute or settings.compute) == "slurm":
        call = call_of(pipeline, step, programs)
        options = settings.slurm.options(pipeline, step, AS_DECLARED)
        prepared = bool(options.setup) or (call is not None and call.named)
    return absence_of(pipeline, step, programs, prepared=prepared, database=settings.database)


def batch_usage(directory: Path) -> Usage | None:
    """Return what a batch has used; None where its folder is there no longer, or may not be read."""
    try:
        return usage_of(read_batch(directory))
    except BatchError:
        return None


@cache
def _local_backend(procs: int | None) -> LocalBackend:
    """Return the backend of this process, which knows the workers that it started."""
    return LocalBackend(procs)


def _has_partition(client: CommandLineClient, cluster: str | None, name: str) -> bool:
    """Return whether the cluster has a partition of this name; False where that cannot be told."""
    try:
        return name in client.on(cluster).show(["sinfo", "--noheader", "--format=%R"]).split()
    except SlurmError:
        return False
