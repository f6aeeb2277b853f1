"""What is told about a batch: its tasks, what the cluster says about them, and why inputs have no result."""

from __future__ import annotations

import pytest

from astra_assets.compute.slurm.job_states import SlurmState
from astra_assets.database.database import Database
from astra_assets.operations.why import FEW_TASKS, batch_answers, task_answers
from astra_assets_tests.compute.conftest import Bench
from astra_assets_tests.compute.slurm.scene import Scene, do

MANY = FEW_TASKS + 20


@pytest.fixture
def make(tmp_path):
    """A batch of so many tasks on a stand-in for Slurm."""

    def made(nodes: int, kinds: list[int]) -> Scene:
        database = Database(f"sqlite:///{tmp_path / 'astra.db'}")
        database.create_tables()
        scene = Scene(Bench(database, tmp_path), nodes=nodes)
        scene.begin(kinds=kinds)
        return scene

    return made


def test_a_task_that_is_done_shows_how_it_ended_and_what_it_used(make):
    scene = make(2, [0] * 4)
    scene.finish(0)
    scene.set(0, SlurmState.COMPLETED, node="np001", memory_used_mb=300.0)
    scene.set(1, SlurmState.PENDING, reason="Resources")
    done, waits = task_answers(scene.batch.directory, scene.slurm)
    known = ("phase", "slurm state", "slurm exit_code", "slurm node", "slurm memory_used_mb")
    assert [done.facts[name] for name in known] == ["done", "COMPLETED", 0, "np001", 300.0]
    assert waits.facts["slurm reason"] == "Resources: no node is free yet"
    assert not {None, ""}.intersection([*done.facts.values(), *waits.facts.values()])


def test_many_tasks_without_trouble_are_counted_and_cost_one_question(make):
    scene = make(MANY, [0] * MANY)
    for task in range(MANY):
        scene.set(task, SlurmState.PENDING, reason="Priority")
    scene.set(7, SlurmState.RUNNING, reason="")
    do(scene.batch, 3)
    scene.slurm.calls.clear()
    found = task_answers(scene.batch.directory, scene.slurm)
    assert {each.facts["phase"]: each.title for each in found} == {
        "PENDING, Priority: others are before it": f"{MANY - 2} further tasks",
        "RUNNING": "1 further tasks",
        "done, without failures": "1 further tasks",
    }
    assert scene.slurm.calls == {"queue": 1}


def test_a_controller_that_is_away_is_asked_once_and_named(make):
    scene = make(3, [0] * 6)
    scene.slurm.down = 99
    scene.slurm.calls.clear()
    *tasks, cluster = task_answers(scene.batch.directory, scene.slurm)
    assert [each.facts["job"] for each in tasks] == [f"{scene.job.job_id}_{task}" for task in range(3)]
    assert "controller" in cluster.facts["slurm"]
    assert scene.slurm.calls == {"detail": 1}


def test_reasons_of_a_batch_are_told_with_an_example(make):
    scene = make(1, [0, 92, 92, 93])
    scene.finish(0)
    batch, *_ = batch_answers(scene.bench.database, scene.batch.batch_id, scene.slurm)
    assert batch.facts["failed: too_faint"] == "2, for example: nothing to be seen"
    assert batch.facts["skipped: not_wanted"] == "1, for example: not for this pipeline"
