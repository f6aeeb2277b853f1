"""Batches on a stand-in for Slurm: what is submitted when, what is waited for, what ends a step."""

from __future__ import annotations

import json
import shutil
import threading

import pytest

from astra_assets.compute import BatchError, claims
from astra_assets.compute.backend import Backend
from astra_assets.compute.batch import read_batch
from astra_assets.compute.progress import TaskStatus
from astra_assets.compute.slurm.client import SlurmMissingError
from astra_assets.compute.slurm.fake import FakeSlurm
from astra_assets.compute.slurm.job_states import SlurmState
from astra_assets.compute.slurm.spec import SlurmSpecError
from astra_assets.compute.slurm.submissions import Submissions
from astra_assets.compute.usage import usage_of
from astra_assets.database.database import Database
from astra_assets.models.compute import ComputeBatch
from astra_assets.pipelines.options import ResourceRequest
from astra_assets_tests.compute.conftest import Bench, Directly
from astra_assets_tests.compute.samples import FLUX, SampleFlux
from astra_assets_tests.compute.slurm.scene import VISIT, Scene, do
from astra_assets_tests.project import PROJECT


@pytest.fixture
def bench(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'astra.db'}")
    database.create_tables()
    return Bench(database, tmp_path)


@pytest.fixture
def scene(bench):
    return Scene(bench)


def test_a_batch_is_one_array_with_its_id_as_comment(scene):
    batch = scene.begin()
    backend: Backend = scene.backend
    assert (backend.name, len(scene.slurm.submitted)) == ("slurm", 1)
    job = scene.job
    assert job.name == f"astra-sample_flux-visit-{batch.batch_id}-1"
    assert (job.options["comment"], job.options["array"]) == (batch.batch_id, "0-1")
    declaration = ["--declaration", "astra_assets_tests.compute.samples:FLUX", "--import-path", str(PROJECT)]
    worker = ["-m", "astra_assets.compute.worker", "--submission", "1"]
    assert job.command[1:] == [*worker, *declaration, str(batch.directory)]
    assert scene.bench.rows(ComputeBatch, "backend", "job") == [("slurm", job.job_id)]
    assert scene.look() == ["waiting", "waiting"]
    scene.set(0, SlurmState.RUNNING, node="np001")
    assert scene.look() == ["running", "waiting"]
    scene.finish(0, 1)
    account = scene.collected()
    assert (account.results, len(scene.slurm.submitted)) == (6, 1)


def test_looking_costs_one_question_an_interval_however_many_tasks_run(bench):
    scene = Scene(bench, nodes=40)
    scene.begin(40)
    began = scene.clock.now
    for _ in range(10):
        scene.look(after=4.0)
    assert 1 < scene.slurm.calls["queue"] <= 1 + (scene.clock.now - began) / 20
    assert scene.slurm.calls["detail"] == 0


def test_a_new_run_attaches_to_the_same_array(scene):
    scene.begin()
    other = scene.bench.make(scene.another())
    batch = other.plan(FLUX, VISIT)
    other.start(batch)
    assert batch.attached
    assert len(scene.slurm.submitted) == 1
    scene.finish(0, 1)
    assert other.collect(batch).results == 6
    assert scene.engine.collect(scene.batch).results == 6


def test_a_run_that_attaches_says_what_it_changes_and_what_it_cannot(scene, caplog):
    scene.begin()
    with caplog.at_level("INFO"):
        again = scene.engine.plan(FLUX, VISIT, resources=ResourceRequest(nodes=5, time="48:00:00"))
    assert (again.slurm.time, again.slurm.nodes, len(again.tasks)) == ("48:00:00", 2, 2)
    assert "nodes = 5 is not heeded: it is fixed when a batch is planned" in caplog.text
    assert "time = 48:00:00 for tasks that are started from now on" in caplog.text


