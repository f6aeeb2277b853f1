"""What a step's function returns, checked and turned into plain rows that the database will take.

A value that does not fit its column must fail the one input it belongs to, in the worker, and not the
collection of the whole batch. How rows are kept in files is said in `parts`, how they reach the database in
`collect`.
"""

from __future__ import annotations

import math
import operator
import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlalchemy import Column, Table

from astra_assets.database.arrow import ARROW_TYPES
from astra_assets.models.base import Base, pixel_names, table_of
from astra_assets.pipelines.base import Pipeline, Problem, Products, Step, WorkContext
from astra_assets.registry import limits
from astra_assets.registry.columns import info
from astra_assets.registry.kinds import Kind
from astra_assets.registry.version import version_integer

Row = dict[str, Any]
Pixels = NDArray[np.float32]

PROBLEMS = "problems"
"""Column of the result parts: what was wrong with single visits of a source."""

PROBLEM_TYPE = pa.list_(
    pa.struct([("spectrum_pk", pa.int64()), ("code", pa.string()), ("message", pa.string())])
)


class ResultError(ValueError):
    """A function returned something that is no row of its result table; the message names the column."""


@dataclass(frozen=True)
class ResultShape:
    """Which columns the results of a step have, and how what its function returns becomes rows."""

    pipeline: Pipeline
    step: Step
    context: WorkContext

    @property
    def key_name(self) -> str:
        """Column that identifies an input."""
        return self.step.key_name

    @cached_property
    def model(self) -> type[Base]:
        """The table that the step writes a row of for each input."""
        return self.pipeline.written_by(self.step)

    @cached_property
    def columns(self) -> dict[str, Column[Any]]:
        """The columns that a row of that table is made of, by access key."""
        return written_columns(table_of(self.model))

    @cached_property
    def pixel_names(self) -> tuple[str, ...]:
        """The fields of that table that are arrays of pixels."""
        return pixel_names(self.model)

    @cached_property
    def further(self) -> dict[str, dict[str, Column[Any]]]:
        """The columns of each further table of the step, by the name of the table."""
        return {table_of(model).name: written_columns(table_of(model)) for model in self.step.tables}

    @cached_property
    def schema(self) -> pa.Schema:
        """Schema of the parts: the result table's columns, a list of rows for each further table, problems."""
        fields = [(name, arrow_type(column)) for name, column in self.columns.items()]
        for table, columns in self.further.items():
            row = pa.struct([(name, arrow_type(column)) for name, column in columns.items()])
            fields.append((table, pa.list_(row)))
        return pa.schema([*fields, (PROBLEMS, PROBLEM_TYPE)])

    def row(self, made: Any, item: Mapping[str, Any]) -> Row:
        """The row of a part for what the function returned for one row of the manifest.

        Raises:
            ResultError: it returned something else than a result, or a value that its column cannot hold.
        """
        values = self._values(made)
        given = {self.key_name: item[self.key_name], "source_pk": item["source_pk"]}
        for name, value in given.items():
            if name in self.columns and values.get(name) not in (None, value):
                raise ResultError(f"the result has {name} {values[name]!r}, its input {value!r}")
        own = {"v_astra": version_integer(self.context.v_astra), "modified": self.context.planned}
        if "pipeline" in self.columns:
            own["pipeline"] = self.pipeline.name
        row = clean(values | given | own, self.columns, self.model.__name__)
        rows = made.rows if isinstance(made, Products) else {}
        row |= {table: [] for table in self.further}
        for model, many in rows.items():
            name = self._further_name(model)
            row[name] = self._further_rows(model, many, item["source_pk"])
        row[PROBLEMS] = [_problem(each) for each in made.problems] if isinstance(made, Products) else []
        return row

    def pixels(self, made: Any) -> dict[str, Pixels]:
        """The arrays that the function gave to pixel fields of its table, in single precision; mostly none.

        Raises:
            ResultError: one is no array of numbers in one dimension, or they differ in length.
        """
        given = vars(made) if isinstance(made, self.model) else made
        found = {} if isinstance(made, Products) else {n: given.get(n) for n in self.pixel_names}
        arrays = {name: _pixels(name, value) for name, value in found.items() if value is not None}
        lengths = {name: len(array) for name, array in arrays.items()}
        if len(set(lengths.values())) > 1:
            raise ResultError(f"arrays of pixels of one spectrum have one length, found {lengths}")
        return arrays

    def _values(self, made: Any) -> Row:
        if isinstance(made, self.model):
            return {name: getattr(made, name) for name in self.columns}
        values = made.status if isinstance(made, Products) else made
        if not isinstance(values, Mapping):
            raise ResultError(
                f"the function of {self.pipeline.name} {self.step.name} returned {type(made).__name__}, expected a "
                f"{self.model.__name__}, a mapping of its columns, or Products"
            )
        known = {*table_of(self.model).columns.keys(), *self.pixel_names}
        unknown = [name for name in values if name not in known]
        if unknown:
            raise ResultError(f"{self.model.__name__} has no column {', '.join(map(repr, unknown))}")
        return {name: value for name, value in values.items() if name in self.columns}

    def _further_name(self, model: type[Base]) -> str:
        name = table_of(model).name
        if name not in self.further:
            raise ResultError(
                f"rows of {model.__name__}, which {self.pipeline.name} {self.step.name} does not name in `tables`"
            )
        return name

    def _further_rows(
        self, model: type[Base], many: Iterable[Mapping[str, Any]], source_pk: Any
    ) -> list[Row]:
        columns = self.further[table_of(model).name]
        given: Row = {"source_pk": source_pk, "modified": self.context.planned}
        if "v_astra" in columns:
            is_text = info(columns["v_astra"]).definition.kind is Kind.text
            given["v_astra"] = self.context.v_astra if is_text else version_integer(self.context.v_astra)
        cleaned = []
        for each in many:
            unknown = [name for name in each if name not in columns and name != "created"]
            if unknown:
                raise ResultError(f"{model.__name__} has no column {', '.join(map(repr, unknown))}")
            if each.get("spectrum_pk") is None:
                raise ResultError(
                    f"a row of {model.__name__} has no spectrum_pk: let `gather` look it up or reserve one"
                )
            wanted = {name: value for name, value in given.items() if name in columns}
            cleaned.append(clean({**each, **wanted}, columns, model.__name__))
        return cleaned


