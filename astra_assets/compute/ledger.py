"""The rows of `compute_batch`: which batch of a step is active, and what became of the others.

That a step has one active batch at most is guaranteed by a unique index of the table. Folders are the
business of `folders`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError

from astra_assets.compute.batch import Batch
from astra_assets.database.database import Database
from astra_assets.models.base import table_of, utcnow
from astra_assets.models.compute import ComputeBatch
from astra_assets.registry.version import major_minor, version_integer


@dataclass(frozen=True)
class ActiveBatch:
    """An active batch as the database knows it."""

    batch_id: str
    directory: Path
    job: str | None
    backend: str


@dataclass(frozen=True)
class Ledger:
    """The batches of one minor version of Astra."""

    database: Database
    major_minor: int

    def active(self, pipeline: str, step: str) -> ActiveBatch | None:
        """The active batch of a step."""
        table = table_of(ComputeBatch)
        query = select(table.c.batch_id, table.c.directory, table.c.job, table.c.backend).where(
            table.c.pipeline == pipeline,
            table.c.step == step,
            table.c.v_astra_major_minor == self.major_minor,
            table.c.state == "active",
        )
        with self.database.connect() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else ActiveBatch(row.batch_id, Path(row.directory), row.job, row.backend)

    def earliest_active(self, pipelines: Sequence[str]) -> datetime | None:
        """When the oldest active batch of these pipelines was planned; None where none is active."""
        if not pipelines:
            return None
        table = table_of(ComputeBatch)
        query = select(func.min(table.c.planned)).where(
            table.c.pipeline.in_(pipelines),
            table.c.v_astra_major_minor == self.major_minor,
            table.c.state == "active",
        )
        with self.database.connect() as connection:
            found: datetime | None = connection.scalar(query)
        return found

    def register(self, batch: Batch) -> bool:
        """Make a batch the active one of its step; False if another one is."""
        values = {
            "batch_id": batch.batch_id,
            "pipeline": batch.pipeline,
            "step": batch.step,
            "v_astra": version_integer(batch.v_astra),
            "v_astra_major_minor": major_minor(batch.v_astra),
            "code_version": batch.code_version,
            "state": "active",
            "backend": batch.backend,
            "n_inputs": batch.n_inputs,
            "n_tasks": len(batch.tasks),
            "procs": batch.procs,
            "directory": str(batch.directory),
            "planned": batch.planned,
        }
        try:
            with self.database.begin() as connection:
                connection.execute(insert(table_of(ComputeBatch)).values(**values))
        except IntegrityError:
            if self.active(batch.pipeline, batch.step) is None:
                raise
            return False
        return True

    def started(self, batch_id: str, job: str) -> None:
        """Tasks of a batch were started; `job` is what the backend calls them."""
        table = table_of(ComputeBatch)
        mine = update(table).where(table.c.batch_id == batch_id, table.c.state == "active")
        with self.database.begin() as connection:
            connection.execute(mine.where(table.c.started.is_(None)).values(started=utcnow()))
            connection.execute(mine.values(job=job))

    def cancelled(self, batch_id: str) -> None:
        """A batch will not be collected."""
        table = table_of(ComputeBatch)
        mine = update(table).where(table.c.batch_id == batch_id, table.c.state == "active")
        with self.database.begin() as connection:
            connection.execute(mine.values(state="cancelled", finished=utcnow()))
