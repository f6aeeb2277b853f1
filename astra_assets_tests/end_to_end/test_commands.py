"""The commands of the documentation, as a person types them."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from astra_assets_tests.pipelines.offered import install
from astra_assets_tests.project import PROJECT

SERVERS = ("make ui", "dagster-webserver", "dagster-daemon")
"""Commands that run until they are stopped; `test_ui` starts a server."""
NESTED = ("make dr20", "make main", "make test", "make lint", "dagster job execute", "dg launch")
"""Commands that run what runs here, and jobs, which other tests run."""


def shown_commands(page: Path) -> list[str]:
    blocks = re.findall(r"```console\n(.*?)```", page.read_text(), re.DOTALL)
    lines = [line.partition("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith((*SERVERS, *NESTED, "source ", "export "))]


@pytest.fixture(scope="module")
def place(small_finished, tmp_path_factory):
    """A demo with all products, on which the shown commands are typed one after the other."""
    return small_finished.copy(tmp_path_factory.mktemp("shown"))


@pytest.fixture(scope="module")
def spectrum(place, tmp_path_factory) -> Path:
    """A folder with the files that examples name: spectra of a white dwarf."""
    folder = tmp_path_factory.mktemp("examples")
    found = min((place.home / "demo").rglob("spec-*.fits"))
    for name in ("spectrum.fits", "my-spectrum.fits"):
        shutil.copy(found, folder / name)
    from astra_assets.spectra.read import read_spec_full

    read = read_spec_full(found)
    lines = [f"{w} {f} {i}" for w, f, i in zip(read.wavelength, read.flux, read.ivar, strict=True)]
    (folder / "my-spectrum.txt").write_text("# wavelength flux ivar\n" + "\n".join(lines))
    return folder


PAGES = (PROJECT / "README.md", PROJECT / "docs" / "run.md", PROJECT / "docs" / "operate.md")
LINES = list(dict.fromkeys(line for page in PAGES for line in shown_commands(page)))


@pytest.mark.parametrize("line", LINES)
def test_a_shown_command_works(place, spectrum, line):
    words = line.split()
    example = "20260101-120000-abc"
    if example in words:  # it stands for one that is there
        words[words.index(example)] = max((place.home / "batches" / "corv-visit").iterdir()).name
    if words[:2] == ["astra-assets", "why"] and words[2].isdigit():
        words[2] = outcome(place)
    if "..." in words or words[-1] in {"NAME", "PRODUCT..."}:
        pytest.fail(f"{line}: a command that is shown must be one that can be typed")
    cwd = spectrum if words[:2] == ["astra-assets", "try"] else PROJECT
    done = subprocess.run(
        words, cwd=cwd, env=place.environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


def outcome(place) -> str:
    """Some spectrum_pk that has an outcome."""
    with sqlite3.connect(place.home / "astra.db") as database:
        query = "select spectrum_pk from compute_outcome where spectrum_pk is not null limit 1"
        found = database.execute(query).fetchone()[0]
    database.close()
    return str(found)


def test_the_activation_sets_what_is_needed_and_overrides_nothing(tmp_path):
    activate = tmp_path / "activate"
    activate.write_text((PROJECT / "deploy" / "activate.sh").read_text().replace("@PROJECT@", str(tmp_path)))
    show = f"source {activate}; echo $DAGSTER_CLI_JOB_EXECUTE_MODULE_NAME $DAGSTER_HOME"
    plain = {name: value for name, value in os.environ.items() if not name.startswith("DAGSTER_")}
    done = subprocess.run(["bash", "-c", show], env=plain, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["astra_assets.definitions", f"{tmp_path}/.dagster"]
    mine = plain | {"DAGSTER_HOME": "/mine", "DAGSTER_CLI_JOB_EXECUTE_MODULE_NAME": "mine"}
    done = subprocess.run(["bash", "-c", show], env=mine, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["mine", "/mine"]


def test_make_help_lists_the_verbs():
    done = subprocess.run(["make", "help"], cwd=PROJECT, capture_output=True, text=True, check=True)
    for verb in ("dr20", "test", "ui", "lint", "bench", "demo", "clean", "help"):
        assert f"make {verb} " in done.stdout


def test_a_dry_run_and_a_cancelled_batch_change_no_result(ingested):
    planned = ingested.run("astra-assets", "plan", "mwm").stdout
    assert "inputs to look at" in planned
    assert not (ingested.home / "batches").exists()
    program = (
        "from astra_assets.operations.deployment import Deployment, find_pipeline;"
        "from astra_assets.operations.step_runner import StepRunner;"
        "made = Deployment.load(); runner = StepRunner(made, made.release()); pipeline = find_pipeline('mwm');"
        "print(runner.engine.plan(pipeline, pipeline.steps[0]).batch_id)"
    )
    batch = ingested.run(sys.executable, "-c", program).stdout.strip()
    assert batch in ingested.run("astra-assets", "status", rc=1).stdout
    assert "is cancelled" in ingested.run("astra-assets", "cancel", batch, "--yes").stdout
    told = ingested.run("astra-assets", "cancel", batch, "--yes", rc=2).stderr
    assert "is cancelled already; there is nothing to cancel" in told
    assert "no batch 'nonsense'" in ingested.run("astra-assets", "cancel", "nonsense", "--yes", rc=2).stderr
    assert "+ 0 backlog" in ingested.run("astra-assets", "run", "mwm").stdout


def test_a_limit_leaves_a_visible_backlog_and_the_next_run_does_the_rest(ingested):
    first = ingested.run("astra-assets", "run", "mwm", "--limit", "5").stdout
    assert "5 results" in first
    assert re.search(r"\+ [1-9]\d* backlog", first)
    ingested.run("astra-assets", "status", rc=1)
    assert "+ 0 backlog" in ingested.run("astra-assets", "run", "mwm").stdout


PAGE = (PROJECT / "docs" / "add-a-pipeline.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
ROCKET, BOOSTER, PROGRAM = (
    next(block for block in BLOCKS if block.startswith(start))
    for start in ('"""Rocket', '"""Booster', "#!/usr/bin/env")
)
OURS = (sys.executable, "-m", "astra_assets.cli")


def run_there(place, search_path: Path, *command: str, rc: int = 0, **more: str) -> str:
    """What a command says where a folder comes first on Python's search path."""
    paths = os.pathsep.join(filter(None, [str(search_path), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(
        command, cwd=search_path, env=place.environment | {"PYTHONPATH": paths} | more,
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == rc, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def assets_of(place, search_path: Path, release: str) -> list[str]:
    """The assets that the job of a release makes, by their keys."""
    show = (
        "import json; from astra_assets.definitions import defs; "
        f"keys = defs.resolve_job_def({release!r}).asset_layer.executable_asset_keys; "
        "print(json.dumps([key.to_user_string() for key in keys]))"
    )
    said = run_there(place, search_path, sys.executable, "-W", "ignore", "-c", show)
    return list(json.loads(said.splitlines()[-1]))


def test_the_pipeline_of_the_page_works_word_for_word(ingested, tmp_path):
    """docs/add-a-pipeline.md: the file as it stands there, in a copy of the package."""
    shutil.copytree(
        PROJECT / "astra_assets", tmp_path / "astra_assets", ignore=shutil.ignore_patterns("__pycache__")
    )
    (tmp_path / "astra_assets" / "pipelines" / "rocket.py").write_text(ROCKET)
    releases = tmp_path / "astra_assets" / "config" / "releases.py"
    before = releases.read_text()
    releases.write_text(before.replace('"mdwarftype")', '"mdwarftype", "rocket")'))
    assert releases.read_text() != before
    spectrum = str(min((ingested.home / "demo").rglob("spec-*.fits")))
    (tried,) = json.loads(run_there(ingested, tmp_path, *OURS, "try", "rocket", spectrum, "--json"))
    assert tried["blueness"] > 0
    assert {"rocket/visit", "astraAllVisitRocket"} <= set(assets_of(ingested, tmp_path, "dr20"))


@pytest.fixture
def rocketlab(tmp_path) -> Path:
    """The package of the page in a folder of its own, installed as an installer does it, and its program."""
    (described,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    project = tomllib.loads(described)["project"]
    folder = tmp_path / "site"
    modules = {"rocketlab/__init__.py": "", "rocketlab/rocket.py": ROCKET, "rocketlab/booster.py": BOOSTER}
    install(folder, project["name"], modules, project["entry-points"]["astra_assets.pipelines"])
    program = tmp_path / "bin" / "booster"
    program.parent.mkdir()
    program.write_text(PROGRAM)
    program.chmod(0o755)
    return folder


def test_pipelines_in_a_repository_of_their_own_work_as_the_page_says(ingested, rocketlab):
    """One that is a function and one that is a program, which is not there at first."""
    path = os.pathsep.join([str(rocketlab.parent / "bin"), ingested.environment["PATH"]])
    run_there(ingested, rocketlab, *OURS, "init")
    assert "10 results" in run_there(ingested, rocketlab, *OURS, "run", "rocket", "--limit", "10")
    absent = run_there(ingested, rocketlab, *OURS, "run", "booster", "--limit", "10")
    assert "Booster visit is skipped" in absent
    assert "pip install rocketlab" in absent
    assert "10 results" in run_there(ingested, rocketlab, *OURS, "run", "booster", "--limit", "10", PATH=path)
    products = ("astraAllVisitRocket", "astraAllVisitBooster")
    written = run_there(ingested, rocketlab, *OURS, "create", *products)
    assert all(f"{name}-0.8.1.fits.gz" in written for name in products)
    assert "blueness" in run_there(ingested, rocketlab, *OURS, "datamodel", "rocket")
    assert {"rocket/visit", "booster/visit", *products} <= set(assets_of(ingested, rocketlab, "main"))
