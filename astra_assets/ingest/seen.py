"""Which keys occurred before in a file of millions of rows: 8 bytes of memory per row.

Keys are compared by a 64-bit hash, so among 10 million rows a row is taken for a repetition by mistake with a
probability of 3 in a million.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

MULTIPLIERS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
"""Of the splitmix64 generator (Steele, Lea & Flood 2014, OOPSLA, doi:10.1145/2660193.2660195)."""

INCREMENT = np.uint64(0x9E3779B97F4A7C15)


def mixed(values: Hashes) -> Hashes:
    """Each number as a number whose bits look random: the finalizer of splitmix64."""
    values = values + INCREMENT
    values = (values ^ (values >> np.uint64(30))) * MULTIPLIERS[0]
    values = (values ^ (values >> np.uint64(27))) * MULTIPLIERS[1]
    return values ^ (values >> np.uint64(31))


def hash_rows(columns: Sequence[NDArray[np.int64]]) -> Hashes:
    """One hash per row of integer columns; the order of the columns matters."""
    hashed: Hashes = np.zeros(len(columns[0]), dtype=np.uint64)
    for column in columns:
        hashed = mixed(hashed ^ np.ascontiguousarray(column, dtype=np.int64).view(np.uint64))
    return hashed


class SeenKeys:
    """The keys of a file so far."""

    def __init__(self) -> None:
        self._runs: list[Hashes] = []

    def repeated(self, hashes: Hashes) -> NDArray[np.bool_]:
        """True where a key occurred before, in these rows or in earlier ones; all keys are remembered."""
        order = np.argsort(hashes, kind="stable")
        ordered = hashes[order]
        again = np.zeros(len(hashes), dtype=bool)
        again[order[1:]] = ordered[1:] == ordered[:-1]
        for run in self._runs:
            place = np.minimum(np.searchsorted(run, hashes), len(run) - 1)
            again |= run[place] == hashes
        if len(hashes):
            self._remember(np.sort(hashes[~again]))
        return again

    def _remember(self, run: Hashes) -> None:
        """Keep few sorted runs: a run takes in the one before it unless that is more than twice as long."""
        while self._runs and len(self._runs[-1]) <= 2 * len(run):
            run = np.sort(np.concatenate([self._runs.pop(), run]), kind="stable")
        if len(run):
            self._runs.append(run)
