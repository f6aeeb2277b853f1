"""Spectra find their sources: a spectrum belongs to the source that has its catalogid in one of four columns.

All in SQL, for all spectra at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import CTE, Connection, Integer, Select, Table, func, literal, select, union_all, update
from sqlalchemy.sql.elements import ColumnElement

from astra_assets.database.database import Database
from astra_assets.ingest.stage import written
from astra_assets.ingest.statistics import refresh_statistics
from astra_assets.models.base import table_of, utcnow
from astra_assets.models.boss import BossVisitSpectrum
from astra_assets.models.source import Source

COLUMNS = ("catalogid", "catalogid31", "catalogid25", "catalogid21")
"""Columns of a source that may have a spectrum's catalogid.

A source found by an earlier one goes before a source found by a later one.
"""

MANY = 2**31 - 1
"""Stands for an n_associated that is not known: such a source comes last."""

JOINED = ("catalogid", "source_pk")
"""Columns of the spectra that linking looks at."""

SOURCES = table_of(Source)


@dataclass(frozen=True)
class LinkReport:
    """What linking did.

    Attributes:
        linked: spectra that had no source and have one now.
        relinked: spectra that belong to another source than before, since a better one arrived.
        unlinked: spectra without a source.
        ambiguous: spectra that could belong to several sources.
    """

    linked: int
    relinked: int
    unlinked: int
    ambiguous: int

    @property
    def changed(self) -> bool:
        """True when a spectrum's source changed."""
        return bool(self.linked or self.relinked)


def link_spectra(database: Database, *, again: bool = True) -> LinkReport:
    """Link BOSS visits to sources by catalogid.

    Where several sources have the catalogid, it is the one that has it in the earlier of `COLUMNS`, of
    those the one with the smallest n_associated, of those the one with the smallest sdss_id. A link is
    never removed: a spectrum whose catalogid no source has keeps the source that it was given.

    Args:
        database: where.
        again: also look at spectra that have a source; needed when sources were added or changed.

    """
    table = table_of(BossVisitSpectrum)
    with database.begin() as connection:
        refresh_statistics(database, connection, SOURCES, COLUMNS)
        refresh_statistics(database, connection, table, JOINED)
        linked = _link(connection, table, table.c.source_pk.is_(None))
        refresh_statistics(database, connection, table, JOINED)
        relinked = _link(connection, table, table.c.source_pk.is_not(None)) if again else 0
        unlinked = connection.scalar(select(func.count()).where(table.c.source_pk.is_(None)))
        ambiguous = connection.scalar(_count_ambiguous(table))
    return LinkReport(linked, relinked, unlinked or 0, ambiguous or 0)


def _link(connection: Connection, table: Table, which: ColumnElement[bool]) -> int:
    """Link the spectra that are meant; returns how many got another source than they had."""
    wanted = (
        select(table.c.catalogid.label("catalogid"))
        .where(which, table.c.catalogid > 0)
        .distinct()
        .cte("wanted")
    )
    best = ranked(_by_catalogid(wanted), "catalogid")
    statement = (
        update(table)
        .where(
            which,
            table.c.catalogid == best.c.catalogid,
            best.c.place == 1,
            table.c.source_pk.is_distinct_from(best.c.source_pk),
        )
        .values(source_pk=best.c.source_pk, modified=utcnow())
    )
    return written(connection, statement)


def candidates(wanted: CTE, key: str, reasons: Sequence[ColumnElement[bool]]) -> CTE:
    """Every source that `wanted` may belong to by one of these conditions, once for each of them; earlier ones rank first.

    `key` is the column of `wanted` that says what belongs to a source.
    """
    parts = [
        select(
            wanted.c[key],
            SOURCES.c.pk.label("source_pk"),
            literal(rank, Integer).label("rank"),
            func.coalesce(SOURCES.c.n_associated, MANY).label("n_associated"),
            SOURCES.c.sdss_id,
        ).join_from(wanted, SOURCES, reason)
        for rank, reason in enumerate(reasons)
    ]
    return union_all(*parts).cte("candidates")


def ranked(found: CTE, key: str) -> CTE:
    """The candidates of each `key` with their place, the best is 1."""
    order = (found.c.rank, found.c.n_associated, found.c.sdss_id, found.c.source_pk)
    place = func.row_number().over(partition_by=found.c[key], order_by=order).label("place")
    return select(found.c[key], found.c.source_pk, place).cte("ranked")


def _by_catalogid(wanted: CTE) -> CTE:
    """Every source that has a wanted catalogid, once for each column that has it."""
    return candidates(wanted, "catalogid", [SOURCES.c[name] == wanted.c.catalogid for name in COLUMNS])


def _count_ambiguous(table: Table) -> Select[int]:
    """How many spectra have a catalogid that several sources have."""
    wanted = (
        select(table.c.catalogid.label("catalogid")).where(table.c.catalogid > 0).distinct().cte("wanted")
    )
    found = _by_catalogid(wanted)
    several = (
        select(found.c.catalogid)
        .group_by(found.c.catalogid)
        .having(func.count(found.c.source_pk.distinct()) > 1)
    )
    return select(func.count()).select_from(table).where(table.c.catalogid.in_(several))
