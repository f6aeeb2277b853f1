"""What the making of mwmVisit and mwmStar files needs from the database, for many sources at once.

Here: the visits of each source, whether it is a white dwarf target, and the keys of the spectra that will be
made. Not here: reading pixels and making the files (`mwm`).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection, select

from astra_assets.models.arrow import ARROW_TYPES
from astra_assets.models.boss import BossCombinedSpectrum, BossRestFrameVisitSpectrum, BossVisitSpectrum
from astra_assets.models.cartons import in_program
from astra_assets.models.columns import info
from astra_assets.models.database import Database
from astra_assets.models.version import major_minor
from astra_assets.pipelines.base import WorkContext
from astra_assets.spectra.read import MWM_HDUS
from astra_assets.spectra.stack import in_stack

WHITE_DWARFS = "mwm_wd"
"""The program whose visits are stacked whatever their XCSAO correlation."""

VISIT_COLUMNS = tuple(
    column.key
    for column in BossVisitSpectrum.c
    if column.key not in ("pk", "source_pk", "created", "modified", "filetype")
)
"""What is known of a visit: enough to find its file, to stack it, and to write its row."""

REST_FRAME_KEY = "rest_frame_spectrum_pk"
"""Name that the key of a visit's rest-frame spectrum has among the visit's columns."""

VISITS_TYPE = pa.list_(
    pa.struct(
        [(name, ARROW_TYPES[info(BossVisitSpectrum.c[name]).definition.kind]) for name in VISIT_COLUMNS]
        + [(REST_FRAME_KEY, pa.int64())]
    )
)
COADDS_TYPE = pa.list_(pa.struct([("telescope", pa.string()), ("spectrum_pk", pa.int64())]))

# Keys in one IN (...) clause; SQLite allows 32,766 parameters, PostgreSQL 65,535.
_KEYS_AT_ONCE = 5_000

Visits = dict[int, list[dict[str, Any]]]
Keys = dict[Any, int]


def gather(connection: Connection, rows: pa.Table, context: WorkContext) -> pa.Table:
    """Add to a chunk of sources the columns `white_dwarf`, `visits` and `coadds`.

    `rows` has source_pk and sdss5_target_flags. `visits` are in order of time; where several reductions
    (run2d) have the same night and field, the latest counts. Spectra that exist keep their spectrum_pk,
    others get new ones: a visit for its rest-frame spectrum, a telescope for its coadd if any visit goes
    into its stack.
    """
    sources = rows.column("source_pk").to_pylist()
    white_dwarf = [
        bool(flag) for flag in in_program(rows.column("sdss5_target_flags").to_pylist(), WHITE_DWARFS)
    ]
    visits = _visits(connection, sources)
    coadds = {
        source: sorted({visit["telescope"] for visit in visits[source] if _is_stacked(visit, is_white_dwarf)})
        for source, is_white_dwarf in zip(sources, white_dwarf, strict=True)
    }
    _give_rest_frame_keys(connection, visits)
    keys = _coadd_keys(connection, coadds, context.v_astra)
    with_keys = [
        [{"telescope": telescope, "spectrum_pk": keys[source, telescope]} for telescope in coadds[source]]
        for source in sources
    ]
    added = {
        "white_dwarf": pa.array(white_dwarf, pa.bool_()),
        "visits": pa.array([visits[source] for source in sources], VISITS_TYPE),
        "coadds": pa.array(with_keys, COADDS_TYPE),
    }
    for name, values in added.items():
        rows = rows.append_column(name, values)
    return rows


def _is_stacked(visit: Mapping[str, Any], white_dwarf: bool) -> bool:
    return visit["telescope"] in MWM_HDUS and in_stack(visit, white_dwarf)


def _visits(connection: Connection, sources: Sequence[int]) -> Visits:
    """The visits of each source in order of time, each night and field in its latest reduction."""
    table = BossVisitSpectrum
    found: Visits = {source: [] for source in sources}
    columns = [table.c[name] for name in VISIT_COLUMNS]
    for some in _parts(sources):
        query = select(table.c.source_pk, *columns)
        query = query.where(table.c.source_pk.in_(some), table.c.spectrum_pk.is_not(None))
        for source, *values in connection.execute(query):
            found[source].append(dict(zip(VISIT_COLUMNS, values, strict=True)))
    return {source: sorted(_latest_reduction(visits), key=_time) for source, visits in found.items()}


def _latest_reduction(visits: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without visits whose night and field were reduced again: the same photons must not be stacked twice."""
    reductions = [_reduction(visit["run2d"]) for visit in visits]
    if len(set(reductions)) < 2:
        return list(visits)
    nights = [_night(visit) for visit in visits]
    latest: dict[tuple[Any, ...], tuple[int, ...]] = defaultdict(tuple)
    for night, reduction in zip(nights, reductions, strict=True):
        latest[night] = max(latest[night], reduction)
    return [
        visit
        for visit, night, reduction in zip(visits, nights, reductions, strict=True)
        if reduction == latest[night]
    ]


