"""Which row of a file counts where several have the same key: found in a first reading, 32 bytes of memory a row.

The APOGEE reduction keeps the rows of older versions of a star (STARVER).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astra_assets.ingest.seen import Hashes

Numbers = NDArray[np.int64]


class Versions:
    """The keys and versions of a file, added in the order of its rows; `newest` answers after the last."""

    def __init__(self) -> None:
        self._hashes: list[Hashes] = []
        self._versions: list[NDArray[np.int32]] = []

    def add(self, hashes: Hashes, versions: Numbers) -> None:
        """Remember some rows."""
        self._hashes.append(hashes)
        self._versions.append(versions.astype(np.int32))

    def newest(self) -> NewestRows:
        """The row of each key: of the newest version, the first."""
        hashes = np.concatenate(self._hashes) if self._hashes else np.empty(0, dtype=np.uint64)
        versions = np.concatenate(self._versions) if self._versions else np.empty(0, dtype=np.int32)
        self._hashes, self._versions = [], []
        order = np.lexsort((-versions, hashes))  # stable: rows of one version stay in their order
        ordered = hashes[order]
        first = np.ones(len(order), dtype=bool)
        first[1:] = ordered[1:] != ordered[:-1]
        chosen = order[first]
        return NewestRows(hashes[chosen], chosen + 1, versions[chosen])


@dataclass(frozen=True)
class NewestRows:
    """The row of each key that counts.

    Attributes:
        hashes: hashes of the keys, ascending.
        numbers: the row in the file, the first is 1.
        versions: its version.
    """

    hashes: Hashes
    numbers: Numbers
    versions: NDArray[np.int32]

    def counts(self, hashes: Hashes, numbers: Numbers) -> NDArray[np.bool_]:
        """True for rows that count."""
        found: NDArray[np.bool_] = self.numbers[np.searchsorted(self.hashes, hashes)] == numbers
        return found

    def outdated(self, hashes: Hashes, versions: Numbers) -> NDArray[np.bool_]:
        """True for rows with an older version than the one that counts."""
        found: NDArray[np.bool_] = self.versions[np.searchsorted(self.hashes, hashes)] > versions
        return found
