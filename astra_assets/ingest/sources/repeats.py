"""Rows of a catalogue that contradict each other, found in a first reading of the whole file.

40 bytes of memory per row.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from astra_assets.ingest.seen import Hashes, hash_rows
from astra_assets.ingest.values import flat

UNIQUE = ("gaia_dr3_source_id", "gaia_dr2_source_id", "sdss4_apogee_id")
"""Columns besides sdss_id in which no two sources may have the same value."""


class Repeats:
    """What occurs more than once in a catalogue.

    Rows are added in the order of the file with `add`; `conflicting`, `repeated` and `shared` answer
    after the last.
    """

    def __init__(self) -> None:
        self._ids: list[NDArray[np.int64]] = []
        self._contents: list[Hashes] = []
        self._rows: list[NDArray[np.int64]] = []
        self._unique: dict[str, list[tuple[Hashes, NDArray[np.int64]]]] = {}

    def add(self, rows: pa.Table, numbers: NDArray[np.int64]) -> None:
        """Remember rows (columns of a Source, sdss_id without nulls) and their numbers in the file."""
        ids = np.asarray(rows["sdss_id"], dtype=np.int64)
        self._ids.append(ids)
        self._rows.append(numbers)
        self._contents.append(hash_rows([hash_column(rows[name]) for name in rows.column_names]))
        for name in UNIQUE:
            if name in rows.column_names:
                given = np.asarray(pc.is_valid(rows[name]))
                values = hash_column(rows[name])[given].view(np.uint64)
                self._unique.setdefault(name, []).append((values, ids[given]))

    def finish(self) -> RepeatedRows:
        """What was found."""
        ids, contents, numbers = (joined(parts) for parts in (self._ids, self._contents, self._rows))
        order = np.lexsort((numbers, ids))
        same_id = ids[order[1:]] == ids[order[:-1]]
        differs = contents[order[1:]] != contents[order[:-1]]
        conflicting = np.unique(ids[order[1:]][same_id & differs])
        again = order[1:][same_id & ~differs]
        repeated = np.sort(numbers[again][~np.isin(ids[again], conflicting)])
        shared = {name: shared_values(parts) for name, parts in self._unique.items()}
        return RepeatedRows(conflicting, repeated, shared)


class RepeatedRows:
    """Rows of a catalogue that share an identifier with another row."""

    def __init__(
        self, conflicting: NDArray[np.int64], repeated: NDArray[np.int64], shared: dict[str, Hashes]
    ) -> None:
        self._conflicting = conflicting
        self._repeated = repeated
        self._shared = shared

    def conflicting(self, rows: pa.Table) -> NDArray[np.bool_]:
        """True where several rows with the same sdss_id say different things."""
        return np.isin(np.asarray(rows["sdss_id"]), self._conflicting)

    def repeated(self, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
        """True where an earlier row says the same."""
        return np.isin(numbers, self._repeated)

    def shared(self, rows: pa.Table, name: str) -> NDArray[np.bool_]:
        """True where several sdss_ids have the same value in a column that is unique."""
        if name not in self._shared or not len(self._shared[name]):
            return np.zeros(len(rows), dtype=bool)
        found = np.isin(hash_column(rows[name]).view(np.uint64), self._shared[name])
        valid: NDArray[np.bool_] = np.asarray(pc.is_valid(rows[name]))
        return found & valid


def shared_values(parts: list[tuple[Hashes, NDArray[np.int64]]]) -> Hashes:
    """Values that several sdss_ids have."""
    values, ids = joined([part[0] for part in parts]), joined([part[1] for part in parts])
    order = np.lexsort((ids, values))
    same = values[order[1:]] == values[order[:-1]]
    other = ids[order[1:]] != ids[order[:-1]]
    found: Hashes = np.unique(values[order[1:]][same & other])
    return found


def joined(parts: list[NDArray[np.generic]] | list[Hashes] | list[NDArray[np.int64]]) -> NDArray[np.generic]:
    """Arrays one after the other."""
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)


def hash_column(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """A number per row that is the same for the same value, within this process."""
    array = flat(column)
    valid = np.asarray(pc.is_valid(array))
    if pa.types.is_floating(array.type):
        numbers = np.asarray(pc.fill_null(array, 0.0)).astype(np.float64).view(np.int64)
    elif pa.types.is_integer(array.type) or pa.types.is_boolean(array.type):
        numbers = np.asarray(pc.fill_null(pc.cast(array, pa.int64()), 0))
    else:
        numbers = np.fromiter((hash(value) for value in array.to_pylist()), dtype=np.int64, count=len(array))
    return hash_rows([numbers, valid.astype(np.int64)]).view(np.int64)
