"""Reading the headers of many files at a time.

Belongs here: paging through the rows, the pool of threads and the report. Does not belong here: which files are read
and what is in them (`spec_headers`, `ap_visit_headers`, `ap_star_headers`).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Row, Select, func, select

from astra_assets.database.database import Database
from astra_assets.files.paths import PathLeavesRoot, inside
from astra_assets.ingest.fits_header import HeaderError
from astra_assets.ingest.report import MAX_LISTED, Say, reasons, silent

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


def reader(
    sas_base_dir: Path, path_of: Callable[[Spectrum], str], read_header: Callable[[Path], Read]
) -> Callable[[Spectrum], Read | HeaderError]:
    """Reads the header of a spectrum's file, whose path below `sas_base_dir` is `path_of`; a problem is returned, not raised."""

    def read(spectrum: Spectrum) -> Read | HeaderError:
        try:
            return read_header(inside(sas_base_dir, path_of(spectrum)))
        except PathLeavesRoot as error:
            return HeaderError("outside_root", str(error))
        except HeaderError as error:
            return error

    return read


def readable(
    rows: Sequence[Spectrum], found: Iterable[Read | HeaderError], report: HeaderReport
) -> list[tuple[Spectrum, Read]]:
    """The rows whose headers could be read, with what was read; they and the problems are counted in the report."""
    read: list[tuple[Spectrum, Read]] = []
    for row, header in zip(rows, found, strict=True):
        if isinstance(header, HeaderError):
            report.add_problem(HeaderProblem(row.spectrum_pk, header.code, str(header)))
        else:
            read.append((row, header))
    report.read += len(read)
    return read


def read_files(
    database: Database,
    unread: Select[Any],
    pk: ColumnElement[int],
    read: Callable[[Spectrum], Read | HeaderError],
    write: Callable[[Sequence[Spectrum], Iterable[Read | HeaderError]], None],
    *,
    report: HeaderReport,
    what: str,
    chunk_files: int,
    threads: int = THREADS,
    progress: Say | None = None,
) -> None:
    """Read the files of all rows of a query, chunk after chunk, and hand over what was found.

    Args:
        database: where the rows are.
        unread: selects the rows, among their columns `pk` and `spectrum_pk`.
        pk: the column that orders them.
        read: reads the file of a row; a problem is returned, not raised. Called in several threads at once.
        write: gets the rows of a chunk and what was read for each, in one thread.
        report: what `write` counts in.
        what: the kind of file, for progress.
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

    say = progress or silent
    last_pk, last_told = 0, time.monotonic()
    with ThreadPoolExecutor(threads) as pool:
        while rows := next_rows(last_pk):
            last_pk = rows[-1].pk
            write(rows, pool.map(read, rows))
            if time.monotonic() - last_told > PROGRESS_SECONDS:
                last_told = time.monotonic()
                say(f"headers of {what} files: {report.read + report.n_problems:,} of {total:,}")
