"""Surveys that whole commands run on: two that are run once for all tests, and small ones that tests may spoil."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from astra_assets_tests.once import made_once
from astra_assets_tests.project import PROJECT

OURS = ("ASTRA_", "DAGSTER_", "SAS_BASE_DIR", "MWM_ASTRA")

FEW = """
[releases.few]
description = "What tests run that are not about the number of pipelines."
run2d = ["v6_2_1"]
pipelines = ["mwm", "snow_white", "corv"]
"""
"""A release of the deployments of these tests: one step waits for the other, and no program of other people is needed."""


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.end_to_end)
            item.add_marker(pytest.mark.timeout(900))


@dataclass(frozen=True)
class Place:
    """Folders of one deployment, and commands run in it as a person would after the activation."""

    folder: Path

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        return kept | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "ASTRA_HOME": str(self.home),
            "ASTRA_CONFIG": str(self.folder / "astra.toml"),
            "DAGSTER_HOME": str(self.folder / "dagster"),
            "DAGSTER_CLI_JOB_EXECUTE_MODULE_NAME": "astra_assets.definitions",
            "PYTHONUNBUFFERED": "1",
        }

    def prepare(self) -> Place:
        (self.folder / "dagster").mkdir(parents=True)
        shutil.copy(PROJECT / "deploy" / "dagster.yaml", self.folder / "dagster" / "dagster.yaml")
        (self.folder / "astra.toml").write_text(FEW)
        return self

    def copy(self, folder: Path, part: str = ".") -> Place:
        """Another deployment with a part of what is below the home of this one, without Dagster's records."""
        place = Place(folder).prepare()
        shutil.copytree(self.home / part, place.home / part)
        return place

    def run(self, *command: str, rc: int | None = 0, **more: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            cwd=PROJECT,
            env=self.environment | more,
            capture_output=True,
            text=True,
            timeout=800,
            check=False,
        )
        if rc is not None:
            assert done.returncode == rc, (
                f"{' '.join(command)} gave {done.returncode}:\n{done.stdout}\n{done.stderr}"
            )
        return done

    def start(self, *command: str, **more: str) -> subprocess.Popen[bytes]:
        with (self.folder / "started.log").open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=PROJECT,
                env=self.environment | more,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def summary(self) -> Path:
        return self.home / "mwm" / "0.8.1" / "summary"

    def batches(self) -> list[dict[str, object]]:
        """The rows of `compute_batch`, in the order in which they were planned."""
        with sqlite3.connect(self.home / "astra.db") as database:
            database.row_factory = sqlite3.Row
            found = [dict(row) for row in database.execute("select * from compute_batch order by planned")]
        database.close()
        return found


def kill_all(process: subprocess.Popen[bytes]) -> None:
    """kill -9 of a process and of everything that it started."""
    with contextlib.suppress(psutil.NoSuchProcess):
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        for member in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
    process.wait(60)


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Place:
    """The default demo after one run of the literal command, from nothing; only read."""

    def make(folder: Path) -> None:
        Place(folder).prepare().run("dagster", "job", "execute", "-j", "dr20")

    return Place(made_once(tmp_path_factory, "finished", make))


@pytest.fixture(scope="session")
def small_demo(tmp_path_factory) -> Place:
    """A small demo survey that is ingested and not run; only read."""

    def make(folder: Path) -> None:
        place = Place(folder).prepare()
        place.run("astra-assets", "demo", "--sources", "24", "--seed", "3")
        place.run("astra-assets", "migrate")

    return Place(made_once(tmp_path_factory, "small-demo", make))


@pytest.fixture(scope="session")
def small_finished(small_demo, tmp_path_factory) -> Place:
    """The small demo after one undisturbed run, from nothing; only read."""

    def make(folder: Path) -> None:
        place = small_demo.copy(folder, "demo")
        place.run("dagster", "job", "execute", "-j", "dr20")

    return Place(made_once(tmp_path_factory, "small-finished", make))


@pytest.fixture
def small(small_demo, tmp_path) -> Place:
    """A copy of the small demo from before anything was run, to be run and spoiled."""
    return small_demo.copy(tmp_path / "place", "demo")


@pytest.fixture
def ingested(small_demo, tmp_path) -> Place:
    """A copy of the small demo after `astra-assets migrate`, to be run and spoiled."""
    return small_demo.copy(tmp_path / "place")


@pytest.fixture
def released(small_finished, tmp_path) -> Place:
    """A copy of the small demo with all products, to be changed; records of batches name folders of the original."""
    return small_finished.copy(tmp_path / "place")


@pytest.fixture
def cluster_settings(tmp_path) -> dict[str, str]:
    """The environment of somebody who runs pipelines on the cluster; the queue is asked for more often than usual."""
    file = tmp_path / "astra.toml"
    file.write_text(f"{FEW}[slurm]\npoll_seconds = 1\n[slurm.steps.mwm]\nnodes = 2\n")
    return {"ASTRA_COMPUTE": "slurm", "ASTRA_CONFIG": str(file)}


@pytest.fixture
def arrays(slurm) -> Callable[[], dict[str, str]]:
    """Tells the ids of all arrays that Slurm has accepted since the test began, with their names."""

    def known() -> dict[str, str]:
        return dict(line.split() for line in slurm.squeue("%F %j"))

    before = known()
    return lambda: {number: name for number, name in known().items() if number not in before}


def watched_array(slurm, arrays, place) -> str:
    """The id of the array of a command, once that watches it; nodes are drained, and so it waits."""
    slurm.wait_until(arrays, 240, "the first array")
    log = place.folder / "started.log"
    slurm.wait_until(lambda: "tasks running, waiting: " in log.read_text(), 120, "a step that watches")
    (number,) = arrays()
    return number