def written_columns(table: Table) -> dict[str, Column[Any]]:
    """The columns of a table that a step fills in: all but the primary key, `created` and computed ones."""
    return {
        name: column
        for name, column in table.columns.items()
        if not column.primary_key and column.computed is None and name != "created"
    }


def arrow_type(column: Column[Any]) -> pa.DataType:
    """Arrow type of the values of a column."""
    return ARROW_TYPES[info(column).definition.kind]


def clean(values: Mapping[str, Any], columns: Mapping[str, Column[Any]], where: str) -> Row:
    """One row with every column, each value of the type of its column; NaN and what is missing are None.

    Raises:
        ResultError: a value does not fit its column, or one that must not be NULL is missing.
    """
    row: Row = {}
    for name, column in columns.items():
        value = values.get(name)
        if value is not None:
            try:
                value = fitting(name, info(column).definition.kind, value)
            except (TypeError, ValueError, OverflowError) as error:
                expected = info(column).definition.kind.value
                found = textwrap.shorten(repr(value), 80)
                raise ResultError(f"{where}.{name} holds {expected}, found {found}: {error}") from error
        if value is None and not column.nullable:
            value = _default(column)
            if value is None:
                raise ResultError(f"{where}.{name} must not be NULL, and the function gave no value")
        row[name] = value
    return row


def fitting(name: str, kind: Kind, value: Any) -> Any:
    """A value as its column holds it; None for NaN.

    Raises:
        TypeError, ValueError, OverflowError: it is of another kind, or the column cannot hold it (`registry.limits`).
    """
    converted = CONVERTERS[kind](value)
    if reason := limits.misfit(name, kind, converted):
        raise ValueError(reason)
    return converted


def _default(column: Column[Any]) -> Any:
    return column.default.arg if column.default is not None and column.default.is_scalar else None  # type: ignore[attr-defined]


def _problem(problem: Problem) -> Row:
    return {"spectrum_pk": int(problem.spectrum_pk), "code": problem.code, "message": problem.message}


def _pixels(name: str, value: Any) -> Pixels:
    try:
        given = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ResultError(f"{name} is an array of numbers, found {type(value).__name__}: {error}") from error
    if given.ndim != 1 or not given.size:
        raise ResultError(f"{name} is an array of pixels, found shape {given.shape}")
    with np.errstate(over="ignore"):
        single = given.astype(np.float32)
    if not np.array_equal(np.isfinite(single), np.isfinite(given)):
        raise ResultError(f"{name} has values beyond single precision, up to {np.nanmax(np.abs(given)):g}")
    return single


def _float(value: Any) -> float | None:
    number = float(value)
    return None if math.isnan(number) else number


def _integer(value: Any) -> int | None:
    if not isinstance(value, float | np.floating):
        return operator.index(value)
    return None if math.isnan(value) else limits.whole_number(value)


def _boolean(value: Any) -> bool:
    if value not in (True, False):
        raise TypeError("it is neither true nor false")
    return bool(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("it is no text")
    # PostgreSQL stores no NUL characters.
    return str(value).replace("\0", "")


def _bytes(value: Any) -> bytes:
    if not isinstance(value, bytes | bytearray):
        raise TypeError("these are no bytes")
    return bytes(value)


def _time(value: Any) -> datetime:
    if not isinstance(value, datetime) or value.tzinfo is not None:
        raise TypeError("it is no datetime without time zone")
    return value


def _no_pixels(_: Any) -> None:
    raise TypeError("pixels are not stored in the database")


CONVERTERS: dict[Kind, Callable[[Any], Any]] = {
    Kind.text: _text,
    Kind.boolean: _boolean,
    Kind.int32: _integer,
    Kind.int64: _integer,
    Kind.bits: _integer,
    Kind.float32: _float,
    Kind.float64: _float,
    Kind.datetime: _time,
    Kind.bytes: _bytes,
    Kind.floats: lambda values: [float(value) for value in values],
    Kind.pixels: _no_pixels,
}
"""How a value that a function returned becomes one that its column holds."""
