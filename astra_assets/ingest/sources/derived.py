"""Columns of a source that follow from others.

Sky pixel, Galactic coordinates, W1 and W2 magnitudes, reddening, how often it was observed.

A row is written, and its time of modification set, only where a value changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Row,
    Select,
    Table,
    and_,
    case,
    exists,
    func,
    or_,
    select,
    update,
)
from sqlalchemy import cast as sql_cast

from astra_assets.astronomy import sky
from astra_assets.database.database import Database
from astra_assets.ingest.sources import reddening
from astra_assets.ingest.stage import staged, written
from astra_assets.ingest.statistics import refresh_statistics
from astra_assets.models.apogee import ApogeeVisitSpectrum
from astra_assets.models.base import table_of, utcnow
from astra_assets.models.boss import BossVisitSpectrum
from astra_assets.models.source import Source

Floats = NDArray[np.float64]

SOURCES = table_of(Source)
CHUNK_ROWS = 50_000
"""Sources of one transaction."""

ZERO_POINT = 22.5
"""Magnitude of a flux of 1 Vega nanomaggy."""

VEGA_OFFSETS = {"w1": 0.004, "w2": 0.032}
"""Magnitudes to be subtracted to be on the scale of AllWISE (Schlafly et al. 2019, ApJS 240, 30)."""

POSITION = ("ra", "dec")
INPUTS: Mapping[str, tuple[str, ...]] = {
    "healpix": POSITION,
    "l": POSITION,
    "b": POSITION,
    "w1_mag": ("w1_flux",),
    "e_w1_mag": ("w1_flux", "w1_dflux"),
    "w2_mag": ("w2_flux",),
    "e_w2_mag": ("w2_flux", "w2_dflux"),
    **reddening.INPUTS,
}
"""The columns that follow from others of the same row, and from which."""

DERIVED = (*INPUTS, *reddening.CHOSEN)
"""All columns that follow from others of the same row; the last ones by a choice of method."""

INPUT_COLUMNS = tuple(
    dict.fromkeys((*(name for inputs in INPUTS.values() for name in inputs), "b", *reddening.CHOICE_INPUTS))
)


def unwise_magnitude(flux: Floats, error: Floats, band: str) -> tuple[Floats, Floats]:
    """Vega magnitude and its error from an unWISE flux (Vega nanomaggy); NaN where the flux is not positive.

    m = -2.5 log10(flux) + 22.5 - offset; e_m = 2.5 / ln(10) * error / flux.
    """
    positive = np.where(flux > 0, flux, np.nan)
    magnitude = -2.5 * np.log10(positive) + ZERO_POINT - VEGA_OFFSETS[band]
    return magnitude, 2.5 / np.log(10) * error / positive


def derive_columns(inputs: Mapping[str, Floats]) -> dict[str, Floats | NDArray[np.int64]]:
    """All derived columns from arrays of their inputs; NaN (whole numbers: -1) where an input is missing."""
    ra, dec = inputs["ra"], inputs["dec"]
    made: dict[str, Floats | NDArray[np.int64]] = {"healpix": sky.healpix(ra, dec)}
    made["l"], made["b"] = sky.galactic(ra, dec)
    for band in VEGA_OFFSETS:
        made[f"{band}_mag"], made[f"e_{band}_mag"] = unwise_magnitude(
            inputs[f"{band}_flux"], inputs[f"{band}_dflux"], band
        )
    made |= reddening.methods(_known(inputs, made))
    known = _known(inputs, made)
    made |= dict(zip(reddening.CHOSEN, reddening.choose(known, known["b"]), strict=True))
    return made


def _known(inputs: Mapping[str, Floats], made: Mapping[str, Any]) -> dict[str, Floats]:
    """Inputs, with what was derived in the place of what is missing or from before."""
    return {
        name: np.where(np.isnan(made[name]), values, made[name]) if name in made else values
        for name, values in inputs.items()
    }


def has_inputs(name: str) -> ColumnElement[bool]:
    """Condition that a derived column follows from what a source has; never NULL."""
    if name in reddening.CHOSEN:
        return reddening.has_choice()
    return and_(*(_usable(column) for column in INPUTS[name]))


def _usable(name: str) -> ColumnElement[bool]:
    column = SOURCES.c[name]
    there = column.is_not(None)
    if name.endswith("_flux"):
        return and_(there, column > 0)
    if name == "dec":
        return and_(there, column.between(-90, 90))
    return and_(there, column < reddening.NO_MAGNITUDE) if name == "mag4_5" else there


def derive(
    database: Database, connection: Connection, rows: Sequence[Row[tuple[object, ...]]], now: datetime
) -> int:
    """Write the derived columns of sources, read with `derive_query`; returns how many sources changed."""
    if not rows:
        return 0
    columns = dict(zip(("pk", *INPUT_COLUMNS, "modified"), zip(*rows, strict=True), strict=True))
    made = derive_columns({name: np.array(columns[name], dtype=float) for name in INPUT_COLUMNS})
    arrays = {"pk": pa.array(columns["pk"], type=pa.int64())}
    for name, values in made.items():
        arrays[name] = pa.array(values, mask=values < 0 if values.dtype.kind == "i" else np.isnan(values))
    with staged(database, connection, SOURCES, pa.table(arrays), ("pk",)) as stage:
        # An error that is not known must not stay that of a value adopted before.
        together = {"e_ebv": stage.table.c["ebv"].is_not(None)}
        kept = [name for name in made if name not in together]
        return stage.update(list(made), now, keep=kept, only_where=together)


def derive_missing(database: Database) -> int:
    """Fill derived columns that are NULL though they follow from what the source has.

    Returns how many sources changed.
    """
    lacking = or_(*(and_(SOURCES.c[name].is_(None), has_inputs(name)) for name in (*INPUTS, "ebv")))
    last, changed = 0, 0
    while True:
        query = derive_query().where(lacking, SOURCES.c.pk > last).order_by(SOURCES.c.pk).limit(CHUNK_ROWS)
        with database.begin() as connection:
            rows = connection.execute(query).all()
            changed += derive(database, connection, rows, utcnow())
        if len(rows) < CHUNK_ROWS:
            return changed
        last = rows[-1].pk


def waiting_for_map(database: Database) -> dict[str, int]:
    """How many sources have no E(B-V) since the method that is due is a dust map's, by the column of the map."""
    counts = {
        f"ebv_{method}": func.count(case((reddening.missing_map(method), 1)))
        for method in ("edenhofer_2023", "sfd")
    }
    query = select(*counts.values()).where(SOURCES.c.ebv.is_(None))
    with database.connect() as connection:
        return dict(zip(counts, connection.execute(query).one(), strict=True))


