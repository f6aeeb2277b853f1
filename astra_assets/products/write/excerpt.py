"""The sample file of a product: some of its rows, the same stars in every product.

Rows are chosen while all of them stream by: those whose `sdss_id` has the smallest hashes. So they are spread over the
whole product, stay the same as other rows come and go, and the samples of two products show the same stars and can be
joined.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

SAMPLE_ROWS = 1000
"""Rows of each table in a sample file."""
SPREAD_BY = "sdss_id"
"""The column whose hash decides."""

_MOST_PARTS = 16
"""Pieces that are held before they become one: a piece takes some 0.2 MB of 240 columns, however few its rows."""

_Hashes = npt.NDArray[np.uint64]
_NO_STAR = np.uint64(0xFFFFFFFFFFFFFFFF)


class Excerpt:
    """The rows of smallest hash among all that are written to it; memory for a few times `rows` of them.

    `key` is the column that tells the rows of one star apart. The choice does not depend on how rows are batched.
    """

    def __init__(self, key: str, rows: int = SAMPLE_ROWS) -> None:
        self._key = key
        self._rows = rows
        self._parts: list[pa.RecordBatch] = []
        self._hashes: _Hashes = np.empty(0, dtype=np.uint64)
        self._ties: _Hashes = np.empty(0, dtype=np.uint64)
        self._limit = _NO_STAR

    def write(self, batch: pa.RecordBatch) -> None:
        """Look at the rows of a batch."""
        hashes = _hashes(batch, SPREAD_BY if SPREAD_BY in batch.schema.names else self._key)
        chosen = hashes <= self._limit
        if not chosen.any():
            return
        part = batch.filter(pa.array(chosen))
        self._parts.append(part)
        self._hashes = np.concatenate([self._hashes, hashes[chosen]])
        self._ties = np.concatenate([self._ties, _hashes(part, self._key)])
        if len(self._hashes) > 4 * self._rows:
            self._choose()
        elif len(self._parts) > _MOST_PARTS:
            self._parts = [pa.concat_batches(self._parts)]

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The chosen rows, in the order in which they came."""
        self._choose()
        yield from self._parts

    def _choose(self) -> None:
        """Let go of the rows beyond the smallest hashes."""
        best = np.lexsort((self._ties, self._hashes))[: self._rows]
        kept = np.zeros(len(self._hashes), dtype=bool)
        kept[best] = True
        if self._parts:
            self._parts = [pa.concat_batches(self._parts).filter(pa.array(kept))]
        self._hashes, self._ties = self._hashes[kept], self._ties[kept]
        if len(self._hashes) == self._rows:
            self._limit = self._hashes.max()


def _hashes(batch: pa.RecordBatch, name: str) -> _Hashes:
    """A hash of each value of an integer column; the largest number for NULL.

    The finaliser of SplitMix64 (Steele, Lea and Flood 2014, OOPSLA, "Fast splittable pseudorandom number
    generators"), which maps different numbers to different hashes.
    """
    column = batch.column(name).cast(pa.int64())
    mixed: _Hashes = column.fill_null(0).to_numpy(zero_copy_only=False).astype(np.uint64)
    mixed = mixed + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed = mixed ^ (mixed >> np.uint64(31))
    if column.null_count:
        mixed[column.is_null().to_numpy(zero_copy_only=False)] = _NO_STAR
    return mixed
