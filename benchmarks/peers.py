"""What the package is measured against, timed. Each function runs in a process of its own and returns seconds by name.

The baseline of lists is written here after a description of how Astra makes its summaries; none of its code
is used.
"""

from __future__ import annotations

import subprocess
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits
from common import PRODUCT, STEP, TABLE, engine, opened, rows_query, seconds
from sqlalchemy import Select, func, select

from astra_assets.database import arrow
from astra_assets.database.database import Database
from astra_assets.pipelines.corv import CORV
from astra_assets.products.rows import OutputColumn, output_columns
from astra_assets.products.write.one_pass import BATCH_ROWS
from astra_assets.registry.kinds import DATETIME_WIDTH, Kind

if TYPE_CHECKING:
    from astra_assets.compute import Engine


def scan(url: str) -> dict[str, float]:
    """The rows that are written, as Arrow batches of the ADBC driver that nobody looks at."""
    database = opened(url)
    query = rows_query(database)
    if database.dialect == "postgresql":
        return {"scan": seconds(lambda: _exhaust(arrow.driver_batches(database.engine, query)))}
    # Nothing else of this process has the file open, so that a second SQLite library does no harm.
    from adbc_driver_sqlite import dbapi

    statement = str(query.compile(database.engine, compile_kwargs={"literal_binds": True}))
    path = str(database.engine.url.database)
    return {"scan": seconds(lambda: _scan_sqlite(dbapi, path, statement))}


def _scan_sqlite(dbapi: Any, path: str, statement: str) -> None:
    with dbapi.connect(f"file:{path}?mode=ro") as connection, connection.cursor() as cursor:
        cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": str(max(BATCH_ROWS.values()))})
        cursor.execute(statement)
        with cursor.fetch_record_batch() as reader:
            _exhaust(reader)


def _exhaust(items: Iterable[object]) -> None:
    for _ in items:
        pass


def driver(url: str) -> dict[str, float]:
    """The least that the database takes to hand over the rows.

    PostgreSQL: one COPY in binary format, bytes dropped. SQLite: a cursor of Python's own module, rows
    dropped.
    """
    database = opened(url)
    compiled = rows_query(database).compile(database.engine, compile_kwargs={"literal_binds": True})
    with database.connect() as connection:
        raw: Any = connection.connection.driver_connection
        if database.dialect == "sqlite":
            return {"driver": seconds(lambda: _fetch(raw, str(compiled)))}
        # Without parameters to fill in, doubled percent signs become single ones.
        statement = f"COPY ({str(compiled) % ()}) TO STDOUT (FORMAT binary)"
        return {"driver": seconds(lambda: _copy(raw, statement))}


def _copy(connection: Any, statement: str) -> None:
    with connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
        _exhaust(copy)


def _fetch(connection: Any, statement: str) -> None:
    _exhaust(connection.execute(statement))


def lists(url: str, folder: str) -> dict[str, float]:
    """The baseline: rows as dictionaries, one list per column, fits.Column, one table; then `gzip -f`."""
    database = opened(url)
    path = Path(folder) / "baseline.fits"
    plain = seconds(lambda: _write_lists(database, path))
    packed = seconds(lambda: subprocess.run(["gzip", "-f", path], check=True))
    path.with_name(f"{path.name}.gz").unlink()
    return {"lists": plain, "lists+gzip": plain + packed}


def _write_lists(database: Database, path: Path) -> None:
    columns = output_columns(PRODUCT, TABLE, database.inventory)
    with database.connect() as connection:
        result = connection.execution_options(stream_results=True).execute(rows_query(database))
        data = _collect(columns, (dict(row) for row in result.mappings()))
    made = [_fits_column(column, data[column.name]) for column in columns]
    hdus = fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(made)])
    hdus.writeto(path, checksum=True)


def _collect(columns: list[OutputColumn], rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    data: dict[str, list[Any]] = {column.name: [] for column in columns}
    fills = {column.name: column.definition.null_value for column in columns}
    for row in rows:
        for name, value in row.items():
            data[name].append(fills[name] if value is None else value)
    return data


def _fits_column(column: OutputColumn, values: list[Any]) -> fits.Column:
    kind = column.definition.kind
    if kind is Kind.datetime:
        texts = [value.isoformat() if value else "" for value in values]
        return fits.Column(column.name, f"{DATETIME_WIDTH}A", array=texts)
    if kind is Kind.text:
        return fits.Column(column.name, f"{_longest(values)}A", array=values)
    if kind is Kind.bytes:
        width = _longest(values)
        array = np.array([list(value.ljust(width, b"\0")) for value in values], np.uint8)
        return fits.Column(column.name, f"{width}B", array=array, dim=f"({width})")
    if kind is Kind.floats:
        found = [value if np.ndim(value) else [] for value in values]  # the fill is a single NaN
        width = _longest(found)
        padded = np.array([[*value, *[np.nan] * (width - len(value))] for value in found])
        return fits.Column(column.name, f"{width}E", array=padded, dim=f"({width})")
    return fits.Column(column.name, kind.fits_letter, array=values)


def _longest(values: list[Any]) -> int:
    return max(1, max(map(len, values), default=1))


def count(url: str, folder: str) -> dict[str, float]:
    """The rows of the query that planning reads, counted by the database."""
    planner = engine(url, folder)
    query = _inputs_query(planner)
    counted = select(func.count()).select_from(query.order_by(None).subquery())
    with planner.database.connect() as connection:
        return {"count": seconds(lambda: connection.scalar(counted))}


def scan_inputs(url: str, folder: str) -> dict[str, float]:
    """The query that planning reads, as Arrow batches that nobody looks at."""
    planner = engine(url, folder)
    query = _inputs_query(planner)

    def work() -> None:
        for _ in planner.database.arrow_batches(query, batch_rows=planner.limits.chunk_rows):
            pass

    return {"scan": seconds(work)}


def _inputs_query(planner: Engine) -> Select[Any]:
    from astra_assets.compute.step_inputs import Selection

    return planner.inputs(CORV, STEP).unprocessed(Selection())


def read_table(path: str) -> dict[str, float]:
    """An spAll file with astropy's Table.read, and nothing done with it."""
    from astropy.table import Table

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {"Table.read": seconds(lambda: Table.read(path, hdu=1))}


def bare(folder: str) -> dict[str, float]:
    """All specFull files of a folder with astropy: three columns of HDU 1 in double precision, not checked."""
    paths = sorted(Path(folder).glob("spec-*.fits"))
    _read_bare(paths[0])

    def work() -> None:
        for path in paths:
            _read_bare(path)

    return {"astropy": seconds(work)}


def _read_bare(path: Path) -> list[Any]:
    with fits.open(path) as hdus:
        data = hdus[1].data
        return [np.array(data[name], np.float64) for name in ("LOGLAM", "FLUX", "IVAR")]


def bare_images(folder: str, kind: str) -> dict[str, float]:
    """All apVisit or apStar files of a folder with astropy: flux and error in double precision, not checked."""
    paths = sorted(Path(folder).glob(f"{kind}-*.fits"))

    def work() -> None:
        for path in paths:
            with fits.open(path) as hdus:
                for number in (1, 2):
                    np.array(hdus[number].data, np.float64)

    return {"astropy": seconds(work)}
