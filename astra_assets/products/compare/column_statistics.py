"""Statistics of one column at a time, in little memory: distributions, missing values, bits, and rows of the same key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[Any]
Keys = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int32]

QUANTILES = (0.01, 0.16, 0.5, 0.84, 0.99)
"""Shown of every number; the scatter is half the distance of the second and the fourth."""
FILL = -1
"""Stands for a missing integer."""
CHUNK_ROWS = 1 << 20
"""Rows that are worked on at a time where a copy of them is needed."""


@dataclass(frozen=True)
class Distribution:
    """What the values of a number column are like: `quantiles` as in QUANTILES, and the mean."""

    quantiles: tuple[float, ...]
    mean: float

    @property
    def median(self) -> float:
        """The middle value."""
        return self.quantiles[len(self.quantiles) // 2]

    @property
    def scatter(self) -> float:
        """Half the distance of the 16th and the 84th percentile: the standard deviation of a normal distribution."""
        return (self.quantiles[3] - self.quantiles[1]) / 2


@dataclass(frozen=True)
class Match:
    """Rows of both versions that have the same key, by their numbers, and the keys that only one of them has."""

    rows: tuple[Rows, Rows]
    added: Keys
    lost: Keys


def match_keys(old: Keys, new: Keys) -> Match:
    """Match rows by key; those without one (-1) are in neither list."""
    old_keys, old_rows = _ascending(old)
    new_keys, new_rows = _ascending(new)
    if not len(old_keys):
        return Match((old_rows, new_rows[:0]), new_keys, old_keys)
    place = np.minimum(np.searchsorted(old_keys, new_keys), len(old_keys) - 1).astype(np.int32)
    both = old_keys[place] == new_keys
    place = place[both]
    is_lost = np.ones(len(old_keys), dtype=bool)
    is_lost[place] = False
    return Match((old_rows[place], new_rows[both]), new_keys[~both], old_keys[is_lost])


def _ascending(keys: Keys) -> tuple[Keys, Rows]:
    """Keys in ascending order and the numbers of their rows; products are in that order, but for few."""
    rows = np.arange(len(keys), dtype=np.int32)
    known = keys != FILL
    if not known.all():
        keys, rows = keys[known], rows[known]
    if np.all(keys[1:] > keys[:-1]):
        return keys, rows
    order = np.argsort(keys, kind="stable")
    return keys[order], rows[order]


def bit_counts(values: Numbers) -> npt.NDArray[np.int64]:
    """Count the values that have each of the 64 bits, from how often each byte occurs."""
    counts = np.zeros(64, dtype=np.int64)
    of_byte = np.unpackbits(np.arange(256, dtype=np.uint8)[:, np.newaxis], axis=1, bitorder="little")
    for start in range(0, values.size, CHUNK_ROWS):
        octets = values[start : start + CHUNK_ROWS].astype("<i8").view(np.uint8).reshape(-1, 8)
        for number in range(8):
            occurs = np.bincount(octets[:, number], minlength=256)
            counts[8 * number : 8 * number + 8] += occurs @ of_byte
    return counts


def present(values: Numbers) -> npt.NDArray[np.bool_]:
    """Return which values are there: neither NaN nor the fill of integers."""
    return np.asarray(~np.isnan(values) if values.dtype.kind == "f" else values != FILL)


def share_of(chosen: npt.NDArray[np.bool_]) -> float:
    """Return how much of an array is chosen; 0 where it is empty."""
    return float(np.count_nonzero(chosen) / max(chosen.size, 1))


def distribution(values: Numbers) -> Distribution | None:
    """Describe the finite values; None where there is none."""
    finite = values[np.isfinite(values) & present(values)]
    if not finite.size:
        return None
    mean = float(finite.mean(dtype=np.float64))
    quantiles = np.quantile(finite, QUANTILES, overwrite_input=True)
    return Distribution(tuple(float(each) for each in quantiles), mean)
