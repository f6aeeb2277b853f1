"""Planning: unprocessed inputs are read once and become the manifest of a batch.

Inputs that do not fulfil a requirement are recorded as skipped. Memory does not grow with the number of
inputs. Which inputs are unprocessed is said in `step_inputs`; the row of the batch in the database, and that
there is one active batch at most, is the business of `engine`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from astra_assets.compute import outcomes
from astra_assets.compute.batch import Batch
from astra_assets.compute.lookups import Lookups, as_numpy, decoded
from astra_assets.compute.parts import describe
from astra_assets.compute.reading import READERS, can_leave_out_sources, unprocessed_inputs
from astra_assets.compute.rows import ResultShape
from astra_assets.compute.step_inputs import EARLIER, NO_RESULT, RECORDED, Selection, StepInputs, with_history
from astra_assets.database.allocators import keep_little
from astra_assets.database.database import Database
from astra_assets.pipelines.base import PipelineDeclarationError, Requirement, WorkContext

GATHER_ROWS = 2_000
"""Rows that `Step.gather` gets at once; each may gain a list of all visits of a source."""

REPORT_SECONDS = 10.0
"""Time between two lines about a long planning."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NothingToDo:
    """There was nothing to plan; `skipped` inputs were recorded as skipped on the way."""

    pipeline: str
    step: str
    skipped: int

    def __str__(self) -> str:
        skipped = f"; {self.skipped} inputs are skipped" if self.skipped else ""
        return f"{self.pipeline} {self.step}: nothing to do{skipped}"


@dataclass(frozen=True)
class Planned:
    """What planning did: inputs in the manifest, inputs that were skipped."""

    inputs: int
    skipped: int


