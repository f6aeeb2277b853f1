"""Deployments that tests of several verbs share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from astra_assets.config.releases import DR20
from astra_assets.config.settings import Compute, load_settings
from astra_assets.operations.deployment import Deployment
from astra_assets.operations.step_runner import StepRunner
from astra_assets_tests.compute import samples

Deploy = Callable[..., Deployment]
MakeRunner = Callable[..., StepRunner]


@pytest.fixture
def clean_environment(tmp_path, monkeypatch):
    """No setting is in the environment, and none in the folder."""
    for name in ("ASTRA_CONFIG", "ASTRA_COMPUTE", "ASTRA_DATABASE_URL", "SAS_BASE_DIR", "MWM_ASTRA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def deployment(tmp_path, clean_environment) -> Deployment:
    """A deployment with its defaults, without tables."""
    return Deployment(load_settings(home=tmp_path / "home"))


@pytest.fixture
def archived(tmp_path, clean_environment) -> Deployment:
    """A deployment with an archive of its own, which is empty."""
    (tmp_path / "sas").mkdir()
    return Deployment(load_settings(home=tmp_path / "home", sas_base_dir=tmp_path / "sas"))


@pytest.fixture
def deploy(tmp_path, clean_environment) -> Deploy:
    """Makes a deployment with the content of an astra.toml."""

    def made(toml: str = "") -> Deployment:
        (tmp_path / "astra.toml").write_text(toml)
        return Deployment(load_settings(home=tmp_path / "home"))

    return made


@pytest.fixture
def make(deploy, database, tmp_path) -> MakeRunner:
    """Makes what runs the steps of DR20, on a database with eight visits."""
    samples.add_visits(database, tmp_path / "home" / "demo", [0] * 8)

    def made(compute: Compute = "local", toml: str = "") -> StepRunner:
        deployment = deploy(toml)
        deployment.database = database
        return StepRunner(deployment, DR20, compute)

    return made
