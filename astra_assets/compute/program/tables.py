"""Read the table that a program has written, also one that breaks off because the program did.

A table that its program has finished is read whole or refused. Of one that breaks off as many whole rows as there are
are read: a row that is cut short could hold half a number. Not here: what the values mean (`judge`).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from astra_assets.files.row_groups import open_parquet
from astra_assets.files.text_tables import TextTable, arrow_of, read_ecsv
from astra_assets.fits.errors import FitsReadError
from astra_assets.fits.read_table import open_table, read_with_astropy

ROWS = 10_000
"""Rows that are read at a time."""

log = logging.getLogger(__name__)


class TableError(Exception):
    """A table cannot be read; the message names the file and what is wrong with it."""


def read_results(path: Path, form: str, *, whole: bool) -> pa.Table:
    """The table in a file, names of columns in lower case; the values of a CSV file are text.

    With `whole` the file must be complete; otherwise rows at its end may be missing.

    Raises:
        TableError: there is no such file, or it is no table of this format.
    """
    if not path.exists():
        raise TableError(f"{path.name} was not written")
    try:
        table = _READERS[form](path, whole)
    except TableError:
        raise
    except Exception as error:  # readers raise about every built-in error on a broken file
        raise TableError(f"{path.name} is no {form} table that can be read: {error}") from error
    names = [name.lower() for name in table.column_names]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise TableError(f"{path.name} has the column {', '.join(twice)} more than once")
    return table.rename_columns(names)


def _read_parquet(path: Path, whole: bool) -> pa.Table:
    # What a Parquet file holds is written at its end: there are no halves.
    del whole
    return open_parquet(path).read()


def _read_csv(path: Path, whole: bool) -> pa.Table:
    table = TextTable(path, whole=whole)
    parts: list[pa.RecordBatch] = []
    skipped = 0
    for block in table.blocks(ROWS):
        columns = [block.column(place) for place in range(len(table.names))]
        rows = pa.record_batch(columns, schema=_texts(table.names))
        refused = pa.array([row.number - block.first for row in block.refused], pa.int64())
        places = pa.array(range(len(rows)), pa.int64())
        parts.append(rows.filter(pc.invert(pc.is_in(places, refused))))
        skipped += len(refused)
    if skipped:
        log.warning("%s: %d rows do not have %d fields and are left out", path, skipped, len(table.names))
    return pa.Table.from_batches(parts, _texts(table.names))


def _texts(names: Sequence[str]) -> pa.Schema:
    return pa.schema([(name, pa.string()) for name in names])


def _read_ecsv(path: Path, whole: bool) -> pa.Table:
    table = read_ecsv(path, whole=whole)
    return table.columns(table.names)


def _read_fits(path: Path, whole: bool) -> pa.Table:
    with open_table(path, lambda _names: True, "columns", hashed=False) as table:
        if not table.is_plain:
            found = read_with_astropy(path, table.hdu)
            return arrow_of(found, found.colnames)
        parts: list[pa.Table] = []
        try:
            for chunk in table.chunks(table.names, ROWS):
                parts.append(chunk.columns)  # noqa: PERF401 (what came before an error is kept)
        except FitsReadError:
            there = sum(map(len, parts))
            if whole:
                raise TableError(f"{path.name} breaks off after {there} of {table.rows} rows") from None
    if not parts:
        return pa.table({name: pa.nulls(0) for name in table.names})
    return pa.table({name: _without_fill(pa.concat_tables(parts)[name]) for name in table.names})


def _without_fill(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """What FITS files have in place of no value, NaN and the empty text, as null."""
    if pa.types.is_floating(column.type):
        return pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    if pa.types.is_string(column.type):
        return pc.if_else(pc.equal(column, ""), pa.scalar(None, column.type), column)
    return column


_READERS = {"parquet": _read_parquet, "fits": _read_fits, "ecsv": _read_ecsv, "csv": _read_csv}