def _night(visit: Mapping[str, Any]) -> tuple[Any, ...]:
    return visit["mjd"], visit["fieldid"], visit["telescope"]


@cache
def _reduction(run2d: str) -> tuple[int, ...]:
    """Sorts reductions by the numbers in their names: v6_2_1 is later than v6_1_3."""
    return tuple(int(number) for number in re.findall(r"\d+", run2d))


def _time(visit: Mapping[str, Any]) -> tuple[int, int, int]:
    return visit["mjd"], visit["fieldid"], visit["spectrum_pk"]


def _give_rest_frame_keys(connection: Connection, visits: Visits) -> None:
    """Fill in the key of each visit's rest-frame spectrum. A visit has one, whatever the version of Astra."""
    table = BossRestFrameVisitSpectrum
    wanted = [visit["spectrum_pk"] for of_source in visits.values() for visit in of_source]
    keys: Keys = {}
    for some in _parts(wanted):
        query = select(table.c.drp_spectrum_pk, table.c.spectrum_pk).where(table.c.drp_spectrum_pk.in_(some))
        keys.update(
            (drp_spectrum_pk, spectrum_pk) for drp_spectrum_pk, spectrum_pk in connection.execute(query)
        )
    _reserve(connection, keys, wanted)
    for of_source in visits.values():
        for visit in of_source:
            visit[REST_FRAME_KEY] = keys[visit["spectrum_pk"]]


def _coadd_keys(connection: Connection, coadds: Mapping[int, Sequence[str]], v_astra: str) -> Keys:
    """The key of the coadd of each source and telescope, one for each minor version of Astra."""
    table = BossCombinedSpectrum
    wanted = [(source, telescope) for source, telescopes in coadds.items() for telescope in telescopes]
    keys: Keys = {}
    for some in _parts(sorted({source for source, _ in wanted})):
        query = select(table.c.source_pk, table.c.telescope, table.c.v_astra, table.c.spectrum_pk)
        query = query.where(table.c.source_pk.in_(some)).order_by(table.c.pk)
        for source, telescope, version, spectrum_pk in connection.execute(query):
            if major_minor(version) == major_minor(v_astra):
                keys[source, telescope] = spectrum_pk
    _reserve(connection, keys, wanted)
    return keys


def _reserve(connection: Connection, keys: Keys, wanted: Sequence[Any]) -> None:
    """Give new keys to those that have none."""
    new = [item for item in dict.fromkeys(wanted) if keys.get(item) is None]
    database = Database(connection.engine.url.render_as_string(hide_password=False))
    keys.update(zip(new, database.reserve_spectrum_pks(connection, len(new)).tolist(), strict=True))


def _parts(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (items[start : start + _KEYS_AT_ONCE] for start in range(0, len(items), _KEYS_AT_ONCE))
