"""A database with a little of everything that summary products read; values are random but reproducible."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from sqlalchemy import select
from sqlalchemy.orm import Mapped

from astra_assets.database.database import Database
from astra_assets.models.apogee import (
    ApogeeCoaddedSpectrumInApStar,
    ApogeeVisitSpectrum,
    ApogeeVisitSpectrumInApStar,
)
from astra_assets.models.base import Base, PipelineResult, layout
from astra_assets.models.boss import BossCombinedSpectrum, BossVisitSpectrum
from astra_assets.models.cartons import cartons, pack
from astra_assets.models.source import Source
from astra_assets.products.headers import Provenance
from astra_assets.products.make import CreateReport, make_product
from astra_assets.products.summary import SummaryProduct, pipeline_product
from astra_assets.registry.columns import column, flags, info, known, virtual
from astra_assets.registry.kinds import Kind

V_ASTRA = "0.8.1"
MADE_OF = Provenance(V_ASTRA, "dr20", ("v6_1_3", "v6_2_1"), ("1.6",), git_revision="0123abc", run_id="run-1")


class SampleResult(PipelineResult):
    """A result table that has every peculiarity a product must know."""

    teff: Mapped[float | None] = known("teff", category="Stellar Parameters")
    snr: Mapped[float | None] = known("snr")
    colour: Mapped[str | None] = column(None, "Colour of the star")
    flux = virtual("flux", category="Spectral Data")
    rho_teff_logg: Mapped[float | None] = known("rho_teff_logg")
    result_flags: Mapped[int] = flags(low_snr="S/N is too low", category="Metadata")


STAR = pipeline_product("Sample", SampleResult, "star")
VISIT = pipeline_product("Sample", SampleResult, "visit")

SOURCES = 40
# Sources by number: 0 to 29 are in a carton of mapper mwm, 30 to 34 in none, 35 to 37 in none but seen by
# SDSS-IV, 38 and 39 in mwm but without a visit.
MWM = [*range(30), 38, 39]
SDSS4 = [35, 36, 37]
LISTED = [*range(30), *SDSS4]
START = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC).replace(tzinfo=None)


def random_rows(model: type[Base], count: int, seed: int, **given) -> pa.Table:
    """Rows for all columns of a model: `given` ones as they are, a tenth of the others NULL if allowed."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for entry in layout(model):
        stored = entry.column
        if stored is None or stored.primary_key or stored.computed is not None:
            continue
        if stored.key in given:
            arrays[stored.key] = pa.array(given[stored.key])
            continue
        missing = (rng.random(count) < 0.1) & stored.nullable & (not stored.foreign_keys)
        arrays[stored.key] = pa.array(_values(info(stored).definition.kind, rng, count), mask=missing)
    return pa.table(arrays)


def _values(kind: Kind, rng: np.random.Generator, count: int):
    letters = list("abcXYZ 12")
    make = {
        Kind.text: lambda: [
            "".join(rng.choice(letters, rng.integers(1, 9))).strip() or "x" for _ in range(count)
        ],
        Kind.boolean: lambda: rng.random(count) < 0.5,
        Kind.int32: lambda: rng.integers(-5, 70_000, count).astype("i4"),
        Kind.int64: lambda: rng.integers(-5, 1 << 55, count),
        Kind.bits: lambda: rng.integers(0, 1 << 40, count),
        Kind.float32: lambda: rng.normal(scale=1000.0, size=count),
        Kind.float64: lambda: rng.uniform(0, 90, count),
        Kind.datetime: lambda: [
            START + timedelta(microseconds=int(x)) for x in rng.integers(0, 10**13, count)
        ],
        Kind.bytes: lambda: [rng.bytes(int(rng.integers(1, 60))) for _ in range(count)],
        Kind.floats: lambda: [rng.normal(size=rng.integers(0, 6)).tolist() for _ in range(count)],
    }
    return make[kind]()


