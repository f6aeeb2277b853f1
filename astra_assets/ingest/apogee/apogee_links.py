"""APOGEE spectra find their sources: by catalogid as BOSS spectra do, else by sdss_id, else by the name in SDSS-IV.

All in SQL, for all spectra of a table at once.
"""

from __future__ import annotations

from sqlalchemy import (
    CTE,
    Connection,
    Select,
    Table,
    and_,
    case,
    func,
    select,
    true,
    update,
)
from sqlalchemy.sql.elements import ColumnElement

from astra_assets.database.database import Database
from astra_assets.ingest.links import COLUMNS, SOURCES, LinkReport, candidates, ranked
from astra_assets.ingest.stage import written
from astra_assets.ingest.statistics import refresh_statistics
from astra_assets.models.apogee import (
    ApogeeCoaddedSpectrumInApStar,
    ApogeeVisitSpectrum,
    ApogeeVisitSpectrumInApStar,
)
from astra_assets.models.base import table_of, utcnow
from astra_assets.models.ingest import IngestSpectrum

VISITS = table_of(ApogeeVisitSpectrum)
STARS = table_of(ApogeeCoaddedSpectrumInApStar)
INSIDE = table_of(ApogeeVisitSpectrumInApStar)
KNOWN = table_of(IngestSpectrum)

NAMED_BY_SDSS4 = "dr17"
"""The release whose objects have the names that sources keep as sdss4_apogee_id."""


def link_apogee(database: Database, *, again: bool = True) -> LinkReport:
    """Link APOGEE visits and coadds to sources, and visits in apStar files to those of their visits.

    A source that has the spectrum's catalogid goes before one that has its sdss_id, and that before one that has its
    name in SDSS-IV. Of several with the catalogid it is the same one that a BOSS spectrum would get. A link is never
    removed.

    Args:
        database: where.
        again: also look at spectra that have a source; needed when sources were added or changed.
    """
    reports: list[LinkReport] = []
    with database.begin() as connection:
        refresh_statistics(database, connection, SOURCES, (*COLUMNS, "sdss_id", "sdss4_apogee_id"))
        refresh_statistics(database, connection, KNOWN, ("spectrum_pk", "catalogid", "sdss_id"))
        for table in (VISITS, STARS):
            refresh_statistics(database, connection, table, ("source_pk", "spectrum_pk", "obj"))
            reports.append(_link(connection, table, again=again))
        _follow_visits(connection, again=again)
    return LinkReport(
        linked=sum(report.linked for report in reports),
        relinked=sum(report.relinked for report in reports),
        unlinked=sum(report.unlinked for report in reports),
        ambiguous=sum(report.ambiguous for report in reports),
    )


def _link(connection: Connection, table: Table, *, again: bool) -> LinkReport:
    """Link the spectra of one table."""
    unlinked = select(func.count()).select_from(table).where(table.c.source_pk.is_(None))
    before = connection.scalar(unlinked) or 0
    best = ranked(_candidates(_wanted(table, true() if again else table.c.source_pk.is_(None))), "pk")
    statement = (
        update(table)
        .where(
            table.c.pk == best.c.pk,
            best.c.place == 1,
            table.c.source_pk.is_distinct_from(best.c.source_pk),
        )
        .values(source_pk=best.c.source_pk, modified=utcnow())
    )
    changed = written(connection, statement)
    after = connection.scalar(unlinked) or 0
    ambiguous = connection.scalar(_count_ambiguous(table)) or 0
    return LinkReport(before - after, changed - (before - after), after, ambiguous)


def _wanted(table: Table, which: ColumnElement[bool]) -> CTE:
    """What the spectra that are meant say of their source."""
    catalogid = table.c.catalogid if "catalogid" in table.c else KNOWN.c.catalogid
    name = case((table.c.release == NAMED_BY_SDSS4, table.c.obj))
    return (
        select(table.c.pk, catalogid.label("catalogid"), KNOWN.c.sdss_id.label("sdss_id"), name.label("name"))
        .outerjoin_from(table, KNOWN, KNOWN.c.spectrum_pk == table.c.spectrum_pk)
        .where(which)
        .cte("wanted")
    )


def _candidates(wanted: CTE) -> CTE:
    """Every source that a spectrum may belong to, once for each reason."""
    reasons: list[ColumnElement[bool]] = [
        and_(wanted.c.catalogid > 0, SOURCES.c[name] == wanted.c.catalogid) for name in COLUMNS
    ]
    reasons += [SOURCES.c.sdss_id == wanted.c.sdss_id, SOURCES.c.sdss4_apogee_id == wanted.c.name]
    return candidates(wanted, "pk", reasons)


def _count_ambiguous(table: Table) -> Select[int]:
    """How many spectra have a catalogid that several sources have."""
    found = _candidates(_wanted(table, true()))
    several = (
        select(found.c.pk)
        .where(found.c.rank < len(COLUMNS))
        .group_by(found.c.pk)
        .having(func.count(found.c.source_pk.distinct()) > 1)
        .subquery("several")
    )
    return select(func.count()).select_from(several)


def _follow_visits(connection: Connection, *, again: bool) -> None:
    """Give visits in apStar files the sources of the visits that they were made from."""
    which = true() if again else INSIDE.c.source_pk.is_(None)
    connection.execute(
        update(INSIDE)
        .where(
            which,
            VISITS.c.spectrum_pk == INSIDE.c.drp_spectrum_pk,
            VISITS.c.source_pk.is_not(None),
            INSIDE.c.source_pk.is_distinct_from(VISITS.c.source_pk),
        )
        .values(source_pk=VISITS.c.source_pk, modified=utcnow())
    )
