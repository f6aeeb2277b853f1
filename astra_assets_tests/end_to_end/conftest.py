"""Surveys that whole commands run on: a full demo that is run once, and small ones that tests may spoil."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
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


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Place:
    """The default demo after one run of the literal command, from nothing."""
    place = Place(tmp_path_factory.mktemp("finished")).prepare()
    place.run("dagster", "job", "execute", "-j", "dr20")
    return place


@pytest.fixture(scope="session")
def small_demo(tmp_path_factory) -> Place:
    """A small demo survey, made but not run."""
    place = Place(tmp_path_factory.mktemp("small")).prepare()
    place.run("astra-assets", "demo", "--sources", "24", "--seed", "3")
    return place


@pytest.fixture
def small(small_demo, tmp_path) -> Place:
    """A copy of the small demo, to be run and spoiled."""
    place = Place(tmp_path / "place").prepare()
    shutil.copytree(small_demo.home / "demo", place.home / "demo")
    return place


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
