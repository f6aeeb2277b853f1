"""Headers of apVisit files into apogee_visit_spectrum: whether it was dithered, exposure time, frames.

A header is read where `dithered` is NULL: that is so for new visits, for those whose row of allVisit changed, and for
those whose file could not be read, which have a flag as well. Belongs here: which files are read and what becomes
of them. Does not belong here: the bytes (`fits_header`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
from sqlalchemy import ColumnElement, and_, func, or_, select, update

from astra_assets.database.database import Database
from astra_assets.files.paths import AP_VISIT_COLUMNS, ap_visit_path
from astra_assets.ingest.apogee.apogee_rows import CORRUPTED
from astra_assets.ingest.fits_header import HeaderError, Value, cards, parse_number, read_headers
from astra_assets.ingest.header_files import THREADS, HeaderReport, Spectrum, read_files, readable, reader
from astra_assets.ingest.report import Say
from astra_assets.ingest.stage import staged, written
from astra_assets.models.apogee import ApogeeVisitSpectrum
from astra_assets.models.base import table_of, utcnow

CHUNK_FILES = 5_000
"""Files of one transaction."""

DITHERED_PIXELS = 4096
"""Pixels of a chip where exposures were dithered; 2048 where not."""

LARGEST = 2**31 - 1
KEYS = {b"EXPTIME ": ("exptime", None), b"NCOMBINE": ("n_frames", LARGEST)}
"""Keys of the primary header, the columns that they fill, and how large a whole number may be."""

VISITS = table_of(ApogeeVisitSpectrum)
UNREAD: ColumnElement[bool] = VISITS.c.dithered.is_(None)


def read_header(path: Path) -> dict[str, Value]:
    """What the headers of an apVisit file and of its first image say; None where a key is missing.

    Raises:
        HeaderError: the file is missing (`missing_file`), damaged or of another kind (`unreadable_file`).
    """
    primary, image = read_headers(path, 2)
    found: dict[str, Value] = dict.fromkeys(column for column, _ in KEYS.values())
    for key, field in cards(primary):
        if key in KEYS:
            column, largest = KEYS[key]
            found[column] = parse_number(field, largest)
    pixels = next((parse_number(field, LARGEST) for key, field in cards(image) if key == b"NAXIS1  "), None)
    if pixels not in (DITHERED_PIXELS, DITHERED_PIXELS // 2):
        raise HeaderError(
            "unreadable_file",
            f"{path}: NAXIS1 of HDU 1 is {pixels}, expected {DITHERED_PIXELS} or {DITHERED_PIXELS // 2} pixels of a chip",
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

    def write(visits: Sequence[Spectrum], found: Iterable[dict[str, Value] | HeaderError]) -> None:
        _write(database, visits, found, report)

    read_files(
        database,
        select(*(VISITS.c[name] for name in ("pk", "spectrum_pk", *AP_VISIT_COLUMNS))).where(UNREAD),
        VISITS.c.pk,
        reader(sas_base_dir, lambda visit: ap_visit_path(visit._asdict()), read_header),
        write,
        report=report,
        what="apVisit",
        chunk_files=CHUNK_FILES,
        threads=threads,
        progress=progress,
    )
    return report


def _write(
    database: Database,
    visits: Sequence[Spectrum],
    found: Iterable[dict[str, Value] | HeaderError],
    report: HeaderReport,
) -> None:
    """Write what the headers of some visits say, in one transaction."""
    read = {visit.pk: header for visit, header in readable(visits, found, report)}
    failed = [visit.pk for visit in visits if visit.pk not in read]
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
        flagged = update(VISITS).where(VISITS.c.pk.in_(failed), whole)
        report.flagged += written(
            connection, flagged.values(spectrum_flags=flags.bitwise_or(CORRUPTED), modified=now)
        )


def _rows(read: dict[int, dict[str, Value]]) -> pa.Table:
    types = {"exptime": pa.float64(), "n_frames": pa.int32(), "dithered": pa.bool_()}
    columns = {
        name: pa.array([header[name] for header in read.values()], kind) for name, kind in types.items()
    }
    return pa.table({"pk": pa.array(list(read), pa.int64()), **columns})
