"""Collecting what a program wrote to the database itself: rows are counted, and what is missing is accounted for.

An input counts as done if the result table has a row for it, of this minor version, that is not older than the input: a row
that was not there when the batch was planned, or a newer one. All others have failed. Not here: how parts are collected
(`compute.collect`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from sqlalchemy import select

from astra_assets.compute import outcomes
from astra_assets.compute.batch import Batch
from astra_assets.compute.collect import Collected, Collector, Parts, no_parts
from astra_assets.compute.passing import PROGRAM_NO_RESULT
from astra_assets.compute.program.call import call_of_batch

KEYS_AT_ONCE = 1_000
"""Keys in one query; far below what either database allows."""

log = logging.getLogger(__name__)


class WrittenCollector(Collector):
    """Accounts for one batch whose program wrote the database itself."""

    def checked_parts(self) -> Parts:
        """The inputs of the batch: those with a row are made, all are accounted for."""
        parts = no_parts(self.batch, self.shape)
        for start in range(0, len(parts.keys), KEYS_AT_ONCE):
            piece = slice(start, start + KEYS_AT_ONCE)
            parts.made[piece] = np.isin(parts.keys[piece], self._current(parts.keys[piece].tolist()))
        parts.seen[:] = True
        if not parts.made.any():
            log.warning(
                "batch %s: the program ended well, but none of %d inputs has a row in %s: does it write to %s?",
                self.batch.batch_id, len(parts.keys), self.inputs.results.name, self.database.location,
            )  # fmt: skip
        return parts

    def collect(self, parts: Parts) -> Collected | None:
        """Record what has no row, in one transaction; None if the batch was collected before."""
        made = parts.keys[parts.made].tolist()
        missing = parts.keys[~parts.made]
        counts = Collected(len(made), len(missing), 0)
        with self.database.begin() as connection:
            if not self._close(connection, counts):
                return None
            outcomes.forget_outcomes(
                connection, self.inputs, made, [step.name for step in self.inputs.deciding]
            )
            for rows in self._failures_of(missing):
                self._write_failures(connection, rows, parts)
        return counts

    def _current(self, keys: list[int]) -> list[int]:
        """Those of these inputs that have a row that is not older than they are."""
        inputs = self.inputs
        found = inputs.flagged().where(inputs.key.in_(keys)).subquery()
        with self.database.connect() as connection:
            rows = connection.execute(select(found.c.key).where(found.c.is_current == 1))
            return [int(key) for key in rows.scalars()]

    def _failures_of(self, keys: np.ndarray) -> Iterator[pa.Table]:
        """What is recorded of inputs without a row, as a part of failures says it."""
        message = f"the program ended well, and {self.inputs.results.name} has no row for this input"
        for start in range(0, len(keys), KEYS_AT_ONCE):
            some = keys[start : start + KEYS_AT_ONCE]
            same = {"state": "failed", "code": PROGRAM_NO_RESULT, "message": message}
            repeated = {name: pa.repeat(text, len(some)) for name, text in same.items()}
            yield pa.table({self.inputs.key_name: pa.array(some, pa.int64()), **repeated})


def collector_of(batch: Batch) -> type[Collector]:
    """What collects a batch: its parts, or what its program wrote to the database."""
    call = call_of_batch(batch)
    return Collector if call is None or call.protocol == "files" else WrittenCollector
