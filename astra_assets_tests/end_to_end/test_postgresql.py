"""The same job on PostgreSQL, in a schema of its own, gives the same products as on SQLite."""

from __future__ import annotations

import json

import numpy as np
from astropy.io import fits

DIFFERENT = {"created", "modified", "task_pk", "t_elapsed", "t_overhead"}
"""Columns that say when and how long, and counters that a database hands out in an order of its own."""


def content(path, hdu: int) -> dict[str, np.ndarray]:
    with fits.open(path, memmap=False) as hdus:
        rows = hdus[hdu].data
        names = [name for name in rows.names if name not in DIFFERENT]
        order = np.lexsort([rows[name] for name in ("mjd", "spectrum_pk", "sdss_id") if name in names])
        return {name: np.array(rows[name])[order] for name in names}


def test_products_from_postgresql_and_sqlite_are_equal(small, tmp_path, postgresql_url):
    settings = {"ASTRA_DATABASE_URL": postgresql_url, "ASTRA_DATABASE_SCHEMA": "mwm"}
    small.run("dagster", "job", "execute", "-j", "dr20")
    theirs = {"MWM_ASTRA": str(tmp_path / "postgresql"), **settings}
    small.run("dagster", "job", "execute", "-j", "dr20", **theirs)
    for account in json.loads(small.run("astra-assets", "status", "--json", **theirs).stdout):
        assert account["balanced"]
        assert account["backlog"] == 0
    files = sorted(small.summary.glob("*.fits.gz"))
    assert len(files) == 5
    for path in files:
        other = tmp_path / "postgresql" / "0.8.1" / "summary" / path.name
        hdus = 1 if path.name.startswith("mwmTargets") else 2
        for hdu in range(1, hdus + 1):
            ours, theirs_too = content(path, hdu), content(other, hdu)
            assert list(ours) == list(theirs_too)
            for name, values in ours.items():
                same = np.array_equal(values, theirs_too[name], equal_nan=values.dtype.kind == "f")
                assert same, f"{path.name} HDU {hdu} {name}"
    again = small.run("dagster", "job", "execute", "-j", "dr20", **theirs)
    assert (again.stdout + again.stderr).count("left alone (inputs unchanged)") == 5
