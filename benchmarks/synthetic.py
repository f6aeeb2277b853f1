"""Synthetic tables as wide as those of DR20: sources, BOSS visits and coadds, results of SnowWhite and Corv.

Values are random and the same in every run; a tenth of what may be NULL is. Files are made in
`synthetic_files.py`; nothing here is timed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sqlalchemy import text

from astra_assets.database.database import Database
from astra_assets.models.base import Base, layout, table_of
from astra_assets.models.boss import BossCombinedSpectrum, BossVisitSpectrum
from astra_assets.models.cartons import cartons, pack
from astra_assets.models.source import Source
from astra_assets.pipelines.corv import Corv
from astra_assets.pipelines.snow_white import SnowWhite
from astra_assets.registry.columns import info
from astra_assets.registry.kinds import Kind

CHUNK_ROWS = 20_000
"""Rows that are made and inserted at a time."""

VISITS_PER_SOURCE = 3

PRODUCT_VERSION = 8001
"""Version of the results of visits, so that 0.8.1 has a product to write."""

PLAN_VERSION = 9000
"""Version of the SnowWhite results, so that every visit is unprocessed by the Corv of 0.9.0."""

NULL_SHARE = 0.1

START_US = 1_767_225_600_000_000
"""2026-01-01 in microseconds since 1970."""

Integers = npt.NDArray[np.int64]


def fill_product(url: str, rows: int) -> dict[str, float]:
    """Create all tables in an empty database and fill those of a product: `rows` visits and results of SnowWhite."""
    database = Database(url)
    database.create_tables()
    with database.begin() as connection:
        keys = database.reserve_spectrum_pks(connection, rows)
    for numbers in _chunks(-(-rows // VISITS_PER_SOURCE)):
        _insert(database, Source, numbers, **_sources(numbers))
    for numbers in _chunks(rows):
        given = {"spectrum_pk": keys[numbers], "source_pk": 1 + numbers // VISITS_PER_SOURCE}
        _insert(database, BossVisitSpectrum, numbers, **given, catalogid=10**10 + numbers)
        _insert(database, SnowWhite, numbers, **given, v_astra=np.full(len(numbers), PRODUCT_VERSION))
    _settle(database)
    return {}


def fill_inputs(url: str, rows: int) -> dict[str, float]:
    """Create all tables in an empty database and fill them with what is planned: `rows` unprocessed visits."""
    database = Database(url)
    database.create_tables()
    sources = -(-rows // VISITS_PER_SOURCE)
    with database.begin() as connection:
        visit_keys = database.reserve_spectrum_pks(connection, rows)
        coadd_keys = database.reserve_spectrum_pks(connection, sources)
    for numbers in _chunks(sources):
        _insert(database, Source, numbers, **_sources(numbers))
    for numbers in _chunks(rows):
        keys = {"spectrum_pk": visit_keys[numbers], "source_pk": 1 + numbers // VISITS_PER_SOURCE}
        _insert(database, BossVisitSpectrum, numbers, **keys, catalogid=10**10 + numbers)
        _insert(database, Corv, numbers, **keys, v_astra=np.full(len(numbers), PRODUCT_VERSION))
    for numbers in _chunks(sources):
        keys = {"spectrum_pk": coadd_keys[numbers], "source_pk": 1 + numbers}
        _insert(database, BossCombinedSpectrum, numbers, **keys, sdss_id=10**8 + numbers)
        classes = pa.repeat("DA", len(numbers))
        version = np.full(len(numbers), PLAN_VERSION)
        _insert(database, SnowWhite, numbers, **keys, v_astra=version, classification=classes)
    _settle(database)
    return {}


def fill_sources(url: str, rows: int) -> dict[str, float]:
    """Create all tables in an empty database and fill in sources alone."""
    database = Database(url)
    database.create_tables()
    for numbers in _chunks(rows):
        _insert(database, Source, numbers, **_sources(numbers))
    return {}


def _settle(database: Database) -> None:
    """Let the database do now what the first reader after many writes would else wait for.

    Both get the statistics by which they choose joins.
    """
    if database.dialect == "sqlite":
        with database.begin() as connection:
            connection.execute(text("ANALYZE"))
        return
    with database.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text("VACUUM (ANALYZE)"))
        connection.execute(text("CHECKPOINT"))


def _chunks(rows: int) -> Iterator[Integers]:
    for start in range(0, rows, CHUNK_ROWS):
        yield np.arange(start, min(start + CHUNK_ROWS, rows))


def _insert(database: Database, model: type[Base], numbers: Integers, **given: Any) -> None:
    table = random_rows(model, numbers, **given)
    with database.begin() as connection:
        database.insert(connection, model, table)


def _sources(numbers: Integers) -> dict[str, Any]:
    flags = _target_flags()
    return {
        "sdss_id": 10**8 + numbers,
        "sdss4_apogee_id": [f"2M{number:016d}" for number in numbers],
        "sdss5_target_flags": flags.take(pa.array(numbers * 7919 % len(flags))),
        "n_boss_visits": np.full(len(numbers), VISITS_PER_SOURCE),
    }


@cache
def _target_flags() -> pa.Array:
    """Carton bits of white dwarfs: one carton of mwm_wd and a few others."""
    rng = np.random.default_rng(1)
    known = cartons()
    dwarfs = [carton.label for carton in known if carton.program == "mwm_wd"]
    others = [carton.label for carton in known]
    chosen = [[str(rng.choice(dwarfs)), *rng.choice(others, rng.integers(0, 5))] for _ in range(97)]
    return pa.array([pack(map(str, names)) for names in chosen], pa.binary())


def random_rows(model: type[Base], numbers: Integers, **given: Any) -> pa.Table:
    """Rows for all columns of a model: `given` ones as they are, the others random.

    Keys of the table and what the database computes are left out.
    """
    count = len(numbers)
    rng = np.random.default_rng([sum(table_of(model).name.encode()), int(numbers[0])])
    arrays: dict[str, Any] = {}
    for entry in layout(model):
        stored = entry.column
        if stored is None or stored.primary_key or stored.computed is not None:
            continue
        if stored.key in given:
            arrays[stored.key] = given[stored.key]
            continue
        made = _values(info(stored).definition.kind, rng, count)
        missing = rng.random(count) < NULL_SHARE
        if stored.foreign_keys:
            missing[:] = True
        # A NULL among the places is a NULL among the values.
        places = pa.array(np.arange(count), mask=missing & bool(stored.nullable))
        arrays[stored.key] = made.take(places)
    return pa.table(arrays)


def _values(kind: Kind, rng: np.random.Generator, count: int) -> pa.Array:
    make: dict[Kind, Callable[[], pa.Array]] = {
        Kind.text: lambda: _any_of(_words(), rng, count),
        Kind.boolean: lambda: pa.array(rng.random(count) < 0.5),
        Kind.int32: lambda: pa.array(rng.integers(0, 70_000, count), pa.int32()),
        Kind.int64: lambda: pa.array(rng.integers(0, 1 << 55, count)),
        Kind.bits: lambda: pa.array(rng.integers(0, 1 << 12, count)),
        Kind.float32: lambda: pa.array(rng.normal(scale=1000.0, size=count)),
        Kind.float64: lambda: pa.array(rng.uniform(0, 90, count)),
        Kind.datetime: lambda: pa.array(START_US + rng.integers(0, 10**13, count)).cast(pa.timestamp("us")),
        Kind.bytes: lambda: _any_of(_target_flags(), rng, count),
        Kind.floats: lambda: _lists(rng, count),
    }
    return make[kind]()


def _any_of(pool: pa.Array, rng: np.random.Generator, count: int) -> pa.Array:
    return pool.take(pa.array(rng.integers(0, len(pool), count)))


def _lists(rng: np.random.Generator, count: int) -> pa.Array:
    """One to six numbers each."""
    offsets = np.concatenate([[0], np.cumsum(rng.integers(1, 7, count))])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(rng.normal(size=offsets[-1])))


@cache
def _words() -> pa.Array:
    """Texts of 3 to 20 characters."""
    rng = np.random.default_rng(2)
    letters = list("abcdefghijklmnopqrstuvwxyz0123456789-_")
    return pa.array(["".join(rng.choice(letters, rng.integers(3, 21))) for _ in range(211)])
