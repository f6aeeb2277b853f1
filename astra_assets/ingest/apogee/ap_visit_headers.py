"""Headers of apVisit files into apogee_visit_spectrum: whether it was dithered, exposure time, frames.

A header is read where `dithered` is NULL: that is so for new visits, for those whose row of allVisit changed, and for
those whose file could not be read, which have a flag as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pyarrow as pa
from sqlalchemy import ColumnElement, and_, func, or_, select, update

from astra_assets.database.database import Database
from astra_assets.files.paths import AP_VISIT_COLUMNS, ap_visit_path
from astra_assets.fits.errors import FitsReadError
from astra_assets.fits.read_header import read_headers
from astra_assets.ingest.apogee.apogee_rows import CORRUPTED
from astra_assets.ingest.header_files import (
    THREADS,
    HeaderKind,
    HeaderReport,
    Spectrum,
    held_number,
    read_files,
)
from astra_assets.ingest.report import Say
from astra_assets.ingest.stage import staged, written
from astra_assets.models.apogee import ApogeeVisitSpectrum
from astra_assets.models.base import table_of, utcnow

CHUNK_FILES = 5_000
"""Files of one transaction."""

DITHERED_PIXELS = 4096
"""Pixels of a chip where exposures were dithered; 2048 where not."""

KEYS = {"EXPTIME": "exptime", "NCOMBINE": "n_frames"}
"""Keys of the primary header and the columns that they fill."""

Header = dict[str, int | float | None]
"""Columns of a visit."""

VISITS = table_of(ApogeeVisitSpectrum)
UNREAD: ColumnElement[bool] = VISITS.c.dithered.is_(None)


def read_header(path: Path) -> Header:
    """What the headers of an apVisit file and of its first image say; None where a key is missing.

    Raises:
        FitsReadError: the file is missing (`missing_file`), damaged or of another kind (`unreadable_file`).
    """
    primary, image = read_headers(path, 2)
    found: Header = {
        column: held_number(column, primary.fields[key], VISITS) if key in primary.fields else None
        for key, column in KEYS.items()
    }
    pixels = image.get("NAXIS1")
    if pixels not in (DITHERED_PIXELS, DITHERED_PIXELS // 2):
        raise FitsReadError(
            f"{path}: NAXIS1 of HDU 1 is {pixels}, expected {DITHERED_PIXELS} or {DITHERED_PIXELS // 2} pixels of a chip"
        )
    found["dithered"] = pixels == DITHERED_PIXELS
    return found


def read_ap_visit_headers(
    database: Database, sas_base_dir: Path, *, threads: int = THREADS, progress: Say | None = None
) -> HeaderReport:
    """Read the headers of all visits that need it, each file once.

    A file that is missing or damaged is flagged and counted, and tried again in the next run.
    """
    report = HeaderReport()

    read_files(
        database,
        select(*(VISITS.c[name] for name in ("pk", "spectrum_pk", *AP_VISIT_COLUMNS))).where(UNREAD),
        VISITS.c.pk,
        HeaderKind("apVisit", lambda visit: ap_visit_path(visit._asdict()), read_header),
        partial(_write, database, report),
        sas_base_dir=sas_base_dir,
        report=report,
        chunk_files=CHUNK_FILES,
        threads=threads,
        progress=progress,
    )
    return report


def _write(
    database: Database,
    report: HeaderReport,
    read: Sequence[tuple[Spectrum, Header]],
    failed: Sequence[Spectrum],
) -> None:
    """Write what the headers of some visits say, in one transaction."""
    flags, now = VISITS.c.spectrum_flags, utcnow()
    whole = flags.bitwise_and(CORRUPTED) == 0
    with database.begin() as connection:
        if read:
            rows = _rows(read)
            with staged(database, connection, VISITS, rows, ("pk",)) as stage:
                differs = or_(
                    ~whole, and_(stage.table.c.exptime.is_not(None), VISITS.c.exptime.is_(None)),
                    *(VISITS.c[name].is_distinct_from(stage.table.c[name]) for name in ("dithered", "n_frames")),
                )  # fmt: skip
                report.updated += written(
                    connection,
                    update(VISITS)
                    .where(stage.same, differs)
                    .values(
                        dithered=stage.table.c.dithered,
                        n_frames=stage.table.c.n_frames,
                        # The exposure time of allVisit goes before that of the header.
                        exptime=func.coalesce(VISITS.c.exptime, stage.table.c.exptime),
                        spectrum_flags=flags.bitwise_and(~CORRUPTED),
                        modified=now,
                    ),
                )
        flagged = update(VISITS).where(VISITS.c.pk.in_([visit.pk for visit in failed]), whole)
        report.flagged += written(
            connection, flagged.values(spectrum_flags=flags.bitwise_or(CORRUPTED), modified=now)
        )


def _rows(read: Sequence[tuple[Spectrum, Header]]) -> pa.Table:
    types = {"exptime": pa.float64(), "n_frames": pa.int32(), "dithered": pa.bool_()}
    columns = {name: pa.array([header[name] for _, header in read], kind) for name, kind in types.items()}
    return pa.table({"pk": pa.array([visit.pk for visit, _ in read], pa.int64()), **columns})
