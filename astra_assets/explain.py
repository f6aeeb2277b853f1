"""Why something has no result: what the database and the batch folders know about one thing.

Belongs here: looking up a batch, an input or a pipeline. Does not belong here: how the answer is printed (`cli`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import desc, func, or_, select

from astra_assets.compute.states import read_status
from astra_assets.models.compute import ComputeBatch, ComputeOutcome
from astra_assets.models.source import Source

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

    from astra_assets.models.database import Database

LOG_LINES = 20
"""Lines of a log that are shown: enough for a traceback."""
EXAMPLES = 5
"""Inputs that are named for each reason."""


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


def explain_batch(database: Database, batch_id: str) -> list[Finding]:
    """State, counts, tasks and the end of the logs of a batch; empty where there is none of this id."""
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
    facts = {name: row[name] for name in names} | {"directory": row["directory"]}
    return [Finding(f"batch {batch_id}", facts, batch_advice(row)), *task_findings(Path(row["directory"]))]


def batch_advice(row: RowMapping) -> str:
    """What to do about a batch in this state."""
    if row["state"] == "active":
        return "run the step again: it attaches to this batch and goes on after the parts that exist"
    return (
        "" if not row["n_failed"] else f"astra-assets why {row['pipeline']} lists the reasons of the failures"
    )


def task_findings(directory: Path) -> list[Finding]:
    """State and end of the log of each task."""
    found = []
    for folder in sorted((directory / "tasks").glob("*"), key=lambda path: path.name.zfill(9)):
        status = read_status(folder)
        if status is None:
            continue
        names = ("phase", "inputs", "done", "failed", "skipped", "host", "peak_memory", "died", "message")
        facts = {name: getattr(status, name) for name in names}
        facts["log"] = log_tail(directory / "logs" / f"task-{folder.name}.log")
        found.append(Finding(f"task {folder.name}", facts))
    return found


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
    advice = "" if row["state"] == "skipped" else "mend the cause, then: astra-assets run ... --retry-failed"
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


def explain(database: Database, what: str, pipeline_names: Sequence[str]) -> list[Finding]:
    """What is known about a batch id, a `spectrum_pk`, an `sdss_id` or the name of a pipeline; empty where nothing is."""
    if what.isdigit():
        return explain_input(database, int(what))
    if what in pipeline_names:
        return explain_pipeline(database, what)
    return explain_batch(database, what)