def derive_query() -> Select[tuple[object, ...]]:
    """The columns of sources that `derive` needs."""
    return select(SOURCES.c.pk, *(SOURCES.c[name] for name in INPUT_COLUMNS), SOURCES.c.modified)


@dataclass(frozen=True)
class Instrument:
    """How the visits of an instrument are counted.

    Attributes:
        visits: the table of visits.
        distinct: rows that agree in these columns and the source are one visit.
        prefix: start of the names of the columns of the source.
    """

    visits: Table
    distinct: tuple[str, ...]
    prefix: str


INSTRUMENTS = (
    Instrument(table_of(BossVisitSpectrum), ("telescope", "mjd", "fieldid", "plateid"), "boss"),
    Instrument(table_of(ApogeeVisitSpectrum), ("telescope", "mjd", "fiber", "plate", "field"), "apogee"),
)


def count_visits(database: Database) -> int:
    """Write how often each source was visited, and the first and last night.

    Returns how many sources changed.

    A source that was never visited with an instrument keeps NULL there.

    """
    with database.begin() as connection:
        changed = 0
        for instrument in INSTRUMENTS:
            refresh_statistics(database, connection, instrument.visits, ("source_pk", *instrument.distinct))
            changed += _count(connection, instrument, utcnow())
        return changed


def _count(connection: Connection, instrument: Instrument, now: datetime) -> int:
    visits, prefix = instrument.visits, instrument.prefix
    one_each = (
        select(visits.c.source_pk, *(visits.c[name] for name in instrument.distinct))
        .where(visits.c.source_pk.is_not(None))
        .distinct()
        .subquery("one_each")
    )
    counts = (
        select(
            one_each.c.source_pk,
            sql_cast(func.count(), Integer).label("number"),
            func.min(one_each.c.mjd).label("first"),
            func.max(one_each.c.mjd).label("last"),
        )
        .group_by(one_each.c.source_pk)
        .cte("counts")
    )
    columns = {f"n_{prefix}_visits": "number", f"{prefix}_min_mjd": "first", f"{prefix}_max_mjd": "last"}
    differs = or_(*(SOURCES.c[name].is_distinct_from(counts.c[value]) for name, value in columns.items()))
    changed = written(
        connection,
        update(SOURCES)
        .where(SOURCES.c.pk == counts.c.source_pk, differs)
        .values({**{name: counts.c[value] for name, value in columns.items()}, "modified": now}),
    )
    number = SOURCES.c[f"n_{prefix}_visits"]
    nothing = {f"n_{prefix}_visits": 0, f"{prefix}_min_mjd": None, f"{prefix}_max_mjd": None, "modified": now}
    without = update(SOURCES).where(number > 0, ~exists().where(visits.c.source_pk == SOURCES.c.pk))
    return changed + written(connection, without.values(nothing))
