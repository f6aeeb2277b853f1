"""`why`: what the database, the folders of batches and the cluster know about a batch, an input or a pipeline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import desc, func, or_, select

from astra_assets.compute.parts import FAILURES, part_files
from astra_assets.compute.progress import Phase, TaskStatus, read_status
from astra_assets.compute.slurm.client import QueuedTask, SlurmClient, SlurmError, TaskDetail
from astra_assets.compute.slurm.command_line import CommandLineClient
from astra_assets.compute.slurm.endings import Consequence, Ending
from astra_assets.compute.slurm.reasons import meaning
from astra_assets.compute.slurm.submissions import Submission, Submissions, newest
from astra_assets.models.compute import ComputeBatch, ComputeOutcome
from astra_assets.models.source import Source
from astra_assets.operations.deployment import OperationError
from astra_assets.operations.step_runner import batch_usage
from astra_assets.pipelines import PIPELINES

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

    from astra_assets.database.database import Database
    from astra_assets.operations.deployment import Deployment

LOG_LINES = 20
"""Lines of a log that are shown: enough for a traceback."""
EXAMPLES = 5
"""Inputs that are named for each reason."""
FEW_TASKS = 20
"""Tasks of a batch up to which each is shown; beyond, only those with trouble. The cluster is asked about as many."""

USED = ("exit_code", "signal", "node", "memory_asked_mb", "memory_used_mb")
"""What is shown of how a task ran on the cluster."""

ADVICE = {
    Consequence.MEMORY: "it gets more memory by itself, up to memory_cap; "
    "to begin with more: --mem, or mem in [slurm] of astra.toml",
    Consequence.TIME: "ask for more --nodes or --time (or nodes and time in [slurm] of astra.toml), then run the step again",
    Consequence.SETUP: "mend setup in [slurm] of astra.toml, then run the step again",
    Consequence.OVER: "mend what the message says, then run the step again: it goes on after what is there",
}
"""What to change after a task ended like this on the cluster."""


@dataclass(frozen=True)
class WhyAnswer:
    """Something that is known.

    Attributes:
        title: what was found.
        facts: name and value of each thing to know.
        advice: what to type next.
    """

    title: str
    facts: dict[str, Any] = field(default_factory=dict)
    advice: str = ""


def why(deployment: Deployment, what: str) -> list[WhyAnswer]:
    """Return what is known about one thing.

    Args:
        deployment: where the database is.
        what: a batch id, a `spectrum_pk`, an `sdss_id`, or key or name of a pipeline.

    Raises:
        OperationError: there are no tables yet, or nothing is known.
    """
    deployment.need_tables(Source, ComputeBatch, ComputeOutcome)
    database = deployment.database
    names = {each.key: each.name for each in PIPELINES} | {each.name: each.name for each in PIPELINES}
    if what.isdigit():
        found = input_answers(database, int(what))
    elif what in names:
        found = [*unfinished_batches(database, names[what]), *pipeline_answers(database, names[what])]
    else:
        found = batch_answers(database, what, CommandLineClient())
    if not found:
        raise OperationError(
            f"nothing is recorded about {what!r}: no batch, no skip and no failure; astra-assets status shows the accounts"
        )
    return found


def batch_answers(database: Database, batch_id: str, client: SlurmClient | None = None) -> list[WhyAnswer]:
    """State, counts, tasks and the end of the logs of a batch; empty where there is none of this id.

    `client` is asked about tasks that the cluster has not told about yet.
    """
    with database.connect() as connection:
        query = select(ComputeBatch.__table__).where(ComputeBatch.c.batch_id == batch_id)
        row = connection.execute(query).mappings().one_or_none()
    if row is None:
        return []
    names = (
        "pipeline",
        "step",
        "state",
        "backend",
        "n_inputs",
        "n_results",
        "n_failed",
        "n_skipped",
        "planned",
        "finished",
    )
    directory = Path(row["directory"])
    facts = {name: row[name] for name in names} | {"directory": row["directory"]} | _used(directory)
    facts |= dict(reasons(directory))
    return [WhyAnswer(f"batch {batch_id}", facts, batch_advice(row)), *task_answers(directory, client)]


def reasons(directory: Path) -> Iterator[tuple[str, str]]:
    """Why inputs of a batch failed or were skipped, with how many did and the message of one of them.

    The parts of the batch have them also where an earlier result still counts, so that no outcome is recorded.
    """
    counts, messages = Counter[str](), {}
    for folder in (directory / "tasks").glob("*"):
        for part in part_files(folder, FAILURES):
            try:
                rows = pq.read_table(part, columns=["state", "code", "message"]).to_pylist()
            except (OSError, pa.ArrowException):
                continue
            for row in rows:
                reason = f"{row['state']}: {row['code']}"
                counts[reason] += 1
                messages[reason] = row["message"]
    for reason, count in counts.most_common():
        yield reason, f"{count:,}, for example: {messages[reason]}"


def _used(directory: Path) -> dict[str, Any]:
    """What a batch has used; empty where its folder is there no longer."""
    usage = batch_usage(directory)
    if usage is None:
        return {}
    facts: dict[str, Any] = {"jobs": ", ".join(usage.job_ids)} if usage.job_ids else {}
    return facts | {"node hours": f"{usage.node_hours:.3g}", "retries": usage.retries}


def batch_advice(row: RowMapping) -> str:
    """What to do about a batch in this state."""
    if row["state"] == "active":
        return "run the step again: it attaches to this batch and goes on after the parts that exist"
    return (
        "" if not row["n_failed"] else f"astra-assets why {row['pipeline']} lists the reasons of the failures"
    )


class Cluster:
    """What a cluster says about tasks of a batch: one question about all of them, and few about single ones."""

    def __init__(self, client: SlurmClient | None) -> None:
        self.client = client
        self.problem = ""
        self.questions = FEW_TASKS

    @cached_property
    def queue(self) -> dict[tuple[str, int | None], QueuedTask]:
        """All tasks that it knows, by job and number."""
        if self.client is None or self.problem:
            return {}
        try:
            return {(each.job_id, each.task): each for each in self.client.queue()}
        except SlurmError as error:
            self.problem = str(error)
            return {}

    def detail(self, job_id: str, task: int) -> TaskDetail | None:
        """One task; None where it does not know it, does not answer, or has been asked often enough."""
        if self.client is None or self.problem or not self.questions:
            return None
        self.questions -= 1
        try:
            return self.client.detail(job_id, task)
        except SlurmError as error:
            self.problem = str(error)
            return None


def task_answers(directory: Path, client: SlurmClient | None = None) -> list[WhyAnswer]:
    """How each task is, where it ran, what it used, and the end of its log; of many those without trouble are only counted."""
    submissions = Submissions(directory).read()
    folders = sorted((directory / "tasks").glob("*"), key=lambda path: path.name.zfill(9))
    tasks = {int(path.name) for path in folders} | {task for each in submissions for task in each.tasks}
    where_to_ask = submissions[-1].options.cluster if submissions else None
    cluster = Cluster(client.on(where_to_ask) if client is not None else None)
    found, counted = [], Counter[str]()
    for task in sorted(tasks):
        status = read_status(directory / "tasks" / str(task))
        submission = newest(submissions, task)
        if len(tasks) > FEW_TASKS and not has_trouble(task, status, submission):
            counted[where(task, status, submission, cluster)] += 1
            continue
        facts, advice = task_facts(task, status, submission, cluster)
        facts["log"] = log_tail(directory / "logs" / f"task-{task}.log")
        found.append(WhyAnswer(f"task {task}", facts, advice))
    found += [WhyAnswer(f"{count:,} further tasks", {"phase": phase}) for phase, count in counted.items()]
    return found + [WhyAnswer("cluster", {"slurm": cluster.problem})] * bool(cluster.problem)


def has_trouble(task: int, status: TaskStatus | None, submission: Submission | None) -> bool:
    """True if there is more to tell about a task than where it is."""
    if status is not None and status.died + status.failed > 0:
        return True
    if status is not None and status.phase == Phase.DONE.value:
        return False
    return submission is not None and task in submission.endings


def where(task: int, status: TaskStatus | None, submission: Submission | None, cluster: Cluster) -> str:
    """Where a task is that has no trouble."""
    if status is not None and status.phase == Phase.DONE.value:
        return "done, without failures"
    if submission is not None and submission.job_id is not None:
        queued = cluster.queue.get((submission.job_id, task))
        if queued is not None:
            return queued.state.name + (f", {meaning(queued.reason)}" if queued.reason else "")
    return Phase.WAITING.value if status is None else status.phase


def task_facts(
    task: int, status: TaskStatus | None, submission: Submission | None, cluster: Cluster
) -> tuple[dict[str, Any], str]:
    """What the worker of a task has written down and what the cluster says, as far as it is known, and what to change."""
    facts: dict[str, Any] = {}
    if status is not None:
        names = ("phase", "inputs", "done", "failed", "skipped", "host", "peak_memory", "died", "message")
        facts = {name: getattr(status, name) for name in names}
    advice = ""
    if submission is not None and submission.job_id is not None:
        facts["job"] = f"{submission.job_id}_{task}"
        facts["submitted again"] = submission.why
        facts["slurm memory_asked_mb"] = submission.memory_mb
        ending = submission.endings.get(task)
        known = ending or cluster.detail(submission.job_id, task)
        if isinstance(known, Ending):
            facts |= {"slurm state": known.state, "slurm message": known.message}
            advice = ADVICE.get(known.consequence, "")
        elif known is not None:
            facts |= {"slurm state": known.state.name, "slurm reason": known.reason and meaning(known.reason)}
        facts |= {f"slurm {name}": used for name in USED if (used := getattr(known, name, None)) is not None}
    return {name: value for name, value in facts.items() if value not in (None, "")}, advice


def telling_log(directory: Path) -> Path | None:
    """The log of a batch that says most: of the task with the most trouble; None where no log says anything."""
    trouble: dict[Path, tuple[bool, int]] = {}
    for log in (directory / "logs").glob("task-*.log"):
        status = read_status(directory / "tasks" / log.stem.removeprefix("task-"))
        if log.stat().st_size and status is not None:
            trouble[log] = (bool(status.message), status.died + status.failed)
    return max(trouble, key=lambda log: (trouble[log], log.name)) if trouble else None


def log_tail(path: Path) -> str:
    """The last lines of a log."""
    if not path.is_file():
        return f"{path} is not there"
    with path.open("rb") as log:
        log.seek(max(0, path.stat().st_size - 20_000))
        lines = log.read().decode(errors="replace").splitlines()
    return "\n".join([str(path), *lines[-LOG_LINES:]])


def input_answers(database: Database, number: int) -> list[WhyAnswer]:
    """Outcomes of a spectrum (`spectrum_pk`) or of an object (`sdss_id`)."""
    outcome = ComputeOutcome.c
    sources = select(Source.c.pk).where(Source.c.sdss_id == number)
    query = (
        select(ComputeOutcome.__table__)
        .where(or_(outcome.spectrum_pk == number, outcome.source_pk.in_(sources)))
        .order_by(desc(outcome.modified))
    )
    with database.connect() as connection:
        rows = connection.execute(query).mappings().all()
    return [_outcome_answer(row) for row in rows]


def _outcome_answer(row: RowMapping) -> WhyAnswer:
    """One outcome in words."""
    key = f"spectrum {row['spectrum_pk']}" if row["spectrum_pk"] is not None else f"source {row['source_pk']}"
    names = ("state", "code", "message", "attempts", "code_version", "batch_id", "modified")
    log = f"astra-assets why {row['batch_id']} shows the log; " if row["batch_id"] else ""
    advice = (
        "" if row["state"] == "skipped" else f"{log}mend the cause, then: astra-assets run ... --retry-failed"
    )
    return WhyAnswer(f"{row['pipeline']} {row['step']}: {key}", {name: row[name] for name in names}, advice)


def pipeline_answers(database: Database, name: str) -> list[WhyAnswer]:
    """The reasons of a pipeline's skips and failures, how often, and a few inputs of each."""
    outcome = ComputeOutcome.c
    grouping = (outcome.step, outcome.state, outcome.code)
    query = select(*grouping, func.count().label("inputs"), func.min(outcome.message).label("message"))
    query = query.where(outcome.pipeline == name).group_by(*grouping).order_by(desc("inputs"))
    with database.connect() as connection:
        rows = connection.execute(query).mappings().all()
        found = []
        for row in rows:
            some = select(func.coalesce(outcome.spectrum_pk, outcome.source_pk)).where(
                outcome.pipeline == name, outcome.step == row["step"], outcome.code == row["code"]
            )
            keys: Sequence[Any] = connection.execute(some.limit(EXAMPLES)).scalars().all()
            facts = {
                "inputs": row["inputs"],
                "message": row["message"],
                "for example": ", ".join(map(str, keys)),
            }
            found.append(WhyAnswer(f"{name} {row['step']}: {row['state']}: {row['code']}", facts))
    return found


def unfinished_batches(database: Database, name: str) -> list[WhyAnswer]:
    """What the last batch of each step of a pipeline ended with, where it was not collected: no single input is to blame."""
    batch = ComputeBatch.c
    query = select(ComputeBatch.__table__).where(batch.pipeline == name).order_by(batch.planned)
    with database.connect() as connection:
        last = {row["step"]: row for row in connection.execute(query).mappings()}
    found = []
    for step, row in last.items():
        tasks = Path(row["directory"]).glob("tasks/*")
        statuses = [read_status(folder) for folder in sorted(tasks)] if row["state"] != "collected" else []
        messages = dict.fromkeys(each.message for each in statuses if each is not None and each.message)
        if messages:
            facts = {"state": row["state"], "message": "\n".join(messages), "directory": row["directory"]}
            advice = f"astra-assets why {row['batch_id']} shows the log"
            found.append(WhyAnswer(f"{name} {step}: batch {row['batch_id']}", facts, advice))
    return found
