"""docs/products.md word for word: its recipes read the files, its commands release a version, which stays as it is."""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
import sys

import pytest

from astra_assets_tests.project import PROJECT

PAGE = (PROJECT / "docs" / "products.md").read_text()
RECIPES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = [
    line.partition("  #")[0].split()
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
]


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_reads_the_files(finished, recipe):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", recipe],
        cwd=finished.summary, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_page_beside_a_product_has_recipes_that_work(finished):
    page = (finished.summary / "mwmAllStar-0.8.1.md").read_text()
    (recipe,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    check = f"{recipe}\nassert len(rows) == frame.collect().height > 100"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", check],
        cwd=finished.summary, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def published(folder):
    """The files of a version without the model spectra that wait there for the files of their sources."""
    own = folder / "pipelines"
    return [path for path in folder.rglob("*") if path.is_file() and own not in path.parents]


def test_a_release_is_written_checked_compared_and_frozen_and_stays(released):
    place = released
    place.run("astra-assets", "create", "mwmTargets", "mwmAllVisit", "--limit", "3", "--format", "plain")
    older = place.home / "mwm" / "0.8.0" / "summary"
    older.mkdir(parents=True)
    for path in place.summary.glob("mwmTargets-0.8.1*"):
        shutil.copy(path, older / path.name.replace("0.8.1", "0.8.0"))
    assert len(COMMANDS) == 6
    told = {" ".join(command[1:]): place.run(*command, ASTRA_RELEASE="few") for command in COMMANDS}
    assert "Nothing moved much." in told["diff 0.8.0 0.8.1 mwmTargets"].stdout
    assert "frozen: summary and spectra" in told["freeze"].stdout
    folder = place.home / "mwm" / "0.8.1"
    subprocess.run(["sha256sum", "--check", "--quiet", "FROZEN"], cwd=folder, check=True)
    files = published(folder)
    assert not [
        path for path in files if path.stat().st_mode & stat.S_IWUSR and not path.name.startswith(".")
    ]
    before = {path: path.stat().st_mtime_ns for path in files}

    again = place.run("dagster", "job", "execute", "-j", "few")
    assert (again.stdout + again.stderr).count("left alone (inputs unchanged)") == 5
    refused = place.run("astra-assets", "create", "mwmTargets", "--overwrite", rc=2).stderr
    assert "give the release a new v_astra (such as 0.8.2)" in refused
    refused = place.run("astra-assets", "run", "mwm", "--force", rc=2).stderr
    assert (
        "a per-source file of a new or changed source belongs to version 0.8.1, which was frozen" in refused
    )
    assert "+ 0 backlog" in place.run("astra-assets", "run", "mwm").stdout
    assert {path: path.stat().st_mtime_ns for path in published(folder)} == before

    damaged = place.summary / "mwmTargets-0.8.1.parquet"
    damaged.chmod(0o644)
    damaged.write_bytes(damaged.read_bytes()[:-1])
    found = place.run("astra-assets", "verify", "--summary-only", rc=1).stdout
    assert "mwmTargets-0.8.1.parquet: its checksum is not the one in SHA256SUMS" in found
    for path in folder.rglob("*"):
        if path.is_dir():
            path.chmod(0o755)  # so that pytest can remove it
    folder.chmod(0o755)


def test_a_release_that_is_not_complete_or_not_sound_is_not_frozen(small):
    small.run("astra-assets", "migrate")
    told = small.run("astra-assets", "freeze", "--summary-only", rc=2).stderr
    assert "the release is not complete" in told
    assert "pass --incomplete" in told
    told = small.run("astra-assets", "freeze", "--summary-only", "--incomplete", rc=2).stderr
    assert "mwmTargets-0.8.1.fits.gz is not there" in told
    assert "type astra-assets create all" in told
    small.run("astra-assets", "create", "all")
    small.run("astra-assets", "freeze", "--summary-only", "--incomplete")
