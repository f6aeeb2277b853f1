"""What the making of mwmVisit and mwmStar files needs from the database, for many sources at once.

The spectra of each source as reduced, whether it is a white-dwarf target, and the keys of the spectra that will be
made: those that exist keep their spectrum_pk, others get new ones. Nothing is read but the database.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import pyarrow as pa
from sqlalchemy import ColumnElement, Connection, select

from astra_assets.database.arrow import ARROW_TYPES
from astra_assets.database.database import Database
from astra_assets.database.keys import pieces
from astra_assets.models.apogee import (
    ApogeeCoaddedSpectrumInApStar,
    ApogeeCombinedSpectrum,
    ApogeeRestFrameVisitSpectrum,
    ApogeeVisitSpectrum,
    ApogeeVisitSpectrumInApStar,
)
from astra_assets.models.base import Base, table_of
from astra_assets.models.boss import BossCombinedSpectrum, BossRestFrameVisitSpectrum, BossVisitSpectrum
from astra_assets.models.cartons import in_program
from astra_assets.pipelines.base import WorkContext
from astra_assets.pipelines.requirements import WHITE_DWARFS
from astra_assets.registry.columns import info
from astra_assets.registry.version import major_minor
from astra_assets.spectra.mwm import observatories
from astra_assets.spectra.read import MWM_HDUS
from astra_assets.spectra.stack import in_stack

Row = dict[str, Any]
Keys = dict[Any, int]
"""Keys of spectra that are made."""

NOT_GATHERED = ("pk", "source_pk", "created", "modified", "filetype")
"""Columns of spectra as reduced that say nothing of the spectrum."""


def _columns_of(model: type[Base]) -> tuple[str, ...]:
    """What is known of a spectrum as reduced: enough to find its file and to write its row."""
    return tuple(column.key for column in table_of(model).c if column.key not in NOT_GATHERED)


BOSS_VISIT_COLUMNS = _columns_of(BossVisitSpectrum)
APOGEE_COADD_COLUMNS = _columns_of(ApogeeCoaddedSpectrumInApStar)
APOGEE_VISIT_COLUMNS = _columns_of(ApogeeVisitSpectrum)
IN_AP_STAR_COLUMNS = _columns_of(ApogeeVisitSpectrumInApStar)

REST_FRAME_KEY = "rest_frame_spectrum_pk"
"""Name that the key of a BOSS visit's rest-frame spectrum has among the columns of the visit."""

NEW_KEY = "new_spectrum_pk"
"""Name that the key of the spectrum that will be made has among the columns of an APOGEE coadd or visit."""

IN_AP_STAR = "in_ap_star"
"""Name of the row of an APOGEE visit in its apStar file among the columns of the visit; None where it is in none."""

BOSS_TELESCOPES = {telescope: telescope for telescope in MWM_HDUS}
"""Where the coadds of a telescope are shown: each has its own."""

APOGEE_OBSERVATORIES: Mapping[str, str] = observatories("APOGEE")
"""Where the spectra of a telescope are shown: those of an observatory together."""

PREFERRED_RELEASE = "sdss5"
"""Of the same stars and nights, this release counts before that of SDSS-IV (`dr17`)."""

SMALL_TELESCOPE = "apo1m"
"""Its coadd is shown where the large telescope of its observatory has none: there is one row for both."""

APOGEE_VISIT_KEY = ("release", "apred", "mjd", "plate", "telescope", "field", "fiber", "prefix", "reduction")
"""What tells the visits of a source apart."""


def _struct(model: type[Base], names: Sequence[str], *more: tuple[str, pa.DataType]) -> pa.DataType:
    columns = table_of(model).c
    own = [(name, ARROW_TYPES[info(columns[name]).definition.kind]) for name in names]
    return pa.struct([*own, *more])


BOSS_VISITS_TYPE = pa.list_(_struct(BossVisitSpectrum, BOSS_VISIT_COLUMNS, (REST_FRAME_KEY, pa.int64())))
BOSS_COADDS_TYPE = pa.list_(pa.struct([("telescope", pa.string()), ("spectrum_pk", pa.int64())]))
_APOGEE_VISIT_TYPE = _struct(
    ApogeeVisitSpectrum,
    APOGEE_VISIT_COLUMNS,
    (NEW_KEY, pa.int64()),
    (IN_AP_STAR, _struct(ApogeeVisitSpectrumInApStar, IN_AP_STAR_COLUMNS)),
)
APOGEE_TYPE = pa.list_(
    _struct(
        ApogeeCoaddedSpectrumInApStar,
        APOGEE_COADD_COLUMNS,
        (NEW_KEY, pa.int64()),
        ("visits", pa.list_(_APOGEE_VISIT_TYPE)),
    )
)
"""A coadd for each observatory, with its visits."""


