"""Which inputs a step has, and which of them are unprocessed: the queries.

An input is eligible when it is linked to a source (and `Step.eligible` holds). It is processed when it has
a result that is not older than the input, or an outcome (skipped, or failed too often) that still holds.
Only SQL is made here; `planner` acts on it, `account` counts with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import pyarrow as pa
from sqlalchemy import (
    Alias,
    BigInteger,
    Column,
    ColumnElement,
    FromClause,
    Select,
    String,
    Table,
    and_,
    case,
    exists,
    false,
    literal,
    literal_column,
    not_,
    or_,
    select,
    true,
    type_coerce,
)
from sqlalchemy.sql import visitors

from astra_assets.compute.lookups import LookupQuery, one_of
from astra_assets.files.paths import READ_COLUMNS
from astra_assets.models.base import Base, table_of
from astra_assets.models.compute import ComputeOutcome
from astra_assets.models.source import Source
from astra_assets.pipelines.base import (
    VERSION_PARAMETER,
    Pipeline,
    PipelineDeclarationError,
    Step,
    this_version,
)

_NEED = "need_"

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


@dataclass(frozen=True)
class Selection:
    """What is asked for: on which inputs a step works, where it is not everything that is unprocessed.

    Attributes:
        sdss_ids: only inputs of these sources; None for all.
        limit: at most this many inputs; the rest is a visible backlog.
        retry_failed: also inputs that failed as often as is allowed.
        force: also inputs that have a result, or were skipped or failed.
    """

    sdss_ids: Sequence[int] | None = None
    limit: int | None = None
    retry_failed: bool = False
    force: bool = False


UNPROCESSED = Selection()
"""Everything that is unprocessed."""


@dataclass(frozen=True)
class StepInputs:
    """The inputs of one step of a pipeline in one minor version of Astra.

    Attributes:
        pipeline, step: what is asked about; the step belongs to the pipeline.
        major_minor: the minor version of Astra.
        max_attempts: failures after which an input is left alone.
        after: result tables of the pipelines that this one names in `after`.
    """

    pipeline: Pipeline
    step: Step
    major_minor: int
    max_attempts: int
    after: tuple[type[Base], ...] = ()
    outcomes: Mapping[str, Alias] = field(init=False)

    def __post_init__(self) -> None:
        named = {step.name: table_of(ComputeOutcome).alias(f"outcome_{step.name}") for step in self.deciding}
        object.__setattr__(self, "outcomes", named)

    @property
    def over_sources(self) -> bool:
        """True if one input is a source, not a spectrum."""
        return self.step.level == "source"

    @property
    def key_name(self) -> str:
        """Column that identifies an input in manifests, result tables and outcomes."""
        return self.step.key_name

    @property
    def key(self) -> Column[Any]:
        """The key in the table of inputs."""
        return self.inputs.c["pk" if self.over_sources else "spectrum_pk"]

    @property
    def inputs(self) -> Table:
        """The table of inputs."""
        return table_of(self.step.inputs)

    @property
    def results(self) -> Table:
        """The table that the step writes a row of for each input that it has done."""
        return table_of(self.pipeline.written_by(self.step))

    @property
    def result_key(self) -> list[str]:
        """Columns that identify a row of `results`."""
        shared = ["pipeline"] if "pipeline" in self.results.c else []
        return [self.key_name, *shared, VERSION_PARAMETER]

    @property
    def of_step(self) -> ColumnElement[bool]:
        """True for the rows of `results` that are of this pipeline and version."""
        results = self.results
        of_version = results.c.v_astra_major_minor == self.major_minor
        shared = "pipeline" in results.c
        return and_(of_version, results.c.pipeline == self.pipeline.name) if shared else of_version

    @property
    def deciding(self) -> tuple[Step, ...]:
        """The steps whose outcomes settle an input of this one.

        These are the step itself and the filters before it; for a filter also the steps that it filters for.
        """
        before = self.pipeline.filters_before(self.step)
        later = self.pipeline.steps[self.pipeline.steps.index(self.step) + 1 :] if self.step.is_filter else ()
        return (*before, self.step, *(step for step in later if step.inputs is self.step.inputs))

    def unprocessed(
        self, selection: Selection, keys: tuple[int, int | None] | None = None, *, untried: bool = False
    ) -> Select[Any]:
        """Rows of the manifest, in the order of their keys, with the columns that requirements need.

        With `keys` only inputs from the first key up to the second, which is not included (None: no end). The
        limit of the selection is applied only where nothing is left out by requirements afterwards. `untried` is for
        a step without outcomes that is `independent` of sources: outcomes and sources are not joined, and the columns
        `of_source` are missing.
        """
        columns = self._columns(untried=untried)
        if untried:
            columns = {name: column for name, column in columns.items() if not _of_source(column)}
        labelled = [column.label(name) for name, column in columns.items()]
        query = select(*labelled).select_from(self._joined(untried=untried)).where(*self._eligible())
        if keys is not None:
            first, end = keys
            query = query.where(self.key >= first)
            query = query if end is None else query.where(self.key < end)
        if selection.sdss_ids is not None:
            query = query.where(one_of(table_of(Source).c.sdss_id, selection.sdss_ids))
        if not selection.force:
            blocked = [] if untried else [self._blocks(name, selection) for name in self.outcomes]
            query = query.where(not_(self.is_current), *(not_(each) for each in blocked))
        query = query.order_by(self.key)
        if selection.limit is not None and not self.requirements:
            query = query.limit(selection.limit)
        return query.params(**self.parameters)

    def tried(self) -> Select[Any]:
        """One row, True if there is any outcome of the deciding steps in this version."""
        outcome = table_of(ComputeOutcome)
        any_of_them = exists().where(
            outcome.c.pipeline == self.pipeline.name,
            outcome.c.step.in_([step.name for step in self.deciding]),
            outcome.c.v_astra_major_minor == self.major_minor,
        )
        return select(any_of_them)

    @property
    def independent(self) -> bool:
        """True if nothing but plain columns of sources is asked of sources, so that these can be looked up afterwards.

        A join hands them over with each spectrum of a source, and what it hands over is what a database takes longest
        for.
        """
        if self.over_sources:
            return False
        others = [column for column in self._columns(untried=True).values() if not _of_source(column)]
        asked = [*others, *self._eligible(), self._input_newer_than(self.results.c.modified)]
        source = table_of(Source)
        return not any(
            part is source or getattr(part, "table", None) is source
            for expression in asked
            for part in visitors.iterate(expression)
        )

    @property
    def of_source(self) -> dict[str, Column[Any]]:
        """The columns of the query that are plain columns of the table of sources."""
        return {name: one for name, one in self._columns(untried=True).items() if _of_source(one)}

    def flagged(self) -> Select[Any]:
        """One row for each eligible input, with its key and what became of it.

        `has_row` is 1 where there is a result, `is_current` where it is not older than the input; `step`, `state` and
        `code` are those of the first outcome that holds.
        """
        steps = [(self._holds(name), type_coerce(name, String)) for name in self.outcomes]
        states = [(self._holds(name), alias.c.state) for name, alias in self.outcomes.items()]
        codes = [(self._holds(name), alias.c.code) for name, alias in self.outcomes.items()]
        query = select(
            self.key.label("key"),
            case((self.results.c[self.key_name].is_not(None), 1), else_=0).label("has_row"),
            case((self.is_current, 1), else_=0).label("is_current"),
            case(*steps, else_=None).label("step"),
            case(*states, else_=None).label("state"),
            case(*codes, else_=None).label("code"),
        )
        return query.select_from(self._joined()).where(*self._eligible()).params(**self.parameters)

    @property
    def requirements(self) -> tuple[tuple[Step, int], ...]:
        """Requirements to evaluate, in order: the step that each belongs to, and its number there."""
        steps = (*self.pipeline.filters_before(self.step), self.step)
        return tuple((step, number) for step in steps for number in range(len(step.requires)))

    @property
    def parameters(self) -> dict[str, int]:
        """Values of the parameters that declarations may use in their expressions."""
        return {VERSION_PARAMETER: self.major_minor}

    @property
    def manifest_columns(self) -> tuple[str, ...]:
        """Names of the columns that stay in the manifest, before `gather`."""
        return (*self._kept_columns(), *self.step.lookups, ATTEMPTS, EARLIER)

    def needed_as(self, step: Step, name: str) -> str:
        """Name in the query of a column that a requirement of `step` needs."""
        own = {*step.columns, *step.lookups, *self.step.columns, *self.step.lookups}
        kept = name in self._kept_columns() or name in self.step.lookups
        shared = kept and (step is self.step or name not in own)
        return name if shared else f"{_NEED}{step.name}_{name}"

    def lookups(self, *, with_sources: bool) -> list[LookupQuery]:
        """What is looked up by source, `with_sources` also the columns `of_source`."""
        found = dict(self.step.lookups)
        for step, number in self.requirements:
            for name in step.requires[number].needs:
                if name in step.lookups:
                    found[self.needed_as(step, name)] = step.lookups[name]
        made = [LookupQuery(query.params(**self.parameters), (name,)) for name, query in found.items()]
        if with_sources:
            query = select(Source.pk, *self.of_source.values())
            made.append(LookupQuery(query, tuple(self.of_source), required=True))
        return made

    @property
    def is_current(self) -> ColumnElement[bool]:
        """True where the input has a result that is not older than the input."""
        results = self.results
        found = results.c[self.key_name].is_not(None)
        return and_(found, not_(self._input_newer_than(results.c.modified)))

    def _input_newer_than(self, since: ColumnElement[Any]) -> ColumnElement[bool]:
        newer: ColumnElement[bool] = self.inputs.c.modified > since
        if self.step.stale is not None:
            # As text, so that a subquery does not take the column's table into its own FROM clause.
            bare = literal_column(str(since), since.type)
            newer = or_(newer, self.step.stale(bare).is_(true()))
        return newer

    def _columns(self, *, untried: bool) -> dict[str, ColumnElement[Any]]:
        columns = self._kept_columns()
        history = packed(self._earlier()) if untried else self._history()
        columns[HISTORY] = type_coerce(history, BigInteger)
        for step, number in self.requirements:
            for name in step.requires[number].needs:
                if name not in step.lookups:
                    columns.setdefault(self.needed_as(step, name), self._needed(step, name))
        return columns

    def _kept_columns(self) -> dict[str, ColumnElement[Any]]:
        """The columns of the manifest that workers get to see."""
        inputs, source = self.inputs, table_of(Source)
        columns: dict[str, ColumnElement[Any]] = {self.key_name: type_coerce(self.key, BigInteger)}
        if not self.over_sources:
            columns["source_pk"] = inputs.c.source_pk
            wanted = () if self.step.program is None else self.step.program.columns
            needed = (*READ_COLUMNS.get(inputs.name, ()), "snr", *wanted)
            columns |= {name: inputs.c[name] for name in needed if name in inputs.c}
        columns["sdss_id"] = source.c.sdss_id
        return columns | dict(self.step.columns)

    def _history(self) -> ColumnElement[int]:
        own = self.outcomes[self.step.name]
        failed_before = and_(self._holds(self.step.name), own.c.state == "failed")
        attempts = case((failed_before, own.c.attempts), else_=0)
        recorded = or_(*(alias.c.pk.is_not(None) for alias in self.outcomes.values()))
        return packed(self._earlier(), attempts, case((recorded, 1), else_=0))

    def _earlier(self) -> ColumnElement[int]:
        missing = self.results.c[self.key_name].is_(None)
        return case((missing, NO_RESULT), (self.is_current, CURRENT_RESULT), else_=OUTDATED_RESULT)

    def _needed(self, step: Step, name: str) -> ColumnElement[Any]:
        if name == self.key_name:
            return self.key
        for known in (step.columns, self.inputs.c, table_of(Source).c):
            if name in known:
                found: ColumnElement[Any] = known[name]
                return found
        raise PipelineDeclarationError(
            f"{self.pipeline.name} {step.name}: a requirement needs the column {name!r}, which is neither in the columns "
            f"of the step, nor in {self.inputs.name}, nor in {table_of(Source).name}"
        )

    def _joined(self, *, untried: bool = False) -> FromClause:
        inputs, source, results = self.inputs, table_of(Source), self.results
        joined: FromClause = inputs
        if not self.over_sources and not untried:
            joined = inputs.join(source, source.c.pk == inputs.c.source_pk)
        same = and_(results.c[self.key_name] == self.key, self.of_step)
        joined = joined.outerjoin(results, same)
        for name, alias in () if untried else self.outcomes.items():
            joined = joined.outerjoin(
                alias,
                and_(
                    alias.c.pipeline == self.pipeline.name,
                    alias.c.step == name,
                    alias.c.v_astra_major_minor == this_version(),
                    alias.c[self.key_name] == self.key,
                ),
            )
        return joined

    def _eligible(self) -> list[ColumnElement[bool]]:
        conditions: list[ColumnElement[bool]] = []
        if not self.over_sources:
            conditions += [self.key.is_not(None), self.inputs.c.source_pk.is_not(None)]
        return conditions if self.step.eligible is None else [*conditions, self.step.eligible]

    def _holds(self, step: str) -> ColumnElement[bool]:
        """True where there is an outcome of this step and nothing changed since."""
        outcome = self.outcomes[step]
        changed = [outcome.c.code_version != self.pipeline.code_version]
        changed.append(self._input_newer_than(outcome.c.modified))
        if not self.over_sources:
            changed.append(table_of(Source).c.modified > outcome.c.modified)
        changed += [self._result_newer(model, outcome.c.modified) for model in self.after]
        return and_(outcome.c.pk.is_not(None), not_(or_(*changed)))

    def _result_newer(self, model: type[Base], since: ColumnElement[Any]) -> ColumnElement[bool]:
        other = table_of(model).alias(f"after_{table_of(model).name}")
        source = self.inputs.c["pk" if self.over_sources else "source_pk"]
        condition = and_(
            other.c.source_pk == source,
            other.c.v_astra_major_minor == this_version(),
            other.c.modified > since,
        )
        return exists(select(literal(1)).select_from(other).where(condition).correlate_except(other))

    def _blocks(self, step: str, selection: Selection) -> ColumnElement[bool]:
        """True where an outcome of this step says that the input need not be tried."""
        outcome = self.outcomes[step]
        exhausted: ColumnElement[bool] = outcome.c.attempts >= self.max_attempts
        failed = false() if selection.retry_failed else and_(outcome.c.state == "failed", exhausted)
        return and_(self._holds(step), or_(outcome.c.state == "skipped", failed))


def _of_source(column: ColumnElement[Any]) -> TypeGuard[Column[Any]]:
    return isinstance(column, Column) and column.table is table_of(Source)


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
