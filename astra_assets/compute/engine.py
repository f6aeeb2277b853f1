"""The engine: one object with the verbs plan, start, collect, run, account, active and cancel.

It puts the parts together: how inputs are found is in `step_inputs` and `planner`, folders and rows of batches in
`folders` and `ledger`, how a batch runs in the backends and `watch`, how it is collected in `collect`.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial

from astra_assets.compute import folders
from astra_assets.compute.account import Account, take_account
from astra_assets.compute.backend import Backend
from astra_assets.compute.batch import (
    Batch,
    BatchAccess,
    BatchError,
    BatchLimits,
    BrokenBatchError,
    EnginePaths,
    cut,
    new_batch_id,
    stranger_of,
)
from astra_assets.compute.ledger import Ledger
from astra_assets.compute.planner import NothingToDo, Planner
from astra_assets.compute.program.call import Site, call_of
from astra_assets.compute.program.written import collector_of
from astra_assets.compute.progress import Phase, Progress, Sparingly
from astra_assets.compute.sampling import need_archive
from astra_assets.compute.step_inputs import UNPROCESSED, Selection, StepInputs
from astra_assets.compute.step_reference import StepReference, reference_for
from astra_assets.compute.watch import Watch
from astra_assets.database.database import Database
from astra_assets.files.atomic import naming
from astra_assets.models.base import utcnow
from astra_assets.pipelines.base import Pipeline, Step
from astra_assets.pipelines.options import AS_DECLARED, ResourceRequest, SlurmOptions
from astra_assets.registry.version import major_minor

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Engine:
    """Runs steps of pipelines on what is unprocessed.

    Attributes:
        database: inputs, results and outcomes.
        paths: folders of the deployment.
        v_astra: version of the products, such as `0.8.1`.
        settings: further settings that workers are told.
        backend: where new batches run.
        others: further backends; a batch goes on where it was planned for.
        max_attempts: failures after which an input is left alone.
        limits: sizes and intervals.
        pipelines: where the pipelines are looked up that others name in `after`, before the registered ones.
        programs: what the site says about programs of other people.
        access: who may read batches, and whose parts are collected.
    """

    database: Database
    paths: EnginePaths
    v_astra: str
    settings: Mapping[str, str]
    backend: Backend
    max_attempts: int = 2
    limits: BatchLimits = field(default_factory=BatchLimits)
    pipelines: tuple[Pipeline, ...] = ()
    others: tuple[Backend, ...] = ()
    programs: Site = field(default_factory=dict)
    access: BatchAccess = field(default_factory=BatchAccess)

    def run(
        self,
        pipeline: Pipeline,
        step: Step,
        selection: Selection = UNPROCESSED,
        resources: ResourceRequest = AS_DECLARED,
        *,
        progress: Callable[[Progress], object] | None = None,
    ) -> Account:
        """Plan, start and collect. With nothing to do only the account is taken."""
        planned = self.plan(pipeline, step, selection, resources)
        if isinstance(planned, NothingToDo):
            return self.account(pipeline, step)
        self.start(planned)
        return self.collect(planned, progress)

    def plan(
        self,
        pipeline: Pipeline,
        step: Step,
        selection: Selection = UNPROCESSED,
        resources: ResourceRequest = AS_DECLARED,
    ) -> Batch | NothingToDo:
        """A batch of what is unprocessed; the active one, with `attached` set, where there is one already.

        Inputs that do not fulfil a requirement of the step are recorded as skipped at once.
        """
        active = self.active(pipeline, step)
        if active is not None:
            return self._attached(active, resources)
        self._need_writable(pipeline, step)
        options = self.backend.options(pipeline, step, resources)
        folders.clear_leftovers(self.paths.step_folder(pipeline, step))
        draft = self._draft(pipeline, step, options)
        filling = folders.planning_folder(draft.directory)
        try:
            manifest = filling / "inputs.parquet"
            with naming(manifest):
                made = Planner(self.database, self.inputs(pipeline, step), draft).write(manifest, selection)
            if made.inputs == 0:
                return NothingToDo(pipeline.name, step.name, made.skipped)
            batch = replace(
                draft,
                n_inputs=made.inputs,
                tasks=cut(made.inputs, options.nodes),
                procs=min(options.procs, made.inputs),
            )
            folders.seal(batch, filling, self.access)
            if self._ledger.register(batch):
                folders.publish(batch.directory)
        finally:
            shutil.rmtree(filling, ignore_errors=True)
        found = self.active(pipeline, step)
        if found is None:
            raise BatchError(
                f"{batch.directory}: the batch was cancelled while it was planned. Run the step again."
            )
        return replace(found, attached=found.batch_id != batch.batch_id)

    def start(self, batch: Batch) -> None:
        """Start the tasks of a batch that neither run nor are done; returns at once.

        Raises:
            ArchiveError: the files of the batch cannot be found.
            BatchError: they are not accepted as they are asked for; the message says what to change. A batch
                that has not made anything yet is cancelled then, also where files cannot be found.
        """
        watch = self._watch(batch)
        try:
            watch.backend.resume(batch)
            states = watch.backend.poll(batch)
            if any(state.phase is Phase.STOPPED for state in states.values()):
                self._need_archive(batch)
            watch.start_stopped(states)
        except BatchError:
            self._cancel_if_empty(watch)
            raise

    def collect(self, batch: Batch, progress: Callable[[Progress], object] | None = None) -> Account:
        """Wait until all tasks are done, write what they made into the database, and take the account.

        Tasks that stopped are started again, and so are those of which a part is missing or damaged; other parts are kept.
        When this process is interrupted, the batch stays active, and
        the next `plan` of the step attaches to it. Collecting a batch twice changes nothing.

        Raises:
            BatchError: a task cannot go on, or parts cannot be collected as they are; the message says what to do.
        """
        pipeline, step = batch.declaration()
        if batch.reference is None:
            batch = replace(batch, reference=self._reference(pipeline, step))
        watch = self._watch(batch)
        collector = collector_of(batch)(
            self.database, batch, self.inputs(pipeline, step), self.access.operators
        )
        try:
            while True:
                watch.wait(progress or Sparingly(log.info))
                parts = collector.checked_parts()
                unfinished = parts.unfinished(batch.tasks)
                if not unfinished:
                    break
                watch.reopen(unfinished)
        except BaseException as error:
            kept = watch.backend.detach(batch)
            if not isinstance(error, Exception):
                log.warning("%s %s, batch %s: %s", batch.pipeline, batch.step, batch.batch_id, kept)
            elif isinstance(error, BatchError):
                self._cancel_if_empty(watch)
            raise
        collected = collector.collect(parts)
        if collected is None:
            log.info("batch %s is not active any more: it was collected or cancelled before", batch.batch_id)
        return self.account(pipeline, step)

    def account(self, pipeline: Pipeline, step: Step) -> Account:
        """What became of the inputs of a step."""
        return take_account(self.database, self.inputs(pipeline, step))

    def active(self, pipeline: Pipeline, step: Step) -> Batch | None:
        """The active batch of a step, None where there is none.

        A batch whose folder is gone or not whole is set aside, with a warning, and no longer active: its
        inputs are unprocessed again.
        """
        entry = self._ledger.active(pipeline.name, step.name)
        if entry is None:
            return None
        try:
            if not entry.directory.exists():
                folders.publish(entry.directory)
            expected = entry.batch_id, pipeline.name, step.name
            found = folders.read_whole(entry.directory, expected, self._reference(pipeline, step))
        except BrokenBatchError as error:
            aside = folders.set_aside(entry.directory)
            where = f"what is left of it is in {aside}" if aside else "nothing is left of it"
            log.warning(
                "%s %s: batch %s is given up and its inputs are planned again: %s; %s",
                pipeline.name, step.name, entry.batch_id, error, where,
            )  # fmt: skip
            for backend in (self.backend, *self.others):
                if backend.name == entry.backend:
                    backend.abandon(entry.batch_id, entry.job)
            self._ledger.cancelled(entry.batch_id)
            return None
        # Who can write to the folder of the step can put a folder of his own in the place of a batch.
        trusted = {os.geteuid(), *self.access.operators}
        if (stranger := stranger_of(found.directory, found.directory.parent, trusted)) is not None:
            raise BatchError(
                f"{found.directory}: belongs to {stranger}, who is no operator here. Add the name to `operators` in [security] "
                f"of astra.toml, or cancel the batch: astra-assets cancel {found.batch_id}"
            )
        return replace(found, attached=True)

    def cancel(self, batch: Batch) -> None:
        """End a batch without collecting it. What its workers made is not used; its inputs are unprocessed again."""
        self.backend_of(batch).cancel(batch)
        self._ledger.cancelled(batch.batch_id)

    def backend_of(self, batch: Batch) -> Backend:
        """The backend that a batch was planned for, whichever is used for new ones.

        Raises:
            BatchError: this engine has no such backend.
        """
        for backend in (self.backend, *self.others):
            if backend.name == batch.backend:
                return backend
        raise BatchError(
            f"batch {batch.batch_id} of {batch.pipeline} {batch.step} was planned for {batch.backend!r}, which is not "
            f"available here. Run the step where it is (ASTRA_COMPUTE={batch.backend}): it goes on there."
        )

    def inputs(self, pipeline: Pipeline, step: Step) -> StepInputs:
        """The inputs of a step in the version of this engine."""
        after = tuple(self._pipeline(name).table for name in pipeline.after)
        return StepInputs(pipeline, step, major_minor(self.v_astra), self.max_attempts, after)

    def _attached(self, batch: Batch, resources: ResourceRequest) -> Batch:
        """The active batch. What is asked of a cluster holds for tasks that are started now."""
        label = f"{batch.pipeline} {batch.step}: going on with batch {batch.batch_id}"
        where = (
            "" if batch.backend == self.backend.name else f", on {batch.backend}, for which it was planned"
        )
        log.info("%s%s", label, where)
        fixed, changeable = resources.split()
        kept = fixed.over(batch.slurm)
        if kept != batch.slurm:
            refused = kept.differences(batch.slurm)
            log.warning("%s: %s is not heeded: it is fixed when a batch is planned", label, refused)
        asked = changeable.over(batch.slurm)
        if asked == batch.slurm:
            return batch
        log.info("%s: %s for tasks that are started from now on", label, asked.differences(batch.slurm))
        changed = replace(batch, slurm=asked)
        changed.write()
        return changed

    def _cancel_if_empty(self, watch: Watch) -> None:
        """Cancel a batch that has made nothing: whoever has mended the cause of an error may want other settings."""
        if not watch.has_parts():
            self.cancel(watch.batch)

    def _watch(self, batch: Batch) -> Watch:
        return Watch(self.backend_of(batch), batch, partial(self._ledger.started, batch.batch_id))

    @property
    def _ledger(self) -> Ledger:
        return Ledger(self.database, major_minor(self.v_astra))

    def _pipeline(self, name: str) -> Pipeline:
        for known in self.pipelines:
            if known.name == name:
                return known
        from astra_assets.pipelines import pipeline

        return pipeline(name)

    def _draft(self, pipeline: Pipeline, step: Step, options: SlurmOptions) -> Batch:
        """A batch without inputs."""
        now = utcnow()
        reads_own = (pipeline.name,) if step.after else ()
        running = self._ledger.earliest_active((*pipeline.after, *reads_own))
        # What is judged by results that are just being made anew must be judged again when they are there.
        judged = now if running is None else min(now, running - timedelta(microseconds=1))
        batch_id = new_batch_id(now)
        return Batch(
            directory=self.paths.step_folder(pipeline, step).absolute() / batch_id,
            batch_id=batch_id,
            pipeline=pipeline.name,
            step=step.name,
            v_astra=self.v_astra,
            code_version=pipeline.code_version,
            # The same holds for what is made of them.
            planned=judged if step.after else now,
            judged=judged,
            backend=self.backend.name,
            n_inputs=0,
            tasks=(),
            procs=options.procs,
            slurm=options,
            roots=self.paths.roots,
            settings=dict(self.settings),
            limits=self.limits,
            reference=self._reference(pipeline, step),
        )

    def _need_writable(self, pipeline: Pipeline, step: Step) -> None:
        """Check that the tables of results take our rows; Astra's own command line writes rows of its own."""
        call = call_of(pipeline, step, self.programs)
        if not step.is_filter and (call is None or call.protocol != "astra"):
            self.database.need_writable(step.table or pipeline.table, *step.tables)

    def _need_archive(self, batch: Batch) -> None:
        """Check that the files of a batch are there; Astra's own command line finds its files by itself."""
        pipeline, step = batch.declaration()
        call = call_of(pipeline, step, self.programs)
        if call is None or call.protocol != "astra":
            need_archive(self.database, batch, self.inputs(pipeline, step))

    def _reference(self, pipeline: Pipeline, step: Step) -> StepReference | None:
        """Where workers find the step, and how the site calls its program; a filter has no workers."""
        if step.is_filter:
            return None
        call = call_of(pipeline, step, self.programs)
        return reference_for(pipeline, "" if call is None else call.as_text())
