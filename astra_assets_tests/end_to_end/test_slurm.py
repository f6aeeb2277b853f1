"""The jobs on a real cluster: the same results as on this machine, and what is independent waits side by side."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from astropy.io import fits

from astra_assets_tests.end_to_end.compare import assert_same_products, products, rows
from astra_assets_tests.slurm_cluster import NODES

pytestmark = pytest.mark.slurm


@pytest.fixture(params=[("sqlite", "dr20"), ("postgresql", "main")], ids="-".join)
def there(request, tmp_path, cluster_settings) -> tuple[str, dict[str, str]]:
    """A job, and the environment for a run on the cluster into an empty database and a folder of products of its own."""
    database, job = request.param
    file = f"sqlite:///{tmp_path}/cluster.db"
    url = file if database == "sqlite" else request.getfixturevalue("postgresql_url")
    return job, {
        **cluster_settings,
        "ASTRA_DATABASE_URL": url,
        "MWM_ASTRA": str(tmp_path / "cluster"),
    }


def test_the_cluster_gives_the_rows_and_the_products_of_this_machine(arrays, small, small_finished, there):
    job, environment = there
    small.run("dagster", "job", "execute", "-j", job, **environment)
    summary = Path(environment["MWM_ASTRA"], "0.8.1", "summary")
    kind, _, file = environment["ASTRA_DATABASE_URL"].partition(":///")
    if kind == "sqlite":
        assert_same_products(small_finished.summary, summary)
        assert rows(Path(file)) == rows(small_finished.home / "astra.db")
    else:
        coadds = [len(fits.getdata(summary / "mwmAllStar-0.8.1.fits.gz", hdu)) for hdu in (1, 2)]
        assert min(coadds) > 5, "both instruments have coadds"
    for step in json.loads(small.run("astra-assets", "status", "--json", **environment).stdout):
        assert step["balanced"]
        assert step["backlog"] == 0 or step["unavailable"]
    names = arrays().values()
    for step in ("mwm-star", "snow_white-star", "corv-visit", "line_forest-visit"):
        assert sum(name.startswith(f"astra-{step}-") for name in names) == 1, names
    if job == "dr20":
        again = small.run("dagster", "job", "execute", "-j", job, **environment)
        told = again.stdout + again.stderr
        assert told.count("left alone (inputs unchanged)") == len(products(summary))
        assert len(arrays()) == len(names), "nothing new, and so nothing is submitted"


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
