"""Collecting: the parts of a finished batch become rows of the database, in one transaction.

Every part is checked first, and set aside if it is damaged; the tasks whose inputs it had go on then. A batch that was
collected already is left alone. Not here: waiting for the batch (`engine`).
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sqlalchemy import Connection, Delete, Table, delete, exists, select, update

from astra_assets.compute import outcomes
from astra_assets.compute.batch import Batch, BatchError, stranger_of
from astra_assets.compute.folders import need_sound_manifest
from astra_assets.compute.parts import (
    FAILURES,
    RESULTS,
    DamagedPartError,
    described,
    difference,
    failure_schema,
    part_files,
    read_part,
    set_aside,
)
from astra_assets.compute.passing import PASSING_CODES
from astra_assets.compute.rows import PROBLEMS, ResultShape
from astra_assets.compute.step_inputs import ATTEMPTS, CURRENT_RESULT, EARLIER, OUTDATED_RESULT, StepInputs
from astra_assets.database.database import Database
from astra_assets.models.base import Base, table_of, utcnow
from astra_assets.models.compute import ComputeBatch, ComputeOutcome

PROBLEM_STEP = "{}/visit"
"""Step under which problems with single spectra of a source are recorded."""

_SOURCES_AT_ONCE = 1_000


class PartError(BatchError):
    """The parts of a batch cannot be collected as they are; the message names what is wrong and how to go on."""


@dataclass
class Parts:
    """The checked parts of a batch, and what the manifest says about their inputs.

    Attributes:
        keys: keys of all inputs, ascending; `attempts` and `earlier` are the columns of the manifest beside
            them.
        files: parts by kind.
        seen: True for each input that is in a part, `made` for each that is in a part of results.
    """

    keys: np.ndarray[Any, Any]
    attempts: np.ndarray[Any, Any]
    earlier: np.ndarray[Any, Any]
    files: dict[str, list[Path]] = field(default_factory=lambda: {RESULTS: [], FAILURES: []})
    seen: np.ndarray[Any, Any] = field(init=False)
    made: np.ndarray[Any, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.seen = np.zeros(len(self.keys), dtype=bool)
        self.made = np.zeros(len(self.keys), dtype=bool)

    def places(self, keys: pa.ChunkedArray) -> np.ndarray[Any, Any]:
        """Places of these keys in the manifest; -1 for keys that are not in it."""
        wanted = keys.to_numpy()
        places = np.searchsorted(self.keys, wanted)
        places[places == len(self.keys)] = 0
        return np.where(self.keys[places] == wanted, places, -1)

    def unfinished(self, tasks: Sequence[tuple[int, int]]) -> list[int]:
        """Tasks, given by their ranges in the manifest, of which inputs are in no part."""
        return [task for task, (first, last) in enumerate(tasks) if not self.seen[first:last].all()]


@dataclass(frozen=True)
class Collected:
    """What a batch brought."""

    results: int
    failed: int
    skipped: int


def no_parts(batch: Batch, shape: ResultShape) -> Parts:
    """What the manifest of a batch says about its inputs, none of which is in a part yet.

    Raises:
        BrokenBatchError: the manifest is damaged.
    """
    need_sound_manifest(batch)
    manifest = pq.read_table(batch.manifest, columns=[shape.key_name, ATTEMPTS, EARLIER])
    return Parts(*(manifest[name].to_numpy() for name in (shape.key_name, ATTEMPTS, EARLIER)))


def check_parts(batch: Batch, shape: ResultShape, operators: Collection[int] = ()) -> Parts:
    """Read the keys of all parts and compare them with the manifest; a part that is damaged is set aside.

    Damaged is what cannot be read, does not have the checksum that it was written with, has other columns than its batch,
    or an input that is not in the manifest or in another part of its kind already. A part belongs to the owner of the
    folder of the batch, or to one of the `operators` (user ids).

    An input may be in a part of results and in one of failures: two copies of a task lived at once, and one gave
    it up while the other made it. It has its result then.

    Raises:
        PartError: a part belongs to another user, or the pipeline has other columns now than when the batch was planned.
    """
    _need_same_columns(batch, shape)
    parts = no_parts(batch, shape)
    schemas = {RESULTS: shape.schema, FAILURES: failure_schema(shape.key_name)}
    for kind, schema in schemas.items():
        of_kind = np.zeros(len(parts.keys), dtype=bool)
        for path in itertools.chain(
            *(part_files(batch.task_folder(task), kind) for task in range(len(batch.tasks)))
        ):
            _check_owner(path, batch, operators)
            try:
                _check_part(path, schema, parts, shape.key_name, of_kind)
            except DamagedPartError as error:
                set_aside(path, error)
                continue
            parts.files[kind].append(path)
        parts.seen |= of_kind
        if kind == RESULTS:
            parts.made = of_kind
    return parts


def _check_owner(path: Path, batch: Batch, operators: Collection[int]) -> None:
    if (stranger := stranger_of(path, batch.directory, operators)) is not None:
        raise PartError(
            f"{path}: belongs to {stranger}, who is neither the owner of the batch nor an operator. If this user may run "
            f"batches here, add the name to `operators` in [security] of astra.toml; otherwise cancel the batch "
            f"(astra-assets cancel {batch.batch_id}) and run the step again."
        )


def _check_part(
    path: Path, schema: pa.Schema, parts: Parts, key_name: str, of_kind: np.ndarray[Any, Any]
) -> None:
    keys = read_part(path, schema, [key_name])[key_name]
    places = parts.places(keys)
    if (places < 0).any():
        stranger = keys[int(np.argmax(places < 0))].as_py()
        raise DamagedPartError(f"{key_name} {stranger} is not an input of this batch")
    known = of_kind[places]
    unique, counts = np.unique(places, return_counts=True)
    if known.any() or (counts > 1).any():
        twice = places[known][0] if known.any() else unique[counts > 1][0]
        raise DamagedPartError(f"{key_name} {parts.keys[twice]} is in the parts of this batch twice")
    of_kind[places] = True


def _need_same_columns(batch: Batch, shape: ResultShape) -> None:
    """Check that the pipeline has the columns that the workers of the batch were told to write."""
    planned, _ = described(batch.manifest)
    if not planned.equals(shape.schema):
        raise PartError(
            f"{batch.directory}: the result table of {batch.pipeline} has changed since the batch was planned "
            f"({difference(planned, shape.schema)}). Nothing is lost: install the version of the pipeline that planned it "
            f"({batch.code_version}) and run the step, and its results are collected. To do them all again with this "
            f"version, cancel the batch (astra-assets cancel {batch.batch_id}) and run the step"
        )


class Collector:
    """Writes the parts of one batch into the database."""

    def __init__(
        self, database: Database, batch: Batch, inputs: StepInputs, operators: Collection[int] = ()
    ) -> None:
        self.database, self.batch, self.inputs, self.operators = database, batch, inputs, operators
        self.shape = ResultShape(inputs.pipeline, inputs.step, batch.context())
        self.now = utcnow()

    def checked_parts(self) -> Parts:
        """The sound parts of the batch. Inputs are in none where a part is missing or was set aside.

        Raises:
            BatchError: the parts cannot be collected as they are.
        """
        return check_parts(self.batch, self.shape, self.operators)

    def collect(self, parts: Parts) -> Collected | None:
        """Write everything in one transaction; None if the batch was collected before."""
        counts = self._counts(parts)
        with self.database.begin() as connection:
            if not self._close(connection, counts):
                return None
            for path in parts.files[RESULTS]:
                self._write_results(connection, self._read(path, self.shape.schema))
            self._forget_settled(connection)
            self._forget_replaced(connection)
            for path in parts.files[FAILURES]:
                self._write_failures(connection, self._failures(path, parts), parts)
        return counts

    def _read(self, path: Path, schema: pa.Schema) -> pa.Table:
        """A part that was sound when it was checked."""
        try:
            return read_part(path, schema)
        except DamagedPartError as error:
            raise PartError(
                f"{path}: was damaged while the batch was collected: {error}. Nothing was written. Run the step again: only "
                "the inputs of this part are done again"
            ) from error

    def _failures(self, path: Path, parts: Parts) -> pa.Table:
        """The rows of a part of failures whose inputs have no result in another part."""
        rows = self._read(path, failure_schema(self.shape.key_name))
        return rows.filter(pa.array(~parts.made[parts.places(rows[self.inputs.key_name])]))

    def _counts(self, parts: Parts) -> Collected:
        states = [self._failures(path, parts)["state"] for path in parts.files[FAILURES]]
        failed = sum(pc.sum(pc.equal(each, "failed")).as_py() or 0 for each in states)
        return Collected(int(parts.made.sum()), failed, sum(len(each) for each in states) - failed)

    def _close(self, connection: Connection, counts: Collected) -> bool:
        """Mark the batch as collected; False if that was done before."""
        table = table_of(ComputeBatch)
        closed = update(table).where(table.c.batch_id == self.batch.batch_id, table.c.state == "active")
        values = {"n_results": counts.results, "n_failed": counts.failed, "n_skipped": counts.skipped}
        result = connection.execute(closed.values(state="collected", finished=self.now, **values))
        return result.rowcount == 1

    def _write_results(self, connection: Connection, rows: pa.Table) -> None:
        self._forget_untimed(connection, rows)
        inputs = self.inputs
        own = rows.select(list(self.shape.columns))
        own = own.append_column("created", _constant(self.batch.planned, rows.num_rows))
        self.database.upsert(connection, inputs.results, own, key=inputs.result_key, keep=["created"])
        for model in inputs.step.tables:
            self._write_further(connection, table_of(model), rows[table_of(model).name])
        problems = _flattened(rows[PROBLEMS])
        self._forget_problems(connection, rows)
        self._write_problems(connection, problems)

    def _write_further(self, connection: Connection, table: Table, nested: pa.ChunkedArray) -> None:
        """Rows of a further table carry the time at which they become visible, for others wait for that."""
        rows = _flattened(nested)
        if "modified" in table.c:
            rows = rows.set_column(
                rows.column_names.index("modified"), "modified", _constant(self.now, rows.num_rows)
            )
            rows = rows.append_column("created", _constant(self.now, rows.num_rows))
        self.database.upsert(connection, table, rows, key=["spectrum_pk"], keep=["created"])

    def _forget_settled(self, connection: Connection) -> None:
        """Delete the outcomes of inputs that have a result of this batch."""
        inputs, outcome = self.inputs, table_of(ComputeOutcome)
        made = self._made().where(inputs.results.c[inputs.key_name] == outcome.c[inputs.key_name])
        connection.execute(
            delete(outcome).where(
                outcome.c.pipeline == inputs.pipeline.name,
                outcome.c.step.in_([step.name for step in inputs.deciding]),
                outcome.c.v_astra_major_minor == inputs.major_minor,
                exists(made.correlate(outcome)),
            )
        )

    def _forget_replaced(self, connection: Connection) -> None:
        """Delete rows of further tables that belong to the sources of this batch and were not made again."""
        for table in map(table_of, self.inputs.step.tables):
            if "modified" in table.c:
                made = table.c.source_pk.in_(self._made())
                connection.execute(self._delete(table).where(made, table.c.modified < self.now))

    def _forget_untimed(self, connection: Connection, rows: pa.Table) -> None:
        """Delete what these sources had in further tables without times, where nothing tells rows of before from new ones."""
        untimed = [table for table in map(table_of, self.inputs.step.tables) if "modified" not in table.c]
        sources = rows["source_pk"].to_pylist() if untimed else []
        for start in range(0, len(sources), _SOURCES_AT_ONCE):
            some = sources[start : start + _SOURCES_AT_ONCE]
            for table in untimed:
                connection.execute(self._delete(table).where(table.c.source_pk.in_(some)))

    def _delete(self, table: Table) -> Delete:
        """Deletes rows of a further table, of this minor version only where there are several."""
        if "v_astra" not in table.c:
            return delete(table)
        return delete(table).where(table.c.v_astra.like(f"{self.batch.v_astra.rpartition('.')[0]}.%"))

    def _made(self) -> Any:
        """Keys of the inputs that have a result of this batch."""
        results = self.inputs.results
        return select(results.c[self.inputs.key_name]).where(
            self.inputs.of_step, results.c.modified == self.batch.planned
        )

    def _write_failures(self, connection: Connection, rows: pa.Table, parts: Parts) -> None:
        """Record outcomes, and delete older results that a verdict supersedes.

        A failure does not take away a result that still holds, and is not recorded then. Next to an outdated result
        a passing failure is recorded and the result stays.
        """
        inputs = self.inputs
        places = parts.places(rows[inputs.key_name])
        earlier = parts.earlier[places]
        skipped = pc.equal(rows["state"], "skipped").to_numpy()
        passing = ~skipped & np.isin(rows["code"].to_numpy(), list(PASSING_CODES))
        superseded = ((earlier == OUTDATED_RESULT) & ~passing) | ((earlier == CURRENT_RESULT) & skipped)
        outcomes.forget_results(connection, inputs, parts.keys[places[superseded]].tolist())
        recorded = (earlier != CURRENT_RESULT) | skipped
        rows = rows.filter(pa.array(recorded))
        attempts = pa.array(parts.attempts[places][recorded] + 1, pa.int32())
        rows = rows.append_column("attempts", attempts)
        rows = rows.append_column("step", pa.repeat(inputs.step.name, rows.num_rows))
        self._record(connection, rows)

    def _record(self, connection: Connection, rows: pa.Table) -> None:
        outcomes.record(
            self.database, connection, self.inputs, rows, batch_id=self.batch.batch_id, when=self.batch.judged
        )

    def _forget_problems(self, connection: Connection, rows: pa.Table) -> None:
        """Delete what earlier batches said about spectra of these sources."""
        if not self.inputs.over_sources:
            return
        outcome = table_of(ComputeOutcome)
        mine = (
            outcome.c.pipeline == self.inputs.pipeline.name,
            outcome.c.step == PROBLEM_STEP.format(self.inputs.step.name),
            outcome.c.v_astra_major_minor == self.inputs.major_minor,
        )
        if connection.scalar(select(outcome.c.pk).where(*mine).limit(1)) is None:
            return
        sources = rows["source_pk"].to_pylist()
        for table in reduced_tables():
            for start in range(0, len(sources), _SOURCES_AT_ONCE):
                of_sources = select(table.c.spectrum_pk).where(
                    table.c.source_pk.in_(sources[start : start + _SOURCES_AT_ONCE])
                )
                connection.execute(delete(outcome).where(*mine, outcome.c.spectrum_pk.in_(of_sources)))

    def _write_problems(self, connection: Connection, problems: pa.Table) -> None:
        if problems.num_rows == 0:
            return
        step = PROBLEM_STEP.format(self.inputs.step.name)
        same = {
            "pipeline": self.inputs.pipeline.name,
            "step": step,
            "state": "failed",
            "code_version": self.inputs.pipeline.code_version,
            "batch_id": self.batch.batch_id,
        }
        for name, value in same.items():
            problems = problems.append_column(name, pa.repeat(value, problems.num_rows))
        version = pa.repeat(pa.scalar(self.inputs.major_minor, pa.int32()), problems.num_rows)
        problems = problems.append_column("v_astra_major_minor", version)
        for name in ("created", "modified"):
            problems = problems.append_column(name, _constant(self.batch.judged, problems.num_rows))
        key = ["pipeline", "step", "v_astra_major_minor", "spectrum_pk"]
        self.database.upsert(connection, ComputeOutcome, problems, key=key, keep=["created"])


def reduced_tables() -> Iterator[Table]:
    """Tables of spectra as reduced: in a release, linked to a source, and of no version of ours."""
    for mapper in Base.registry.mappers:
        table = table_of(mapper.class_)
        names = table.columns.keys()
        if {"spectrum_pk", "source_pk", "release"}.issubset(names) and "v_astra" not in names:
            yield table


def _flattened(nested: pa.ChunkedArray) -> pa.Table:
    """The rows in a column of lists of rows, one below the other."""
    rows = nested.combine_chunks().flatten()
    return pa.Table.from_struct_array(rows)


def _constant(when: datetime, rows: int) -> pa.Array:
    return pa.repeat(pa.scalar(when, pa.timestamp("us")), rows)
