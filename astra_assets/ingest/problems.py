"""What is wrong with the columns and rows of a file: bookkeeping and wording."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from astra_assets.ingest.report import IngestError, Refusal

LEADING_AWAY = r"[/\\\x00]|^\.{1,2}$"
"""A text that is no single part of a path, as a regular expression."""


class FoldedNames(Mapping[str, str]):
    """The columns of a file by their names in lower case.

    Asking for a column that there are several of, in whatever case, raises IngestError: which one is meant is not known.
    """

    def __init__(self, names: Iterable[str], path: Path) -> None:
        self._path = path
        self._found: dict[str, list[str]] = {}
        for name in names:
            self._found.setdefault(name.lower(), []).append(name)

    def __getitem__(self, name: str) -> str:
        found = self._found[name]
        if len(found) > 1:
            raise IngestError(
                f"{self._path}: the columns {' and '.join(found)} differ at most in case; rename or remove one of them"
            )
        return found[0]

    def __contains__(self, name: object) -> bool:
        return name in self._found

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


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
