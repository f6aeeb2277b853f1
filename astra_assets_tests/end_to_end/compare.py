"""What two runs must have in common: content of products and rows of tables, without what differs from run to run."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
from astropy.io import fits

DIFFERENT = {"created", "modified", "task_pk", "t_elapsed", "t_overhead"}
"""Columns of products that say when and how long, and counters that a database hands out in an order of its own."""

IGNORED = DIFFERENT | {"batch_id", "pk", "finished", "started"}
"""The same for tables."""

TABLES = ("mwm_spectrum_product_status", "boss_combined_spectrum", "boss_rest_frame_visit_spectrum", "snow_white", "corv",
          "compute_outcome")  # fmt: skip


def content(path: Path, hdu: int) -> dict[str, np.ndarray]:
    """Columns of an HDU, rows in an order of their own."""
    with fits.open(path, memmap=False) as hdus:
        rows = hdus[hdu].data
        names = [name for name in rows.names if name not in DIFFERENT]
        order = np.lexsort([rows[name] for name in ("mjd", "spectrum_pk", "sdss_id") if name in names])
        return {name: np.array(rows[name])[order] for name in names}


def products(folder: Path) -> list[Path]:
    """The summary files of a folder, without samples and previews."""
    return [path for path in sorted(folder.glob("*.fits.gz")) if "-sample" not in path.name]


def assert_same_products(ours: Path, theirs: Path) -> None:
    """The summary files of two folders have the same columns and values."""
    files = products(ours)
    assert files
    assert [path.name for path in files] == [path.name for path in products(theirs)]
    for path in files:
        with fits.open(path) as hdus:
            tables = len(hdus) - 1
        for hdu in range(1, tables + 1):
            one, other = content(path, hdu), content(theirs / path.name, hdu)
            assert list(one) == list(other)
            for name, values in one.items():
                same = np.array_equal(values, other[name], equal_nan=values.dtype.kind == "f")
                assert same, f"{path.name} HDU {hdu} {name}"


def rows(database: Path, *pipelines: str) -> dict[str, list[tuple[object, ...]]]:
    """Content of the tables of results of a SQLite database; outcomes of these pipelines only, where some are named."""
    found = {}
    with sqlite3.connect(database) as connection:
        for name in TABLES:
            described = connection.execute(f"pragma table_info({name})")
            columns = [row[1] for row in described if row[1] not in IGNORED]
            query = f"select {', '.join(columns)} from {name}"
            if name == "compute_outcome" and pipelines:
                query += f" where pipeline in ({', '.join('?' * len(pipelines))})"
                found[name] = sorted(connection.execute(query, pipelines).fetchall(), key=repr)
            else:
                found[name] = sorted(connection.execute(query).fetchall(), key=repr)
    connection.close()
    return found
