"""Stopping on request: the jobs end, what they made is kept, and the next run goes on after it."""

from __future__ import annotations

import pytest

from astra_assets.compute.slurm.client import SlurmUnavailableError
from astra_assets.compute.slurm.job_states import SlurmState
from astra_assets.database.database import Database
from astra_assets_tests.compute.conftest import Bench
from astra_assets_tests.compute.slurm.scene import Scene, do


@pytest.fixture
def scene(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'astra.db'}")
    database.create_tables()
    return Scene(Bench(database, tmp_path))


def test_what_was_stopped_goes_on_with_the_rest_and_without_an_error(scene):
    batch = scene.begin()
    first = scene.job
    scene.set(0, SlurmState.RUNNING)
    do(batch, 0, phase="running", only=2)
    scene.finish(1)
    assert scene.backend.stop(batch) == (first.job_id,)
    assert first.tasks[0].state is SlurmState.CANCELLED
    assert first.tasks[1].state is SlurmState.COMPLETED
    again = scene.bench.make(scene.another())
    attached = again.active(*batch.declaration())
    again.start(attached)
    assert scene.job is not first
    assert list(scene.job.tasks) == [0]
    scene.finish(0)
    account = again.collect(attached)
    assert (account.results, account.balanced) == (6, True)
    assert len(scene.slurm.submitted) == 2


def test_stopping_while_slurm_does_not_answer_says_so_and_changes_nothing(scene):
    batch = scene.begin()
    scene.slurm.down = 1
    with pytest.raises(SlurmUnavailableError):
        scene.backend.stop(batch)
    assert scene.look() == ["waiting", "waiting"]
    assert not any(each.endings or each.cancelled for each in scene.written)
    assert scene.look() == ["waiting", "waiting"]


def test_whoever_else_watches_what_is_stopped_ends_and_submits_nothing(scene):
    batch = scene.begin()
    scene.look()
    scene.backend.stop(batch)
    assert scene.look(backend=scene.another()) == ["broken", "broken"]
    assert "it was stopped on request" in scene.message(1)
    assert len(scene.slurm.submitted) == 1


def test_a_job_whose_submission_was_not_answered_is_stopped_as_well(scene):
    scene.slurm.lose_answers = 1
    batch = scene.begin()
    assert scene.written[0].job_id is None
    assert scene.backend.stop(batch) == (scene.job.job_id,)
    assert {task.state for task in scene.job.tasks.values()} == {SlurmState.CANCELLED}
