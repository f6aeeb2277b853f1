"""Header metadata of specFull files into boss_visit_spectrum, with the time of the night of each exposure.

A header is read where n_guide is NULL: that is so for new spectra and for those whose row of spAll changed,
and for no other, since a header without the key gives -1.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from sqlalchemy import ColumnElement, select

from astra_assets.astronomy.constants import SECONDS_PER_DAY
from astra_assets.database.database import Database
from astra_assets.files.paths import SPEC_FULL_COLUMNS, spec_full_path
from astra_assets.ingest.boss.header_cards import INTEGERS, KEYS, Number, read_header
from astra_assets.ingest.header_files import THREADS, HeaderKind, HeaderReport, Spectrum, read_files
from astra_assets.ingest.night import fraction_of_night
from astra_assets.ingest.report import Say
from astra_assets.ingest.stage import staged
from astra_assets.models.base import table_of, utcnow
from astra_assets.models.boss import BossVisitSpectrum

CHUNK_FILES = 5_000
"""Files of one transaction."""

MAX_DAYS_OFF = 2.0
"""Days between the MJD of a spectrum and its exposure; more than this and the header's time is wrong."""

VISITS = table_of(BossVisitSpectrum)
UNREAD: ColumnElement[bool] = VISITS.c.n_guide.is_(None)


def read_spec_headers(
    database: Database, sas_base_dir: Path, *, threads: int = THREADS, progress: Say | None = None
) -> HeaderReport:
    """Read the headers of all spectra that need it, each file once.

    A file that is missing or damaged is counted and tried again in the next run.
    """
    report = HeaderReport()

    columns = ("pk", "spectrum_pk", *SPEC_FULL_COLUMNS, "telescope")
    read_files(
        database,
        select(*(VISITS.c[name] for name in columns)).where(UNREAD),
        VISITS.c.pk,
        HeaderKind("specFull", _path, read_header),
        partial(_write, database, report),
        sas_base_dir=sas_base_dir,
        report=report,
        chunk_files=CHUNK_FILES,
        threads=threads,
        progress=progress,
    )
    return report


def _path(visit: Spectrum) -> str:
    return spec_full_path(**{name: getattr(visit, name) for name in SPEC_FULL_COLUMNS})


def _write(
    database: Database,
    report: HeaderReport,
    read: Sequence[tuple[Spectrum, dict[str, Number]]],
    _failed: Sequence[Spectrum],
) -> None:
    """Write what the headers of some visits say, in one transaction."""
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


def header_rows(read: Sequence[tuple[Spectrum, dict[str, Number]]]) -> pa.Table:
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
