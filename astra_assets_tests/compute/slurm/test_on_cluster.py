"""Batches on a real cluster: whatever is killed, stopped, refused or cancelled, every spectrum ends exactly once."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections import Counter

import pytest

from astra_assets.compute import BatchError
from astra_assets.compute.claims import owner_host
from astra_assets.compute.program.call import SiteProgram
from astra_assets.compute.progress import read_status
from astra_assets.compute.slurm.submissions import Submissions
from astra_assets.compute.usage import usage_of
from astra_assets.compute.worker import worker_command
from astra_assets.database.database import Database
from astra_assets.files.json_files import read_json
from astra_assets.models.compute import ComputeBatch
from astra_assets.operations.why import unfinished_batches
from astra_assets.pipelines.options import ResourceRequest
from astra_assets_tests.compute.program.samples import ASTRA, PROGRAM, STEP, site
from astra_assets_tests.compute.samples import FLUX
from astra_assets_tests.compute.slurm.real import (
    SMALL,
    VISIT,
    backend,
    jobs,
    keys_in_parts,
    supervisors,
)
from astra_assets_tests.project import PROJECT

pytestmark = pytest.mark.slurm


def one_array(slurm, batch):
    """The batch was submitted once, and Slurm has never seen another job."""
    assert len(jobs(batch)) == 1
    assert slurm.arrays() == set(jobs(batch))


@pytest.mark.smoke
def test_a_batch_runs_as_one_array_and_says_what_it_used(slurm, real):
    batch = real.begin()
    real.finished(real.engine.collect(batch))
    one_array(slurm, batch)
    status = read_status(batch.task_folder(1))
    assert (status.job, status.runs) == (f"{jobs(batch)[0]}_1", 1)
    assert status.node in ("np001", "np002")
    used = usage_of(batch)
    assert used.job_ids == tuple(jobs(batch))
    assert (used.tasks, used.retries, used.memory_asked_mb) == (2, 0, 4000)
    assert 0 < used.efficiency <= 1
    assert 0 < used.node_hours < 0.1
    assert used.rate_per_hour > 0
    assert 20 < used.peak_memory_mb < 4000


@pytest.mark.smoke
def test_after_kill_9_of_the_job_the_next_run_attaches_to_the_same_array(slurm, real):
    real.switch("slow")
    real.pks = real.visits([0] * 24)
    first = real.orchestrator()
    batch = slurm.wait_until(lambda: real.engine.active(FLUX, VISIT), 60)
    slurm.wait_until(lambda: keys_in_parts(batch), 60)
    first.kill()
    first.communicate()
    assert len(keys_in_parts(batch)) < 24
    again = real.engine.plan(FLUX, VISIT, resources=SMALL)
    assert again.batch_id == batch.batch_id
    real.engine.start(again)
    real.finished(real.engine.collect(again))
    one_array(slurm, batch)
    assert Counter(map(int, real.log())) == Counter(real.pks), "nothing was done twice"


def test_two_runs_at_once_share_one_array(slurm, real):
    real.pks = real.visits([0] * 6)
    both = [real.orchestrator() for _ in range(2)]
    said = [each.communicate(timeout=120)[1] for each in both]
    assert [each.returncode for each in both] == [0, 0], said
    assert slurm.arrays() == {real.rows(ComputeBatch, "job")[0][0]}
    real.finished(real.engine.account(FLUX, VISIT))


def test_a_killed_slurmd_leaves_two_living_copies_of_which_one_counts(slurm, real):
    batch = real.begin(400, ResourceRequest(nodes=1, procs=1, mem="4000"))
    slurm.wait_until(lambda: keys_in_parts(batch))
    old = supervisors(batch)[0]
    node = read_status(batch.task_folder(0)).node
    # the process of the task lives on, as when a node has lost its network
    slurm.kill_node(node)
    # what the controller does by itself a little later
    slurm.run("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=gone")
    account = real.collecting(batch)
    slurm.wait_until(lambda: supervisors(batch).get(0) not in (None, old), 60, "a second copy")
    slurm.wait_until(lambda: not old.is_running(), 60, "the end of the first copy")
    real.switch("slow", on=False)
    real.finished(account.result(90))
    one_array(slurm, batch)
    assert read_status(batch.task_folder(0)).node not in ("", node)
    assert "another process runs this task now" in batch.log_file(0).read_text()


def test_a_controller_that_is_away_for_half_a_minute_is_waited_for(slurm, real):
    batch = real.begin(12, ResourceRequest(nodes=3, procs=1, mem="4000", throttle=1))
    slurm.wait_until(lambda: keys_in_parts(batch))
    slurm.stop_controller()
    account = real.collecting(batch)
    time.sleep(30)
    assert not account.done()
    slurm.start_controller()
    real.finished(account.result(120))
    one_array(slurm, batch)


def test_a_task_out_of_memory_has_its_rest_done_with_twice_as_much(slurm, real):
    real.visits([0] * 3)
    real.switch("eat-3")
    batch = real.begin(3, ResourceRequest(nodes=2, procs=1, mem="700"))
    real.pks = list(range(1, 7))
    real.finished(real.engine.collect(batch))
    first, second = Submissions(batch.directory).read()
    assert (first.options.mem, second.options.mem, second.tasks) == ("700", "1400M", (0,))
    assert first.endings[0].consequence.value == "memory"
    tries = Counter(map(int, real.log()))
    assert tries == {pk: 2 if pk == 3 else 1 for pk in real.pks}, "only what was unfinished was done again"


def test_the_end_of_the_wall_time_continues_with_the_rest(slurm, real):
    batch = real.begin(600, SMALL)
    slurm.wait_until(lambda: len(supervisors(batch)) == 2 and keys_in_parts(batch))
    (job,) = jobs(batch)
    account = real.collecting(batch)
    # Slurm looks at wall times twice a minute: one task is over then, the other is told that it soon is
    slurm.run("scontrol", "update", f"JobId={job}_0", "EndTime=now")
    slurm.run("scontrol", "update", f"JobId={job}_1", "EndTime=now+60")
    slurm.wait_until(lambda: len(jobs(batch)) > 1, 60, "a second submission")
    real.switch("slow", on=False)
    real.finished(account.result(120))
    first = Submissions(batch.directory).read()[0]
    assert {ending.consequence.value for ending in first.endings.values()} == {"time"}
    assert "the time limit is near" in batch.log_file(1).read_text()


def test_a_bad_partition_is_refused_with_what_there_is(slurm, real):
    with pytest.raises(
        BatchError, match=r"nope(?s:.)*there are sdss-np, sdss-kp, notchpeak-gpu(?s:.)*--partition"
    ):
        real.begin(2, ResourceRequest(partition="nope"))
    assert slurm.arrays() == set()
    real.finished(real.engine.run(FLUX, VISIT, resources=SMALL))


def test_a_request_that_no_node_can_meet_is_cancelled_with_what_to_change(slurm, real):
    batch = real.begin(2, ResourceRequest(nodes=2, time="10-00:00:00"))
    with pytest.raises(
        BatchError, match=r"would wait for ever: PartitionTimeLimit(?s:.)*change time or partition"
    ):
        real.engine.collect(batch)
    slurm.wait_until(lambda: set(slurm.states(jobs(batch)[0])) <= {"CANCELLED"})
    assert real.rows(ComputeBatch, "state") == [("cancelled",)]
    real.finished(real.engine.run(FLUX, VISIT, resources=SMALL))


def test_scancel_from_outside_ends_the_step_and_the_next_run_goes_on(slurm, real):
    batch = real.begin(60)
    slurm.wait_until(lambda: keys_in_parts(batch))
    (job,) = jobs(batch)
    account = real.collecting(batch)
    slurm.run("scancel", job)
    with pytest.raises(BatchError, match=rf"job {job}_\d on np00\d was cancelled by somebody"):
        account.result(60)
    assert len(jobs(batch)) == 1
    kept = set(keys_in_parts(batch))
    assert 0 < len(kept) < 60
    real.switch("slow", on=False)
    again = real.engine.plan(FLUX, VISIT)
    assert again.batch_id == batch.batch_id
    real.engine.start(again)
    real.finished(real.engine.collect(again))
    tries = Counter(map(int, real.log()))
    assert {tries[pk] for pk in kept} == {1}


def test_a_worker_killed_with_9_is_followed_by_another_one(slurm, real):
    batch = real.begin(40)
    slurm.wait_until(lambda: keys_in_parts(batch))
    account = real.collecting(batch)
    supervisors(batch)[0].kill()
    real.finished(account.result(90))
    first, second = Submissions(batch.directory).read()
    assert (first.endings[0].consequence.value, first.endings[0].signal) == ("again", signal.SIGKILL)
    assert second.tasks == (0,)


def test_a_task_that_runs_twice_at_once_is_collected_once(slurm, real):
    batch = real.begin(60, ResourceRequest(nodes=1, procs=1, mem="4000"))
    slurm.wait_until(lambda: keys_in_parts(batch))
    program = [*worker_command(batch.directory, batch.reference, "--submission", "1"), "0"]
    variables = os.environ | {"SLURM_RESTART_COUNT": "1", "SLURM_ARRAY_JOB_ID": jobs(batch)[0]}
    other = subprocess.Popen(program, cwd=PROJECT, env=variables, stderr=subprocess.PIPE, text=True)
    account = real.collecting(batch)
    slurm.wait_until(lambda: read_json(batch.task_folder(0) / "claim.json")["pid"] == other.pid)
    real.switch("slow", on=False)
    real.finished(account.result(90))
    other.communicate(timeout=60)
    log = batch.log_file(0).read_text()
    assert "another process runs this task now; this one ends without writing anything more" in log
    assert owner_host(batch.task_folder(0))


@pytest.mark.parametrize("end", ["exec sleep 60", "kill -9 $$"], ids=["hangs", "dies"])
def test_a_submission_whose_answer_is_lost_is_found_by_its_name(slurm, real, monkeypatch, tmp_path, end):
    with_wrapper(monkeypatch, tmp_path, end)
    real.engine = real.make(backend(real.home, timeout_seconds=2.0))
    batch = real.begin(4)
    assert jobs(batch) == [None]
    real.finished(real.engine.collect(batch))
    one_array(slurm, batch)


def test_a_job_killed_with_9_while_it_submits_finds_its_array(slurm, real, monkeypatch, tmp_path):
    marker = tmp_path / "accepted"
    with_wrapper(monkeypatch, tmp_path, f"touch {marker}; exec sleep 60")
    real.pks = real.visits([0] * 4)
    first = real.orchestrator()
    slurm.wait_until(marker.exists, 60)
    first.kill()
    first.communicate()
    batch = real.engine.active(FLUX, VISIT)
    assert jobs(batch) == [None]
    real.finished(real.engine.run(FLUX, VISIT, resources=SMALL))
    one_array(slurm, batch)


def with_wrapper(monkeypatch, folder, end):
    """An sbatch whose answer never comes, although Slurm has accepted the job."""
    program = folder / "bin" / "sbatch"
    program.parent.mkdir()
    program.write_text(f'#!/bin/bash\n/usr/bin/sbatch "$@" > /dev/null\n{end}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")


def test_a_requeue_by_hand_goes_on_after_the_parts_that_exist(slurm, real):
    batch = real.begin(60, ResourceRequest(nodes=1, procs=1, mem="4000"))
    slurm.wait_until(lambda: keys_in_parts(batch))
    account = real.collecting(batch)
    done = set(keys_in_parts(batch))
    slurm.run("scontrol", "requeue", f"{jobs(batch)[0]}_0")
    real.switch("slow", on=False)
    real.finished(account.result(90))
    one_array(slurm, batch)
    assert read_status(batch.task_folder(0)).runs == 2
    tries = Counter(map(int, real.log()))
    assert {tries[pk] for pk in done} == {1}


def test_a_spectrum_that_kills_its_process_is_isolated(slurm, real):
    real.visits([0] * 2)
    real.switch("kill-2")
    batch = real.begin(2)
    real.pks = [1, 2, 3, 4]
    real.finished(real.engine.collect(batch), failed=1)
    assert [row["code"] for row in real.outcomes(FLUX)] == ["WorkerDied"]
    one_array(slurm, batch)


def test_cancel_ends_the_array_at_once(slurm, real):
    batch = real.begin(100)
    slurm.wait_until(lambda: keys_in_parts(batch))
    real.engine.cancel(batch)
    assert set(slurm.states(jobs(batch)[0])) == {"CANCELLED"}
    assert supervisors(batch) == {}
    assert real.engine.account(FLUX, VISIT).backlog == 100


GPU = ResourceRequest(
    nodes=2, procs=1, mem="1000", time="00:10:00", partition="notchpeak-gpu", gres="gpu:v100:1"
)


def test_a_program_gets_the_gpu_that_was_asked_for_and_its_last_lines_tell_where_there_is_none(slurm, real):
    real.pks = real.visits([0] * 6)
    real.engine = real.make(backend(real.home), programs=site("gpu"))
    with pytest.raises(
        BatchError, match=r"(?s)its last lines:.*device None on np00.*No CUDA GPUs are available"
    ):
        real.engine.run(PROGRAM, STEP, resources=SMALL)
    (finding,) = unfinished_batches(real.database, PROGRAM.name)
    assert "RuntimeError: No CUDA GPUs are available" in finding.facts["message"]
    batch = real.engine.plan(PROGRAM, STEP, resources=GPU)
    real.engine.start(batch)
    real.finished(real.engine.collect(batch))
    said = [batch.log_file(task).read_text() for task in range(2)]
    devices = [re.search(r"device (\d) on gpu001", text) for text in said]
    assert all(devices), said
    assert usage_of(batch).tasks == 2


def test_astras_own_command_writes_the_database_from_the_cluster(slurm, real, postgresql_url, monkeypatch):
    real.database = Database(postgresql_url)
    real.database.create_tables()
    monkeypatch.setenv("FAKE_ASTRA_DATABASE", postgresql_url)
    monkeypatch.setenv("FAKE_ASTRA_LEAVES", "2")
    real.engine = real.make(backend(real.home), programs={"sample_flux": SiteProgram(astra=ASTRA)})
    real.pks = real.visits([0] * 6)
    batch = real.engine.plan(PROGRAM, STEP, resources=GPU)
    real.engine.start(batch)
    real.finished(real.engine.collect(batch), failed=1)
    assert [(row["spectrum_pk"], row["code"]) for row in real.outcomes(PROGRAM)] == [(2, "no_result")]
    texts = [
        path.read_text(errors="replace")
        for path in batch.directory.rglob("*")
        if path.suffix in (".json", ".log")
    ]
    assert len(texts) > 5
    assert not any(postgresql_url in text for text in texts), (
        "where the database is stands in no file of the batch"
    )
    real.database.engine.dispose()