def gather(connection: Connection, rows: pa.Table, context: WorkContext) -> pa.Table:
    """Add to a chunk of sources the columns `white_dwarf`, `visits`, `coadds` and `apogee`.

    `rows` has source_pk and sdss5_target_flags. `visits` are of BOSS, in order of time; where several reductions
    (run2d) have the same night and field, the latest counts. `coadds` has the key of the BOSS coadd of each telescope
    any of whose visits goes into its stack. `apogee` has the APOGEE coadd of each observatory, with its `visits` in
    order of time.
    """
    sources = rows.column("source_pk").to_pylist()
    white_dwarf = in_program(rows.column("sdss5_target_flags").to_pylist(), WHITE_DWARFS).tolist()
    visits = _boss_visits(connection, sources)
    coadds = {
        source: sorted({visit["telescope"] for visit in visits[source] if _is_stacked(visit, is_white_dwarf)})
        for source, is_white_dwarf in zip(sources, white_dwarf, strict=True)
    }
    _give_rest_frame_keys(connection, visits)
    wanted = [(source, telescope) for source, telescopes in coadds.items() for telescope in telescopes]
    keys = _coadd_keys(connection, BossCombinedSpectrum, wanted, context.v_astra, BOSS_TELESCOPES)
    with_keys = [
        [{"telescope": telescope, "spectrum_pk": keys[source, telescope]} for telescope in coadds[source]]
        for source in sources
    ]
    apogee = _apogee_coadds(connection, sources, context.v_astra)
    added = {
        "white_dwarf": pa.array(white_dwarf, pa.bool_()),
        "visits": pa.array([visits[source] for source in sources], BOSS_VISITS_TYPE),
        "coadds": pa.array(with_keys, BOSS_COADDS_TYPE),
        "apogee": pa.array([list(apogee.get(source, {}).values()) for source in sources], APOGEE_TYPE),
    }
    for name, values in added.items():
        rows = rows.append_column(name, values)
    return rows


def spectra_read(row: Mapping[str, Any]) -> Iterator[tuple[type[Base], Mapping[str, Any]]]:
    """The spectra as reduced that the files of a source are made from, given its row with what `gather` adds."""
    for visit in row["visits"]:
        yield BossVisitSpectrum, visit
    for coadd in row["apogee"]:
        yield ApogeeCoaddedSpectrumInApStar, coadd


# --- spectra and keys of both instruments ---------------------------------------------------------


def _of_sources(
    connection: Connection,
    model: type[Base],
    names: Sequence[str],
    sources: Sequence[int],
    *conditions: ColumnElement[bool],
) -> Iterator[tuple[int, Row]]:
    """The spectra of these sources that have a key and fulfil the conditions."""
    table = table_of(model)
    query = select(table.c.source_pk, *(table.c[name] for name in names))
    query = query.where(table.c.spectrum_pk.is_not(None), *conditions)
    for some in pieces(sources):
        for source, *values in connection.execute(query.where(table.c.source_pk.in_(some))):
            yield source, dict(zip(names, values, strict=True))


@cache
def _reduction_order(name: str) -> tuple[int, ...]:
    """Sorts reductions by the numbers in their names: v6_2_1 is later than v6_1_3, 1.10 than 1.3."""
    return tuple(int(number) for number in re.findall(r"\d+", name))


def _reserve(connection: Connection, keys: Keys, wanted: Sequence[Any]) -> None:
    """Give new keys to those that have none."""
    new = [item for item in dict.fromkeys(wanted) if keys.get(item) is None]
    keys.update(zip(new, Database.reserve_spectrum_pks(connection, len(new)).tolist(), strict=True))


