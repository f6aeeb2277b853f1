"""What happened to an input before: three columns that planning reads with it, as one number.

How they follow from results and outcomes is said in `inputs`.
"""

from __future__ import annotations

import pyarrow as pa
from sqlalchemy import ColumnElement

ATTEMPTS = "attempts"
"""Column of the manifest: how often this input has failed already."""

EARLIER = "earlier_result"
"""Column of the manifest: 0 where the input has no result yet, 1 an outdated one, 2 one that holds."""

NO_RESULT, OUTDATED_RESULT, CURRENT_RESULT = 0, 1, 2

RECORDED = "recorded_outcome"
"""1 where there is an outcome of one of the deciding steps, whether it still holds or not; not in the manifest."""

HISTORY = "need_history"
"""Column of the query that has all three of them in one number, since each column costs time with each row."""

_EARLIER_STEP, _RECORDED_STEP, _ATTEMPTS_STEP = 1, 4, 8


def packed(
    earlier: ColumnElement[int],
    attempts: ColumnElement[int] | None = None,
    recorded: ColumnElement[int] | None = None,
) -> ColumnElement[int]:
    """The number from the three, which are 0 where they are not given."""
    number = earlier * _EARLIER_STEP
    if attempts is not None:
        number = number + attempts * _ATTEMPTS_STEP
    if recorded is not None:
        number = number + recorded * _RECORDED_STEP
    return number


def with_history(rows: pa.Table) -> pa.Table:
    """Rows with HISTORY, with the columns ATTEMPTS, EARLIER and RECORDED."""
    history = rows[HISTORY].to_numpy()
    columns = {
        ATTEMPTS: history // _ATTEMPTS_STEP,
        EARLIER: history % _RECORDED_STEP // _EARLIER_STEP,
        RECORDED: history % _ATTEMPTS_STEP // _RECORDED_STEP,
    }
    for name, values in columns.items():
        rows = rows.append_column(name, pa.array(values))
    return rows
