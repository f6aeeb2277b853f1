"""The same job on PostgreSQL, in a schema of its own, gives the same products as on SQLite."""

from __future__ import annotations

import json

from astra_assets_tests.end_to_end.compare import assert_same_products, products


def test_products_from_postgresql_and_sqlite_are_equal(small, small_finished, tmp_path, postgresql_url):
    settings = {"ASTRA_DATABASE_URL": postgresql_url, "ASTRA_DATABASE_SCHEMA": "mwm"}
    theirs = {"MWM_ASTRA": str(tmp_path / "postgresql"), **settings}
    small.run("dagster", "job", "execute", "-j", "dr20", **theirs)
    for account in json.loads(small.run("astra-assets", "status", "--json", **theirs).stdout):
        assert account["balanced"]
        assert account["backlog"] == 0 or account["unavailable"]
    assert_same_products(small_finished.summary, tmp_path / "postgresql" / "0.8.1" / "summary")
    again = small.run("dagster", "job", "execute", "-j", "dr20", **theirs)
    assert (again.stdout + again.stderr).count("left alone (inputs unchanged)") == len(
        products(small_finished.summary)
    )
