"""Are the keys of a table unique?"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from astra_assets.products.findings import KEYS, VerificationError

_NO_KEY = -1


class UniqueKeys:
    """Looks at the keys of a table, some rows at a time, and refuses one that occurs twice.

    `ordered` keys have to ascend; rows without a key (-1) come last. Others may come in any order; all of them are
    kept in memory.
    """

    def __init__(self, *, ordered: bool) -> None:
        self._ordered = ordered
        self._last = np.empty(0, dtype=np.int64)
        self._only_missing = False
        self._all: list[npt.NDArray[np.int64]] = []

    def add(self, keys: npt.NDArray[np.int64]) -> None:
        """Look at the keys of the next rows. Raises VerificationError."""
        if not self._ordered:
            self._all.append(keys[keys != _NO_KEY])
            return
        keys = np.concatenate([self._last, keys])
        ascends = keys[1:] > keys[:-1]
        missing = keys[1:] == _NO_KEY
        after = np.logical_or.accumulate(np.concatenate([[self._only_missing], missing & ~ascends]))
        wrong = ~(ascends | missing) | (after[:-1] & ~missing)
        if wrong.any():
            position = int(np.argmax(wrong))
            raise VerificationError(
                KEYS, f"{keys[position + 1]} follows {keys[position]}; keys are to be unique and to ascend"
            )
        self._only_missing = bool(after[-1])
        self._last = keys[-1:]

    def finish(self) -> None:
        """Judge keys without order, after the last row. Raises VerificationError."""
        if self._all:
            found, counts = np.unique(np.concatenate(self._all), return_counts=True)
            if counts.size and counts.max() > 1:
                raise VerificationError(
                    KEYS, f"{found[int(np.argmax(counts))]} occurs {counts.max()} times as key"
                )
