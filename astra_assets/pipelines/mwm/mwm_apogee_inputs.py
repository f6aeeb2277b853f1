"""What the APOGEE half of mwmVisit and mwmStar files needs from the database, for many sources at once.

Here: the coadd of each source and observatory, the visits that are shown beside it, which of them are in an apStar file,
and the keys of the spectra that will be made. Not here: BOSS spectra (`mwm_inputs`), reading pixels (`mwm_apogee`).

The rules are Astra's. Nothing is stacked again: the coadd is that of the APOGEE reduction, and without one the source has
no APOGEE rows at that observatory, visits included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection, select

from astra_assets.database.arrow import ARROW_TYPES
from astra_assets.models.apogee import (
    ApogeeCoaddedSpectrumInApStar,
    ApogeeCombinedSpectrum,
    ApogeeRestFrameVisitSpectrum,
    ApogeeVisitSpectrum,
    ApogeeVisitSpectrumInApStar,
)
from astra_assets.models.base import Base, table_of
from astra_assets.pipelines.mwm.mwm_queries import (
    Keys,
    coadd_keys,
    columns_of,
    parts,
    reduction_order,
    reserve,
)
from astra_assets.registry.columns import info
from astra_assets.registry.version import major_minor
from astra_assets.spectra.mwm import observatories

Row = dict[str, Any]

OBSERVATORIES: Mapping[str, str] = observatories("APOGEE")
"""Where the spectra of a telescope are shown."""

PREFERRED_RELEASE = "sdss5"
"""Of the same stars and nights, this release counts before that of SDSS-IV (`dr17`)."""

SMALL_TELESCOPE = "apo1m"
"""Its coadd is shown where the large telescope of its observatory has none: there is one row for both."""

COADD_COLUMNS = columns_of(ApogeeCoaddedSpectrumInApStar)
VISIT_COLUMNS = columns_of(ApogeeVisitSpectrum)
IN_AP_STAR_COLUMNS = columns_of(ApogeeVisitSpectrumInApStar)

NEW_KEY = "new_spectrum_pk"
"""Name that the key of the spectrum that will be made has among the columns of a coadd or a visit."""

IN_AP_STAR = "in_ap_star"
"""Name of the row of a visit in its apStar file among the columns of the visit; None where it is in none."""

VISIT_KEY = ("release", "apred", "mjd", "plate", "telescope", "field", "fiber", "prefix", "reduction")
"""What tells the visits of a source apart."""


def _struct(
    model: type[Base], names: Sequence[str], more: Sequence[tuple[str, pa.DataType]] = ()
) -> pa.DataType:
    columns = table_of(model).c
    return pa.struct(
        [(name, ARROW_TYPES[info(columns[name]).definition.kind]) for name in names] + list(more)
    )


_VISIT_TYPE = _struct(
    ApogeeVisitSpectrum,
    VISIT_COLUMNS,
    [(NEW_KEY, pa.int64()), (IN_AP_STAR, _struct(ApogeeVisitSpectrumInApStar, IN_AP_STAR_COLUMNS))],
)
APOGEE_TYPE = pa.list_(
    _struct(
        ApogeeCoaddedSpectrumInApStar,
        COADD_COLUMNS,
        [(NEW_KEY, pa.int64()), ("visits", pa.list_(_VISIT_TYPE))],
    )
)
"""A coadd for each observatory, with its visits."""


def apogee_inputs(connection: Connection, sources: Sequence[int], v_astra: str) -> pa.Array:
    """For each source a list of its APOGEE coadds, one for each observatory, each with its `visits` in order of time.

    Coadds and visits that were made before keep their spectrum_pk (`NEW_KEY`), others get new ones.
    """
    coadds = _coadds(connection, sources)
    _add_visits(connection, coadds)
    _give_coadds_keys(connection, coadds, v_astra)
    _give_visits_keys(connection, coadds, v_astra)
    return pa.array([list(coadds.get(source, {}).values()) for source in sources], APOGEE_TYPE)


Coadds = dict[int, dict[str, Row]]
"""By source and observatory."""


def _coadds(connection: Connection, sources: Sequence[int]) -> Coadds:
    best: Coadds = {}
    for source, coadd in _of_sources(connection, ApogeeCoaddedSpectrumInApStar, COADD_COLUMNS, sources):
        of_source = best.setdefault(source, {})
        place = OBSERVATORIES[coadd["telescope"]]
        if place not in of_source or _coadd_rank(coadd) > _coadd_rank(of_source[place]):
            of_source[place] = coadd
    return {source: dict(sorted(of_source.items())) for source, of_source in best.items()}


def _coadd_rank(coadd: Row) -> tuple[Any, ...]:
    """The greatest is shown: by release, telescope, reduction, S/N."""
    return (
        coadd["release"] == PREFERRED_RELEASE,
        coadd["telescope"] != SMALL_TELESCOPE,
        reduction_order(coadd["apred"]),
        coadd["snr"] or 0.0,
        -coadd["spectrum_pk"],
    )


def _add_visits(connection: Connection, coadds: Coadds) -> None:
    """Give each coadd the visits of its source and observatory, each night in one reduction."""
    found: dict[tuple[int, str], list[Row]] = {}
    for source, visit in _of_sources(connection, ApogeeVisitSpectrum, VISIT_COLUMNS, list(coadds)):
        found.setdefault((source, OBSERVATORIES[visit["telescope"]]), []).append(visit)
    for source, of_source in coadds.items():
        for place, coadd in of_source.items():
            visits = _one_reduction(found.get((source, place), []), coadd)
            coadd["visits"] = sorted(
                visits, key=lambda row: (row["mjd"], row["plate"], row["fiber"], row["spectrum_pk"])
            )
    _add_rows_in_ap_stars(connection, _visits(coadds))


def _one_reduction(visits: Sequence[Row], coadd: Row) -> list[Row]:
    """Without visits that were reduced several times: the reduction of the coadd counts, else the latest."""

    def rank(visit: Row) -> tuple[Any, ...]:
        return (
            (visit["release"], visit["apred"]) == (coadd["release"], coadd["apred"]),
            visit["release"] == PREFERRED_RELEASE,
            reduction_order(visit["apred"]),
            -visit["spectrum_pk"],
        )

    best: dict[tuple[Any, ...], Row] = {}
    for visit in visits:
        same_light = tuple(visit[name] for name in ("telescope", "mjd", "plate", "fiber", "reduction"))
        if same_light not in best or rank(visit) > rank(best[same_light]):
            best[same_light] = visit
    return list(best.values())


def _add_rows_in_ap_stars(connection: Connection, visits: Sequence[Row]) -> None:
    inside = table_of(ApogeeVisitSpectrumInApStar)
    columns = [inside.c[name] for name in IN_AP_STAR_COLUMNS]
    rows: dict[int, Row] = {}
    for some in parts([visit["spectrum_pk"] for visit in visits]):
        for values in connection.execute(select(*columns).where(inside.c.drp_spectrum_pk.in_(some))):
            row = dict(zip(IN_AP_STAR_COLUMNS, values, strict=True))
            rows[row["drp_spectrum_pk"]] = row
    for visit in visits:
        visit[IN_AP_STAR] = rows.get(visit["spectrum_pk"])


def _of_sources(
    connection: Connection, model: type[Base], names: Sequence[str], sources: Sequence[int]
) -> list[tuple[int, Row]]:
    """The spectra of these sources that have a key and are from a telescope that has an HDU."""
    table = table_of(model)
    found: list[tuple[int, Row]] = []
    for some in parts(sources):
        query = select(table.c.source_pk, *(table.c[name] for name in names)).where(
            table.c.source_pk.in_(some),
            table.c.spectrum_pk.is_not(None),
            table.c.telescope.in_(OBSERVATORIES),
        )
        for source, *values in connection.execute(query):
            found.append((source, dict(zip(names, values, strict=True))))
    return found


def _visits(coadds: Coadds) -> list[Row]:
    return [
        visit for of_source in coadds.values() for coadd in of_source.values() for visit in coadd["visits"]
    ]


def _give_coadds_keys(connection: Connection, coadds: Coadds, v_astra: str) -> None:
    wanted = [(source, place) for source, of_source in coadds.items() for place in of_source]
    keys = coadd_keys(connection, ApogeeCombinedSpectrum, wanted, v_astra, OBSERVATORIES)
    for source, place in wanted:
        coadds[source][place][NEW_KEY] = keys[source, place]


def _give_visits_keys(connection: Connection, coadds: Coadds, v_astra: str) -> None:
    """Fill in the key of each visit's rest-frame spectrum, one for each minor version of Astra."""
    table = table_of(ApogeeRestFrameVisitSpectrum)
    wanted = {
        (source, *(visit[name] for name in VISIT_KEY)): visit
        for source, of_source in coadds.items()
        for coadd in of_source.values()
        for visit in coadd["visits"]
    }
    keys: Keys = {}
    for some in parts(list(coadds)):
        columns = [table.c[name] for name in ("spectrum_pk", "v_astra", "source_pk", *VISIT_KEY)]
        query = select(*columns).where(table.c.source_pk.in_(some)).order_by(table.c.pk)
        for spectrum_pk, version, *values in connection.execute(query):
            if major_minor(version) == major_minor(v_astra):
                keys[tuple(values)] = spectrum_pk
    reserve(connection, keys, list(wanted))
    for key, visit in wanted.items():
        visit[NEW_KEY] = keys[key]
