"""The summary files of an APOGEE reduction (allVisit, allStar) into the tables of visits and coadds.

Rows are compared by content with those that exist, as those of spAll are: new rows are added, rows that differ are
updated, all others are left alone, and each chunk of rows is one transaction. Of rows with the same key the one of
the newest version (STARVER) counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from sqlalchemy import Connection, exists, select, update

from astra_assets.database.database import Database
from astra_assets.files.paths import APOGEE_TELESCOPES, apogee_summary_paths
from astra_assets.fits.read_table import Chunk, FitsTable, open_table
from astra_assets.ingest.apogee.apogee_columns import ALL_STAR, ALL_VISIT, Summary
from astra_assets.ingest.apogee.apogee_rows import CORRUPTED, IDENTITY, RowMapper
from astra_assets.ingest.ledger import FileLedger, Stamp
from astra_assets.ingest.newest import NewestRows, Versions
from astra_assets.ingest.report import IngestError, IngestReport, Say, as_ingest_errors, silent
from astra_assets.ingest.seen import SeenKeys, hash_rows
from astra_assets.ingest.stage import OWN_KEY, Stage, staged
from astra_assets.ingest.summary_rows import CHUNK_ROWS, Mapped, add_spectra, note_read, teller
from astra_assets.models.base import table_of, utcnow
from astra_assets.models.ingest import IngestSpectrum

KNOWN = table_of(IngestSpectrum)

FROM_HEADERS = {
    "allVisit": ("exptime",),
    "allStar": (
        *("snr", "mean_fiber", "std_fiber", "v_rad", "e_v_rad", "std_v_rad", "median_e_v_rad"),
        *("min_mjd", "max_mjd", "n_visits"),
    ),
}
"""Columns in which a missing value leaves what is there, since headers fill them as well."""


@dataclass(frozen=True)
class SummaryFile:
    """One file of a reduction.

    Attributes:
        summary: what kind it is.
        path: where it is.
        apred: the reduction.
    """

    summary: Summary
    path: Path
    apred: str

    @property
    def label(self) -> str:
        """The file in a few words: allVisit 1.5 apo25m."""
        telescope = self.path.stem.rpartition("-")[2]
        return " ".join(
            (self.summary.name, self.apred, *([telescope] if telescope in APOGEE_TELESCOPES else []))
        )


def has_spectra(database: Database) -> bool:
    """Is there any APOGEE spectrum?"""
    with database.connect() as connection:
        return any(connection.scalar(select(exists(summary.table.c.pk))) for summary in (ALL_VISIT, ALL_STAR))


def summary_files(sas_base_dir: Path, apred: str) -> tuple[list[SummaryFile], list[str], list[str]]:
    """The summary files of a reduction that exist; notes on those that do not, and errors.

    A telescope without a file is a note: it may not have observed yet. Without the file of any telescope it is an
    error.
    """
    files: list[SummaryFile] = []
    notes: list[str] = []
    errors: list[str] = []
    for summary in (ALL_VISIT, ALL_STAR):
        paths = [sas_base_dir / relative for relative in apogee_summary_paths(summary.name, apred)]
        found = [path for path in paths if path.exists()]
        lacking = [str(path) for path in paths if not path.exists()]
        files += [SummaryFile(summary, path, apred) for path in found]
        if not found:
            errors.append(
                f"no {summary.name} file of the APOGEE reduction {apred}: there is no {' and no '.join(lacking)}; "
                "check SAS_BASE_DIR and --apred"
            )
        else:
            notes += [f"{path}: no such file; its telescope is left out" for path in lacking]
    return files, notes, errors


def ingest_summary(
    database: Database,
    file: SummaryFile,
    *,
    limit: int | None = None,
    chunk_rows: int = CHUNK_ROWS,
    progress: Say | None = None,
    ledger: FileLedger | None = None,
) -> IngestReport:
    """Bring the rows of an allVisit or allStar file (FITS, plain or gzipped) into the database.

    A file that was ingested completely and did not change since is not read again. Rows that cannot be used are
    refused one by one.

    Args:
        database: where to.
        file: the file.
        limit: read only this many rows of the file; it then does not count as ingested.
        chunk_rows: rows of one transaction.
        progress: told how far it is.
        ledger: the files that were ingested; without one the file is entered at the end.

    Raises:
        IngestError: the file is missing, empty, damaged or no such summary. Nothing of a file that breaks off in its
            table was written.
    """
    say = progress or silent
    own_ledger = ledger or FileLedger(database)
    path, kind = file.path, file.summary.kind
    stamp = Stamp.of(path)
    report = IngestReport(str(path))
    if own_ledger.passes_over(report, stamp, kind, file.apred, say):
        return report
    newest = _newest_rows(file, limit)
    with _open(file) as (table, mapper):
        report.notes += file.summary.absence_notes(mapper.names, path)
        _read_rows(database, table, mapper, newest, report, limit=limit, chunk_rows=chunk_rows, say=say)
        note_read(own_ledger, table, report, stamp, kind=kind, version=file.apred, limit=limit)
    if ledger is None:
        own_ledger.enter()
    return report


@contextmanager
def _open(file: SummaryFile) -> Iterator[tuple[FitsTable, RowMapper]]:
    """The table of a summary file, and what maps its rows."""
    summary = file.summary
    wanted = {"apogee_id", "telescope"}.issubset
    with as_ingest_errors(), open_table(file.path, wanted, "columns APOGEE_ID and TELESCOPE") as table:
        names = summary.choose(table.names, table.path, file.apred)
        if table.rows == 0:
            raise IngestError(f"{file.path}: has 0 rows in HDU {table.hdu}. Is it finished?")
        yield table, RowMapper(summary, file.path, file.apred, names)


def _newest_rows(file: SummaryFile, limit: int | None) -> NewestRows:
    versions = Versions()
    with _open(file) as (table, mapper):
        for chunk in table.chunks(mapper.key_columns(), CHUNK_ROWS, limit=limit):
            versions.add(*mapper.keys(chunk))
    return versions.newest()


def _read_rows(
    database: Database,
    table: FitsTable,
    mapper: RowMapper,
    newest: NewestRows,
    report: IngestReport,
    *,
    limit: int | None,
    chunk_rows: int,
    say: Say,
) -> None:
    total = table.rows if limit is None else min(limit, table.rows)
    tell = teller(mapper.path.name, total, say)
    columns = list(dict.fromkeys(mapper.names.values()))
    seen = {name: SeenKeys() for name in mapper.summary.drp_keys}
    writer = SummaryWriter(database, mapper)
    for chunk in table.chunks(columns, chunk_rows, limit=limit):
        report.read += len(chunk.columns)
        kept = _newest_only(chunk, mapper, newest, report)
        mapped = _unique_drp_keys(kept, seen, mapper)
        added, updated = writer.write(mapped.rows)
        report.added += added
        report.updated += updated
        report.unchanged += len(mapped.rows) - added - updated
        report.refuse(mapped.refusals)
        report.mend(mapped.mended)
        tell(report.read)


def _newest_only(chunk: Chunk, mapper: RowMapper, newest: NewestRows, report: IngestReport) -> Mapped:
    """The rows of a chunk that count: older versions are left out, repeated rows are refused."""
    numbers = np.arange(chunk.first, chunk.first + len(chunk.columns))
    hashes, versions = mapper.keys(chunk)
    counting = newest.counts(hashes, numbers)
    mapped = mapper.map(chunk)
    if counting.all():
        return mapped
    outdated = newest.outdated(hashes, versions) & ~counting
    report.repeated += int(outdated.sum())
    place = mapped.numbers - chunk.first
    mapped.refusals = [each for each in mapped.refusals if not outdated[each.row - chunk.first]]
    names = ", ".join(mapper.names.get(name, name) for name in mapper.summary.within)
    kept = (counting | ~outdated)[place]
    repeated = ~counting[place][kept]
    return mapped.keep(kept).refuse_repeated(
        repeated, lambda _: f"an earlier row has the same {names}", mapper.path
    )


def _unique_drp_keys(mapped: Mapped, seen: dict[str, SeenKeys], mapper: RowMapper) -> Mapped:
    """Refuse rows with a key of the reduction's database that another row of the file has."""
    for name, keys in seen.items():
        if name not in mapped.rows.column_names:
            continue
        given = mapped.rows[name]
        there = np.flatnonzero(np.asarray(pc.is_valid(given)))
        again = np.zeros(len(given), dtype=bool)
        again[there] = keys.repeated(hash_rows([np.asarray(given.drop_null(), dtype=np.int64)]))
        if again.any():
            called = mapper.names[name]
            texts = [f"{called} {value} is that of an earlier row" for value in given]
            mapped = mapped.refuse_repeated(again, texts.__getitem__, mapper.path)
    return mapped


