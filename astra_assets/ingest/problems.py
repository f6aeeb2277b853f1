"""What is wrong with the columns and rows of a file: bookkeeping and wording."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from sqlalchemy import Table

from astra_assets.ingest.report import IngestError, Mend, Refusal
from astra_assets.registry import limits
from astra_assets.registry.columns import info
from astra_assets.text import nearest

LEADING_AWAY = r"[/\\\x00]|^\.{1,2}$"
"""A text that is no single part of a path, as a regular expression."""

SHOWN = 80
"""Characters of a value that messages show."""


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
    """What is wrong with rows of a chunk; the first thing found wrong with a row counts.

    Attributes:
        usable: false for the rows that cannot be used.
        found: code and reason of each of them, by its place in the chunk.
        mended: what was mended: place in the chunk, column, and the values before and after.
    """

    def __init__(self, length: int) -> None:
        self.usable = np.ones(length, dtype=bool)
        self.found: dict[int, tuple[str, str]] = {}
        self.mended: list[tuple[int, str, float, float]] = []

    def add(self, wrong: NDArray[np.bool_], code: str, reason: Callable[[int], str]) -> None:
        """Rows where `wrong` is true cannot be used; `reason` says why for one row of the chunk."""
        for index in np.flatnonzero(wrong & self.usable).tolist():
            self.found[index] = (code, reason(index))
        self.usable &= ~wrong

    def fit(self, made: dict[str, pa.Array], table: Table, called: Mapping[str, str]) -> None:
        """Refuse rows with a value that its column of the table cannot hold, and mend angles in place.

        Args:
            made: the values of each column, by its access key.
            table: where they go.
            called: what the file calls a column, where messages are to say so.
        """
        for name in [each for each in made if each in table.c]:
            kind = info(table.c[name]).definition.kind
            given = made[name]
            made[name], mended = limits.wrapped(name, given)
            self.mended += [
                (place, name, given[place].as_py(), made[name][place].as_py())
                for place in np.flatnonzero(mended).tolist()
            ]
            wrong = limits.misfits(name, kind, made[name])
            if wrong.any():
                reason = describe(called.get(name, name), given, limits.expected(name, kind))
                self.add(wrong, "bad_value", reason)

    def mends(self, path: Path, first: int) -> list[Mend]:
        """The values that were mended in rows that can be used, by the number of the row in the file."""
        return [
            Mend(first + place, f"{name} {before!r} became {after!r}", name, str(path))
            for place, name, before, after in sorted(self.mended)
            if self.usable[place]
        ]

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
    if not value.is_valid:
        return "missing"
    text = repr(value.as_py())
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}... ({len(text)} characters)"


def missing_columns(path: Path, lacking: Sequence[str], names: Sequence[str], what: str) -> IngestError:
    """The error that a file lacks columns that are needed; it says which of its columns are called alike.

    Args:
        path: the file.
        lacking: the columns that are missing; "A or B" where one of several is needed.
        names: the columns of the file.
        what: what the file was taken for.
    """
    parts = [part for name in lacking for part in re.split(" or | and ", name)]
    near = dict.fromkeys(each for part in parts for each in nearest(part, names))
    found = f"{', '.join(near)}, which are called alike" if near else "none that are called alike"
    return IngestError(
        f"{path}: {len(lacking)} columns are missing: {', '.join(lacking)}; the file has {found}. Is it {what}?"
    )
