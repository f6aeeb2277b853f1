"""Columns that are looked up by the source of an input: those of `Step.lookups`, and plain ones of the table of sources.

A subquery for each input would cost as much as the rest of a long planning, and a join hands over what belongs to a
source with each of its spectra. So what there is to look up is read apart: of many inputs once and whole, of few
inputs what these need. Texts are kept once each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import ColumnElement, Select, bindparam

from astra_assets.database.database import Database

BATCH_ROWS = 10_000
"""Rows of a lookup that are read at once."""


@dataclass(frozen=True)
class LookupQuery:
    """A query of a source, values by the names of the columns that they become, and preferences.

    Of several rows of a source that with the least preferences counts, NULL last. `required` means that an input whose
    source has no row is no input.
    """

    query: Select[Any]
    names: tuple[str, ...]
    required: bool = False

    def of(self, sources: Sequence[int]) -> LookupQuery:
        """The same for these sources only."""
        chosen = one_of(self.query.selected_columns[0], sources)
        return LookupQuery(self.query.where(chosen), self.names, self.required)


@dataclass(frozen=True)
class Lookup:
    """Values by the key of their source.

    Attributes:
        sources: keys of sources, ascending, int64.
        values: by name, the value of each; texts and bytes as dictionaries.
        required: whether every source has to be there.
    """

    sources: np.ndarray[Any, np.dtype[np.int64]]
    values: Mapping[str, pa.Array]
    required: bool = False

    @classmethod
    def read(cls, database: Database, asked: LookupQuery) -> Lookup:
        """What a query gives."""
        last = len(asked.names)
        schema = pa.schema(
            [
                pa.field(str(place), _shared(field.type) if 1 <= place <= last else field.type)
                for place, field in enumerate(database.arrow_schema(asked.query))
            ]
        )
        batches = [
            _with_shared_texts(batch, schema)
            for batch in database.arrow_batches(asked.query, batch_rows=BATCH_ROWS)
        ]
        rows = pa.Table.from_batches(batches, schema=schema).unify_dictionaries().combine_chunks()
        chosen = _one_of_each(rows, last)
        values = {
            name: rows[str(place)].take(chosen).combine_chunks() for place, name in enumerate(asked.names, 1)
        }
        sources = rows["0"].take(chosen).to_numpy().astype(np.int64)
        return cls(sources, values, asked.required)

    def add_to(self, rows: pa.Table) -> pa.Table:
        """Rows with a `source_pk`, with the value of each source, NULL for those that have none.

        Texts are dictionaries, see `decoded`. Rows whose source is required and has none are left out.
        """
        wanted = rows["source_pk"].to_numpy()
        if not len(self.sources):
            places, found = np.zeros(len(wanted), np.int64), np.zeros(len(wanted), np.bool_)
        else:
            places = np.searchsorted(self.sources, wanted).clip(max=len(self.sources) - 1)
            found = self.sources[places] == wanted
        chosen = pa.array(places, mask=~found)
        for name, values in self.values.items():
            rows = rows.append_column(name, values.take(chosen))
        return rows.filter(pa.array(found)) if self.required and not found.all() else rows


class Lookups:
    """All lookups of a planning.

    They are read whole once more than `few` inputs came; up to then for the inputs that came. `readers` are the threads
    that read.
    """

    def __init__(
        self, database: Database, asked: Sequence[LookupQuery], readers: Executor, *, few: int
    ) -> None:
        self._database, self._asked, self._readers, self._few = database, asked, readers, few
        self._came = 0
        self._whole: list[Future[Lookup]] = []

    def add_to(self, rows: pa.Table) -> pa.Table:
        """Rows with all that is looked up; see `Lookup.add_to`."""
        self._came += rows.num_rows
        if self._whole or self._came > self._few:
            self._whole = self._whole or self._read(self._asked)
            found = self._whole
        else:
            sources = pc.unique(rows["source_pk"]).to_pylist()
            found = self._read([each.of(sources) for each in self._asked])
        for each in found:
            rows = each.result().add_to(rows)
        return rows

    def _read(self, asked: Sequence[LookupQuery]) -> list[Future[Lookup]]:
        return [self._readers.submit(Lookup.read, self._database, each) for each in asked]


def one_of(column: ColumnElement[Any], values: Sequence[int]) -> ColumnElement[bool]:
    """True where a column has one of these values; there may be many."""
    # As literals: SQLite allows 32,766 parameters.
    return column.in_(bindparam("values", list(values), expanding=True, literal_execute=True))


def decoded(rows: pa.Table) -> pa.Table:
    """Rows with texts in place of dictionaries of texts."""
    fields = [
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
        for field in rows.schema
    ]
    return rows.cast(pa.schema(fields))


def as_numpy(column: pa.ChunkedArray) -> np.ndarray[Any, Any]:
    """A column as NumPy has it, None or NaN where it is NULL; equal texts of a dictionary are one object."""
    found: np.ndarray[Any, Any]
    if not pa.types.is_dictionary(column.type):
        found = column.to_numpy()
        return found
    parts = []
    for chunk in column.chunks:
        texts = np.array([*chunk.dictionary.to_pylist(), None], dtype=object)
        parts.append(texts.take(pc.fill_null(chunk.indices, len(texts) - 1).to_numpy()))
    found = np.concatenate([np.array([], dtype=object), *parts])
    return found


def _shared(kind: pa.DataType) -> pa.DataType:
    texts = pa.types.is_string(kind) or pa.types.is_binary(kind)
    return pa.dictionary(pa.int32(), kind) if texts else kind


def _with_shared_texts(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    # Copies, since a view of one column keeps all of the batch in memory.
    all_of_them = pa.array(np.arange(batch.num_rows))
    arrays = [
        array.dictionary_encode() if pa.types.is_dictionary(field.type) else array.take(all_of_them)
        for array, field in zip(batch.columns, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _one_of_each(rows: pa.Table, last_value: int) -> pa.Array:
    """Places of the rows that count, in the order of sources; preferences are behind the last value."""
    sources = rows["0"].to_numpy()
    order = np.argsort(sources, kind="stable")
    if np.any(sources[order][1:] == sources[order][:-1]):
        preferences = range(last_value + 1, rows.num_columns)
        keys = [("0", "ascending"), *((str(place), "ascending") for place in preferences)]
        order = pc.sort_indices(rows, sort_keys=keys).to_numpy()
    sources = sources[order]
    first = np.concatenate([[True], sources[1:] != sources[:-1]])[: len(sources)]
    return pa.array(order[first])
