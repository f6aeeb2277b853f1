"""Headers of apStar files: which visits are inside, as rows of apogee_visit_spectrum_in_ap_star.

And what the header says of the coadd where its row has nothing. The header lists the apVisit file of each visit
(SFILE1, SFILE2, ...); a visit is found among the visits of the same object by telescope, plate, night and fibre. A
header is read where `ingest_spectrum.n_unmatched` is NULL: for new coadds, for those whose row of allStar changed and
those whose file could not be read; after visits came in also where some were not found before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
from sqlalchemy import ColumnElement, Connection, or_, select

from astra_assets.database.database import Database
from astra_assets.files.paths import ap_star_path
from astra_assets.fits.read_header import read_headers
from astra_assets.ingest.apogee.summary_files import KNOWN
from astra_assets.ingest.header_files import (
    THREADS,
    HeaderKind,
    HeaderReport,
    Spectrum,
    held_number,
    read_files,
)
from astra_assets.ingest.report import MAX_LISTED, Say
from astra_assets.ingest.stage import staged
from astra_assets.ingest.summary_rows import add_spectra
from astra_assets.models.apogee import (
    ApogeeCoaddedSpectrumInApStar,
    ApogeeVisitSpectrum,
    ApogeeVisitSpectrumInApStar,
)
from astra_assets.models.base import table_of, utcnow

CHUNK_FILES = 2_000
"""Files of one transaction: a coadd has some five visits, at most a few hundred."""

NUMBERS: Mapping[str, tuple[str, ...]] = {
    "snr": ("SNR",),
    "mean_fiber": ("MEANFIB",),
    "std_fiber": ("SIGFIB",),
    "v_rad": ("VHBARY", "VHELIO", "VRAD"),
    "e_v_rad": ("VERR",),
    "std_v_rad": ("VSCATTER",),
    "median_e_v_rad": ("VERR_MED",),
    "n_visits": ("NVISITS",),
}
"""Columns of a coadd and the keys that fill them where they are NULL.

