"""All of ingestion in order: catalogues, summary files, links, headers, derived columns, counts.

A run that is killed at any moment is simply repeated. With nothing new nothing is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from astra_assets.database.database import Database
from astra_assets.files.paths import spall_path
from astra_assets.ingest.apogee.ap_star_headers import read_ap_star_headers
from astra_assets.ingest.apogee.ap_visit_headers import read_ap_visit_headers
from astra_assets.ingest.apogee.apogee_links import link_apogee
from astra_assets.ingest.apogee.summary_files import has_spectra, ingest_summary, summary_files
from astra_assets.ingest.boss.spall import ingest_spall
from astra_assets.ingest.boss.spec_headers import read_spec_headers
from astra_assets.ingest.header_files import HeaderReport
from astra_assets.ingest.ledger import FileLedger
from astra_assets.ingest.links import LinkReport, link_spectra
from astra_assets.ingest.report import IngestError, IngestReport, Say, silent
from astra_assets.ingest.sources.catalog import ingest_catalogs
from astra_assets.ingest.sources.derived import count_visits, derive_missing, waiting_for_map
from astra_assets.ingest.sources.sfd import SfdMap, fill_sfd
from astra_assets.text import aligned_table

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
        lines = aligned_table(head, [step.cells for step in self.steps], texts=(0, len(head) - 1))
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
        self.sample([str(mend) for mend in report.mended], report.n_mended, "values mended")

    def add_links(self, step: str, links: LinkReport) -> None:
        """Add the line of linking spectra to sources."""
        remark = f"{links.unlinked:,} spectra without source, {links.ambiguous:,} ambiguous"
        self.steps.append(StepReport(step, added=links.linked, updated=links.relinked, remark=remark))

    def add_headers(self, step: str, headers: HeaderReport, *, remark: str = "") -> None:
        """Add the line of reading headers and those that could not be read."""
        self.steps.append(
            StepReport(
                step, headers.read + headers.n_problems, updated=headers.updated + headers.flagged,
                unchanged=headers.read - headers.updated, refused=headers.n_problems, remark=remark,
            )
        )  # fmt: skip
        messages = [problem.message for problem in headers.problems]
        self.sample(messages, headers.n_problems, "headers not readable")

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


def ingest_all(
    database: Database,
    *,
    run2d: Sequence[str] = (),
    apred: Sequence[str] = (),
    catalogs: Sequence[Path],
    sas_base_dir: Path,
    sfd_map: Path | None = None,
    limit: int | None = None,
    progress: Say | None = None,
) -> MigrateReport:
    """Bring in new and changed spectra and sources.

    Args:
        database: where to; its tables exist.
        run2d: BOSS reductions, whose spAll file is where `models.paths.spall_path` says.
        apred: APOGEE reductions, whose summary files are where `models.paths.apogee_summary_paths` says.
        catalogs: catalogue files; what a later one says goes before what an earlier one says.
        sas_base_dir: the root of the reductions.
        sfd_map: the folder of the SFD dust map, where there is one.
        limit: read only this many rows of each summary file.
        progress: told what is done.

    Raises:
        MigrateError: files could not be used. The others were, and all steps were done.
    """
    migration = _Migration(database, Path(sas_base_dir), limit, progress or silent)
    return migration.run(run2d, apred, catalogs, sfd_map)


class _Migration:
    """One run of `migrate`."""

    def __init__(self, database: Database, sas_base_dir: Path, limit: int | None, say: Say) -> None:
        self.database = database
        self.sas_base_dir = sas_base_dir
        self.limit = limit
        self.say = say
        self.report = MigrateReport()
        self.ledger = FileLedger(database)

    def run(
        self, run2d: Sequence[str], apred: Sequence[str], catalogs: Sequence[Path], sfd_map: Path | None
    ) -> MigrateReport:
        """All steps in order."""
        report = self.report
        read_any = self._catalogs(catalogs)
        read_any = self._spall(run2d) or read_any
        read_apogee = self._apogee(apred)
        read_any = read_any or read_apogee or bool(report.errors)
        changed = self._boss(again=read_any)
        changed = self._apogee_spectra(again=read_any) or changed
        if sfd_map is not None:
            self._sfd(sfd_map)
        report.steps.append(self._derived(read_any=read_any))
        if read_any or changed:
            self.say("counting visits")
            report.steps.append(StepReport("visit counts", updated=count_visits(self.database)))
        self.ledger.enter()
        if report.errors:
            raise MigrateError(report)
        return report

    def _error(self, error: IngestError | str) -> None:
        self.report.errors.append(str(error))
        self.say(f"ERROR: {error}")

    def _catalogs(self, catalogs: Sequence[Path]) -> bool:
        """Read the catalogues; returns whether one was read."""
        files = ingest_catalogs(
            self.database, catalogs, progress=self.say, ledger=self.ledger, on_error=self._error
        )
        for found in files:
            self.report.add_file(f"catalog {Path(found.path).name}", found)
        return any(not found.skipped for found in files)

    def _spall(self, run2d: Sequence[str]) -> bool:
        """Read the summary files of BOSS; returns whether one was read."""
        read = False
        for name in run2d:
            try:
                found = ingest_spall(
                    self.database,
                    self.sas_base_dir / spall_path(name),
                    run2d=name,
                    sas_base_dir=self.sas_base_dir,
                    limit=self.limit,
                    progress=self.say,
                    ledger=self.ledger,
                )
            except IngestError as error:
                self._error(error)
                continue
            read = read or not found.skipped
            self.report.add_file(f"spAll {name}", found)
        return read

    def _apogee(self, apred: Sequence[str]) -> bool:
        """Read the summary files of APOGEE; returns whether one was read."""
        read = False
        for name in apred:
            files, notes, errors = summary_files(self.sas_base_dir, name)
            self.report.details += notes
            for error in errors:
                self._error(error)
            for file in files:
                try:
                    found = ingest_summary(
                        self.database, file, limit=self.limit, progress=self.say, ledger=self.ledger
                    )
                except IngestError as error:
                    self._error(error)
                    continue
                read = read or not found.skipped
                self.report.add_file(file.label, found)
        return read

    def _boss(self, *, again: bool) -> bool:
        """Link BOSS spectra and read their headers; returns whether rows changed."""
        self.say("linking spectra to sources")
        links = link_spectra(self.database, again=again)
        self.report.add_links("links", links)
        headers = read_spec_headers(self.database, self.sas_base_dir, progress=self.say)
        self.report.add_headers("specFull headers", headers)
        return links.changed or bool(headers.updated)

    def _sfd(self, folder: Path) -> None:
        """Look sources up in the dust map."""
        try:
            updated = fill_sfd(self.database, SfdMap(folder))
        except IngestError as error:
            self._error(error)
        else:
            self.report.steps.append(StepReport("SFD dust map", updated=updated))

    def _derived(self, *, read_any: bool) -> StepReport:
        """Fill in derived columns; says how many sources have no E(B-V) for want of a map, if that may have changed."""
        updated = derive_missing(self.database)
        waiting = waiting_for_map(self.database) if read_any or updated else {}
        remarks = [f"{count:,} sources wait for {name}" for name, count in waiting.items() if count]
        return StepReport("derived columns", updated=updated, remark=", ".join(remarks))

    def _apogee_spectra(self, *, again: bool) -> bool:
        """Read the headers of APOGEE files and link the spectra; returns whether rows changed.

        Nothing is said where there is no APOGEE spectrum.
        """
        if not has_spectra(self.database):
            return False
        visits = read_ap_visit_headers(self.database, self.sas_base_dir, progress=self.say)
        self.report.add_headers("apVisit headers", visits)
        stars = read_ap_star_headers(self.database, self.sas_base_dir, again=again, progress=self.say)
        self.report.add_headers("apStar headers", stars)
        remark = (
            f"{stars.n_unmatched:,} of {stars.visits:,} not among the visits" if stars.n_unmatched else ""
        )
        same = stars.visits - stars.added - stars.changed - stars.n_unmatched
        self.report.steps.append(
            StepReport("visits in apStar", stars.visits, stars.added, stars.changed, same, remark=remark)
        )
        self.report.sample(stars.unmatched, stars.n_unmatched, "visits of apStar files not found")
        self.say("linking APOGEE spectra to sources")
        links = link_apogee(self.database, again=again)
        self.report.add_links("APOGEE links", links)
        return links.changed or bool(visits.updated or visits.flagged or stars.updated or stars.added)
