"""Why something has no result: what the database and the batch folders know about one thing.

Belongs here: looking up a batch, an input or a pipeline. Does not belong here: how the answer is printed (`cli`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import desc, func, or_, select

from astra_assets.compute.batch import BrokenBatchError, read_batch
from astra_assets.compute.slurm.client import SlurmClient, SlurmError
from astra_assets.compute.slurm.endings import Verdict
from astra_assets.compute.slurm.reasons import meaning
from astra_assets.compute.slurm.submissions import Submission, Submissions, newest
from astra_assets.compute.states import Phase, TaskStatus, read_status
from astra_assets.compute.usage import usage_of
from astra_assets.models.compute import ComputeBatch, ComputeOutcome
from astra_assets.models.source import Source

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

    from astra_assets.models.database import Database

LOG_LINES = 20
"""Lines of a log that are shown: enough for a traceback."""
EXAMPLES = 5
"""Inputs that are named for each reason."""
FEW_TASKS = 20
"""Tasks of a batch up to which each is shown; beyond, only those with something to tell."""

USED = ("exit_code", "signal", "node", "memory_asked_mb", "memory_used_mb")
"""What is shown of how a task ran on the cluster."""

ADVICE = {
    Verdict.MEMORY: "it gets more memory by itself, up to memory_cap; to begin with more: --mem, or mem in [slurm] of astra.toml",
    Verdict.TIME: "ask for more --nodes or --time (or nodes and time in [slurm] of astra.toml), then run the step again",
    Verdict.SETUP: "mend setup in [slurm] of astra.toml, then run the step again",
    Verdict.OVER: "mend what the message says, then run the step again: it goes on after what is there",
}
"""What to change after a task ended like this on the cluster."""


@dataclass(frozen=True)
class Finding:
    """Something that is known.

    Attributes:
        title: what was found.
        facts: name and value of each thing to know.
        advice: what to type next.
    """

    title: str
    facts: dict[str, Any] = field(default_factory=dict)
    advice: str = ""


def explain_batch(database: Database, batch_id: str, client: SlurmClient | None = None) -> list[Finding]:
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
    facts = {name: row[name] for name in names} | {"directory": row["directory"]} | used(directory)
    return [Finding(f"batch {batch_id}", facts, batch_advice(row)), *task_findings(directory, client)]


def used(directory: Path) -> dict[str, Any]:
    """What a batch has used; empty where its folder is there no longer."""
    try:
        usage = usage_of(read_batch(directory))
    except BrokenBatchError:
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


def task_findings(directory: Path, client: SlurmClient | None = None) -> list[Finding]:
    """How each task is, where it ran, what it used, and the end of its log; those that are done without trouble only counted."""
    submissions = Submissions(directory).read()
    folders = sorted((directory / "tasks").glob("*"), key=lambda path: path.name.zfill(9))
    tasks = {int(path.name) for path in folders} | {task for each in submissions for task in each.tasks}
    found, well = [], 0
    for task in sorted(tasks):
        status = read_status(directory / "tasks" / str(task))
        submission = newest(submissions, task)
        fine = status is not None and status.phase == Phase.DONE.value and not status.died + status.failed
        if fine and len(tasks) > FEW_TASKS:
            well += 1
            continue
        facts, advice = task_facts(task, status, submission, client)
        facts["log"] = log_tail(directory / "logs" / f"task-{task}.log")
        found.append(Finding(f"task {task}", facts, advice))
    if well:
        found.append(Finding(f"{well:,} further tasks", {"phase": "done, without failures"}))
    return found


def task_facts(
    task: int, status: TaskStatus | None, submission: Submission | None, client: SlurmClient | None
) -> tuple[dict[str, Any], str]:
    """What the worker of a task has written down and what the cluster says, and what to change."""
    facts: dict[str, Any] = {}
    if status is not None:
        names = ("phase", "inputs", "done", "failed", "skipped", "host", "peak_memory", "died", "message")
        facts = {name: getattr(status, name) for name in names}
    if submission is None or submission.job_id is None:
        return facts, ""
    facts["job"] = f"{submission.job_id}_{task}"
    if submission.why:
        facts["submitted again"] = submission.why
    ending = submission.endings.get(task)
    if ending is not None:
        facts |= {f"slurm {name}": getattr(ending, name) for name in ("state", *USED)}
        facts["slurm message"] = ending.message
        return facts, ADVICE.get(ending.verdict, "")
    detail = None
    if client is not None and (status is None or status.phase != Phase.DONE.value):
        try:
            detail = client.detail(submission.job_id, task)
        except SlurmError as error:
            facts["slurm"] = str(error)
    if detail is None:
        return facts, ""
    facts["slurm state"] = detail.state.name
    facts |= {f"slurm {name}": getattr(detail, name) for name in USED}
    if detail.reason:
        facts["slurm reason"] = meaning(detail.reason)
    return facts, ""


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


def explain_input(database: Database, number: int) -> list[Finding]:
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
    return [outcome_finding(row) for row in rows]


def outcome_finding(row: RowMapping) -> Finding:
    """One outcome in words."""
    key = f"spectrum {row['spectrum_pk']}" if row["spectrum_pk"] is not None else f"source {row['source_pk']}"
    names = ("state", "code", "message", "attempts", "code_version", "batch_id", "modified")
    log = f"astra-assets why {row['batch_id']} shows the log; " if row["batch_id"] else ""
    advice = (
        "" if row["state"] == "skipped" else f"{log}mend the cause, then: astra-assets run ... --retry-failed"
    )
    return Finding(f"{row['pipeline']} {row['step']}: {key}", {name: row[name] for name in names}, advice)


def explain_pipeline(database: Database, name: str) -> list[Finding]:
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
            found.append(Finding(f"{name} {row['step']}: {row['state']}: {row['code']}", facts))
    return found


def unfinished_batches(database: Database, name: str) -> list[Finding]:
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
            found.append(Finding(f"{name} {step}: batch {row['batch_id']}", facts, advice))
    return found


def explain(
    database: Database, what: str, pipeline_names: Sequence[str], client: SlurmClient | None = None
) -> list[Finding]:
    """What is known about a batch id, a `spectrum_pk`, an `sdss_id` or the name of a pipeline; empty where nothing is."""
    if what.isdigit():
        return explain_input(database, int(what))
    if what in pipeline_names:
        return [*unfinished_batches(database, what), *explain_pipeline(database, what)]
    return explain_batch(database, what, client)