def fill(database: Database) -> None:
    """Sources, two spectra of each kind for each, and results of two minor versions."""
    database.create_tables([SampleResult])
    mwm = next(carton.label for carton in cartons() if carton.mapper == "mwm")
    other = next(carton.label for carton in cartons() if carton.mapper == "bhm" and "csc" not in carton.name)
    numbers = np.arange(SOURCES)
    visits = [0 if n >= 38 else 1 + n % 2 for n in numbers]
    sources = random_rows(
        Source,
        SOURCES,
        seed=1,
        sdss_id=1000 - numbers,
        sdss4_apogee_id=[f"2M{n:08d}" if n in SDSS4 else None for n in numbers],
        sdss5_target_flags=[pack([mwm if n in MWM else other]) for n in numbers],
        n_boss_visits=visits,
        n_apogee_visits=[None] * SOURCES,
    )
    with database.begin() as connection:
        database.insert(connection, Source, sources)
        boss = _spectra(database, connection, BossVisitSpectrum, seed=2)
        _spectra(database, connection, ApogeeVisitSpectrum, seed=3)
        coadds = _spectra(
            database,
            connection,
            BossCombinedSpectrum,
            seed=4,
            v_astra=["0.8.0"] * SOURCES + ["0.6.0"] * 5 + ["0.8.1"] * (SOURCES - 5),
            sdss_id=np.tile(1000 - numbers, 2),
            telescope=np.repeat(["apo25m", "lco25m"], SOURCES),
        )
        _spectra(database, connection, ApogeeCoaddedSpectrumInApStar, seed=5)
        made_from = _keys(database, connection, 2 * SOURCES - 4)
        columns = ApogeeVisitSpectrum.c
        visits_in_order = select(columns.spectrum_pk).order_by(columns.pk)
        reduced = connection.scalars(visits_in_order).all()[: len(made_from)]
        database.insert(
            connection,
            ApogeeVisitSpectrumInApStar,
            random_rows(
                ApogeeVisitSpectrumInApStar,
                len(made_from),
                seed=6,
                spectrum_pk=made_from,
                drp_spectrum_pk=reduced[::-1],
                source_pk=1 + np.arange(len(made_from)) % SOURCES,
            ),
        )
        results = [(boss[::2], 8001), (coadds[1::3], 8000), (boss, 6000), (made_from[::4], 8001)]
        for seed, (keys, version) in enumerate(results, start=7):
            _results(database, connection, keys, version, seed)


def filled_sqlite(folder: Path) -> Database:
    """A new file of SQLite with the rows of `fill`."""
    database = Database(f"sqlite:///{folder / 'astra.db'}")
    database.create_tables()
    fill(database)
    return database


def write(
    product: SummaryProduct,
    database: Database,
    folder: Path,
    *,
    v_astra: str = V_ASTRA,
    provenance: Provenance = MADE_OF,
    **options,
) -> CreateReport:
    """Write a product below `mwm` in a folder."""
    return make_product(product, database, folder / "mwm", replace(provenance, v_astra=v_astra), **options)


def _keys(database: Database, connection, count: int) -> np.ndarray:
    """Keys of new spectra, not in the order of the rows that get them."""
    return np.random.default_rng(count).permutation(database.reserve_spectrum_pks(connection, count))


def _spectra(database: Database, connection, model: type[Base], seed: int, **given) -> np.ndarray:
    keys = _keys(database, connection, 2 * SOURCES)
    of_source = [int(n) % SOURCES + 1 for n in range(2 * SOURCES)]
    rows = random_rows(model, len(keys), seed, spectrum_pk=keys, source_pk=of_source, **given)
    database.insert(connection, model, rows)
    return keys


def _results(database: Database, connection, keys: np.ndarray, version: int, seed: int) -> None:
    rows = random_rows(
        SampleResult,
        len(keys),
        seed,
        spectrum_pk=keys,
        source_pk=[None] * len(keys),
        v_astra=np.full(len(keys), version, dtype="i4"),
    )
    database.insert(connection, SampleResult, rows)