def test_two_orchestrators_at_once_submit_one_array(scene):
    scene.pks = scene.bench.visits([0] * 4)
    scene.batch = scene.engine.plan(FLUX, VISIT, resources=scene.resources)
    barrier = threading.Barrier(2)

    def start():
        engine = scene.bench.make(scene.another())
        barrier.wait()
        engine.start(scene.batch)

    threads = [threading.Thread(target=start) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [sorted(job.tasks) for job in scene.slurm.submitted] == [[0, 1]]


def test_a_submission_whose_answer_was_lost_is_found_and_not_repeated(scene):
    scene.slurm.lose_answers = 1
    scene.begin()
    assert scene.written[0].job_id is None
    assert scene.look() == ["waiting", "waiting"]
    assert scene.written[0].job_id == scene.job.job_id
    scene.finish(0, 1)
    assert scene.collected().results == 6
    assert len(scene.slurm.submitted) == 1


def test_a_submission_that_was_lost_is_repeated_only_after_it_was_looked_for_long_enough(scene):
    scene.slurm.lose_submissions = 1
    scene.begin()
    assert scene.look() == ["unknown", "unknown"]
    assert scene.look() == ["unknown", "unknown"]
    scene.again()
    assert scene.backend.job(scene.batch) is None
    assert scene.look() == ["stopped", "stopped"]
    scene.again()
    assert [job.name[-2:] for job in scene.slurm.submitted] == ["-2"]
    scene.finish(0, 1)
    assert scene.collected().results == 6


def test_a_submission_that_arrives_after_it_was_given_up_is_cancelled(scene):
    scene.slurm.lose_answers = 1
    scene.begin()
    late = scene.slurm.jobs.pop(scene.job.job_id)
    scene.look(), scene.look(), scene.look(40)
    scene.again()
    scene.slurm.jobs[late.job_id] = late
    assert scene.look() == ["waiting", "waiting"]
    assert {task.state for task in late.tasks.values()} == {SlurmState.CANCELLED}
    assert {task.state for task in scene.job.tasks.values()} == {SlurmState.PENDING}


def test_a_step_that_is_killed_while_it_submits_finds_its_job(scene):
    scene.begin()
    (written,) = scene.written
    path = scene.batch.directory / "jobs" / "1.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"job_id": None}))
    backend = scene.another()
    assert scene.look(backend=backend) == ["waiting", "waiting"]
    assert scene.written == [written]


class KilledError(BaseException):
    """As kill -9: nothing that is left to do is done."""


def test_a_job_that_was_submitted_by_a_killed_process_is_recorded_by_the_next_run(scene, monkeypatch):
    def killed(*_args):
        raise KilledError

    with monkeypatch.context() as patch:
        # Slurm has accepted the array; neither its id nor the start are written down
        patch.setattr(Submissions, "save", killed)
        with pytest.raises(KilledError):
            scene.begin()
    assert len(scene.slurm.submitted) == 1
    assert scene.bench.rows(ComputeBatch, "job", "started") == [(None, None)]
    again = scene.bench.make(scene.another())
    batch = again.plan(FLUX, VISIT)
    again.start(batch)
    ((job, started),) = scene.bench.rows(ComputeBatch, "job", "started")
    assert (job, started is None) == (scene.job.job_id, False)
    scene.finish(0, 1)
    assert again.collect(batch).results == 6
    assert len(scene.slurm.submitted) == 1


def test_a_job_whose_answer_was_lost_is_recorded_when_it_is_found(scene):
    scene.slurm.lose_answers = 1
    scene.begin()
    assert scene.bench.rows(ComputeBatch, "job") == [(None,)]
    scene.slurm.run = lambda _job, task: do(scene.batch, task) or 0
    assert scene.engine.collect(scene.batch).results == 6
    assert scene.bench.rows(ComputeBatch, "job") == [(scene.job.job_id,)]


def test_while_the_controller_is_away_nothing_is_submitted_and_then_at_once(scene):
    scene.slurm.down = 5
    scene.begin()
    assert scene.look() == ["unknown", "unknown"]
    while scene.slurm.down:
        scene.look()
    scene.look(400)
    assert scene.look(400) == ["stopped", "stopped"]
    scene.again()
    assert scene.look() == ["waiting", "waiting"]
    assert len(scene.slurm.submitted) == 1


@pytest.mark.parametrize("fault", ["down", "empty"])
def test_a_controller_that_is_away_or_shows_an_empty_queue_ends_nothing(scene, fault):
    scene.begin()
    for task in (0, 1):
        scene.set(task, SlurmState.RUNNING)
    assert scene.look() == ["running", "running"]
    setattr(scene.slurm, fault, 12)
    for _ in range(80):
        assert set(scene.look(60)) <= {"running", "unknown"}
    assert getattr(scene.slurm, fault) == 0
    assert len(scene.slurm.submitted) == 1
    assert scene.written[0].endings == {}


def test_a_node_that_fails_gives_its_task_back_and_nothing_is_submitted(scene):
    scene.begin()
    scene.set(0, SlurmState.RUNNING)
    scene.look()
    scene.set(0, SlurmState.PENDING, reason="BeginTime", restarts=1)
    assert scene.look()[0] == "waiting"
    assert "put back into the queue" in scene.message()
    assert len(scene.slurm.submitted) == 1


@pytest.mark.parametrize("state", ["NODE_FAIL", "BOOT_FAIL", "PREEMPTED"])
def test_a_task_that_ended_early_is_submitted_again_alone(scene, state):
    scene.begin()
    do(scene.batch, 1, phase="running", only=1)
    scene.set(1, SlurmState[state], node="np002")
    assert scene.look() == ["waiting", "stopped"]
    assert scene.states[1].changed == (state == "PREEMPTED")
    scene.again()
    assert (scene.job.options["array"], scene.job.name[-2:]) == ("1", "-2")
    assert scene.look() == ["waiting", "waiting"]
    scene.again()
    assert scene.backend.job(scene.batch) == " ".join(job.job_id for job in scene.slurm.submitted)
    assert len(scene.slurm.submitted) == 2
    scene.set(0, SlurmState.COMPLETED, job=scene.slurm.submitted[0].job_id)
    do(scene.batch, 0)
    scene.finish(1)
    assert scene.collected().results == 6
    assert usage_of(scene.batch).job_ids == tuple(job.job_id for job in scene.slurm.submitted)


def test_lack_of_memory_asks_for_twice_as_much_for_the_rest(scene):
    scene.resources = ResourceRequest(nodes=2, mem="1000")
    scene.begin()
    do(scene.batch, 0)
    do(scene.batch, 1, phase="running", only=1)
    scene.set(0, SlurmState.COMPLETED)
    scene.set(1, SlurmState.OUT_OF_MEMORY)
    assert scene.look() == ["done", "stopped"]
    assert scene.states[1].changed
    assert "was short of memory; it asked for 1000 MB, and 2000M are asked for now" in scene.message(1)
    scene.again()
    assert (scene.job.options["array"], scene.job.options["mem"]) == ("1", "2000M")
    assert (scene.written[1].spared, scene.written[1].more_memory) == ((1,), True)
    scene.set(1, SlurmState.NODE_FAIL)
    scene.look()
    scene.again()
    assert scene.job.options["mem"] == "2000M", "what was learned is kept"
    scene.finish(1)
    assert scene.collected().results == 6
    assert usage_of(scene.batch).memory_asked_mb == 2000


def test_memory_grows_up_to_the_cap_and_then_the_inputs_count_as_the_cause(scene):
    scene.backend = scene.another(memory_cap_mb=3000)
    scene.engine = scene.bench.make(scene.backend)
    scene.resources = ResourceRequest(nodes=1, mem="1000")
    scene.begin()
    asked = []
    for _ in range(4):
        asked.append((scene.job.options["mem"], scene.written[-1].more_memory, scene.written[-1].spared))
        scene.set(0, SlurmState.FAILED, signal=9, memory_used_mb=float(scene.job.options["mem"].strip("M")))
        scene.look()
        scene.again()
    assert asked == [("1000", True, ()), ("2000M", True, (0,)), ("3000M", False, (0,)), ("3000M", False, ())]
    assert "and it gets no more (memory_cap is 3000 MB)" in scene.message()
    assert not scene.states[0].changed


def test_a_cluster_without_more_memory_goes_on_with_what_there_is(scene):
    scene.resources = ResourceRequest(nodes=1, mem="1000")
    scene.begin()
    scene.set(0, SlurmState.OUT_OF_MEMORY)
    scene.look()
    accept = scene.slurm.submit

    def submit(script):
        scene.slurm.refuse = "Memory specification can not be satisfied" if "--mem=2000M" in script else ""
        return accept(script)

    scene.slurm.submit = submit
    scene.again()
    assert scene.job.options["mem"] == "1000"
    assert [(each.refused, each.more_memory) for each in scene.written] == [
        (False, True), (True, True), (False, False),
    ]  # fmt: skip
    assert scene.look() == ["waiting"]


def test_the_end_of_the_wall_time_is_survived_once_and_reported_the_second_time(scene):
    scene.begin()
    scene.set(0, SlurmState.TIMEOUT)
    do(scene.batch, 0, phase="stopped", only=1)
    assert scene.look()[0] == "stopped"
    scene.again()
    assert scene.job.options["array"] == "0"
    scene.set(0, SlurmState.FAILED, exit_code=79)
    said = scene.error()
    assert "came to the end of its wall time again; 1 of 3 inputs are done and kept" in said
    assert "ask for more time than 24:00:00 (--time" in said
    assert scene.look()[0] == "broken", "another run that watches the same batch sees it, too"
    batch = scene.engine.plan(FLUX, VISIT, resources=ResourceRequest(time="48:00:00"))
    scene.engine.start(batch)
    assert (scene.job.options["array"], scene.job.options["time"]) == ("0", "48:00:00")
    assert read_batch(batch.directory).slurm.time == "48:00:00"
    scene.finish(0)
    do(batch, 1)
    assert scene.collected().results == 6


def test_a_cancellation_from_outside_ends_the_step_and_keeps_what_was_written(scene):
    scene.begin()
    do(scene.batch, 0, phase="stopped", only=2)
    first = scene.job.job_id
    scene.set(0, SlurmState.CANCELLED, cancelled_by="eve")
    scene.set(1, SlurmState.CANCELLED, cancelled_by="eve")
    said = scene.error()
    assert f"job {first}_0 was cancelled by eve, not by this program; what it had written is kept" in said
    assert scene.bench.rows(ComputeBatch, "state") == [("active",)]
    batch = scene.engine.plan(FLUX, VISIT)
    assert batch.attached
    scene.engine.start(batch)
    assert scene.job.job_id != first
    assert scene.job.options["array"] == "0-1"
    scene.finish(0, 1)
    assert scene.collected().results == 6


def test_one_more_run_is_enough_after_an_array_that_was_cancelled_while_it_ran(scene):
    scene.begin()
    do(scene.batch, 0, phase="stopped", only=1)
    scene.set(0, SlurmState.COMPLETING)
    scene.set(1, SlurmState.CANCELLED)
    assert "was cancelled" in scene.error()
    first = scene.job
    scene.set(0, SlurmState.CANCELLED)
    scene.engine.start(scene.batch)
    scene.look()
    scene.again()
    assert first.job_id != scene.job.job_id
    assert {task for job in scene.slurm.submitted[1:] for task in job.tasks} == {0, 1}
    scene.look()
    assert {state.phase.value for state in scene.states.values()} == {"waiting"}


def test_a_pardon_does_not_hold_for_what_still_ran(scene):
    scene.begin()
    do(scene.batch, 0, phase="stopped", only=1)
    scene.set(0, SlurmState.RUNNING)
    scene.set(1, SlurmState.CANCELLED)
    assert "was cancelled" in scene.error()
    scene.engine.start(scene.batch)
    scene.set(0, SlurmState.CANCELLED, job=scene.slurm.submitted[0].job_id)
    assert scene.look() == ["broken", "waiting"]


def test_a_cancellation_before_anything_was_written_ends_the_batch(scene):
    scene.begin()
    for task in (0, 1):
        scene.set(task, SlurmState.CANCELLED)
    assert "the cluster keeps no accounts that tell by whom" in scene.error()
    assert scene.bench.rows(ComputeBatch, "state") == [("cancelled",)]


def test_what_would_wait_for_ever_is_cancelled_with_what_to_change(scene):
    scene.begin()
    for task in (0, 1):
        scene.set(task, SlurmState.PENDING, reason="PartitionTimeLimit")
    assert scene.look() == ["waiting", "waiting"]
    scene.look()
    scene.look()
    assert {task.state for task in scene.job.tasks.values()} == {SlurmState.CANCELLED}
    scene.clock.now += 30
    said = scene.error()
    assert f"job {scene.job.job_id} would wait for ever: PartitionTimeLimit" in said
    assert "change time or partition" in said
    assert "(it asks for time = 24:00:00)" in said
    assert "The end of" not in said
    assert len(scene.slurm.submitted) == 1


def test_a_reason_that_may_pass_is_waited_for(scene):
    scene.begin()
    for task in (0, 1):
        scene.set(task, SlurmState.PENDING, reason="Resources")
    for _ in range(100):
        assert scene.look(600) == ["waiting", "waiting"]
    assert scene.slurm.cancelled == []


def test_tasks_that_slurm_holds_after_a_failed_start_are_submitted_again(scene):
    scene.begin()
    scene.set(0, SlurmState.PENDING, reason="launch failed requeued held")
    scene.look()
    assert scene.look() == ["stopped", "waiting"]
    assert scene.slurm.cancelled[0] == (scene.job.job_id, (0,))
    scene.again()
    assert scene.job.options["array"] == "0"


def test_a_refused_job_ends_the_step_and_the_next_run_may_ask_for_something_else(scene):
    scene.slurm.refuse = "there is no partition nope; change partition"
    with pytest.raises(BatchError, match="there is no partition nope"):
        scene.begin()
    assert scene.bench.rows(ComputeBatch, "state") == [("cancelled",)]
    scene.slurm.refuse = ""
    batch = scene.engine.plan(FLUX, VISIT, resources=ResourceRequest(partition="some"))
    scene.engine.start(batch)
    assert scene.job.options["partition"] == "some"


def test_a_job_that_slurm_does_not_take_now_waits_and_is_submitted_when_it_does(scene):
    scene.slurm.defer = "as many jobs are queued as the account allows"
    scene.begin()
    assert scene.look(after=10) == ["waiting", "waiting"]
    assert scene.message() == "as many jobs are queued as the account allows"
    assert scene.look(after=10) == ["waiting", "waiting"]
    assert scene.slurm.calls["submit"] == 1
    assert scene.look(after=30) == ["stopped", "stopped"]
    scene.again()
    assert scene.slurm.calls["submit"] == 2
    assert scene.look(after=40) == ["waiting", "waiting"], "the pause is longer after the second time"
    assert scene.look(after=40) == ["waiting", "waiting"]
    assert scene.look(after=30) == ["stopped", "stopped"]
    scene.slurm.defer = ""
    scene.again()
    assert scene.bench.rows(ComputeBatch, "state") == [("active",)]
    scene.finish(0, 1)
    assert scene.collected().results == 6


def test_a_new_run_tries_at_once_what_slurm_did_not_take(scene):
    scene.slurm.defer = "the partition is drained"
    scene.begin()
    scene.slurm.defer = ""
    again = scene.bench.make(scene.another())
    batch = again.plan(FLUX, VISIT, resources=ResourceRequest(partition="other"))
    again.start(batch)
    assert [job.options["partition"] for job in scene.slurm.submitted] == ["other"]


def test_a_batch_stays_on_the_cluster_that_it_was_planned_for(bench, monkeypatch, caplog):
    asked = []

    def noted(self, cluster):
        asked.append(cluster)
        return self

    monkeypatch.setattr(FakeSlurm, "on", noted)
    scene = Scene(bench, cluster="notchpeak")
    scene.begin()
    assert scene.job.options["clusters"] == "notchpeak"
    assert scene.bench.rows(ComputeBatch, "job") == [(f"{scene.job.job_id};notchpeak",)]
    again = scene.engine.plan(FLUX, VISIT, resources=ResourceRequest(cluster="kingspeak"))
    assert again.slurm.cluster == "notchpeak"
    assert "cluster = kingspeak is not heeded" in caplog.text
    scene.look()
    assert set(asked) == {"notchpeak"}
    shutil.rmtree(scene.batch.directory)
    assert scene.engine.active(FLUX, VISIT) is None
    assert {task.state for task in scene.job.tasks.values()} == {SlurmState.CANCELLED}


def test_a_variable_of_sbatch_that_would_be_dropped_is_refused_before_anything_is_planned(
    scene, monkeypatch, caplog
):
    monkeypatch.setenv("SBATCH_RESERVATION", "night")
    with pytest.raises(
        SlurmSpecError, match=r'SBATCH_RESERVATION=night is not passed on .*extra = \["--reservation=night"\]'
    ):
        scene.begin()
    monkeypatch.delenv("SBATCH_RESERVATION")
    monkeypatch.setenv("SBATCH_EXPORT", "NONE")
    scene.begin()
    assert "SBATCH_EXPORT=NONE has no effect" in caplog.text


def test_a_machine_without_slurm_leaves_no_batch_behind(scene, monkeypatch):
    def missing(*_):
        raise SlurmMissingError("sbatch is not installed here")

    for name in ("submit", "queue", "find", "cancel", "detail"):
        monkeypatch.setattr(scene.slurm, name, missing)
    with pytest.raises(BatchError, match="sbatch is not installed here"):
        scene.begin()
    assert scene.bench.rows(ComputeBatch, "state") == [("cancelled",)]


def test_a_machine_without_slurm_does_no_harm_to_a_batch_that_runs(scene, monkeypatch):
    scene.begin()

    def missing(*_):
        raise SlurmMissingError("squeue is not installed here")

    with monkeypatch.context() as patch:
        patch.setattr(scene.slurm, "queue", missing)
        scene.clock.now += 60
        with pytest.raises(SlurmMissingError):
            scene.bench.make(scene.another()).run(FLUX, VISIT)
    assert scene.bench.rows(ComputeBatch, "state") == [("active",)]
    scene.finish(0, 1)
    assert scene.collected().results == 6


def test_options_that_cannot_be_right_are_told_before_anything_is_planned(scene):
    scene.bench.visits([0])
    with pytest.raises(SlurmSpecError, match="sample_flux visit cannot be submitted"):
        scene.engine.plan(FLUX, VISIT, resources=ResourceRequest(time="soon"))
    assert scene.bench.rows(ComputeBatch) == []


def test_a_pipeline_that_cannot_be_set_up_ends_the_step_with_its_words(scene):
    scene.begin()
    folder = scene.batch.task_folder(0)
    folder.mkdir(parents=True)
    job = f"{scene.job.job_id}_0"
    TaskStatus("broken", 3, message="no such grid", job=job).write(folder)
    scene.set(0, SlurmState.FAILED, exit_code=70)
    assert "no such grid" in scene.error()
    assert scene.bench.rows(ComputeBatch, "state") == [("cancelled",)]


def test_a_task_that_dies_again_and_again_ends_the_step_with_its_log(scene):
    scene.begin()
    log_file = scene.batch.log_file(0)
    log_file.write_text("no space left\n")
    scene.slurm.run = lambda _job, _task: 1
    said = scene.error()
    assert "stopped 5 times without finishing one more input" in said
    assert "ended: FAILED, exit status 1" in said
    assert "no space left" in said


def test_a_task_that_ended_well_is_given_time_until_its_files_are_seen(scene):
    scene.begin()
    for task in (0, 1):
        scene.set(task, SlurmState.COMPLETED)
    for _ in range(3):
        assert scene.look() == ["unknown", "unknown"]
    scene.finish(0, 1)
    assert scene.look() == ["done", "done"]
    assert len(scene.slurm.submitted) == 1


def test_a_task_that_slurm_has_forgotten_is_decided_by_its_life(scene):
    scene.begin()
    for task in (0, 1):
        scene.set(task, SlurmState.RUNNING)
    scene.look()
    scene.slurm.forget(scene.job.job_id)
    folder = scene.batch.task_folder(0)
    folder.mkdir(parents=True)
    for beat in range(8):
        TaskStatus("running", 3, token="mine", done=beat % 3).write(folder)
        first = scene.look()[0]
        assert first in ("running", "unknown")
        assert beat == 0 or first == "running"
    assert scene.states[1].phase.value == "stopped"
    assert "not known to Slurm any more, and its task shows no life" in scene.message(1)
    for _ in range(3):
        assert scene.look()[0] in ("running", "unknown")
    scene.look(60)
    assert scene.look() == ["stopped", "stopped"]


def test_a_task_that_is_cancelled_before_it_starts_leaves_no_trace_and_ends_the_step(scene):
    scene.begin()
    scene.set(0, SlurmState.RUNNING)
    scene.look()
    scene.slurm.cancel(scene.job.job_id, [1])
    for _ in range(4):
        assert scene.look() == ["running", "unknown"]
    assert scene.look() == ["running", "broken"]
    assert f"job {scene.job.job_id}_1 was cancelled by somebody" in scene.message(1)


def test_clocks_of_other_machines_do_not_matter(scene, monkeypatch):
    scene.begin()
    scene.set(0, SlurmState.RUNNING)
    scene.look()
    scene.slurm.forget(scene.job.job_id)
    folder = scene.batch.task_folder(0)
    folder.mkdir(parents=True)
    for beat in (5e9, 1.0, 3e9):
        monkeypatch.setattr("astra_assets.compute.progress.time.time", lambda beat=beat: beat)
        TaskStatus("running", 3, token="mine").write(folder)
        assert scene.look(100)[0] in ("running", "unknown")


def test_a_job_that_is_put_back_into_the_queue_after_its_end_is_not_doubled(scene):
    scene.begin()
    scene.set(0, SlurmState.FAILED, exit_code=1)
    assert scene.look()[0] == "stopped"
    scene.set(0, SlurmState.PENDING)
    scene.look()
    assert scene.look() == ["waiting", "waiting"]
    assert len(scene.slurm.submitted) == 1


def test_an_older_copy_that_comes_back_beside_its_successor_is_cancelled(scene):
    scene.begin()
    scene.set(0, SlurmState.FAILED, exit_code=1)
    scene.look()
    first = scene.job.job_id
    scene.again()
    scene.set(0, SlurmState.RUNNING, job=first)
    assert scene.look() == ["waiting", "waiting"]
    assert scene.slurm.cancelled == [(first, (0,))]


def test_cancel_ends_all_jobs_and_nobody_can_write_any_more(scene):
    scene.begin()
    scene.set(0, SlurmState.FAILED, exit_code=1)
    scene.look()
    scene.again()
    scene.engine.cancel(scene.batch)
    states = [task.state.name for job in scene.slurm.submitted for task in job.tasks.values()]
    assert states == ["FAILED", "CANCELLED", "CANCELLED"]
    scene.look()
    assert scene.message(1) == "the batch was cancelled"
    with pytest.raises(claims.TaskTakenError, match="the batch was cancelled"):
        claims.take(scene.batch.task_folder(1), (9, 9))
    assert scene.bench.rows(ComputeBatch, "state") == [("cancelled",)]


def test_more_memory_that_would_wait_for_ever_is_given_up_for_what_there_was(scene):
    scene.resources = ResourceRequest(nodes=1, mem="1000")
    scene.begin()
    scene.set(0, SlurmState.OUT_OF_MEMORY)
    scene.look()
    scene.again()
    scene.set(0, SlurmState.PENDING, reason="BadConstraints")
    for _ in range(4):
        scene.look()
    assert scene.look() == ["stopped"]
    assert scene.states[0].changed
    scene.again()
    assert [job.options["mem"] for job in scene.slurm.submitted] == ["1000", "2000M", "1000M"]
    assert not scene.written[-1].more_memory


def test_cancel_without_a_controller_stops_the_writing_and_says_what_is_left(scene, caplog):
    scene.begin()
    scene.slurm.down = 99
    scene.engine.cancel(scene.batch)
    assert "cannot be cancelled now; they write nothing and end as soon as they run" in caplog.text
    assert claims.owner_host(scene.batch.task_folder(0)) is None
    assert scene.bench.rows(ComputeBatch, "state") == [("cancelled",)]


def test_a_batch_whose_folder_is_gone_has_its_jobs_cancelled(scene):
    scene.begin()
    old = scene.job
    shutil.rmtree(scene.batch.directory)
    again = scene.engine.plan(FLUX, VISIT)
    assert not again.attached
    assert {task.state for task in old.tasks.values()} == {SlurmState.CANCELLED}


def test_a_batch_goes_on_where_it_was_planned_for(scene, caplog):
    scene.begin()
    here = scene.bench.make(Directly(), others=(scene.another(),))
    caplog.set_level("INFO")
    batch = here.plan(FLUX, VISIT)
    assert "on slurm, for which it was planned" in caplog.text
    here.start(batch)
    scene.finish(0, 1)
    assert here.collect(batch).results == 6
    assert len(scene.slurm.submitted) == 1


def test_a_batch_of_a_cluster_that_is_not_there_says_so(scene):
    scene.begin()
    here = scene.bench.make(Directly())
    batch = here.plan(FLUX, VISIT)
    with pytest.raises(
        BatchError, match=r"was planned for 'slurm', which is not available here(?s:.)*ASTRA_COMPUTE=slurm"
    ):
        here.start(batch)


def test_detaching_leaves_the_jobs_alone(scene):
    scene.begin()
    said = scene.backend.detach(scene.batch)
    assert f"job {scene.job.job_id}) goes on on the cluster" in said
    assert scene.slurm.cancelled == []


def test_whatever_is_written_about_submissions_reads_back(scene):
    scene.resources = ResourceRequest(nodes=2, mem="1000", setup=("module load x",))
    scene.begin()
    scene.set(0, SlurmState.OUT_OF_MEMORY, node="np001", run_seconds=5)
    scene.look()
    scene.again()
    book = Submissions(scene.batch.directory)
    for submission in book.read():
        book.save(submission)
        assert submission in book.read()
    assert not book.add(book.read()[0])
    assert book.read()[0].endings[0].node == "np001"
    assert book.read()[1].why.startswith("job 1001_0 on np001 was short of memory")
    assert scene.bench.count(SampleFlux) == 0
