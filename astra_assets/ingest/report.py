"""What ingestion tells: rows read, added, updated, unchanged and refused, and why a file could not be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from astra_assets.errors import ExpectedError
from astra_assets.files.text_tables import TextTableError
from astra_assets.fits.errors import FitsReadError

Say = Callable[[str], None]
"""Where progress is reported: one line of text at a time."""

MAX_LISTED = 1000
"""Refused rows that a report lists; all of them are counted."""


class IngestError(ExpectedError):
    """A file cannot be used, or no further.

    The message names it and says what was expected, found and what to do.
    """


@contextmanager
def as_ingest_errors() -> Iterator[None]:
    """What is wrong with a file becomes an IngestError."""
    try:
        yield
    except (FitsReadError, TextTableError) as error:
        raise IngestError(str(error)) from error


def silent(_text: str) -> None:
    """Progress that nobody asked for."""


@dataclass(frozen=True)
class Refusal:
    """A row that was left out.

    Attributes:
        row: number of the row in the file; the first row is 1.
        reason: what is wrong with it.
        code: the reason in one word, for counting.
        path: the file.
    """

    row: int
    reason: str
    code: str = "refused"
    path: str = ""

    def __str__(self) -> str:
        """One line that names file, row and reason."""
        return f"{self.path}, row {self.row}: {self.reason}"


@dataclass(frozen=True)
class Mend:
    """A value that was mended: it says the same in the range that its column has.

    Attributes:
        row: number of the row in the file; the first row is 1.
        change: the column with the value before and after.
        column: the column.
        path: the file.
    """

    row: int
    change: str
    column: str
    path: str

    def __str__(self) -> str:
        """One line that names file, row and change."""
        return f"{self.path}, row {self.row}: {self.change}"


@dataclass
class IngestReport:
    """What happened to the rows of one file, or of several added up.

    Attributes:
        path: the file.
        read: rows that were read.
        added: rows that are new in the database.
        updated: rows whose content differed.
        unchanged: rows that were as they are; with `skipped` all rows of the file.
        repeated: rows that say again what an earlier row of the file says.
        refused: the first refused rows, at most `MAX_LISTED`.
        by_code: how many rows were refused, by the code of the reason.
        mended: the first values that were mended, at most `MAX_LISTED`.
        by_column: how many values were mended, by column.
        notes: what else a person should know.
        skipped: why the file was not read at all; empty when it was read.
    """

    path: str = ""
    read: int = 0
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    repeated: int = 0
    refused: list[Refusal] = field(default_factory=list)
    by_code: Counter[str] = field(default_factory=Counter)
    mended: list[Mend] = field(default_factory=list)
    by_column: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    skipped: str = ""

    @property
    def n_refused(self) -> int:
        """How many rows were refused, listed or not."""
        return sum(self.by_code.values())

    @property
    def n_mended(self) -> int:
        """How many values were mended, listed or not."""
        return sum(self.by_column.values())

    @property
    def changed(self) -> bool:
        """True when the database is not as it was before."""
        return bool(self.added or self.updated)

    def refuse(self, refusals: Iterable[Refusal]) -> None:
        """Count refused rows and list them while there is room."""
        for refusal in refusals:
            self.by_code[refusal.code] += 1
            if len(self.refused) < MAX_LISTED:
                self.refused.append(refusal)

    def mend(self, mends: Iterable[Mend]) -> None:
        """Count mended values and list them while there is room."""
        for each in mends:
            self.by_column[each.column] += 1
            if len(self.mended) < MAX_LISTED:
                self.mended.append(each)

    def add(self, other: IngestReport) -> None:
        """Add the counts of another file."""
        self.read += other.read
        self.added += other.added
        self.updated += other.updated
        self.unchanged += other.unchanged
        self.repeated += other.repeated
        self.refused += other.refused[: MAX_LISTED - len(self.refused)]
        self.by_code += other.by_code
        self.mended += other.mended[: MAX_LISTED - len(self.mended)]
        self.by_column += other.by_column
        self.notes += other.notes

    def summary(self) -> str:
        """One line with the counts and, where rows were refused, the reasons."""
        if self.skipped:
            return self.skipped
        counts = f"{self.read:,} rows: {self.added:,} added, {self.updated:,} updated, "
        counts += f"{self.unchanged:,} unchanged"
        if self.repeated:
            counts += f", {self.repeated:,} repeated"
        if self.n_mended:
            counts += f", {self.n_mended:,} values mended ({reasons(self.by_column)})"
        if not self.n_refused:
            return counts
        return f"{counts}, {self.n_refused:,} refused ({reasons(self.by_code)})"


def reasons(by_code: Counter[str]) -> str:
    """The codes of refusals, or the names of columns, with their counts, most frequent first."""
    return ", ".join(f"{code} {count:,}" for code, count in by_code.most_common())
