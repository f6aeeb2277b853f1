"""The jobs on a real cluster: the same results as on this machine, and what is independent waits side by side.

The results of the cluster are in PostgreSQL, in a schema of its own, those of this machine in SQLite.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection
from pathlib import Path

import pytest
from astropy.io import fits

from astra_assets_tests.end_to_end.compare import assert_same_products, products
from astra_assets_tests.end_to_end.conftest import Place
from astra_assets_tests.slurm_cluster import NODES

pytestmark = pytest.mark.slurm


@pytest.fixture
def there(tmp_path, cluster_settings) -> dict[str, str]:
    """The environment for a run on the cluster with a folder of products of its own; the database is to be added."""
    return {**cluster_settings, "MWM_ASTRA": str(tmp_path / "cluster")}


def accounts(place: Place, environment: dict[str, str]) -> dict[str, tuple[int, ...]]:
    """What became of the inputs of each step, all of which are accounted for."""
    found = json.loads(place.run("astra-assets", "status", "--json", **environment).stdout)
    for step in found:
        assert step["balanced"]
        assert step["backlog"] == 0 or step["unavailable"]
    numbers = ("inputs", "results", "failed", "skipped", "backlog")
    return {f"{step['pipeline']}/{step['step']}": tuple(step[name] for name in numbers) for step in found}


def assert_one_array_each(names: Collection[str]) -> None:
    for step in ("mwm-star", "snow_white-star", "corv-visit", "line_forest-visit"):
        assert sum(name.startswith(f"astra-{step}-") for name in names) == 1, names


def test_the_cluster_and_postgresql_give_the_products_of_this_machine_and_sqlite(
    arrays, small, small_finished, there, postgresql_url
):
    there |= {"ASTRA_DATABASE_URL": postgresql_url, "ASTRA_DATABASE_SCHEMA": "mwm"}
    small.run("dagster", "job", "execute", "-j", "dr20", **there)
    summary = Path(there["MWM_ASTRA"], "0.8.1", "summary")
    assert_same_products(small_finished.summary, summary)
    assert accounts(small, there) == accounts(small_finished, {})
    names = arrays().values()
    assert_one_array_each(names)
    again = small.run("dagster", "job", "execute", "-j", "dr20", **there)
    assert (again.stdout + again.stderr).count("left alone (inputs unchanged)") == len(products(summary))
    assert len(arrays()) == len(names), "nothing new, and so nothing is submitted"


def test_main_on_the_cluster_has_both_instruments(arrays, small, there, tmp_path):
    there["ASTRA_DATABASE_URL"] = f"sqlite:///{tmp_path}/cluster.db"
    small.run("dagster", "job", "execute", "-j", "main", **there)
    summary = Path(there["MWM_ASTRA"], "0.8.1", "summary")
    coadds = [len(fits.getdata(summary / "mwmAllStar-0.8.1.fits.gz", hdu)) for hdu in (1, 2)]
    assert min(coadds) > 5
    assert accounts(small, there)
    assert_one_array_each(arrays().values())


def test_independent_pipelines_wait_for_the_cluster_at_the_same_time(
    slurm, arrays, released, cluster_settings
):
    with sqlite3.connect(released.home / "astra.db") as database:  # as if nothing of both had been run
        database.execute("delete from corv")
        database.execute("delete from line_forest")
        database.execute("delete from compute_outcome where pipeline in ('Corv', 'LineForest')")
    database.close()
    slurm.drain(*NODES)
    steps = "key:corv/visit or key:line_forest/visit"
    command = ("dagster", "asset", "materialize", "-m", "astra_assets.definitions", "--select", steps)
    both = released.start(*command, **cluster_settings)
    slurm.wait_until(lambda: len(arrays()) == 2, 240, "two arrays")
    assert {name.split("-")[1] for name in arrays().values()} == {"corv", "line_forest"}
    assert {state for number in arrays() for state in slurm.states(number)} == {"PENDING"}
    slurm.resume(*NODES)
    assert both.wait(400) == 0, (released.folder / "started.log").read_text()