class SummaryWriter:
    """Writes the rows of one file, a chunk in a transaction.

    Where a telescope had no row of the reduction before the file, there is nothing to compare with: keys are unique
    in the file. Keys of the reduction's own database are unique in the whole table, so that rows with them are
    compared always.
    """

    def __init__(self, database: Database, mapper: RowMapper) -> None:
        self._database = database
        self._summary = mapper.summary
        table = mapper.summary.table
        query = select(table.c.telescope).where(
            table.c.release == mapper.release, table.c.apred == mapper.apred
        )
        with database.connect() as connection:
            self._known = set(connection.scalars(query.distinct()))

    def write(self, mapped: pa.Table) -> tuple[int, int]:
        """Write one chunk; returns how many rows were added and updated."""
        if not len(mapped):
            return 0, 0
        names = [f"identity_{name}" for name in IDENTITY]
        rows, identity = mapped.drop_columns(names), mapped.select(names).rename_columns(list(IDENTITY))
        numbered = any(name in rows.column_names for name in self._summary.drp_keys)
        with self._database.begin() as connection:
            if numbered or self._known & set(pc.unique(rows["telescope"]).to_pylist()):
                return self._compare(connection, rows, identity)
            keys = add_spectra(self._database, connection, self._summary.table, rows)
            self._database.insert(connection, KNOWN, _worth_keeping(identity, keys, self._summary))
            return len(rows), 0

    def _compare(self, connection: Connection, rows: pa.Table, identity: pa.Table) -> tuple[int, int]:
        summary, now = self._summary, utcnow()
        keep = [name for name in FROM_HEADERS[summary.name] if name in rows.column_names]
        visits = summary is ALL_VISIT
        read_again: dict[str, Any] = {"dithered": None} if visits else {}
        bits = {"spectrum_flags": CORRUPTED} if visits else {}
        with staged(self._database, connection, summary.table, rows, summary.key) as stage:
            _release_drp_keys(connection, stage, summary)
            compared = [name for name in rows.column_names if name not in summary.key]
            updated = stage.update(compared, now, keep=keep, own_bits=bits, also_set=read_again)
            new = stage.new_rows()
            add_spectra(self._database, connection, summary.table, rows.take(pa.array(new)))
            stage.match()
            _remember_identity(self._database, connection, stage, identity, summary)
            if not visits:
                _ask_for_headers(connection, stage, now)
        return len(new), updated


