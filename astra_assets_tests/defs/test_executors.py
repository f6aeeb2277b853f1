"""In which processes steps run: here in that of the run, on a cluster each in one of its own."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import dagster as dg
import pytest

from astra_assets.defs.executors import (
    HEAVY,
    HEAVY_AT_ONCE,
    LOAD_TAG,
    PRELOADED,
    WAITING_AT_ONCE,
    step_executor,
)
from astra_assets.defs.resources import DeploymentResource


def other_process() -> dg.JobDefinition:
    """A job of two steps that write down in which process they run, and at the same time as whom."""

    def write(name: str) -> None:
        Path(os.environ["ASTRA_TEST_FOLDER"], f"{name}-{os.getpid()}").touch()

    @dg.op
    def one() -> None:
        write("one")

    @dg.op
    def two() -> None:
        write("two")

    @dg.job(executor_def=step_executor(DeploymentResource(), {}))
    def two_steps() -> None:
        one()
        two()

    return two_steps


def pids(folder: Path) -> set[int]:
    found = [path.name.partition("-") for path in folder.iterdir()]
    assert {name for name, _, _ in found} == {"one", "two"}
    return {int(pid) for _, _, pid in found}


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("ASTRA_TEST_FOLDER", str(tmp_path / "found"))
    monkeypatch.delenv("ASTRA_CONFIG", raising=False)
    (tmp_path / "found").mkdir()
    return tmp_path / "found"


def test_here_all_steps_share_the_process_of_the_run(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("ASTRA_COMPUTE", "local")
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        job = dg.reconstructable(other_process)
        with dg.execute_job(job, instance=instance) as result:
            assert result.success
    assert pids(folder) == {os.getpid()}


@pytest.mark.processes
def test_on_a_cluster_each_step_has_a_process_of_its_own(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("ASTRA_COMPUTE", "slurm")
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        job = dg.reconstructable(other_process)
        with dg.execute_job(job, instance=instance) as result:
            assert result.success
    found = pids(folder)
    assert len(found) == 2
    assert os.getpid() not in found


def test_settings_of_the_definitions_win_over_the_environment(monkeypatch):
    monkeypatch.setenv("ASTRA_COMPUTE", "slurm")
    assert step_executor(DeploymentResource(overrides={"compute": "local"}), {}).get_requirements({}) == []
    assert step_executor(DeploymentResource(), {}).get_requirements({})


@pytest.mark.parametrize("name", PRELOADED)
def test_what_is_imported_beforehand_is_there(name):
    importlib.import_module(name)  # the server of processes leaves out without a word what it cannot import


def test_what_keeps_the_database_busy_is_limited_and_what_waits_is_not():
    from astra_assets.definitions import defs

    job = defs.resolve_job_def("dr20")
    busy = {node.name for node in job.graph.nodes if node.definition.tags.get(LOAD_TAG) == HEAVY[LOAD_TAG]}
    assert "mwmTargets" in busy
    steps = [node.definition for node in job.graph.nodes if isinstance(node.definition, dg.GraphDefinition)]
    for graph in steps:
        tags = {node.name: node.definition.tags for node in graph.nodes}
        assert tags["submit"].get(LOAD_TAG) == HEAVY[LOAD_TAG]
        assert LOAD_TAG not in tags["collect"]
    assert len(steps) + HEAVY_AT_ONCE < WAITING_AT_ONCE


def test_assets_that_are_materialised_one_by_one_run_like_the_jobs():
    from astra_assets.definitions import defs

    assert {defs.resolve_job_def(name).executor_def.name for name in ("dr20", "main")} == {"by_setting"}
    assert defs.resolve_implicit_global_asset_job_def().executor_def.name == "by_setting"
