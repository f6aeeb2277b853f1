"""Reading the headers of many files at a time.

Belongs here: the pool of threads and the report. Does not belong here: which files are read and what is in them
(`spec_headers`, `ap_visit_headers`, `ap_star_headers`).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import Row

from astra_assets.ingest.fits_header import HeaderError
from astra_assets.ingest.report import MAX_LISTED, reasons

THREADS = 16
"""Files that are open at once: reading waits for the file system much more than it computes."""

PROGRESS_SECONDS = 10.0

Spectrum = Row[tuple[Any, ...]]
Read = TypeVar("Read")


@dataclass(frozen=True)
class HeaderProblem:
    """A spectrum whose header could not be read."""

    spectrum_pk: int | None
    code: str
    message: str


@dataclass
class HeaderReport:
    """What reading headers did.

    Attributes:
        read: headers that were read.
        updated: spectra that changed by what was read.
        flagged: spectra that were flagged since their header could not be read.
        problems: the first spectra whose header could not be read, at most `MAX_LISTED`.
        by_code: how many there were, by reason.
    """

    read: int = 0
    updated: int = 0
    flagged: int = 0
    problems: list[HeaderProblem] = field(default_factory=list)
    by_code: Counter[str] = field(default_factory=Counter)

    @property
    def n_problems(self) -> int:
        """How many headers could not be read."""
        return sum(self.by_code.values())

    def add_problem(self, problem: HeaderProblem) -> None:
        """Count a problem, and list it while there is room."""
        self.by_code[problem.code] += 1
        if len(self.problems) < MAX_LISTED:
            self.problems.append(problem)

    def summary(self) -> str:
        """One line with the counts and the reasons of problems."""
        text = f"{self.read:,} headers read, {self.updated:,} spectra updated"
        return f"{text}, {self.n_problems:,} not readable ({reasons(self.by_code)})" if self.by_code else text


def read_files(
    next_rows: Callable[[int], Sequence[Spectrum]],
    read: Callable[[Spectrum], Read | HeaderError],
    write: Callable[[Sequence[Spectrum], Iterable[Read | HeaderError]], None],
    tell: Callable[[], None],
    *,
    threads: int = THREADS,
) -> None:
    """Read the files of all rows, chunk after chunk, and hand over what was found.

    Args:
        next_rows: the rows of the next chunk, by the greatest `pk` of the one before (0 at first); none at the end.
        read: reads the file of a row; a problem is returned, not raised. Called in several threads at once.
        write: gets the rows of a chunk and what was read for each, in one thread.
        tell: called about every `PROGRESS_SECONDS`.
        threads: files that are open at once.
    """
    last_pk, last_told = 0, time.monotonic()
    with ThreadPoolExecutor(threads) as pool:
        while rows := next_rows(last_pk):
            last_pk = rows[-1].pk
            write(rows, pool.map(read, rows))
            if time.monotonic() - last_told > PROGRESS_SECONDS:
                last_told = time.monotonic()
                tell()
