"""What ours and the peers share: the table that is written, the step that is planned, the clock.

What is timed is in `ours.py` and `peers.py`. Their processes load only what they measure, so that memory is that of
one thing; hence the imports within functions.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from sqlalchemy import Select, literal, select

from astra_assets.database.database import Database
from astra_assets.models.boss import BossVisitSpectrum
from astra_assets.pipelines.corv import CORV
from astra_assets.pipelines.snow_white import SnowWhite
from astra_assets.products.rows import ProductRows, TableRows
from astra_assets.products.summary import SummaryProduct, SummaryTable
from astra_assets.spectra.base import Roots

if TYPE_CHECKING:
    from astra_assets.compute import Engine

V_ASTRA = "0.8.1"
"""Version of the product that is written."""

PLAN_ASTRA = "0.9.0"
"""Version that is planned: one without results of Corv (see `synthetic`)."""

TABLE = SummaryTable("BOSS results", "BOSS", BossVisitSpectrum)

PRODUCT = SummaryProduct(
    "benchmark", "Results of SnowWhite on visits", (TABLE,), pipeline="SnowWhite", result=SnowWhite
)
"""Sources, BOSS visits and results of SnowWhite joined: 241 columns, as many as a wide product of DR20 has (239)."""

STEP = CORV.steps[0]


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def opened(url: str) -> Database:
    """A database whose drivers are loaded, so that this is not timed."""
    database = Database(url)
    for _ in database.arrow_batches(select(literal(1).label("one"))):
        pass
    return database


def table_rows(database: Database) -> TableRows:
    """The joined table that is written."""
    return ProductRows(PRODUCT, database.look(), V_ASTRA).tables[0]


def rows_query(database: Database) -> Select[Any]:
    """The query for its rows."""
    return table_rows(database).query


def engine(url: str, folder: str) -> Engine:
    """An engine that plans STEP, with all that it imports loaded."""
    from astra_assets.compute import Engine, EnginePaths, LocalBackend

    root = Path(folder)
    paths = EnginePaths(root / "home", Roots(root / "sas", root / "mwm"))
    made = Engine(opened(url), paths, PLAN_ASTRA, {}, LocalBackend(procs=1))
    made.inputs(CORV, STEP)
    # PyArrow loads pandas, where it is installed, with the first list that it is given.
    pa.array([None])
    return made
