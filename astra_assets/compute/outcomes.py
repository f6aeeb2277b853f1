"""Writing down what became of inputs that have no result.

An input has either a result or one outcome; next to a failure that says nothing about the object (`passing`) an older
result may be kept. Which inputs these are is decided by `plan` (requirements) and
`collect` (what workers report).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import pyarrow as pa
from sqlalchemy import Connection, delete, select

from astra_assets.compute.step_inputs import StepInputs
from astra_assets.database.database import Database
from astra_assets.models.base import table_of
from astra_assets.models.compute import ComputeOutcome

# Keys in one IN (...) clause; far below what either database allows.
_KEYS_AT_ONCE = 1_000


def record(
    database: Database,
    connection: Connection,
    inputs: StepInputs,
    outcomes: pa.Table,
    *,
    batch_id: str | None,
    when: datetime,
) -> None:
    """Write outcomes; those of the same step and input are replaced.

    `outcomes` has the key of the input, `step`, `state`, `code`, `message` and `attempts`.
    """
    if outcomes.num_rows == 0:
        return
    same = {
        "pipeline": pa.scalar(inputs.pipeline.name),
        "v_astra_major_minor": pa.scalar(inputs.major_minor, pa.int32()),
        "code_version": pa.scalar(inputs.pipeline.code_version),
        "batch_id": pa.scalar(batch_id, pa.string()),
        "created": pa.scalar(when, pa.timestamp("us")),
        "modified": pa.scalar(when, pa.timestamp("us")),
    }
    for name, value in same.items():
        outcomes = outcomes.append_column(name, pa.repeat(value, outcomes.num_rows))
    key = ["pipeline", "step", "v_astra_major_minor", inputs.key_name]
    database.upsert(connection, ComputeOutcome, outcomes, key=key, keep=["created"])


def forget_outcomes(
    connection: Connection, inputs: StepInputs, keys: Sequence[int], steps: Iterable[str]
) -> None:
    """Delete the outcomes of these inputs in these steps."""
    outcome = table_of(ComputeOutcome)
    names = list(steps)
    for some in _pieces(keys if names else ()):
        connection.execute(
            delete(outcome).where(
                outcome.c.pipeline == inputs.pipeline.name,
                outcome.c.step.in_(names),
                outcome.c.v_astra_major_minor == inputs.major_minor,
                outcome.c[inputs.key_name].in_(some),
            )
        )


def forget_results(connection: Connection, inputs: StepInputs, keys: Sequence[int]) -> None:
    """Delete the results of these inputs, since they were made of something that is no more."""
    results = inputs.results
    for some in _pieces(keys):
        connection.execute(delete(results).where(inputs.of_step, results.c[inputs.key_name].in_(some)))


def drop_kept(database: Database, inputs: StepInputs) -> int:
    """Delete the older results that were kept next to passing failures; returns how many."""
    row = inputs.flagged().subquery()
    kept = select(row.c.key).where(row.c.has_row == 1, row.c.is_current == 0, row.c.state == "failed")
    with database.begin() as connection:
        keys = connection.execute(kept).scalars().all()
        forget_results(connection, inputs, keys)
    return len(keys)


def _pieces(keys: Sequence[int]) -> Iterator[Sequence[int]]:
    return (keys[start : start + _KEYS_AT_ONCE] for start in range(0, len(keys), _KEYS_AT_ONCE))
