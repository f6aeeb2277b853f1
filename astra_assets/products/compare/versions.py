"""How two versions of a product differ: rows by key, columns, and what their values are like.

Parquet files are compared one column at a time, so that memory does not grow with the number of columns (5 million rows
take some 350 MB). FITS files without one are made into temporary ones by `tabular.py`; `diff_report.py` tells a comparison.

Rows are matched by the key of the table. NULL, NaN, -1 and the empty text count as missing, since FITS files do not tell
them apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from astra_assets.products.compare.column_statistics import (
    CHUNK_ROWS,
    FILL,
    Distribution,
    Numbers,
    bit_counts,
    distribution,
    match_keys,
    present,
    share_of,
)
from astra_assets.products.summary import SummaryProduct, flags_of
from astra_assets.registry.kinds import Definition, Kind

MOST_CLASSES = 40
"""A text column with more different values than this has no shares of classes."""
MOST_KEYS = 10
"""Keys of lost and added rows that are named."""
LARGE_SHIFT = 0.5
"""Of the median, in units of the scatter."""
LARGE_RATE = 0.05
"""Change of the share of missing values, of a flag, or of a class."""
LARGE_LOSS = 0.01
"""Share of rows that are lost."""
NOT_JUDGED = frozenset(
    {"task_pk", "source_pk", "source", "t_elapsed", "t_overhead", "created", "modified", "tag", "v_astra"}
)
"""Columns that say how a row came about, not what is known about a star; they differ between any two versions."""
_IDENTIFIERS = ("meta.id", "meta.record", "meta.version")


@dataclass(frozen=True)
class ColumnDrift:
    """How one column differs; the first of each pair is the old version.

    Attributes:
        name: of the column.
        missing: shares of rows without a value.
        values: distributions of numbers; None where there is none.
        changed: rows of both versions whose value differs; None where it was not looked at.
        rates: share of each flag, or of each class of a text column.
    """

    name: str
    missing: tuple[float, float]
    values: tuple[Distribution | None, Distribution | None] = (None, None)
    changed: int | None = None
    rates: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def shift(self) -> float | None:
        """Change of the median in units of the old scatter; None where there is no scatter."""
        old, new = self.values
        if old is None or new is None:
            return None
        if not old.scatter > 0:
            return None if old.median == new.median else np.inf
        return (new.median - old.median) / old.scatter

    @property
    def warnings(self) -> list[str]:
        """What is so different that a person should look at it."""
        if self.name in NOT_JUDGED:
            return []
        told = []
        if abs(self.missing[1] - self.missing[0]) > LARGE_RATE:
            told.append(f"{self.name}: {self.missing[0]:.1%} -> {self.missing[1]:.1%} missing")
        if self.shift is not None and abs(self.shift) > LARGE_SHIFT:
            told.append(f"{self.name}: the median moved by {self.shift:+.2g} times the scatter")
        told += [
            f"{self.name}, {name}: {old:.1%} -> {new:.1%} of the rows"
            for name, (old, new) in self.rates.items()
            if abs(new - old) > LARGE_RATE
        ]
        return told


@dataclass(frozen=True)
class TableDiff:
    """How one table HDU differs; `added_keys` and `lost_keys` are the first of them."""

    title: str
    key: str
    rows: tuple[int, int]
    added: int
    lost: int
    added_keys: tuple[int, ...]
    lost_keys: tuple[int, ...]
    new_columns: tuple[str, ...]
    lost_columns: tuple[str, ...]
    formats: Mapping[str, tuple[str, str]]
    drifts: tuple[ColumnDrift, ...]

    @property
    def warnings(self) -> list[str]:
        """What is so different that a person should look at it."""
        told = []
        if self.rows[0] and self.lost > LARGE_LOSS * self.rows[0]:
            told.append(f"{self.lost:,} of {self.rows[0]:,} rows are lost")
        if self.lost_columns:
            told.append(f"columns are lost: {', '.join(self.lost_columns)}")
        told += [f"{name}: format {old} -> {new}" for name, (old, new) in self.formats.items()]
        return told + [text for drift in self.drifts for text in drift.warnings]


@dataclass(frozen=True)
class Diff:
    """How two versions of a product differ."""

    product: str
    old: Path
    new: Path
    tables: tuple[TableDiff, ...]

    @property
    def warnings(self) -> list[str]:
        """What is so different that a person should look at it."""
        return [f"{table.title}: {text}" for table in self.tables for text in table.warnings]


def compare_versions(
    product: SummaryProduct,
    paths: tuple[Path, Path],
    files: tuple[Sequence[Path], Sequence[Path]],
    definitions: Mapping[str, Definition],
) -> Diff:
    """Compare two versions, of which `paths` are the FITS files and `files` the Parquet files of their tables.

    `definitions` are those of the product's columns by name.
    """
    flags = {name: {flag.bit: flag.name for flag in bits} for name, bits in flags_of(product).items()}
    tables = tuple(
        _Pair(old, new, table.key, definitions, flags).diff(f"HDU {number} ({table.description})")
        for number, (table, old, new) in enumerate(zip(product.tables, *files, strict=True), start=1)
    )
    return Diff(product.name, paths[0], paths[1], tables)


class _Pair:
    """Two Parquet files of one table."""

    def __init__(
        self,
        old: Path,
        new: Path,
        key: str,
        definitions: Mapping[str, Definition],
        flags: Mapping[str, Mapping[int, str]],
    ) -> None:
        self._files = (pq.ParquetFile(old), pq.ParquetFile(new))
        self._schemas = tuple(file.schema_arrow for file in self._files)
        self._key = key
        self._definitions = definitions
        self._flags = flags

    def diff(self, title: str) -> TableDiff:
        """Compare them; closes the files."""
        match = match_keys(*(self._keys(file) for file in self._files))
        self._matched = match.rows
        names = [set(schema.names) for schema in self._schemas]
        both = [name for name in self._schemas[1].names if name in names[0]]
        try:
            return TableDiff(
                title=title,
                key=self._key,
                rows=(self._files[0].metadata.num_rows, self._files[1].metadata.num_rows),
                added=len(match.added),
                lost=len(match.lost),
                added_keys=tuple(match.added[:MOST_KEYS].tolist()),
                lost_keys=tuple(match.lost[:MOST_KEYS].tolist()),
                new_columns=tuple(name for name in self._schemas[1].names if name not in names[0]),
                lost_columns=tuple(name for name in self._schemas[0].names if name not in names[1]),
                formats=self._formats(both),
                drifts=tuple(self._drift(name) for name in both if name != self._key),
            )
        finally:
            for file in self._files:
                file.close()

    def _keys(self, file: pq.ParquetFile) -> npt.NDArray[np.int64]:
        column = file.read(columns=[self._key]).column(0).cast(pa.int64())
        return np.asarray(column.fill_null(FILL).to_numpy())

    def _formats(self, names: Sequence[str]) -> dict[str, tuple[str, str]]:
        pairs = {name: tuple(_format(schema.field(name).type) for schema in self._schemas) for name in names}
        return {name: (old, new) for name, (old, new) in pairs.items() if old != new}

    def _drift(self, name: str) -> ColumnDrift:
        kinds = {_format(schema.field(name).type) for schema in self._schemas}
        if not kinds <= {"integer", "single", "double"}:
            return self._drift_of_others(name, texts=kinds == {"text"})
        about = self._definitions.get(name)
        old, new = (
            _numbers(file.read(columns=[name]).column(0), keep_fill=self._is_flags(name))
            for file in self._files
        )
        values = (old, new)
        missing = (share_of(~present(old)), share_of(~present(new)))
        changed = self._changed(values, single="single" in kinds)
        if self._is_flags(name):
            return ColumnDrift(name, missing, changed=changed, rates=self._flag_rates(name, values))
        if about is not None and (about.ucd or "").startswith(_IDENTIFIERS):
            return ColumnDrift(name, missing, changed=changed)
        return ColumnDrift(name, missing, (distribution(old), distribution(new)), changed)

    def _is_flags(self, name: str) -> bool:
        about = self._definitions.get(name)
        return about.kind is Kind.bits if about is not None else name.endswith("flags")

    def _flag_rates(self, name: str, values: tuple[Numbers, Numbers]) -> dict[str, tuple[float, float]]:
        names = self._flags.get(name, {})
        old, new = (bit_counts(each) / max(each.size, 1) for each in values)
        return {
            f"bit {bit}" + (f" {names[bit]}" if bit in names else ""): (float(old[bit]), float(new[bit]))
            for bit in range(63)
            if old[bit] or new[bit]
        }

    def _changed(self, values: Sequence[Numbers], *, single: bool) -> int:
        changed = 0
        for start in range(0, len(self._matched[0]), CHUNK_ROWS):
            old, new = (
                each[rows[start : start + CHUNK_ROWS]]
                for each, rows in zip(values, self._matched, strict=True)
            )
            if single:
                with np.errstate(over="ignore"):
                    old, new = old.astype(np.float32), new.astype(np.float32)
            changed += int(np.count_nonzero((old != new) & (present(old) | present(new))))
        return changed

    def _drift_of_others(self, name: str, *, texts: bool) -> ColumnDrift:
        """Of texts, times, booleans and arrays: missing values, and shares of classes."""
        old, new = (_tally(file, name, texts=texts) for file in self._files)
        rates: dict[str, tuple[float, float]] = {}
        if old.classes is not None and new.classes is not None:
            rates = {
                value: (old.share(old.classes.get(value, 0)), new.share(new.classes.get(value, 0)))
                for value in sorted({*old.classes, *new.classes})
            }
        return ColumnDrift(name, (old.share(old.missing), new.share(new.missing)), rates=rates)


@dataclass(frozen=True)
class _Tally:
    """Counts of a column; `classes` is None where there are too many."""

    rows: int
    missing: int
    classes: dict[str, int] | None

    def share(self, count: int) -> float:
        """Of the rows; 0 where there are none."""
        return count / max(self.rows, 1)


def _tally(file: pq.ParquetFile, name: str, *, texts: bool) -> _Tally:
    rows = missing = 0
    counted = texts or _format(file.schema_arrow.field(name).type) == "boolean"
    classes: dict[str, int] | None = {} if counted else None
    for batch in file.iter_batches(columns=[name]):
        column = batch.column(0)
        rows += len(column)
        present = column.drop_null()
        if texts:
            present = present.filter(pc.not_equal(present, ""))
        missing += len(column) - len(present)
        if classes is None:
            continue
        for entry in present.value_counts().to_pylist():
            value = str(entry["values"])
            classes[value] = classes.get(value, 0) + entry["counts"]
        if len(classes) > MOST_CLASSES:
            classes = None
    return _Tally(rows, missing, classes)


def _format(kind: pa.DataType) -> str:
    """The format of a column, in words that do not depend on how the file was written."""
    for test, name in (
        (pa.types.is_integer, "integer"),
        (pa.types.is_float32, "single"),
        (pa.types.is_float64, "double"),
        (pa.types.is_boolean, "boolean"),
        (pa.types.is_timestamp, "time"),
        (pa.types.is_string, "text"),
        (pa.types.is_large_string, "text"),
        (pa.types.is_binary, "bytes"),
        (pa.types.is_nested, "array"),
    ):
        if test(kind):
            return name
    return str(kind)


def _numbers(column: pa.ChunkedArray, *, keep_fill: bool) -> Numbers:
    """Values as an array; NaN or -1 where one is missing, 0 in flags."""
    if pa.types.is_floating(column.type):
        return np.asarray(column.to_numpy())
    return np.asarray(column.fill_null(0 if keep_fill else FILL).to_numpy())
