"""Catalogue files, keyed by sdss_id, into the table of sources.

A catalogue may have any of the columns of a Source; a published mwmTargets file works as it is. A value that
a catalogue lacks does not erase one that is there. Where several catalogues give the same column, the last in
the list counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import pyarrow as pa
from sqlalchemy import Connection, select

from astra_assets.database.database import Database
from astra_assets.ingest.ledger import FileLedger, Stamp
from astra_assets.ingest.report import IngestError, IngestReport, Refusal, Say, silent
from astra_assets.ingest.sources.catalog_columns import Sources, choose_columns, to_sources, unknown_columns
from astra_assets.ingest.sources.catalog_files import KEY, CatalogFile, open_catalog
from astra_assets.ingest.sources.derived import DERIVED, SOURCES, derive, derive_query, has_inputs
from astra_assets.ingest.sources.repeats import UNIQUE, RepeatedRows, Repeats
from astra_assets.ingest.stage import Stage, staged
from astra_assets.models.base import utcnow

KIND = "catalog"
CHUNK_ROWS = 20_000
"""Rows of one transaction: 137 columns of a mwmTargets file are about 20 MB."""

PROGRESS_SECONDS = 10.0


def ingest_catalogs(
    database: Database,
    paths: Sequence[Path],
    *,
    chunk_rows: int = CHUNK_ROWS,
    progress: Say | None = None,
    ledger: FileLedger | None = None,
    on_error: Callable[[IngestError], None] | None = None,
) -> list[IngestReport]:
    """Bring the rows of catalogue files (FITS, Parquet, CSV or ECSV) into the table of sources.

    Returns a report for each.

    A file that did not change since it was ingested is not read again, unless a file before it in the
    list is: what a later catalogue says goes before what an earlier one says.

    Args:
        database: where to.
        paths: the files.
        chunk_rows: rows of one transaction.
        progress: told how far it is.
        ledger: the files that were ingested; without one the files are entered at the end.
        on_error: told of a file that cannot be used, and the others are read; without it the error is raised.

    Raises:
        IngestError: a file is missing, damaged, or no catalogue.

    """
    own_ledger = ledger or FileLedger(database)
    reports: list[IngestReport] = []
    read_on = False
    for path in paths:
        try:
            report = _ingest(database, Path(path), own_ledger, chunk_rows, progress or silent, always=read_on)
        except IngestError as error:
            if on_error is None:
                raise
            on_error(error)
            continue
        read_on = read_on or not report.skipped
        reports.append(report)
    if ledger is None:
        own_ledger.enter()
    return reports


def _ingest(
    database: Database, path: Path, ledger: FileLedger, chunk_rows: int, say: Say, *, always: bool
) -> IngestReport:
    report = IngestReport(str(path))
    stamp = Stamp.of(path)
    if not always and ledger.passes_over(report, stamp, KIND, None, say):
        return report
    repeats = Repeats()
    with open_catalog(path) as catalog:
        names = choose_columns(catalog.names, path)
        if ignored := unknown_columns(catalog.names):
            report.notes.append(f"{path}: {len(ignored)} columns are none of a source: {', '.join(ignored)}")
        for sources in _read(catalog, names, path, chunk_rows):
            repeats.add(sources.rows, sources.numbers)
    found_repeats = repeats.finish()
    told = time.monotonic()
    with open_catalog(path) as catalog:
        for sources in _read(catalog, names, path, chunk_rows):
            unreadable = catalog.refusals()
            known = {refusal.row for refusal in unreadable}
            report.refuse(
                [*unreadable, *(refusal for refusal in sources.refusals if refusal.row not in known)]
            )
            report.mend(sources.mended)
            report.read += len(sources.rows) + len(sources.refusals)
            _write(database, _leave_out(sources, found_repeats, report), report)
            if time.monotonic() - told > PROGRESS_SECONDS:
                told = time.monotonic()
                say(f"{path.name}: {report.read:,} rows")
        checksum = catalog.finish()
    if not report.read:
        report.notes.append(f"{path}: has 0 rows")
    ledger.note(stamp, KIND, report.read, checksum)
    say(f"{path.name}: {report.summary()}")
    return report


def _read(catalog: CatalogFile, names: Mapping[str, str], path: Path, chunk_rows: int) -> Iterator[Sources]:
    for chunk in catalog.chunks(list(names.values()), chunk_rows):
        yield to_sources(chunk, names, path)


def _leave_out(sources: Sources, repeats: RepeatedRows, report: IngestReport) -> Sources:
    """Refuse rows that contradict others of the file, and leave out those that only repeat one."""
    wrong = repeats.conflicting(sources.rows)
    report.refuse(sources.refuse(wrong, "conflicting_rows", KEY, "in rows that differ; none of them is used"))
    for name in UNIQUE:
        if name in sources.rows.column_names:
            wrong = repeats.shared(sources.rows, name)
            reason = "of several sdss_ids in the file; none of them is used"
            report.refuse(sources.refuse(wrong, "shared_identifier", name, reason))
    again = repeats.repeated(sources.numbers)
    report.repeated += int(again.sum())
    sources.keep(~again)
    return sources


def _write(database: Database, sources: Sources, report: IngestReport) -> None:
    """Write one chunk in a transaction."""
    if not len(sources.rows):
        return
    now = utcnow()
    columns = [name for name in sources.rows.column_names if name != KEY]
    with (
        database.begin() as connection,
        staged(database, connection, SOURCES, sources.rows, (KEY,)) as stage,
    ):
        refusals = _taken_identifiers(connection, stage, sources, report.path)
        stage.discard(list(refusals))
        guards = {name: ~has_inputs(name) for name in DERIVED if name in columns}
        updated = stage.update(columns, now, keep=columns, only_where=guards)
        new = stage.new_rows()
        _add(database, connection, sources.rows.take(pa.array(new)), now)
        stage.match()
        written = connection.execute(derive_query().join(stage.table, stage.same))
        derive(database, connection, [row for row in written if row.modified == now], now)
    report.refuse(refusals.values())
    report.added += len(new)
    report.updated += updated
    report.unchanged += len(sources.rows) - len(refusals) - len(new) - updated


def _taken_identifiers(
    connection: Connection, stage: Stage, sources: Sources, path: str
) -> dict[int, Refusal]:
    """Staged rows with an identifier that another source of the database has, which must be unique."""
    refusals: dict[int, Refusal] = {}
    for name in UNIQUE:
        if name not in stage.table.c:
            continue
        other = SOURCES.alias("other")
        taken = select(stage.row, other.c.sdss_id).where(
            other.c[name] == stage.table.c[name], other.c.sdss_id.is_distinct_from(stage.table.c[KEY])
        )
        for row, owner in connection.execute(taken):
            reason = f"{name} {sources.rows[name][row]} is that of the source with sdss_id {owner}"
            refusals[row] = Refusal(int(sources.numbers[row]), reason, "taken_identifier", path)
    return refusals


def _add(database: Database, connection: Connection, rows: pa.Table, now: datetime) -> None:
    """Insert new sources."""
    moment = pa.repeat(pa.scalar(now, pa.timestamp("us")), len(rows))
    database.insert(
        connection, SOURCES, rows.append_column("created", moment).append_column("modified", moment)
    )
