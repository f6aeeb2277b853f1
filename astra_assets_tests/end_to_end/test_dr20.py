"""The job dr20 on the default demo: what it writes, whether it is true, and what a second run does."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import subprocess
from itertools import product as product_of
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from astra_assets.pipelines.white_dwarf.errors import FLOOR_VELOCITY

pytestmark = pytest.mark.smoke

PRODUCTS = ("mwmTargets", "mwmAllVisit", "mwmAllStar", "astraAllStarSnowWhite", "astraAllVisitCorv",
            "astraAllStarLineForest", "astraAllVisitLineForest")  # fmt: skip
"""Those that need no program of other people."""


def table(path: Path, hdu: int | str = 1) -> fits.FITS_rec:
    with fits.open(path, memmap=False) as hdus:
        return hdus[hdu].data.copy()


def product(finished, name: str) -> fits.FITS_rec:
    return table(finished.summary / f"{name}-0.8.1.fits.gz")


@pytest.fixture(scope="module")
def truth(finished) -> fits.FITS_rec:
    return table(finished.home / "demo" / "truth.fits", "SOURCES")


@pytest.fixture(scope="module")
def visits(finished) -> fits.FITS_rec:
    return table(finished.home / "demo" / "truth.fits", "VISITS")


def width(values: np.ndarray) -> float:
    """Robust standard deviation: half the distance of the 16th and 84th percentile."""
    low, high = np.percentile(values, [15.87, 84.13])
    return float(high - low) / 2


def test_the_demo_is_large_enough_to_mean_something(truth, visits):
    assert len(truth) >= 200
    assert len(visits) >= 600
    kinds = {int(row["sdss_id"]): row["kind"] for row in truth}
    is_da = np.array([kinds[int(row["sdss_id"])] == "DA" for row in visits])
    assert np.sum(truth["kind"] == "DA") >= 80
    assert np.sum(is_da & (visits["snr"] > 20)) >= 150


def test_every_product_has_rows_and_is_listed(finished):
    listed = {
        row["name"]: row for row in json.loads(finished.run("astra-assets", "products", "--json").stdout)
    }
    files = {"mwmStar", "mwmVisit", "astraStarSnowWhite", "astraVisitCorv"}
    assert set(PRODUCTS) | files == {name for name, row in listed.items() if sum(row["rows"])}
    for name in PRODUCTS:
        assert listed[name]["rows"][0] == len(product(finished, name)) > 0
    for name, folder in (("mwmStar", "spectra/star"), ("astraVisitCorv", "results/visit")):
        on_disk = list((finished.home / "mwm/0.8.1" / folder).rglob(f"{name}-*.fits"))
        assert listed[name]["rows"][0] == len(on_disk) > 0


def test_fitsverify_finds_no_error_and_no_warning(finished):
    if shutil.which("fitsverify") is None:
        pytest.skip("no fitsverify: install Debian's package fitsverify")
    root = finished.home / "mwm" / "0.8.1"
    files = [finished.summary / f"{name}-0.8.1.fits.gz" for name in PRODUCTS]
    for folder, kind in product_of(("spectra", "results"), ("star", "visit")):
        files += sorted((root / folder / kind).rglob("*.fits"))[::20]
    assert len(files) > 20
    checked = subprocess.run(
        ["fitsverify", "-q", *map(str, files)], capture_output=True, text=True, check=False
    )
    lines = [line for line in checked.stdout.splitlines() if line.strip()]
    assert len(lines) == len(files)
    assert all("verification OK" in line for line in lines), "\n".join(lines)


def test_every_input_is_accounted_for(finished):
    status = json.loads(finished.run("astra-assets", "status", "--json").stdout)
    assert {(each["pipeline"], each["step"]) for each in status} >= {("SnowWhite", "star"), ("Corv", "visit")}
    for each in status:
        assert each["inputs"] == each["results"] + each["failed"] + each["skipped"] + each["backlog"]
        assert each["backlog"] == 0 or each["unavailable"]
    with sqlite3.connect(finished.home / "astra.db") as database:
        query = "select count(*) from {} where {} is not null"
        coadds = database.execute(query.format("boss_combined_spectrum", "source_pk")).fetchone()[0]
        linked = database.execute(query.format("boss_visit_spectrum", "source_pk")).fetchone()[0]
        both = ("LineForest", "line_forest", coadds + linked)
        for pipeline, results, inputs in (
            ("SnowWhite", "snow_white", coadds),
            ("Corv", "corv", linked),
            both,
        ):
            found = database.execute(f"select count(*) from {results}").fetchone()[0]
            outcomes = "select count(*) from compute_outcome where pipeline = ?"
            assert found + database.execute(outcomes, (pipeline,)).fetchone()[0] == inputs
    database.close()


def test_white_dwarfs_of_class_da_are_told_from_all_others(finished, truth):
    rows = product(finished, "astraAllStarSnowWhite")
    rows = rows[rows["snr"] > 8]
    kinds = {int(row["sdss_id"]): row["kind"] for row in truth}
    is_da = np.array([kinds[int(row["sdss_id"])] == "DA" for row in rows])
    called_da = rows["classification"] == "DA"
    assert np.sum(is_da & called_da) / np.sum(called_da) >= 0.95, "precision"
    assert np.sum(is_da & called_da) / np.sum(is_da) >= 0.95, "recall"


def test_probabilities_are_those_of_white_dwarf_classes(finished):
    rows = product(finished, "astraAllStarSnowWhite")
    names = [name for name in rows.names if name.startswith("p_")]
    assert len(names) == 27
    trained = [name for name in names if not np.isnan(rows[name]).all()]
    # Classes that were never trained have no probability, neither 0 nor any other.
    assert all(np.isnan(rows[name]).all() or not np.isnan(rows[name]).any() for name in names)
    assert {"p_da", "p_db", "p_dc"} <= set(trained)
    total = sum(rows[name].astype(float) for name in trained)
    assert np.all((total >= 0) & (total <= 1 + 1e-5))
    others = np.isin(rows["classification"], ["SDB", "STAR", "QSO", "GALAXY"])
    assert others.sum() > 10
    assert np.all(total[others] < 0.6)


def test_velocities_are_right_and_so_are_their_errors(finished, visits):
    rows = product(finished, "astraAllVisitCorv")
    known = {(int(v["sdss_id"]), int(v["fieldid"]), int(v["mjd"])): v for v in visits}
    pairs = [(row, known[int(row["sdss_id"]), int(row["fieldid"]), int(row["mjd"])]) for row in rows]
    bright = [(row, true) for row, true in pairs if true["snr"] > 20 and np.isfinite(row["v_rad"])]
    offset = np.array([float(row["v_rad"]) - float(true["v_rad"]) for row, true in bright])
    error = np.array([float(row["e_v_rad"]) for row, _ in bright])
    assert len(offset) >= 150
    assert np.median(np.abs(offset)) <= 10
    # The wavelengths of the demo are exact, and so the uncertainty of their zero point does not show.
    formal = np.sqrt(error**2 - FLOOR_VELOCITY**2)
    assert 0.8 <= width(offset / formal) <= 1.3


def test_a_second_run_rewrites_no_product(finished, tmp_path):
    # Dagster's records stay those of the first run, which the web UI shows in other tests
    shutil.copytree(finished.folder / "dagster", tmp_path / "dagster")
    before = {
        path: (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in (finished.home / "mwm").rglob("*.fits*")
    }
    rows = database_content(finished)
    done = finished.run("dagster", "job", "execute", "-j", "dr20", DAGSTER_HOME=str(tmp_path / "dagster"))
    assert {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in before} == before
    assert set((finished.home / "mwm").rglob("*.fits*")) == set(before)
    assert database_content(finished) == rows
    text = done.stdout + done.stderr
    assert left_alone(text) >= set(PRODUCTS)
    assert text.count("nothing to do") == 9  # of nine steps; five others lack their programs


def left_alone(text: str) -> set[str]:
    """The products that a run says it has left alone."""
    return set(re.findall(r"(\w+): left alone \(inputs unchanged\)", text))


def database_content(place) -> dict[str, list[tuple[object, ...]]]:
    with sqlite3.connect(place.home / "astra.db") as database:
        names = [row[0] for row in database.execute("select name from sqlite_master where type = 'table'")]
        content = {name: database.execute(f"select * from {name} order by 1").fetchall() for name in names}
    database.close()
    return content
