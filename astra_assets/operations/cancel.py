"""`cancel`: end a batch without collecting it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select

from astra_assets.compute.batch import read_batch
from astra_assets.models.base import table_of
from astra_assets.models.compute import ComputeBatch
from astra_assets.operations.deployment import Deployment, OperationError

if TYPE_CHECKING:
    from astra_assets.operations.step_runner import StepRunner


def cancel(runner: StepRunner, batch_id: str) -> str:
    """End a batch without collecting it; its inputs are unprocessed again. Returns what was done.

    Raises:
        OperationError: there is no such batch, or it is not active.
    """
    runner.engine.cancel(read_batch(need_active(runner.deployment, batch_id)))
    return f"batch {batch_id} is cancelled; its inputs are unprocessed again"


def need_active(deployment: Deployment, batch_id: str) -> Path:
    """Return the folder of a batch that is active.

    Raises:
        OperationError: there is no such batch, or it is not active.
    """
    table = table_of(ComputeBatch)
    query = select(table.c.state, table.c.directory).where(table.c.batch_id == batch_id)
    with deployment.database.connect() as connection:
        row = connection.execute(query).one_or_none()
    if row is None:
        raise OperationError(f"there is no batch {batch_id!r}; astra-assets status shows the active ones")
    if row.state != "active":
        raise OperationError(f"batch {batch_id} is {row.state} already; there is nothing to cancel")
    return Path(row.directory)
