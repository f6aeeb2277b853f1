"""Columns of a step that are looked up by the source of an input (`Step.lookups`).

A subquery for each input would cost as much as the rest of a long planning. So what there is to look up is read
once, is kept in memory, and is found for many inputs at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Select

from astra_assets.models.database import Database


@dataclass(frozen=True)
class Lookup:
    """Values by the key of their source.

    Attributes:
        sources: keys of sources, ascending, int64.
        values: the value of each.
    """

    sources: np.ndarray[Any, np.dtype[np.int64]]
    values: pa.Array

    @classmethod
    def read(cls, database: Database, query: Select[Any]) -> Lookup:
        """What a query of sources, values and preferences gives, as `Step.lookups` describes it."""
        rows = database.arrow_table(query)
        rows = rows.rename_columns([str(number) for number in range(rows.num_columns)])
        sources = rows["0"].to_numpy()
        order = np.argsort(sources, kind="stable")
        if np.any(sources[order][1:] == sources[order][:-1]):
            keys = [(name, "ascending") for name in rows.column_names if name != "1"]
            order = pc.sort_indices(rows, sort_keys=keys).to_numpy()
        sources = sources[order]
        first = np.concatenate([[True], sources[1:] != sources[:-1]])[: len(sources)]
        values = rows["1"].combine_chunks()
        if pa.types.is_string(values.type) or pa.types.is_binary(values.type):
            values = values.dictionary_encode()
        return cls(sources[first].astype(np.int64), values.take(pa.array(order[first])))

    def of(self, sources: pa.ChunkedArray) -> pa.Array:
        """The value of each of these sources, NULL for those that have none."""
        wanted = sources.to_numpy()
        if not len(self.sources):
            places, found = np.zeros(len(wanted), np.int64), np.zeros(len(wanted), np.bool_)
        else:
            places = np.searchsorted(self.sources, wanted).clip(max=len(self.sources) - 1)
            found = self.sources[places] == wanted
        values = self.values.take(pa.array(places, mask=~found))
        return values.dictionary_decode() if isinstance(values, pa.DictionaryArray) else values
