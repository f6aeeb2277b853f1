"""What stands in the columns of a product, counted while its rows stream by: NULLs, and positions off the sky."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from astra_assets.registry import limits
from astra_assets.registry.kinds import Kind


@dataclass(frozen=True)
class OffSky:
    """A position that cannot be: the first one that was met."""

    column: str
    value: float
    row: str

    def __str__(self) -> str:
        return f"column {self.column}: {self.value!r} is outside {limits.RANGES[self.column]}, {self.row}"


class Census:
    """Counts what is written to it; takes no more memory than its counts.

    `key` is the column that names a row, `columns` are those that are counted.

    Attributes:
        rows: how many rows there were.
        nulls: rows of each column that have NULL.
        filled: columns with a value other than NULL and NaN in at least one row.
        off_sky: the first position outside of its range, None when all are right.
    """

    def __init__(self, key: str, columns: Iterable[str]) -> None:
        self.rows = 0
        self.nulls = dict.fromkeys(columns, 0)
        self.filled: set[str] = set()
        self.off_sky: OffSky | None = None
        self._key = key

    def write(self, batch: pa.RecordBatch) -> None:
        """Count the rows of a batch."""
        for name in self.nulls:
            column = batch.column(name)
            self.nulls[name] += column.null_count
            if name not in self.filled and has_value(column):
                self.filled.add(name)
            if name in limits.RANGES and self.off_sky is None:
                self.off_sky = self._outside(name, column, batch)
        self.rows += batch.num_rows

    def _outside(self, name: str, column: pa.Array, batch: pa.RecordBatch) -> OffSky | None:
        wrong = limits.misfits(name, Kind.float64, column)
        if not wrong.any():
            return None
        row = int(wrong.argmax())
        number = f"row {self.rows + row + 1}"
        if self._key in batch.schema.names:
            number += f" ({self._key} {batch.column(self._key)[row].as_py()})"
        return OffSky(name, column[row].as_py(), number)


def has_value(column: pa.Array) -> bool:
    """Whether any value is neither NULL nor NaN."""
    if column.null_count == len(column):
        return False
    if not pa.types.is_floating(column.type):
        return True
    return bool(pc.any(pc.is_finite(column)).as_py() or pc.any(pc.is_inf(column)).as_py())
