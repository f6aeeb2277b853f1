"""`plan`: what a run would do, without doing it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from astra_assets.compute import Account
from astra_assets.compute.slurm.diagnose import examine as diagnose
from astra_assets.compute.step_inputs import UNPROCESSED, Selection
from astra_assets.models.base import table_of
from astra_assets.pipelines.options import AS_DECLARED, ResourceRequest, SlurmOptions, seconds_of

if TYPE_CHECKING:
    from astra_assets.database.database import Database
    from astra_assets.operations.step_runner import StepRunner
    from astra_assets.pipelines.base import Pipeline, Step


@dataclass(frozen=True)
class StepPlan:
    """What a run of a step would do.

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


def plan(
    runner: StepRunner,
    pipeline: Pipeline,
    steps: Sequence[Step],
    selection: Selection = UNPROCESSED,
    resources: ResourceRequest = AS_DECLARED,
) -> list[StepPlan]:
    """Return what `run` would do with the same arguments, step by step."""
    return [_step_plan(runner, pipeline, step, selection, resources) for step in steps]


def _step_plan(
    runner: StepRunner, pipeline: Pipeline, step: Step, selection: Selection, resources: ResourceRequest
) -> StepPlan:
    engine = runner.engine
    account, active = engine.account(pipeline, step), engine.active(pipeline, step)
    inputs = _inputs_to_look_at(runner, pipeline, step, selection, account)
    return StepPlan(
        account,
        inputs=min(inputs, selection.limit or inputs),
        options=engine.backend.options(pipeline, step, resources),
        seconds_each=mean_seconds(runner.deployment.database, pipeline, step),
        bytes_each=_bytes_each(runner, pipeline, step),
        on_cluster=runner.compute == "slurm",
        attached="" if active is None else active.batch_id,
        unavailable=runner.unavailable(pipeline, step) or "",
        submits_nothing=step.is_filter,
    )


def doubts(runner: StepRunner, planned: StepPlan) -> tuple[str, ...]:
    """Ask the cluster why it would not run a planned step, as far as that can be told; none for this machine."""
    if not planned.on_cluster or planned.submits_nothing:
        return ()
    return tuple(text for level, text in diagnose(runner.slurm_client, planned.options) if level != "ok")


def mean_seconds(database: Database, pipeline: Pipeline, step: Step) -> float | None:
    """Return the mean time of one result of a step, or of those that write the same table; None before the first one."""
    results = table_of(pipeline.written_by(step)).c
    query = select(func.avg(results.t_elapsed))
    if "pipeline" in results:
        query = query.where(results.pipeline == pipeline.name)
    with database.connect() as connection:
        mean = connection.execute(query).scalar_one()
    return None if mean is None else float(mean)


def _inputs_to_look_at(
    runner: StepRunner, pipeline: Pipeline, step: Step, selection: Selection, account: Account
) -> int:
    """Return the number of inputs that a run would look at, before its limit."""
    unlimited = replace(selection, limit=None)
    if unlimited == UNPROCESSED or step.is_filter:
        return account.backlog
    query = runner.engine.inputs(pipeline, step).unprocessed(unlimited).order_by(None)
    with runner.deployment.database.connect() as connection:
        return connection.execute(select(func.count()).select_from(query.subquery())).scalar_one()


def _bytes_each(runner: StepRunner, pipeline: Pipeline, step: Step) -> float:
    """Return the bytes of an input of the last batch; before the first one, eight for each column of the result table."""
    last = runner.last_batch(pipeline, step)
    files = [path for path in last.directory.rglob("*") if path.is_file()] if last else []
    if last is None or not files:
        return 8.0 * len(table_of(pipeline.written_by(step)).columns)
    return sum(path.stat().st_size for path in files) / max(last.inputs, 1)