def _coadd_keys(
    connection: Connection,
    model: type[Base],
    wanted: Sequence[tuple[int, str]],
    v_astra: str,
    places: Mapping[str, str],
) -> Keys:
    """The key of the coadd of each source and place, one for each minor version of Astra.

    `places` says where the coadds of a telescope are shown.
    """
    table = table_of(model)
    keys: Keys = {}
    query = select(table.c.source_pk, table.c.telescope, table.c.v_astra, table.c.spectrum_pk)
    for some in pieces(sorted({source for source, _ in wanted})):
        found = connection.execute(query.where(table.c.source_pk.in_(some)).order_by(table.c.pk))
        for source, telescope, version, spectrum_pk in found:
            if major_minor(version) == major_minor(v_astra) and telescope in places:
                keys[source, places[telescope]] = spectrum_pk
    _reserve(connection, keys, wanted)
    return keys


# --- BOSS -----------------------------------------------------------------------------------------

BossVisits = dict[int, list[Row]]
"""Visits by source."""


def _is_stacked(visit: Row, white_dwarf: bool) -> bool:
    return visit["telescope"] in MWM_HDUS and in_stack(visit, white_dwarf)


def _boss_visits(connection: Connection, sources: Sequence[int]) -> BossVisits:
    """The visits of each source in order of time, each night and field in its latest reduction."""
    found: BossVisits = {source: [] for source in sources}
    for source, visit in _of_sources(connection, BossVisitSpectrum, BOSS_VISIT_COLUMNS, sources):
        found[source].append(visit)
    return {source: sorted(_latest_reduction(visits), key=_time) for source, visits in found.items()}


def _latest_reduction(visits: Sequence[Row]) -> list[Row]:
    """Without visits whose night and field were reduced again: the same photons must not be stacked twice."""
    reductions = [_reduction_order(visit["run2d"]) for visit in visits]
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


def _night(visit: Row) -> tuple[Any, ...]:
    return visit["mjd"], visit["fieldid"], visit["telescope"]


def _time(visit: Row) -> tuple[int, int, int]:
    return visit["mjd"], visit["fieldid"], visit["spectrum_pk"]


def _give_rest_frame_keys(connection: Connection, visits: BossVisits) -> None:
    """Fill in the key of each visit's rest-frame spectrum. A visit has one, whatever the version of Astra."""
    table = table_of(BossRestFrameVisitSpectrum)
    wanted = [visit["spectrum_pk"] for of_source in visits.values() for visit in of_source]
    keys: Keys = {}
    query = select(table.c.drp_spectrum_pk, table.c.spectrum_pk)
    for some in pieces(wanted):
        for drp_spectrum_pk, spectrum_pk in connection.execute(
            query.where(table.c.drp_spectrum_pk.in_(some))
        ):
            keys[drp_spectrum_pk] = spectrum_pk
    _reserve(connection, keys, wanted)
    for of_source in visits.values():
        for visit in of_source:
            visit[REST_FRAME_KEY] = keys[visit["spectrum_pk"]]


# --- APOGEE ---------------------------------------------------------------------------------------

ApogeeCoadds = dict[int, dict[str, Row]]
"""Coadds by source and observatory."""


def _apogee_coadds(connection: Connection, sources: Sequence[int], v_astra: str) -> ApogeeCoadds:
    """The coadd of each source and observatory, with its `visits` in order of time, and all keys.

    The rules are Astra's. Nothing is stacked again: the coadd is that of the APOGEE reduction, and without one the
    source has no APOGEE rows at that observatory, visits included.
    """
    coadds = _best_coadds(connection, sources)
    _add_apogee_visits(connection, coadds)
    _give_coadds_keys(connection, coadds, v_astra)
    _give_visits_keys(connection, coadds, v_astra)
    return coadds


def _apogee_spectra(
    connection: Connection, model: type[Base], names: Sequence[str], sources: Sequence[int]
) -> Iterator[tuple[int, Row]]:
    """The spectra of these sources from telescopes that have an HDU."""
    return _of_sources(
        connection, model, names, sources, table_of(model).c.telescope.in_(APOGEE_OBSERVATORIES)
    )


def _best_coadds(connection: Connection, sources: Sequence[int]) -> ApogeeCoadds:
    best: ApogeeCoadds = {}
    for source, row in _apogee_spectra(
        connection, ApogeeCoaddedSpectrumInApStar, APOGEE_COADD_COLUMNS, sources
    ):
        of_source = best.setdefault(source, {})
        place = APOGEE_OBSERVATORIES[row["telescope"]]
        if place not in of_source or _coadd_rank(row) > _coadd_rank(of_source[place]):
            of_source[place] = row
    return {source: dict(sorted(of_source.items())) for source, of_source in best.items()}


