"""Does a Parquet file have the rows of a FITS table, value by value?

Both are read as any reader would: the FITS rows by the formats in their header, the Parquet file by its schema.
Nothing that converts values while files are written has a part in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from astra_assets.files import row_groups
from astra_assets.fits.read_back import Header, Records, dtype_of
from astra_assets.products.check.decode import column_types, decoded
from astra_assets.products.findings import TWIN, VerificationError

_BUFFER_BYTES = 1 << 16
"""Read at a time of each column of a Parquet file; else a whole row group would be in memory."""
_ROWS = 2048
"""Rows of a Parquet file that are read at a time."""


class Twin:
    """The rows of a Parquet file, to be compared with those of a FITS table as they come.

    `cards` are those of the header of the FITS table.

    Raises VerificationError when the Parquet file has other columns, types or numbers of rows.
    """

    def __init__(self, path: Path, cards: Header) -> None:
        file = pq.ParquetFile(path, buffer_size=_BUFFER_BYTES)
        schema = file.schema_arrow
        self._types = column_types(cards)
        self._name = path.name
        if schema.names != list(self._types):
            raise VerificationError(TWIN, f"the columns of {path.name} are not those of the FITS table")
        for field, wanted in zip(schema, self._types.values(), strict=True):
            if not _same_type(field.type, wanted):
                raise VerificationError(
                    TWIN, f"column {field.name}: {path.name} has {field.type}, the FITS file {wanted}"
                )
        if file.metadata.num_rows != cards["NAXIS2"]:
            raise VerificationError(
                TWIN, f"{path.name} has {file.metadata.num_rows} rows, expected {cards['NAXIS2']}"
            )
        self._batches = _batches(file)
        self._batch: pa.RecordBatch | None = None
        # As many FITS rows as the Parquet file has in a batch: long columns are compared faster than short ones.
        self._room = np.empty(_ROWS, dtype=dtype_of(cards))
        self._held = 0
        self._done = 0

    def compare(self, rows: Records) -> None:
        """Take the next rows of the FITS table.

        Raises VerificationError, naming column and row, unless those of the Parquet file are the same.
        """
        while len(rows):
            if self._batch is None:
                self._batch = next(self._batches)
            count = min(len(rows), self._batch.num_rows - self._held)
            _as_bytes(self._room)[self._held : self._held + count] = _as_bytes(rows)[:count]
            self._held, rows = self._held + count, rows[count:]
            if self._held == self._batch.num_rows:
                self._compare_held(self._batch)
                self._done += self._held
                self._batch, self._held = None, 0

    def _compare_held(self, batch: pa.RecordBatch) -> None:
        rows = self._room[: self._held]
        for (name, kind), column in zip(self._types.items(), batch.columns, strict=True):
            if not _are_same(rows[name], column, kind):
                self._explain(name, decoded(rows[name], kind), column)

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


def _as_bytes(rows: Records) -> Records:
    """The same rows without their fields, which NumPy copies as a whole."""
    return rows.view(np.dtype((np.void, rows.dtype.itemsize)))


def _are_same(values: Records, column: pa.Array, kind: pa.DataType) -> bool:
    """Return whether a column has the same values in FITS rows and in Parquet rows; all NaN are equal."""
    if column.null_count:
        return False
    if pa.types.is_string(kind):
        # What stands behind the end of a text would be seen by some readers.
        letters = pc.sum(pc.binary_length(column)).as_py() or 0
        return bool(decoded(values, kind).equals(column) and np.count_nonzero(values) == letters)
    if pa.types.is_boolean(kind):
        either = (values == ord("T")) | (values == ord("F"))
        return decoded(values, kind).equals(column) and bool(either.all())
    if pa.types.is_fixed_size_list(kind):
        column = column.flatten()
    theirs = column.to_numpy().reshape(values.shape)
    ours = values.astype(theirs.dtype)
    if ours.tobytes() == theirs.tobytes():
        return True
    return np.array_equal(ours, theirs, equal_nan=ours.dtype.kind == "f")
