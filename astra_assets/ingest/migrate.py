"""All of ingestion in order: catalogues, summary files, links, headers, derived columns, counts.

A run that is killed at any moment is simply repeated. With nothing new nothing is written. Belongs here: the
order of the steps and their report. Does not belong here: what a step does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from astra_assets.ingest.catalog import ingest_catalogs
from astra_assets.ingest.derived import count_visits, derive_missing
from astra_assets.ingest.ledger import Ledger
from astra_assets.ingest.links import link_spectra
from astra_assets.ingest.report import IngestError, IngestReport, Say, silent
from astra_assets.ingest.spall import ingest_spall
from astra_assets.ingest.spec_headers import read_spec_headers
from astra_assets.models.database import Database
from astra_assets.models.paths import spall_path

MAX_SHOWN = 10
"""Refused rows and unreadable headers that the table names."""


@dataclass(frozen=True)
class StepReport:
    """One line of the report.

    Attributes:
        step: what was done.
        read: rows or files that were looked at.
        added: new rows.
        updated: rows that changed.
        unchanged: rows that did not.
        refused: rows or files that could not be used.
        remark: anything else, in words.
    """

    step: str
    read: int = 0
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    refused: int = 0
    remark: str = ""

    @property
    def cells(self) -> tuple[str, ...]:
        """The line as a row of a table."""
        numbers = (self.read, self.added, self.updated, self.unchanged, self.refused)
        return (self.step, *(f"{number:,}" for number in numbers), self.remark)


@dataclass
class MigrateReport:
    """What ingestion did.

    Attributes:
        steps: one line per step.
        details: refused rows, unreadable headers and notes, in words; a sample where there are many.
        errors: files that could not be used.
    """

    steps: list[StepReport] = field(default_factory=list)
    details: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """True when rows were added or updated."""
        return any(step.added or step.updated for step in self.steps)

    def table(self) -> str:
        """The steps as a table, then details and errors."""
        head = ("step", "read", "added", "updated", "unchanged", "refused", "")
        rows = [head, *(step.cells for step in self.steps)]
        widths = [max(len(row[place]) for row in rows) for place in range(len(head) - 1)]
        lines = [
            "  ".join(
                (
                    row[0].ljust(widths[0]),
                    *(cell.rjust(width) for cell, width in zip(row[1:-1], widths[1:], strict=True)),
                    row[-1],
                )
            ).rstrip()
            for row in rows
        ]
        return "\n".join([*lines, *self.details, *(f"ERROR: {error}" for error in self.errors)])

    def add_file(self, step: str, report: IngestReport) -> None:
        """Add the line of a file and what there is to say about its rows."""
        remark = "unchanged, not read again" if report.skipped else ""
        self.steps.append(
            StepReport(
                step,
                report.read,
                report.added,
                report.updated,
                report.unchanged + report.repeated,
                report.n_refused,
                remark,
            )
        )
        self.details += report.notes
        self.sample([str(refusal) for refusal in report.refused], report.n_refused, "rows refused")

    def sample(self, texts: Sequence[str], total: int, what: str) -> None:
        """Add the first of some texts to the details, and how many more there are."""
        self.details += texts[:MAX_SHOWN]
        if total > MAX_SHOWN:
            self.details.append(f"... and {total - MAX_SHOWN:,} more {what}")


class MigrateError(IngestError):
    """Files could not be used; everything else was brought in. `report` says what."""

    def __init__(self, report: MigrateReport) -> None:
        super().__init__("\n".join(report.errors))
        self.report = report


def migrate(
    database: Database,
    *,
    run2d: Sequence[str],
    catalogs: Sequence[Path],
    sas_base_dir: Path,
    limit: int | None = None,
    progress: Say | None = None,
) -> MigrateReport:
    """Bring in new and changed spectra and sources.

    Args:
        database: where to; its tables exist.
        run2d: BOSS reductions, whose spAll file is where `models.paths.spall_path` says.
        catalogs: catalogue files; what a later one says goes before what an earlier one says.
        sas_base_dir: the root of the reductions.
        limit: read only this many rows of each spAll file.
        progress: told what is done.

    Raises:
        MigrateError: files could not be used. The others were, and all steps were done.
    """
    say = progress or silent
    report = MigrateReport()
    ledger = Ledger(database)
    read_any = _files(
        database, run2d, catalogs, Path(sas_base_dir), ledger, limit=limit, say=say, report=report
    )
    say("linking spectra to sources")
    links = link_spectra(database, again=read_any)
    remark = f"{links.unlinked:,} spectra without source, {links.ambiguous:,} ambiguous"
    report.steps.append(StepReport("links", added=links.linked, updated=links.relinked, remark=remark))
    headers = read_spec_headers(database, Path(sas_base_dir), progress=say)
    report.steps.append(
        StepReport(
            "specFull headers", headers.read + headers.n_problems, updated=headers.updated,
            unchanged=headers.read - headers.updated, refused=headers.n_problems,
        )
    )  # fmt: skip
    report.sample(
        [problem.message for problem in headers.problems], headers.n_problems, "headers not readable"
    )
    report.steps.append(StepReport("derived columns", updated=derive_missing(database)))
    if read_any or links.changed or headers.updated:
        say("counting visits")
        report.steps.append(StepReport("visit counts", updated=count_visits(database)))
    ledger.enter()
    if report.errors:
        raise MigrateError(report)
    return report


def _files(
    database: Database,
    run2d: Sequence[str],
    catalogs: Sequence[Path],
    sas_base_dir: Path,
    ledger: Ledger,
    *,
    limit: int | None,
    say: Say,
    report: MigrateReport,
) -> bool:
    """Read the catalogues and summary files; returns whether one was read, be it in part."""

    def note_error(error: IngestError) -> None:
        report.errors.append(str(error))
        say(f"ERROR: {error}")

    files = ingest_catalogs(database, catalogs, progress=say, ledger=ledger, on_error=note_error)
    for found in files:
        report.add_file(f"catalog {Path(found.path).name}", found)
    for name in run2d:
        path = sas_base_dir / spall_path(name)
        try:
            found = ingest_spall(
                database,
                path,
                run2d=name,
                sas_base_dir=sas_base_dir,
                limit=limit,
                progress=say,
                ledger=ledger,
            )
        except IngestError as error:
            note_error(error)
            continue
        files.append(found)
        report.add_file(f"spAll {name}", found)
    return any(not found.skipped for found in files) or bool(report.errors)
