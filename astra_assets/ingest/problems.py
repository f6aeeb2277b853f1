"""What is wrong with rows of a file, collected column by column.

Belongs here: bookkeeping and wording. Does not belong here: deciding what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from astra_assets.ingest.report import Refusal

LEADING_AWAY = r"[/\\\x00]|^\.{1,2}$"
"""A text that is no single part of a path, as a regular expression."""


class Problems:
    """What is wrong with rows of a chunk; the first thing found wrong with a row counts."""

    def __init__(self, length: int) -> None:
        self.usable = np.ones(length, dtype=bool)
        self.found: dict[int, tuple[str, str]] = {}

    def add(self, wrong: NDArray[np.bool_], code: str, reason: Callable[[int], str]) -> None:
        """Rows where `wrong` is true cannot be used; `reason` says why for one row of the chunk."""
        for index in np.flatnonzero(wrong & self.usable).tolist():
            self.found[index] = (code, reason(index))
        self.usable &= ~wrong

    def refusals(self, path: Path, first: int) -> list[Refusal]:
        """The rows that cannot be used, by their number in the file."""
        return [
            Refusal(first + index, reason, code, str(path))
            for index, (code, reason) in sorted(self.found.items())
        ]


def is_true(condition: pa.Array) -> NDArray[np.bool_]:
    """True where a condition is true; nothing is not true."""
    return np.asarray(pc.fill_null(condition, False))


def describe(name: str, column: pa.Array, expected: str) -> Callable[[int], str]:
    """Says of a row what its column holds and what was expected."""
    return lambda index: f"{name} is {show(column[index])}, expected {expected}"


def show(value: pa.Scalar) -> str:
    """A value as it is written in messages."""
    return "missing" if not value.is_valid else repr(value.as_py())
