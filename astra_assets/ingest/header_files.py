"""Reading the headers of many files at a time."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Row, Select, Table, func, select

from astra_assets.database.database import Database
from astra_assets.files.paths import PathLeavesRoot, inside
from astra_assets.fits.errors import FitsReadError
from astra_assets.fits.read_header import parse_number
from astra_assets.ingest.report import MAX_LISTED, Say, reasons, silent
from astra_assets.registry import limits
from astra_assets.registry.columns import info

THREADS = 16
"""Files that are open at once: reading waits for the file system much more than it computes."""

PROGRESS_SECONDS = 10.0

Spectrum = Row[tuple[Any, ...]]
Read = TypeVar("Read")
Unread = PathLeavesRoot | FitsReadError
"""Why the header of a file could not be read."""


@dataclass(frozen=True)
class HeaderKind(Generic[Read]):
    """A kind of file whose headers are read.

    Attributes:
        name: for progress.
        path_of: the path of a spectrum's file below the root of the reductions.
        read: reads the header of a file; called in several threads at once.
    """

    name: str
    path_of: Callable[[Spectrum], str]
    read: Callable[[Path], Read]


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
    database: Database,
    unread: Select[Any],
    pk: ColumnElement[int],
    kind: HeaderKind[Read],
    write: Callable[[list[tuple[Spectrum, Read]], list[Spectrum]], None],
    *,
    sas_base_dir: Path,
    report: HeaderReport,
    chunk_files: int,
    threads: int = THREADS,
    progress: Say | None = None,
) -> None:
    """Read the files of all rows of a query, chunk after chunk, and hand over what was found.

    What was read, and what is wrong with files, is counted in the report.

    Args:
        database: where the rows are.
        unread: selects the rows, among their columns `pk` and `spectrum_pk`.
        pk: the column that orders them.
        kind: how the file of a row is found and read.
        write: gets the rows of a chunk whose headers could be read, with what was read, and the other rows.
        sas_base_dir: the root of the reductions.
        report: what was read and updated.
        chunk_files: files of one chunk.
        threads: files that are open at once.
        progress: told how far it is, about every `PROGRESS_SECONDS`.
    """
    with database.connect() as connection:
        total = connection.scalar(select(func.count()).select_from(unread.subquery())) or 0
    if not total:
        return

    def next_rows(last_pk: int) -> Sequence[Spectrum]:
        with database.connect() as connection:
            return connection.execute(unread.where(pk > last_pk).order_by(pk).limit(chunk_files)).all()

    def read(spectrum: Spectrum) -> Read | Unread:
        try:
            return kind.read(inside(sas_base_dir, kind.path_of(spectrum)))
        except (PathLeavesRoot, FitsReadError) as error:
            return error

    say = progress or silent
    last_pk, last_told = 0, time.monotonic()
    with ThreadPoolExecutor(threads) as pool:
        while rows := next_rows(last_pk):
            last_pk = rows[-1].pk
            found = list(zip(rows, pool.map(read, rows), strict=True))
            whole = [
                (row, header)
                for row, header in found
                if not isinstance(header, PathLeavesRoot | FitsReadError)
            ]
            failed = [
                (row, error) for row, error in found if isinstance(error, PathLeavesRoot | FitsReadError)
            ]
            for row, error in failed:
                report.add_problem(HeaderProblem(row.spectrum_pk, _code(error), str(error)))
            report.read += len(whole)
            write(whole, [row for row, _ in failed])
            if time.monotonic() - last_told > PROGRESS_SECONDS:
                last_told = time.monotonic()
                say(f"headers of {kind.name} files: {report.read + report.n_problems:,} of {total:,}")


def held_number(column: str, field: bytes, table: Table) -> int | float | None:
    """The number of a header card; None where it is none, or one that its column cannot hold (`registry.limits`).

    Whole numbers are cut off at their decimal point, and taken as far as decimal numbers are exact.
    """
    kind = info(table.c[column]).definition.kind
    largest = None
    if kind in limits.INTEGERS:
        largest = min(limits.INTEGERS[kind][1], limits.EXACT[64] - 1)
    number = parse_number(field, largest)
    return None if limits.misfit(column, kind, number) else number


def _code(error: Unread) -> str:
    return error.code if isinstance(error, FitsReadError) else "outside_root"