def _release_drp_keys(connection: Connection, stage: Stage, summary: Summary) -> None:
    """Take keys of the reduction's database from rows that had them before the reduction numbered its rows anew."""
    target = summary.table
    for name in summary.drp_keys:
        if name in stage.table.c:
            holder = target.alias("holder")
            moved = (
                select(holder.c.pk)
                .join(stage.table, stage.table.c[name] == holder.c[name])
                .where(holder.c.pk.is_distinct_from(stage.table.c[OWN_KEY]))
            )
            connection.execute(update(target).where(target.c.pk.in_(moved)).values({name: None}))


def _worth_keeping(identity: pa.Table, keys: NDArray[np.int64], summary: Summary) -> pa.Table:
    """What is to be kept of the identity of spectra: of visits what their own table has not, of coadds all."""
    known = identity.append_column("spectrum_pk", pa.array(keys))
    if summary is ALL_VISIT:
        known = known.drop_columns(["catalogid"]).filter(pc.is_valid(known["sdss_id"]))
    return known


def _remember_identity(
    database: Database, connection: Connection, stage: Stage, identity: pa.Table, summary: Summary
) -> None:
    """Keep what says which source the rows belong to."""
    query = select(stage.row, stage.target.c.spectrum_pk).join_from(stage.table, stage.target, stage.same)
    found = connection.execute(query).all()
    place, keys = (np.array([row[n] for row in found], dtype=np.int64) for n in (0, 1))
    known = _worth_keeping(identity.take(pa.array(place)), keys, summary)
    if len(known):
        with staged(database, connection, KNOWN, known, ("spectrum_pk",)) as facts:
            facts.update([name for name in known.column_names if name != "spectrum_pk"], utcnow())
            database.insert(connection, KNOWN, known.take(pa.array(facts.new_rows())))


def _ask_for_headers(connection: Connection, stage: Stage, now: datetime) -> None:
    """Have the headers of stars read again whose rows changed."""
    target = stage.target
    changed = (
        select(target.c.spectrum_pk)
        .join_from(stage.table, target, stage.same)
        .where(target.c.modified == now)
    )
    connection.execute(
        update(KNOWN)
        .where(KNOWN.c.spectrum_pk.in_(changed), KNOWN.c.n_unmatched.is_not(None))
        .values(n_unmatched=None, modified=now)
    )
