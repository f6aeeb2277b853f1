"""What the making of mwmVisit and mwmStar files needs from the database, for many sources at once.

Here: the BOSS visits of each source, whether it is a white dwarf target, and the keys of the BOSS spectra
that will be made. Not here: APOGEE spectra (`mwm_apogee_inputs`), reading pixels and making the files (`mwm`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection, select

from astra_assets.database.arrow import ARROW_TYPES
from astra_assets.models.boss import BossCombinedSpectrum, BossRestFrameVisitSpectrum, BossVisitSpectrum
from astra_assets.models.cartons import in_program
from astra_assets.pipelines.base import WorkContext
from astra_assets.pipelines.mwm.mwm_apogee_inputs import apogee_inputs
from astra_assets.pipelines.mwm.mwm_queries import (
    Keys,
    coadd_keys,
    columns_of,
    parts,
    reduction_order,
    reserve,
)
from astra_assets.registry.columns import info
from astra_assets.spectra.read import MWM_HDUS
from astra_assets.spectra.stack import in_stack

WHITE_DWARFS = "mwm_wd"
"""The program whose visits are stacked whatever their XCSAO correlation."""

VISIT_COLUMNS = columns_of(BossVisitSpectrum)

REST_FRAME_KEY = "rest_frame_spectrum_pk"
"""Name that the key of a visit's rest-frame spectrum has among the visit's columns."""

VISITS_TYPE = pa.list_(
    pa.struct(
        [(name, ARROW_TYPES[info(BossVisitSpectrum.c[name]).definition.kind]) for name in VISIT_COLUMNS]
        + [(REST_FRAME_KEY, pa.int64())]
    )
)
COADDS_TYPE = pa.list_(pa.struct([("telescope", pa.string()), ("spectrum_pk", pa.int64())]))

TELESCOPES = {telescope: telescope for telescope in MWM_HDUS}
"""Each has coadds of its own."""

Visits = dict[int, list[dict[str, Any]]]


def gather(connection: Connection, rows: pa.Table, context: WorkContext) -> pa.Table:
    """Add to a chunk of sources the columns `white_dwarf`, `visits`, `coadds` and `apogee`.

    `rows` has source_pk and sdss5_target_flags. `visits` are in order of time; where several reductions
    (run2d) have the same night and field, the latest counts. Spectra that exist keep their spectrum_pk,
    others get new ones: a visit for its rest-frame spectrum, a telescope for its coadd if any visit goes
    into its stack. `apogee` is what `apogee_inputs` finds.
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
    wanted = [(source, telescope) for source, telescopes in coadds.items() for telescope in telescopes]
    keys = coadd_keys(connection, BossCombinedSpectrum, wanted, context.v_astra, TELESCOPES)
    with_keys = [
        [{"telescope": telescope, "spectrum_pk": keys[source, telescope]} for telescope in coadds[source]]
        for source in sources
    ]
    added = {
        "white_dwarf": pa.array(white_dwarf, pa.bool_()),
        "visits": pa.array([visits[source] for source in sources], VISITS_TYPE),
        "coadds": pa.array(with_keys, COADDS_TYPE),
        "apogee": apogee_inputs(connection, sources, context.v_astra),
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
    for some in parts(sources):
        query = select(table.c.source_pk, *columns)
        query = query.where(table.c.source_pk.in_(some), table.c.spectrum_pk.is_not(None))
        for source, *values in connection.execute(query):
            found[source].append(dict(zip(VISIT_COLUMNS, values, strict=True)))
    return {source: sorted(_latest_reduction(visits), key=_time) for source, visits in found.items()}


def _latest_reduction(visits: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without visits whose night and field were reduced again: the same photons must not be stacked twice."""
    reductions = [reduction_order(visit["run2d"]) for visit in visits]
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


def _time(visit: Mapping[str, Any]) -> tuple[int, int, int]:
    return visit["mjd"], visit["fieldid"], visit["spectrum_pk"]


def _give_rest_frame_keys(connection: Connection, visits: Visits) -> None:
    """Fill in the key of each visit's rest-frame spectrum. A visit has one, whatever the version of Astra."""
    table = BossRestFrameVisitSpectrum
    wanted = [visit["spectrum_pk"] for of_source in visits.values() for visit in of_source]
    keys: Keys = {}
    for some in parts(wanted):
        query = select(table.c.drp_spectrum_pk, table.c.spectrum_pk).where(table.c.drp_spectrum_pk.in_(some))
        keys.update(
            (drp_spectrum_pk, spectrum_pk) for drp_spectrum_pk, spectrum_pk in connection.execute(query)
        )
    reserve(connection, keys, wanted)
    for of_source in visits.values():
        for visit in of_source:
            visit[REST_FRAME_KEY] = keys[visit["spectrum_pk"]]
