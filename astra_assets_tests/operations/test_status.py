"""How a step stands: its account, its batch and how far that is."""

from __future__ import annotations

from dataclasses import replace

from astra_assets.cli.status import as_dict, row
from astra_assets.compute import Account
from astra_assets.compute.progress import TaskStatus
from astra_assets.operations.cancel import need_active
from astra_assets.operations.plan import plan
from astra_assets.operations.status import StepStatus, status, step_status
from astra_assets_tests.compute import samples

STEP = samples.FLUX.step("visit")


def test_a_step_shows_its_batch_and_how_far_that_is(make):
    runner = make("local")
    assert step_status(runner, samples.FLUX, STEP).unfinished
    batch = runner.engine.plan(samples.FLUX, STEP)
    folder = batch.task_folder(0)
    folder.mkdir(parents=True)
    TaskStatus("running", 8, done=3, failed=1).write(folder)
    found = step_status(runner, samples.FLUX, STEP)
    assert found.batch.batch_id == batch.batch_id
    assert (found.progress.finished, found.progress.running, found.jobs) == (4, 1, ())
    assert found.account.backlog == 8
    (planned,) = plan(runner, samples.FLUX, [STEP])
    assert planned.notes == [
        f"a run goes on with the active batch {batch.batch_id} instead of planning this one"
    ]
    done_anew = replace(found, account=replace(found.account, results=8, backlog=0))
    assert done_anew.account.complete
    assert done_anew.unfinished
    assert need_active(runner.deployment, batch.batch_id) == batch.directory
    assert runner.jobs(samples.FLUX, STEP) == ()
    assert runner.stop(samples.FLUX, STEP) is None


def test_every_step_of_the_release_has_a_status_in_the_order_of_running(make):
    runner = make()
    found = [(each.account.pipeline, each.account.step) for each in status(runner)]
    assert found == [(pipeline.name, step.name) for pipeline, step in runner.steps()]
    assert found.index(("SnowWhite", "star")) < found.index(("Corv", "visit"))


def test_status_says_how_many_failed_inputs_keep_an_older_result():
    account = Account("Corv", "visit", 9, 6, 3, 0, 0, failed_by_code={"missing_file": 2, "odd": 1}, kept=2)
    found = StepStatus(account)
    assert row(found)[-1] == "failed (of these 2 keep an older result) missing_file: 2, odd: 1"
    assert as_dict(found)["kept"] == 2