def _coadd_rank(row: Row) -> tuple[Any, ...]:
    """The greatest is shown: by release, telescope, reduction, S/N."""
    return (
        row["release"] == PREFERRED_RELEASE,
        row["telescope"] != SMALL_TELESCOPE,
        _reduction_order(row["apred"]),
        row["snr"] or 0.0,
        -row["spectrum_pk"],
    )


def _add_apogee_visits(connection: Connection, coadds: ApogeeCoadds) -> None:
    """Give each coadd the visits of its source and observatory, each night in one reduction."""
    found: dict[tuple[int, str], list[Row]] = defaultdict(list)
    for source, visit in _apogee_spectra(connection, ApogeeVisitSpectrum, APOGEE_VISIT_COLUMNS, list(coadds)):
        found[source, APOGEE_OBSERVATORIES[visit["telescope"]]].append(visit)
    for source, of_source in coadds.items():
        for place, row in of_source.items():
            row["visits"] = sorted(
                _one_reduction(found[source, place], row),
                key=lambda visit: (visit["mjd"], visit["plate"], visit["fiber"], visit["spectrum_pk"]),
            )
    _add_rows_in_ap_stars(connection, [visit for _, _, visit in _shown_visits(coadds)])


def _shown_visits(coadds: ApogeeCoadds) -> Iterator[tuple[int, str, Row]]:
    """The visits of all coadds, with their source and observatory."""
    for source, of_source in coadds.items():
        for place, row in of_source.items():
            for visit in row["visits"]:
                yield source, place, visit


def _one_reduction(visits: Sequence[Row], of_coadd: Row) -> list[Row]:
    """Without visits that were reduced several times: the reduction of the coadd counts, else the latest."""

    def rank(visit: Row) -> tuple[Any, ...]:
        return (
            (visit["release"], visit["apred"]) == (of_coadd["release"], of_coadd["apred"]),
            visit["release"] == PREFERRED_RELEASE,
            _reduction_order(visit["apred"]),
            -visit["spectrum_pk"],
        )

    best: dict[tuple[Any, ...], Row] = {}
    for visit in visits:
        same_light = tuple(visit[name] for name in ("telescope", "mjd", "plate", "fiber", "reduction"))
        if same_light not in best or rank(visit) > rank(best[same_light]):
            best[same_light] = visit
    return list(best.values())


def _add_rows_in_ap_stars(connection: Connection, visits: Sequence[Row]) -> None:
    table = table_of(ApogeeVisitSpectrumInApStar)
    query = select(*(table.c[name] for name in IN_AP_STAR_COLUMNS))
    rows: dict[int, Row] = {}
    for some in pieces([visit["spectrum_pk"] for visit in visits]):
        for values in connection.execute(query.where(table.c.drp_spectrum_pk.in_(some))):
            row = dict(zip(IN_AP_STAR_COLUMNS, values, strict=True))
            rows[row["drp_spectrum_pk"]] = row
    for visit in visits:
        visit[IN_AP_STAR] = rows.get(visit["spectrum_pk"])


def _give_coadds_keys(connection: Connection, coadds: ApogeeCoadds, v_astra: str) -> None:
    wanted = [(source, place) for source, of_source in coadds.items() for place in of_source]
    keys = _coadd_keys(connection, ApogeeCombinedSpectrum, wanted, v_astra, APOGEE_OBSERVATORIES)
    for source, place in wanted:
        coadds[source][place][NEW_KEY] = keys[source, place]


def _give_visits_keys(connection: Connection, coadds: ApogeeCoadds, v_astra: str) -> None:
    """Fill in the key of each visit's rest-frame spectrum, one for each minor version of Astra."""
    table = table_of(ApogeeRestFrameVisitSpectrum)
    wanted = {
        (source, *(visit[name] for name in APOGEE_VISIT_KEY)): visit
        for source, _, visit in _shown_visits(coadds)
    }
    keys: Keys = {}
    query = select(*(table.c[name] for name in ("spectrum_pk", "v_astra", "source_pk", *APOGEE_VISIT_KEY)))
    for some in pieces(list(coadds)):
        found = connection.execute(query.where(table.c.source_pk.in_(some)).order_by(table.c.pk))
        for spectrum_pk, version, *values in found:
            if major_minor(version) == major_minor(v_astra):
                keys[tuple(values)] = spectrum_pk
    _reserve(connection, keys, list(wanted))
    for key, visit in wanted.items():
        visit[NEW_KEY] = keys[key]
