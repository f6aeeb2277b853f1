"""What a program has made of its inputs: each row of its table becomes a result, or a reason why it does not.

A value that does not fit its column fails the one input it belongs to. Only a table that cannot be meant for this step is
refused as a whole. Not here: reading tables (`tables`), what columns there are (`compute.rows`).
"""

from __future__ import annotations

import logging
import math
import operator
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from astra_assets.compute.child import MESSAGE_LENGTH
from astra_assets.compute.program.tables import TableError
from astra_assets.compute.rows import ResultError, ResultShape, clean
from astra_assets.registry.columns import info
from astra_assets.registry.kinds import Kind
from astra_assets.registry.limits import number, whole_number

DUPLICATE, INVALID = "duplicate_rows", "invalid_value"
"""Codes of inputs whose rows of a program cannot be used: there are two, or a value does not fit its column."""

OWN = frozenset({"v_astra", "created", "modified", "task_pk", "v_astra_major_minor"})
"""Columns that a program need not give, and that are not taken from it: they say who made a row, and when."""

EXAMPLES = 5
"""Rows that are named where many have the same fault."""

_FLOATS = (Kind.float32, Kind.float64)
_INTEGERS = (Kind.int32, Kind.int64, Kind.bits)

log = logging.getLogger(__name__)


@dataclass
class JudgedRows:
    """What became of the rows of a table.

    Attributes:
        results: rows of a part of results.
        failures: rows of a part of failures.
        strangers: keys that the program was not given.
    """

    results: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)
    strangers: list[Any] = field(default_factory=list)


