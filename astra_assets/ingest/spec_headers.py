"""Header metadata of specFull files into boss_visit_spectrum, with the time of the night of each exposure.

A header is read where n_guide is NULL: that is so for new spectra and for those whose row of spAll changed,
and for no other, since a header without the key gives -1. Belongs here: which files are read, many at a
time. Does not belong here: the bytes (`header_cards`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import ColumnElement, Row, func, select

from astra_assets.ingest.fits_header import HeaderError, Value
from astra_assets.ingest.header_cards import INTEGERS, KEYS, read_header
from astra_assets.ingest.header_files import THREADS, HeaderProblem, HeaderReport, read_files
from astra_assets.ingest.night import SECONDS_PER_DAY, fraction_of_night
from astra_assets.ingest.report import Say, silent
from astra_assets.ingest.stage import staged
from astra_assets.models.base import table_of, utcnow
from astra_assets.models.boss import BossVisitSpectrum
from astra_assets.models.database import Database
from astra_assets.models.paths import PathLeavesRoot, inside, spec_full_path

CHUNK_FILES = 5_000
"""Files of one transaction."""

MAX_DAYS_OFF = 2.0
"""Days between the MJD of a spectrum and its exposure; more than this and the header's time is wrong."""

VISITS = table_of(BossVisitSpectrum)
UNREAD: ColumnElement[bool] = VISITS.c.n_guide.is_(None)

Visit = Row[tuple[Any, ...]]


def read_spec_headers(
    database: Database, sas_base_dir: Path, *, threads: int = THREADS, progress: Say | None = None
) -> HeaderReport:
    """Read the headers of all spectra that need it, each file once.

    A file that is missing or damaged is counted and tried again in the next run.
    """
    report = HeaderReport()
    say = progress or silent
    with database.connect() as connection:
        total = connection.scalar(select(func.count()).select_from(VISITS).where(UNREAD)) or 0
    if not total:
        return report

    def write(visits: Sequence[Visit], found: Iterable[dict[str, Value] | HeaderError]) -> None:
        _read_chunk(database, visits, found, report)

    read_files(
        lambda last_pk: _next_visits(database, last_pk),
        _reader(sas_base_dir),
        write,
        lambda: say(f"headers of specFull files: {report.read + report.n_problems:,} of {total:,}"),
        threads=threads,
    )
    return report


def _next_visits(database: Database, last_pk: int) -> Sequence[Visit]:
    columns = ("pk", "spectrum_pk", "run2d", "fieldid", "mjd", "catalogid", "spec_file", "telescope")
    query = (
        select(*(VISITS.c[name] for name in columns))
        .where(UNREAD, VISITS.c.pk > last_pk)
        .order_by(VISITS.c.pk)
        .limit(CHUNK_FILES)
    )
    with database.connect() as connection:
        return connection.execute(query).all()


def _reader(sas_base_dir: Path) -> Callable[[Visit], dict[str, Value] | HeaderError]:
    """Reads the header of a visit; a problem is returned, not raised."""

    def read(visit: Visit) -> dict[str, Value] | HeaderError:
        try:
            relative = spec_full_path(visit.run2d, visit.fieldid, visit.mjd, visit.catalogid, visit.spec_file)
            return read_header(inside(sas_base_dir, relative))
        except PathLeavesRoot as error:
            return HeaderError("outside_root", str(error))
        except HeaderError as error:
            return error

    return read


def _read_chunk(
    database: Database,
    visits: Sequence[Visit],
    found: Iterable[dict[str, Value] | HeaderError],
    report: HeaderReport,
) -> None:
    """Write what the headers of some visits say, in one transaction."""
    read: list[tuple[Visit, dict[str, Value]]] = []
    for visit, header in zip(visits, found, strict=True):
        if isinstance(header, HeaderError):
            report.add_problem(HeaderProblem(visit.spectrum_pk, header.code, str(header)))
        else:
            read.append((visit, header))
    report.read += len(read)
    if not read:
        return
    rows = header_rows(read)
    with (
        database.begin() as connection,
        staged(database, connection, VISITS, rows, ("pk",)) as stage,
    ):
        # The airmass of spAll goes before that of the header.
        only_where = {"airmass": VISITS.c.airmass.is_(None)}
        columns = [name for name in rows.column_names if name != "pk"]
        report.updated += stage.update(columns, utcnow(), only_where=only_where)


def header_rows(read: Sequence[tuple[Visit, dict[str, Value]]]) -> pa.Table:
    """The columns of boss_visit_spectrum that headers fill, with f_night_time."""
    arrays = {"pk": pa.array([visit.pk for visit, _ in read], type=pa.int64())}
    for name in KEYS.values():
        arrow_type = pa.int64() if name in INTEGERS else pa.float64()
        arrays[name] = pa.array([header[name] for _, header in read], type=arrow_type)
    begin, end = (
        np.array([header[name] for _, header in read], dtype=float) for name in ("tai_beg", "tai_end")
    )
    middle = (begin + end) / 2
    mjd = np.array([visit.mjd for visit, _ in read], dtype=float)
    middle[np.abs(middle / SECONDS_PER_DAY - mjd) > MAX_DAYS_OFF] = np.nan
    telescope = np.array([visit.telescope or "" for visit, _ in read])
    fraction = fraction_of_night(middle, telescope)
    arrays["f_night_time"] = pa.array(fraction, mask=np.isnan(fraction))
    return pa.table(arrays)
