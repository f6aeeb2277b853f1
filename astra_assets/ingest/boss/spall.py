"""The summary file of a BOSS reduction (spAll) into boss_visit_spectrum.

Rows are compared by content with those that exist, so it does not matter which nights a file repeats or how
late a reduction comes: new rows are added, rows that differ are updated, all others are left alone. Each
chunk of rows is one transaction; since a row is complete in itself, the chunks before a point where a file
breaks off stay, and reading the file again goes on from there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlalchemy import exists, select

from astra_assets.database.database import Database
from astra_assets.fits.read_table import FitsTable, open_table
from astra_assets.ingest.boss.spall_columns import RELEASE, VisitMapper, absence_notes, choose_columns
from astra_assets.ingest.ledger import FileLedger, Stamp
from astra_assets.ingest.report import IngestError, IngestReport, Say, as_ingest_errors, silent
from astra_assets.ingest.seen import SeenKeys
from astra_assets.ingest.stage import staged
from astra_assets.ingest.summary_rows import CHUNK_ROWS, add_spectra, first_of_each_key, note_read, teller
from astra_assets.models.base import table_of, utcnow
from astra_assets.models.boss import BossVisitSpectrum

KIND = "spall"
VISITS = table_of(BossVisitSpectrum)
KEY = ("release", "run2d", "fieldid", "mjd", "catalogid")
NUMBERS, WORDING = ("fieldid", "mjd", "catalogid"), "FIELD {}, MJD {} and CATALOGID {}"
"""The columns of the key that differ within a file, and how messages call them."""

READ_HEADER_AGAIN = {"n_guide": None}
"""What is set in rows that differ: `spec_headers` reads the header of spectra whose n_guide is NULL."""


def ingest_spall(
    database: Database,
    path: Path,
    *,
    run2d: str,
    sas_base_dir: Path,
    limit: int | None = None,
    chunk_rows: int = CHUNK_ROWS,
    progress: Say | None = None,
    ledger: FileLedger | None = None,
) -> IngestReport:
    """Bring the rows of an spAll file (FITS, plain or gzipped) into the database.

    A file that was ingested completely and did not change since is not read again. Rows that cannot be
    used are refused one by one; of rows with the same key the first is used.

    Args:
        database: where to.
        path: the file.
        run2d: the reduction it summarises.
        sas_base_dir: the folder that no path of a spectrum may leave.
        limit: read only this many rows; the file then does not count as ingested.
        chunk_rows: rows of one transaction.
        progress: told how far it is.
        ledger: the files that were ingested; without one the file is entered at the end.

    Raises:
        IngestError: the file is missing, empty, damaged or no spAll file.

    """
    say = progress or silent
    own_ledger = ledger or FileLedger(database)
    stamp = Stamp.of(Path(path))
    report = IngestReport(str(path))
    if own_ledger.passes_over(report, stamp, KIND, run2d, say):
        return report
    with _open_spall(Path(path)) as (table, names):
        report.notes += absence_notes(names, Path(path))
        mapper = VisitMapper(Path(path), run2d, sas_base_dir, names)
        _read_rows(database, table, mapper, report, limit=limit, chunk_rows=chunk_rows, say=say)
        note_read(own_ledger, table, report, stamp, kind=KIND, version=run2d, limit=limit)
    if ledger is None:
        own_ledger.enter()
    return report


@contextmanager
def _open_spall(path: Path) -> Iterator[tuple[FitsTable, dict[str, str]]]:
    """The table of an spAll file, and its column for each name of spAll that is used."""
    wanted = {"mjd", "catalogid"}.issubset
    with as_ingest_errors(), open_table(path, wanted, "columns MJD and CATALOGID") as table:
        names = choose_columns(table.names, table.path)
        if table.rows == 0:
            raise IngestError(
                f"{path}: has 0 rows in HDU {table.hdu}, expected one per spectrum. Is it finished?"
            )
        table.without_null(names["FIELD"])  # declared as 0 (see TNULL1 of DR19's file), which is a field
        yield table, names


def _read_rows(
    database: Database,
    table: FitsTable,
    mapper: VisitMapper,
    report: IngestReport,
    *,
    limit: int | None,
    chunk_rows: int,
    say: Say,
) -> None:
    total = table.rows if limit is None else min(limit, table.rows)
    seen = SeenKeys()
    pristine = _has_no_rows(database, mapper.run2d)
    tell = teller(mapper.path.name, total, say)
    for chunk in table.chunks(list(mapper.names.values()), chunk_rows, limit=limit):
        mapped = first_of_each_key(mapper.map(chunk), NUMBERS, WORDING, seen, str(mapper.path))
        added, updated = _write(database, mapped.rows, pristine=pristine)
        report.read += len(chunk.columns)
        report.added += added
        report.updated += updated
        report.unchanged += len(mapped.rows) - added - updated
        report.refuse(mapped.refusals)
        report.mend(mapped.mended)
        tell(report.read)


def _has_no_rows(database: Database, run2d: str) -> bool:
    query = select(exists().where(VISITS.c.release == RELEASE, VISITS.c.run2d == run2d))
    with database.connect() as connection:
        return not connection.scalar(query)


def _write(database: Database, visits: pa.Table, *, pristine: bool) -> tuple[int, int]:
    """Write one chunk in a transaction; returns how many rows were added and updated.

    Where the reduction had no row before (`pristine`) there is nothing to compare with: keys are unique
    in the file.
    """
    if not len(visits):
        return 0, 0
    now = utcnow()
    with database.begin() as connection:
        if pristine:
            new: NDArray[np.int64] = np.arange(len(visits))
            updated = 0
        else:
            with staged(database, connection, VISITS, visits, KEY) as stage:
                compared = [name for name in visits.column_names if name not in KEY]
                updated = stage.update(compared, now, keep=("airmass",), also_set=READ_HEADER_AGAIN)
                new = stage.new_rows()
        add_spectra(database, connection, VISITS, visits.take(pa.array(new)))
    return len(new), updated