@dataclass(frozen=True)
class Judge:
    """Judges the tables of one step's program.

    Attributes:
        shape: the columns that results have.
        as_text: values of the table are text, as a CSV file has them.
    """

    shape: ResultShape
    as_text: bool = False

    def check(self, table: pa.Table) -> list[str]:
        """The columns of a table that are used.

        Raises:
            TableError: it has no key, or nothing else of the result table.
        """
        key = self.shape.key_name
        name = self.shape.pipeline.table.__name__
        if key not in table.column_names:
            found = ", ".join(table.column_names) or "none"
            raise TableError(
                f"its results have no column {key}, by which inputs are known; they have: {found}"
            )
        used = [each for each in table.column_names if each in self.shape.columns and each not in OWN]
        ignored = [each for each in table.column_names if each not in used and each not in OWN]
        if used == [key]:
            wanted = ", ".join(each for each in self.shape.columns if each not in OWN)
            raise TableError(f"its results have no column of {name}; there are: {wanted}")
        if ignored:
            log.warning(
                "columns of the results that %s does not have are left out: %s", name, ", ".join(ignored)
            )
        return used

    def keys(self, table: pa.Table) -> list[Any]:
        """The keys of the rows of a table; what is no key is as it stands there."""
        return [self._key(value) for value in _plain(table[self.shape.key_name])]

    def judge(
        self, table: pa.Table, rows: Mapping[int, Mapping[str, Any]], seconds_each: float | None = None
    ) -> JudgedRows:
        """What becomes of the rows of a table that was made of these inputs.

        Inputs without a row are in neither list. `seconds_each` is the time of each, where the program gives none.

        Raises:
            TableError: as `check`.
        """
        used = self.check(table)
        keys = self.keys(table)
        times = Counter(keys)
        verdict = JudgedRows(strangers=[key for key in keys if key not in rows])
        duplicates = [key for key, count in times.items() if count > 1 and key in rows]
        for key in duplicates:
            message = f"the program wrote {times[key]} rows for this input"
            verdict.failures.append(self.failure(key, DUPLICATE, message))
        single = [n for n, key in enumerate(keys) if key in rows and times[key] == 1]
        chosen = table.select(used).take(pa.array(single, pa.int64()))
        for batch in chosen.to_batches(max_chunksize=1_000):
            for values in _rows(batch):
                key = self._key(values[self.shape.key_name])
                self._add(verdict, key, values, rows[key], seconds_each)
        return verdict

    def failure(self, key: Any, code: str, message: str) -> dict[str, Any]:
        """The row of a part of failures for an input."""
        return {
            self.shape.key_name: key,
            "state": "failed",
            "code": code,
            "message": message[:MESSAGE_LENGTH],
        }

    def _add(
        self,
        verdict: JudgedRows,
        key: int,
        values: dict[str, Any],
        item: Mapping[str, Any],
        seconds_each: float | None,
    ) -> None:
        try:
            row = self.row(values | {self.shape.key_name: key}, item)
        except ResultError as error:
            verdict.failures.append(self.failure(key, INVALID, str(error)))
        except Exception as error:  # whatever `derive` stumbles over belongs to this input alone
            log.warning("%s %s", self.shape.key_name, key, exc_info=True)
            verdict.failures.append(self.failure(key, type(error).__name__, str(error) or repr(error)))
        else:
            if row.get("t_elapsed") is None and "t_elapsed" in row:
                row["t_elapsed"] = seconds_each
            verdict.results.append(row)

    def row(self, values: Mapping[str, Any], item: Mapping[str, Any]) -> dict[str, Any]:
        """The row of a part of results for one row of the table and the manifest row of its input.

        Raises:
            ResultError: a value does not fit its column.
        """
        checked = {name: self._value(name, value) for name, value in values.items()}
        row = self.shape.row(checked, item)
        derive = self.shape.pipeline.derive
        if derive is not None:
            derived = derive({**item, **row})
            columns = {name: self.shape.columns[name] for name in derived}
            row |= clean(derived, columns, self.shape.pipeline.table.__name__)
        return row

    def _value(self, name: str, value: Any) -> Any:
        """A value of the table that its column can hold in the database and in a file."""
        kind = info(self.shape.columns[name]).definition.kind
        where = f"{self.shape.pipeline.table.__name__}.{name}"
        if value is None:
            return None
        if self.as_text and isinstance(value, str) and kind is not Kind.text:
            value = _from_text(value.strip(), kind, where)
        elif isinstance(value, str) and kind is not Kind.text:
            raise ResultError(f"{where} holds {kind.value}, found the text {value[:80]!r}")
        elif isinstance(value, bool) and kind in (*_FLOATS, *_INTEGERS):
            raise ResultError(f"{where} holds {kind.value}, found the boolean {value}")
        if kind in _FLOATS and isinstance(value, int | float | np.floating) and math.isinf(value):
            raise ResultError(f"{where} must be finite or missing, found {value}")
        return value  # whether its column can hold it, `ResultShape.row` says

    def _key(self, value: Any) -> Any:
        """The key of a row as the manifest has it; as it stands where it is no number."""
        try:
            if isinstance(value, str | float | np.floating):
                return whole_number(value)
            return operator.index(value)
        except (TypeError, ValueError, OverflowError):
            rounded = isinstance(value, float | np.floating) and float(value).is_integer()
            return repr(float(value)) if rounded else value  # as a number it would equal a key


def _rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    columns = {name: _plain(batch[name]) for name in batch.schema.names}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _plain(column: pa.Array | pa.ChunkedArray) -> list[Any]:
    """The values of a column; numbers of single and half precision know that they are."""
    values: list[Any] = column.to_pylist()
    precision = {pa.float16(): np.float16, pa.float32(): np.float32}.get(column.type)
    return values if precision is None else [None if each is None else precision(each) for each in values]


def _from_text(text: str, kind: Kind, where: str) -> Any:
    try:
        if kind in _FLOATS:
            return number(text)
        if kind in _INTEGERS:
            return whole_number(text)
        if kind is Kind.boolean:
            return {"true": True, "1": True, "t": True, "false": False, "0": False, "f": False}[text.lower()]
    except (ValueError, KeyError) as error:
        reason = f": {error}" if isinstance(error, ValueError) else ""
        raise ResultError(f"{where} holds {kind.value}, found the text {text[:80]!r}{reason}") from None
    raise ResultError(f"{where} holds {kind.value}, which a CSV file cannot hold")