Old reductions have both VHELIO and VRAD, which is the shift of the coadd there, so VRAD comes last.
"""

STARS = table_of(ApogeeCoaddedSpectrumInApStar)
VISITS = table_of(ApogeeVisitSpectrum)
INSIDE = table_of(ApogeeVisitSpectrumInApStar)

COMMON = ("release", "apred", "apstar", "obj", "telescope", "field", "prefix", "healpix")
"""Columns that a visit in an apStar file shares with the coadd."""

KEY = ("release", "apred", "apstar", "obj", "telescope", "field", "prefix", "plate", "mjd", "fiber")
BY_FIBER = ("release", "apred", "mjd", "plate", "telescope", "fiber", "obj")
BY_REDUCTION = ("release", "apred", "mjd", "telescope", "reduction", "obj")
"""What finds a visit: the 1 m telescope has no plates and names its files by the object."""


@dataclass(frozen=True)
class StarHeader:
    """What the header of an apStar file says.

    Attributes:
        numbers: columns of the coadd.
        files: base names of the apVisit files of its visits, in order.
    """

    numbers: dict[str, float | None]
    files: tuple[str, ...]


@dataclass
class StarHeaderReport(HeaderReport):
    """What reading headers of apStar files did.

    Attributes:
        added: visits that are new.
        changed: visits that were there and differed.
        visits: visits that the headers list.
        n_unmatched: those of them that are no rows of apogee_visit_spectrum.
        unmatched: the first of them, in words.
    """

    added: int = 0
    changed: int = 0
    visits: int = 0
    n_unmatched: int = 0
    unmatched: list[str] = field(default_factory=list)


def read_header(path: Path) -> StarHeader:
    """The header of an apStar file.

    Raises:
        FitsReadError: the file is missing (`missing_file`) or has no complete FITS header (`unreadable_file`).
    """
    header = read_headers(path)[0]
    numbers: dict[str, float | None] = {}
    for column, keys in NUMBERS.items():
        value = next((header.fields[key] for key in keys if key in header), b"")
        numbers[column] = held_number(column, value, STARS)
    files: list[str] = []
    while (key := f"SFILE{len(files) + 1}") in header:
        files.append(header.text(key))
    return StarHeader(numbers, tuple(files))


def parse_file_name(name: str, apred: str) -> dict[str, Any] | None:
    """Night and plate and fibre, or reduction, of an apVisit file by its base name; None where it says neither.

    Forms: apVisit-{apred}-{telescope}-{plate}-{mjd}-{fiber}.fits (SDSS-V), {prefix}Visit-{apred}-{plate}-{mjd}-
    {fiber}.fits (SDSS-IV) and apVisit-{apred}-{mjd}-{reduction}.fits (its 1 m telescope).
    """
    parts = name.removesuffix(".fits").removesuffix(".gz").split("-")
    if len(parts) >= 5 and parts[-1].isdigit() and parts[-2].isdigit() and len(parts[-1]) <= 3:
        return {"plate": parts[-3], "mjd": int(parts[-2]), "fiber": int(parts[-1]), "reduction": ""}
    _, found, rest = name.partition(f"Visit-{apred}-")
    mjd, dash, reduction = rest.removesuffix(".fits").partition("-")
    if found and dash and mjd.isdigit() and reduction:
        return {"plate": "", "mjd": int(mjd), "fiber": -1, "reduction": reduction}
    return None


def read_ap_star_headers(
    database: Database,
    sas_base_dir: Path,
    *,
    again: bool = True,
    threads: int = THREADS,
    progress: Say | None = None,
) -> StarHeaderReport:
    """Read the headers of all coadds that need it, each file once.

    A file that is missing or damaged is counted and tried again in the next run.

    Args:
        database: where to.
        sas_base_dir: the root of the reductions.
        again: also where visits were not found before; needed when visits came in.
        threads: files that are open at once.
        progress: told how far it is.
    """
    report = StarHeaderReport()
    unread: ColumnElement[bool] = KNOWN.c.n_unmatched.is_(None)
    if again:
        unread = or_(unread, KNOWN.c.n_unmatched > 0)
    columns = [STARS.c[name] for name in ("pk", "spectrum_pk", *COMMON)]
    stars = STARS.join(KNOWN, KNOWN.c.spectrum_pk == STARS.c.spectrum_pk)

    read_files(
        database,
        select(*columns).select_from(stars).where(unread),
        STARS.c.pk,
        HeaderKind("apStar", lambda star: ap_star_path(star._asdict()), read_header),
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
    report: StarHeaderReport,
    read: Sequence[tuple[Spectrum, StarHeader]],
    _failed: Sequence[Spectrum],
) -> None:
    """Write what the headers of some coadds say, in one transaction."""
    if not read:
        return
    listed, unmatched = _listed(read, report)
    with database.begin() as connection:
        for key, chosen in ((BY_FIBER, False), (BY_REDUCTION, True)):
            rows = [row for row in listed if bool(row["reduction"]) is chosen]
            _find_visits(database, connection, rows, key)
        _leave_out(connection, listed, unmatched, report)
        _write_visits(database, connection, [row for row in listed if row["drp_spectrum_pk"]], report)
        _write_coadds(database, connection, read, listed, report)
        counts = [unmatched[star.spectrum_pk] for star, _ in read]
        keys = [star.spectrum_pk for star, _ in read]
        rows = pa.table(
            {"spectrum_pk": pa.array(keys, pa.int64()), "n_unmatched": pa.array(counts, pa.int32())}
        )
        with staged(database, connection, KNOWN, rows, ("spectrum_pk",)) as stage:
            stage.update(["n_unmatched"], utcnow())


Listed = dict[str, Any]
"""A visit in a header: columns of apogee_visit_spectrum_in_ap_star, and `star`, the spectrum_pk of the coadd."""


def _listed(
    read: Sequence[tuple[Spectrum, StarHeader]], report: StarHeaderReport
) -> tuple[list[Listed], dict[int, int]]:
    """The visits of some headers, and for each coadd how many of its visits have a name that says nothing."""
    listed: list[Listed] = []
    unmatched: dict[int, int] = {}
    for star, header in read:
        shared = {name: getattr(star, name) for name in COMMON}
        unmatched[star.spectrum_pk] = 0
        for file in header.files:
            report.visits += 1
            parts = parse_file_name(file, star.apred)
            more = {
                "star": star.spectrum_pk,
                "file": file,
                "drp_spectrum_pk": None,
            }
            listed.append(
                {**shared, **(parts or {"plate": "", "mjd": 0, "fiber": -1, "reduction": ""}), **more}
            )
    return listed, unmatched


def _find_visits(
    database: Database, connection: Connection, rows: Sequence[Listed], key: Sequence[str]
) -> None:
    """Set the spectrum_pk, and what the visit's own row says of plate and fibre, of visits that are found."""
    if not rows:
        return
    wanted = _table(rows, key)
    with staged(database, connection, VISITS, wanted, key) as stage:
        columns = [VISITS.c[name] for name in ("spectrum_pk", "plate", "fiber")]
        query = select(stage.row, *columns).join_from(stage.table, VISITS, stage.same)
        for number, spectrum_pk, plate, fiber in connection.execute(query):
            rows[number].update(drp_spectrum_pk=spectrum_pk, plate=plate, fiber=fiber)