class Manifest:
    """Writes the table of inputs in row groups of equal size; the file appears with the first row."""

    def __init__(self, path: Path, row_group: int, metadata: Mapping[bytes, bytes]) -> None:
        self.path, self.row_group, self.metadata = path, row_group, metadata
        self.rows = 0
        self._writer: pq.ParquetWriter | None = None
        self._pending: list[pa.Table] = []

    def add(self, rows: pa.Table) -> None:
        """Append rows.

        Raises:
            PipelineDeclarationError: their columns differ from those of the rows before.
        """
        if rows.num_rows == 0:
            return
        if self._writer is None:
            # Nobody else may write what the process of an operator reads.
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            schema = rows.schema.with_metadata(dict(self.metadata))
            # Texts repeat, numbers hardly do; and nobody asks for rows by their values.
            self._writer = pq.ParquetWriter(
                self.path, schema, use_dictionary=_texts(schema), write_statistics=False
            )
        try:
            self._pending.append(rows.cast(self._writer.schema))
        except (pa.ArrowException, ValueError) as error:
            raise PipelineDeclarationError(
                f"`gather` returned other columns than for the rows before: {error}. Give the columns their types."
            ) from error
        self.rows += rows.num_rows
        self._write(len_at_least=self.row_group)

    def close(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._write(len_at_least=1)
            self._writer.close()

    def _write(self, len_at_least: int) -> None:
        assert self._writer is not None
        if sum(table.num_rows for table in self._pending) < len_at_least:
            return
        rows = pa.concat_tables(self._pending)
        whole = rows.num_rows if len_at_least == 1 else rows.num_rows // self.row_group * self.row_group
        self._writer.write_table(rows.slice(0, whole), row_group_size=self.row_group)
        self._pending = [rows.slice(whole)] if whole < rows.num_rows else []


def _texts(schema: pa.Schema) -> list[str]:
    return [field.name for field in schema if pa.types.is_string(field.type)]


@dataclass(frozen=True)
class Planner:
    """Plans one batch of one step.

    Attributes:
        database: where inputs are read from, and skips written to.
        inputs: the inputs of the step.
        batch: the batch that they become, whose folder and tasks are not known yet.
    """

    database: Database
    inputs: StepInputs
    batch: Batch

    @cached_property
    def context(self) -> WorkContext:
        """What `gather` is told."""
        return self.batch.context()

    def write(self, manifest: Path, selection: Selection) -> Planned:
        """Write the manifest of everything that is unprocessed and selected, and record what is skipped.

        A filter step writes no manifest.
        """
        keep_little()
        inputs = self.inputs
        shape = ResultShape(inputs.pipeline, inputs.step, self.context)
        target = Manifest(manifest, self.batch.limits.row_group, describe(shape.schema, shape.key_name))
        seen = skipped = 0
        said = time.monotonic()
        with closing(self._chunks(selection)) as chunks:
            for chunk in chunks:
                passed = self._sift(chunk)
                seen += chunk.num_rows
                skipped += chunk.num_rows - passed.num_rows
                if selection.limit is not None:
                    passed = passed.slice(0, selection.limit - target.rows)
                if not inputs.step.is_filter:
                    for rows in self._gathered(decoded(passed.select(inputs.manifest_columns))):
                        target.add(rows)
                if time.monotonic() - said > REPORT_SECONDS:
                    log.info("%s: %d inputs looked at, %d skipped", self._label, seen, skipped)
                    said = time.monotonic()
                if selection.limit is not None and target.rows >= selection.limit:
                    break
        target.close()
        return Planned(target.rows, skipped)

    @property
    def _label(self) -> str:
        return f"{self.inputs.pipeline.name} {self.inputs.step.name}"

    def _chunks(self, selection: Selection) -> Generator[pa.Table]:
        """The unprocessed inputs with all columns, while the database is at the next ones."""
        untried = can_leave_out_sources(self.database, self.inputs, selection)
        asked = self.inputs.lookups(with_sources=untried)
        size = self.batch.limits.chunk_rows
        with ThreadPoolExecutor(READERS, "planning") as readers:
            lookups = Lookups(self.database, asked, readers, few=size // 2)
            found = unprocessed_inputs(self.database, self.inputs, selection, size, readers, untried=untried)
            with closing(found):
                for rows in found:
                    yield lookups.add_to(with_history(rows))

    def _sift(self, chunk: pa.Table) -> pa.Table:
        """The rows that fulfil all requirements; the others are recorded as skipped."""
        inputs = self.inputs
        verdict = np.full(chunk.num_rows, -1)
        requirements = inputs.requirements
        arrays: dict[str, np.ndarray[Any, Any]] = {}
        for place, (step, number) in enumerate(requirements):
            requirement = step.requires[number]
            names = {name: inputs.needed_as(step, name) for name in requirement.needs}
            for name in names.values():
                if name not in arrays:
                    arrays[name] = as_numpy(chunk[name])
            columns = {name: arrays[found] for name, found in names.items()}
            fulfilled = self._test(requirement, columns, chunk.num_rows)
            verdict[(verdict < 0) & ~fulfilled] = place
        passed = verdict < 0
        if passed.all():
            self._withdraw_skips(chunk)
            return chunk
        self._record_skips(chunk.filter(pa.array(~passed)), verdict[~passed])
        kept = chunk.filter(pa.array(passed))
        self._withdraw_skips(kept)
        return kept

    def _test(self, requirement: Requirement, columns: dict[str, Any], rows: int) -> np.ndarray[Any, Any]:
        fulfilled = np.asarray(requirement.test(columns))
        if fulfilled.shape != (rows,) or fulfilled.dtype != np.bool_:
            raise PipelineDeclarationError(
                f"{self._label}: the test of {requirement.code!r} returned {fulfilled.dtype} of shape {fulfilled.shape}, "
                f"expected bool of shape {(rows,)}"
            )
        return fulfilled

    def _record_skips(self, rows: pa.Table, reasons: np.ndarray[Any, Any]) -> None:
        """Record rows as skipped; of each the place of its reason among the requirements is given."""
        inputs = self.inputs
        given = [(step.name, step.requires[number]) for step, number in inputs.requirements]
        names = pa.array([name for name, _ in given]).take(pa.array(reasons))
        skips = pa.table(
            {
                inputs.key_name: rows[inputs.key_name],
                "step": names,
                "state": pa.repeat("skipped", rows.num_rows),
                "code": pa.array([one.code for _, one in given]).take(pa.array(reasons)),
                "message": pa.array([one.message for _, one in given]).take(pa.array(reasons)),
                "attempts": pa.repeat(pa.scalar(1, pa.int32()), rows.num_rows),
            }
        )
        outdated = _keys(rows, EARLIER, NO_RESULT, inputs)
        steps = {step.name for step in inputs.deciding}
        with self.database.begin() as connection:
            outcomes.forget_results(connection, inputs, outdated)
            for name in sorted({name for name, _ in given}):
                same = _keys(rows.filter(pc.equal(names, name)), RECORDED, 0, inputs)
                outcomes.forget_outcomes(connection, inputs, same, steps - {name})
            outcomes.record(
                self.database, connection, inputs, skips, batch_id=self.batch.batch_id, when=self.batch.judged
            )

    def _withdraw_skips(self, rows: pa.Table) -> None:
        """Delete what filters said about inputs that they let through now."""
        filters = [step.name for step in self.inputs.deciding if step.is_filter]
        recorded = _keys(rows, RECORDED, 0, self.inputs) if filters else []
        if recorded:
            with self.database.begin() as connection:
                outcomes.forget_outcomes(connection, self.inputs, recorded, filters)

    def _gathered(self, rows: pa.Table) -> Iterator[pa.Table]:
        gather = self.inputs.step.gather
        if gather is None:
            yield rows
            return
        key = self.inputs.key_name
        for start in range(0, rows.num_rows, GATHER_ROWS):
            some = rows.slice(start, GATHER_ROWS)
            with self.database.begin() as connection:
                made = gather(connection, some, self.context)
            if not made[key].equals(some[key]):
                raise PipelineDeclarationError(
                    f"{self._label}: `gather` must return the same rows in the same order"
                )
            yield made


def _keys(rows: pa.Table, column: str, without: int, inputs: StepInputs) -> list[int]:
    """Keys of the rows whose `column` is not `without`."""
    keys: list[int] = rows.filter(pc.not_equal(rows[column], without))[inputs.key_name].to_pylist()
    return keys
