"""Does a Parquet file have the rows of a FITS table, value by value?

Both are read as any reader would: the FITS rows by the formats in their header, the Parquet file by its schema.
Nothing that converts values while files are written has a part in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from astra_assets.files import row_groups
from astra_assets.fits.read_back import Records
from astra_assets.products.check.decode import decoded
from astra_assets.products.findings import TWIN, VerificationError

_BUFFER_BYTES = 1 << 16
"""Read at a time of each column of a Parquet file; else a whole row group would be in memory."""
_ROWS = 2048
"""Rows of a Parquet file that are read at a time."""


class Twin:
    """The rows of a Parquet file, to be compared with those of a FITS table as they come.

    `types` are those of the columns of the FITS table.

    Raises VerificationError when the Parquet file has other columns, types or numbers of rows.
    """

    def __init__(self, path: Path, types: Mapping[str, pa.DataType], rows: int) -> None:
        file = pq.ParquetFile(path, buffer_size=_BUFFER_BYTES)
        if file.schema_arrow.names != list(types):
            raise VerificationError(TWIN, f"the columns of {path.name} are not those of the FITS table")
        for name, kind in types.items():
            found = file.schema_arrow.field(name).type
            if not _same_type(found, kind):
                raise VerificationError(TWIN, f"column {name}: {path.name} has {found}, expected {kind}")
        if file.metadata.num_rows != rows:
            raise VerificationError(TWIN, f"{path.name} has {file.metadata.num_rows} rows, expected {rows}")
        self._types = types
        self._name = path.name
        self._batches = _batches(file)
        self._held = pa.RecordBatch.from_pylist([], file.schema_arrow)
        self._done = 0

    def compare(self, rows: Records) -> None:
        """Raise VerificationError, naming column and row, unless the next rows of the Parquet file are these."""
        while len(rows):
            if not self._held.num_rows:
                self._held = next(self._batches)
            count = min(len(rows), self._held.num_rows)
            for name, kind in self._types.items():
                column = self._held.column(name)
                values = rows[name][:count]
                if not _are_same(values, column.slice(0, count), kind):
                    self._explain(name, decoded(values, kind), column.slice(0, count))
            self._held, rows = self._held.slice(count), rows[count:]
            self._done += count

    def _explain(self, name: str, fits: pa.Array, parquet: pa.Array) -> None:
        pairs = zip(fits.to_pylist(), parquet.to_pylist(), strict=True)
        for row, (ours, theirs) in enumerate(pairs, start=self._done + 1):
            # NaN is another value than itself, but not as text.
            if repr(ours) != repr(theirs):
                where = f"column {name}, row {row}"
                raise VerificationError(TWIN, f"{where}: the FITS file has {ours!r}, {self._name} {theirs!r}")
        raise VerificationError(
            TWIN,
            f"column {name}, rows {self._done + 1} to {self._done + len(fits)}: the FITS file has bytes that are no value",
        )


def _batches(file: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
    with file:
        yield from row_groups.batches(file, _ROWS)


def _same_type(found: pa.DataType, wanted: pa.DataType) -> bool:
    if pa.types.is_fixed_size_list(found) and pa.types.is_fixed_size_list(wanted):
        return (found.value_type, found.list_size) == (wanted.value_type, wanted.list_size)
    return bool(found == wanted)


def _are_same(values: Records, column: pa.Array, kind: pa.DataType) -> bool:
    """Return whether a column has the same values in FITS rows and in Parquet rows; all NaN are equal."""
    if column.null_count:
        return False
    if pa.types.is_string(kind):
        # What stands behind the end of a text would be seen by some readers.
        letters = pc.sum(pc.binary_length(column)).as_py()
        return bool(decoded(values, kind).equals(column) and np.count_nonzero(values) == letters)
    if pa.types.is_boolean(kind):
        either = (values == ord("T")) | (values == ord("F"))
        return decoded(values, kind).equals(column) and bool(either.all())
    if pa.types.is_fixed_size_list(kind):
        column = column.flatten()
    numbers = column.to_numpy().reshape(values.shape)
    if pa.types.is_floating(column.type):
        return bool(((values == numbers) | (np.isnan(values) & np.isnan(numbers))).all())
    return bool((values == numbers).all())