def _leave_out(
    connection: Connection, listed: Sequence[Listed], unmatched: dict[int, int], report: StarHeaderReport
) -> None:
    """Count visits that were not found, and those that another apStar file has already."""
    wanted = [row["drp_spectrum_pk"] for row in listed if row["drp_spectrum_pk"]]
    holders: dict[int, tuple[Any, ...]] = {}
    for start in range(0, len(wanted), 10_000):
        query = select(INSIDE.c.drp_spectrum_pk, *(INSIDE.c[name] for name in KEY))
        chosen = query.where(INSIDE.c.drp_spectrum_pk.in_(wanted[start : start + 10_000]))
        holders |= {row[0]: tuple(row[1:]) for row in connection.execute(chosen)}
    keys: set[tuple[Any, ...]] = set()
    for row in listed:
        key, visit = tuple(row[name] for name in KEY), row["drp_spectrum_pk"]
        if visit is None:
            reason = "no visit of the object has this name"
        elif holders.setdefault(visit, key) != key:
            reason = "the visit is in the apStar file of another coadd, or listed twice"
        elif key in keys:
            reason = "it is listed twice"
        else:
            keys.add(key)
            continue
        row["drp_spectrum_pk"] = None
        unmatched[row["star"]] += 1
        report.n_unmatched += 1
        if len(report.unmatched) < MAX_LISTED:
            report.unmatched.append(f"apStar of {row['obj']} ({row['telescope']}): {row['file']}: {reason}")


def _write_visits(
    database: Database, connection: Connection, rows: Sequence[Listed], report: StarHeaderReport
) -> None:
    if not rows:
        return
    names = (*COMMON, "plate", "mjd", "fiber", "reduction", "drp_spectrum_pk")
    made = _table(rows, names).append_column("filetype", pa.repeat("apStar", len(rows)))
    with staged(database, connection, INSIDE, made, KEY) as stage:
        compared = [name for name in made.column_names if name not in KEY]
        report.changed += stage.update(compared, utcnow())
        new = stage.new_rows()
        add_spectra(database, connection, INSIDE, made.take(pa.array(new)))
        report.added += len(new)


def _write_coadds(
    database: Database,
    connection: Connection,
    read: Sequence[tuple[Spectrum, StarHeader]],
    listed: Sequence[Listed],
    report: StarHeaderReport,
) -> None:
    """Fill what is NULL in the rows of coadds."""
    nights: dict[int, list[int]] = {}
    for row in listed:
        if row["mjd"]:
            nights.setdefault(row["star"], []).append(row["mjd"])
    rows: list[dict[str, Any]] = []
    for star, header in read:
        mjds = nights.get(star.spectrum_pk, [])
        span = {"min_mjd": min(mjds, default=None), "max_mjd": max(mjds, default=None)}
        rows.append({"pk": star.pk, **header.numbers, **span})
    columns = (*NUMBERS, "min_mjd", "max_mjd")
    lacking = {name: STARS.c[name].is_(None) for name in columns}
    with staged(database, connection, STARS, _table(rows, ("pk", *columns)), ("pk",)) as stage:
        report.updated += stage.update(columns, utcnow(), keep=columns, only_where=lacking)


TYPES: Mapping[str, pa.DataType] = {
    **dict.fromkeys(("pk", "drp_spectrum_pk"), pa.int64()),
    **dict.fromkeys(("mjd", "fiber", "healpix", "min_mjd", "max_mjd", "n_visits"), pa.int32()),
    **dict.fromkeys((name for name in NUMBERS if name != "n_visits"), pa.float64()),
}
"""Types of columns that are no text."""


def _table(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> pa.Table:
    return pa.table(
        {name: pa.array([row[name] for row in rows], TYPES.get(name, pa.string())) for name in names}
    )
