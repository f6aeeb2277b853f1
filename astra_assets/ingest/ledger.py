"""Which files were ingested completely, so that a file that did not change is not read again.

A file counts as ingested only when its entry is written, which is done after everything that follows from its
rows: a run that is killed before that reads it again and finds its rows unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import delete, insert, select, update

from astra_assets.database.database import Database
from astra_assets.files.sha256sums import sha256
from astra_assets.ingest.report import IngestError, IngestReport, Say
from astra_assets.models.base import table_of, utcnow
from astra_assets.models.ingest import IngestFile

MAKING = "sha256-1:"
"""Start of each checksum.

Its number changes when rows are made differently from the same file, so that all files are read again.
"""

CLOCK_STEP_NS = 2_000_000_000
"""Two changes of a file within this time may leave the same time of modification on coarse file systems.

Then content decides.
"""

FILES = table_of(IngestFile)


@dataclass(frozen=True)
class Stamp:
    """Size and time of a file, as it was when reading began."""

    path: Path
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> Stamp:
        """The stamp of a file as it is now.

        Raises:
            IngestError: there is no such file.
        """
        try:
            found = path.stat()
        except FileNotFoundError:
            raise IngestError(f"{path}: no such file; check the path") from None
        except OSError as error:
            raise IngestError(f"{path}: cannot be read: {error}") from error
        if not path.is_file():
            raise IngestError(f"{path}: is not a file")
        return cls(path.absolute(), found.st_size, found.st_mtime_ns)

    def check_same(self) -> None:
        """Make sure that the file is still what it was.

        Raises:
            IngestError: it was written to while it was read.
        """
        if Stamp.of(self.path) != self:
            raise IngestError(f"{self.path}: changed while it was read; repeat when it is complete")


@dataclass(frozen=True)
class IngestedFile:
    """A file that was read completely."""

    stamp: Stamp
    kind: str
    run2d: str | None
    rows: int
    checksum: str


class FileLedger:
    """The files that were ingested, and those that were read since and are not entered yet."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pending: list[IngestedFile] = []

    def unchanged(self, stamp: Stamp, kind: str, run2d: str | None = None) -> tuple[int, str] | None:
        """The number of rows of a file that is as it was when it was ingested, and a sentence about it.

        Else None.

        Where only the time of the file differs its content is compared, and the new time is remembered.

        """
        query = select(FILES).where(FILES.c.path == str(stamp.path), FILES.c.kind == kind)
        with self._database.connect() as connection:
            found = connection.execute(query).one_or_none()
        if found is None or found.size != stamp.size or found.run2d != run2d:
            return None
        if not found.content_hash.startswith(MAKING):
            return None
        entered_ns = int(found.modified.replace(tzinfo=UTC).timestamp() * 1e9)
        if found.mtime_ns != stamp.mtime_ns or stamp.mtime_ns > entered_ns - CLOCK_STEP_NS:
            if MAKING + sha256(stamp.path) != found.content_hash:
                return None
            if found.mtime_ns != stamp.mtime_ns:
                self._remember_time(stamp)
        when = found.modified.strftime("%Y-%m-%d %H:%M")
        return (
            found.rows,
            f"unchanged since it was ingested ({when} UTC, {found.rows:,} rows); not read again",
        )

    def passes_over(
        self, report: IngestReport, stamp: Stamp, kind: str, version: str | None, say: Say
    ) -> bool:
        """True where a file is as it was when it was ingested; the report then says so, and so do we."""
        found = self.unchanged(stamp, kind, version)
        if found is None:
            return False
        report.unchanged, report.skipped = found[0], f"{report.path}: {found[1]}"
        say(report.skipped)
        return True

    def _remember_time(self, stamp: Stamp) -> None:
        with self._database.begin() as connection:
            connection.execute(
                update(FILES).where(FILES.c.path == str(stamp.path)).values(mtime_ns=stamp.mtime_ns)
            )

    def note(self, stamp: Stamp, kind: str, rows: int, checksum: str, run2d: str | None = None) -> None:
        """Remember that a file was read completely; `enter` makes it last."""
        stamp.check_same()
        self._pending.append(IngestedFile(stamp, kind, run2d, rows, MAKING + checksum))

    def enter(self) -> None:
        """Write the files that were noted into the database."""
        if not self._pending:
            return
        now: datetime = utcnow()
        with self._database.begin() as connection:
            for entry in self._pending:
                path = str(entry.stamp.path)
                created = connection.scalar(select(FILES.c.created).where(FILES.c.path == path))
                connection.execute(delete(FILES).where(FILES.c.path == path))
                connection.execute(
                    insert(FILES).values(
                        path=path, kind=entry.kind, size=entry.stamp.size, mtime_ns=entry.stamp.mtime_ns,
                        content_hash=entry.checksum, run2d=entry.run2d, rows=entry.rows,
                        created=created or now, modified=now,
                    )
                )  # fmt: skip
        self._pending = []
