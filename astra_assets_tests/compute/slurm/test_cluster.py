"""The client on a real cluster: what it submits runs, and what it is told about tasks is true."""

from __future__ import annotations

import os
import shutil
import signal

import pytest

from astra_assets.compute.slurm.client import (
    SlurmUnavailableError,
    SubmissionRefusedError,
    SubmissionUnclearError,
)
from astra_assets.compute.slurm.command_line import CommandLineClient
from astra_assets.compute.slurm.job_states import Fate, SlurmState
from astra_assets.compute.slurm.queue import SharedQueue
from astra_assets.compute.slurm.reasons import impossible
from astra_assets.compute.slurm.spec import JobSpec, output_in, script
from astra_assets.pipelines.options import SlurmOptions

pytestmark = pytest.mark.slurm


@pytest.fixture
def client():
    return CommandLineClient()


@pytest.fixture
def job(tmp_path):
    """Makes the text of an array whose tasks run lines of shell; `$1` is the number of the task."""

    def make(lines="exit 0", tasks=(0,), name="astra-test-1", comment="batch", folder=tmp_path, **options):
        asked = SlurmOptions(**{"time": "00:10:00", "mem": "50", **options})
        command = ("/bin/bash", "-c", lines, "task")
        return script(JobSpec(name, comment, tuple(tasks), asked, command, output_in(folder), folder))

    return make


def ended(slurm, client, job_id, seconds=60):
    """The tasks of a job when all have ended."""

    def look():
        tasks = sorted((each for each in client.queue() if each.job_id == job_id), key=lambda each: each.task)
        return tasks if tasks and all(each.state.ended for each in tasks) else None

    return slurm.wait_until(look, seconds, f"the end of job {job_id}")


def test_an_array_runs_each_task_once_and_tells_how_it_ended(slurm, client, job, tmp_path):
    job_id = client.submit(job("echo task $1; exit $1", tasks=(0, 2, 3), comment="b 1"))
    tasks = ended(slurm, client, job_id)
    assert [(each.task, each.name, each.comment, each.state.name) for each in tasks] == [
        (0, "astra-test-1", "b 1", "COMPLETED"),
        (2, "astra-test-1", "b 1", "FAILED"),
        (3, "astra-test-1", "b 1", "FAILED"),
    ]
    detail = client.detail(job_id, 2)
    assert (detail.state.fate, detail.exit_code, detail.signal) == (Fate.RETRY, 2, 0)
    assert detail.memory_asked_mb == 50
    assert detail.node == tasks[1].node
    assert (tmp_path / "task-3.log").read_text() == "task 3\n"
    assert client.detail(job_id, 1) is None
    assert client.detail("99999", 0) is None


def test_paths_with_strange_characters_are_written_to(slurm, client, job, tmp_path):
    folder = tmp_path / 'it\'s 100% #1; "x" %a'
    folder.mkdir()
    ended(slurm, client, client.submit(job("pwd", folder=folder)))
    assert (folder / "task-0.log").read_text() == f"{folder}\n"


def test_a_submission_whose_answer_was_lost_is_found_by_its_name(slurm, client, job, tmp_path, monkeypatch):
    folder = tmp_path / "bin"
    folder.mkdir()
    sbatch = folder / "sbatch"
    sbatch.write_text(f'#!/bin/sh\n{shutil.which("sbatch")} "$@" > /dev/null\nsleep 30\n')
    sbatch.chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        with pytest.raises(SubmissionUnclearError):
            CommandLineClient(timeout_seconds=2).submit(job("sleep 60", tasks=(0, 1), name="astra-lost-1"))
    assert client.find("astra-lost-1") == sorted(slurm.arrays())
    assert client.find("astra-lost") == []
    (job_id,) = client.find("astra-lost-1")
    client.cancel(job_id)
    ended(slurm, client, job_id)
    assert client.find("astra-lost-1") == [job_id]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            {"partition": "nope"},
            r"partition = nope.*there are sdss-np, sdss-kp, notchpeak-gpu; change partition",
        ),
        ({"gres": "gpu:a100"}, r"gres = gpu:a100.*change .*gres"),
        ({"mem": "900G"}, r"mem = 900G.*change mem"),
        ({"constraint": "skylake"}, r"constraint = skylake.*change constraint"),
        ({"extra": ("--reservation=night",)}, "change extra"),
        ({"extra": ("--no-such-thing",)}, "change extra"),
    ],
    ids=["partition", "gres", "mem", "constraint", "reservation", "argument"],
)
def test_what_slurm_refuses_names_the_option_and_is_not_taken_for_a_job(slurm, client, job, options, told):
    with pytest.raises(SubmissionRefusedError, match=told):
        client.submit(job(name="astra-refused", **options))
    assert client.find("astra-refused") == []


@pytest.mark.parametrize(
    ("options", "option"),
    [({"time": "30-00:00:00"}, "time"), ({"procs": 640}, "procs")],
    ids=["more time than allowed", "more processors than there are"],
)
def test_a_request_that_no_node_can_meet_is_recognised_by_its_reason(slurm, client, job, options, option):
    job_id = client.submit(job(**options))

    def reason():
        (task,) = [each for each in client.queue() if each.job_id == job_id]
        assert task.state is SlurmState.PENDING
        return impossible(task.reason)

    found = slurm.wait_until(reason, 60, "a reason")
    assert option in found.options


def test_an_ordinary_wait_is_no_impossible_request(slurm, client, job):
    job_id = client.submit(job("sleep 60", tasks=range(4), throttle=1))
    slurm.wait_until(lambda: slurm.states(job_id).count("RUNNING") == 1)
    waiting = [each for each in client.queue() if each.state is SlurmState.PENDING]
    assert [each.task for each in waiting] == [1, 2, 3]
    assert [impossible(each.reason) for each in waiting] == [None] * 3


def test_single_tasks_are_cancelled_and_the_others_go_on(slurm, client, job, tmp_path):
    job_id = client.submit(
        job("trap 'echo asked to end; exit 0' TERM; echo up; sleep 60 & wait", tasks=range(6), throttle=4)
    )
    slurm.wait_until(
        lambda: (tmp_path / "task-1.log").exists() and "up" in (tmp_path / "task-1.log").read_text()
    )
    client.cancel(job_id, [1, 5])
    slurm.wait_until(lambda: client.detail(job_id, 1).state is SlurmState.CANCELLED)
    assert "asked to end" in (tmp_path / "task-1.log").read_text()
    # what never ran and was cancelled alone leaves no trace
    known = {each.task: each.state for each in client.queue() if each.job_id == job_id}
    assert set(known) == {0, 1, 2, 3, 4}
    assert client.detail(job_id, 5) is None
    assert not any(known[task].ended for task in (0, 2, 3, 4))
    client.cancel(job_id)
    assert {each.state for each in ended(slurm, client, job_id)} == {SlurmState.CANCELLED}
    assert client.detail(job_id, 1).state.fate is Fate.GIVE_UP
    client.cancel(job_id)
    client.cancel("99999", [1])


def test_a_killed_program_is_told_by_its_signal(slurm, client, job):
    job_id = client.submit(job("kill -9 $$"))
    ended(slurm, client, job_id)
    detail = client.detail(job_id, 0)
    assert (detail.state, detail.signal) == (SlurmState.FAILED, 9)


def test_a_wall_time_that_ends_is_told_as_such(slurm, client, job, tmp_path):
    job_id = client.submit(job("trap 'echo on time' TERM; while :; do sleep 1; done", time="1"))
    slurm.wait_until(lambda: slurm.states(job_id) == ["RUNNING"])
    (detail,) = [client.detail(job_id, 0)]
    assert detail.state is SlurmState.RUNNING
    slurm.run("scontrol", "update", f"JobId={job_id}", "EndTime=now+1")
    (task,) = ended(slurm, client, job_id, 90)
    assert (task.state, task.state.fate) == (SlurmState.TIMEOUT, Fate.RETRY)
    assert "on time" in (tmp_path / "task-0.log").read_text()


def test_a_task_that_slurm_puts_back_keeps_its_number_and_its_log(slurm, client, job, tmp_path):
    job_id = client.submit(job("echo once more; sleep 60", tasks=(0, 4)))
    slurm.wait_until((tmp_path / "task-4.log").exists)
    slurm.run("scontrol", "requeue", f"{job_id}_4")
    slurm.wait_until(
        lambda: (tmp_path / "task-4.log").read_text().count("once more") == 2, 40, "a second run"
    )
    assert client.detail(job_id, 4).restarts == 1
    assert {each.task for each in client.queue() if each.job_id == job_id} == {0, 4}


def test_the_program_is_the_process_that_slurm_signals(slurm, client, job, tmp_path):
    job_id = client.submit(job("trap 'echo told' TERM; echo up; sleep 20 & wait; echo end"))
    slurm.wait_until(
        lambda: (tmp_path / "task-0.log").exists() and "up" in (tmp_path / "task-0.log").read_text()
    )
    slurm.run("scancel", "--batch", "--signal", str(int(signal.SIGUSR1)), f"{job_id}_0")
    slurm.run("scancel", "--batch", "--signal", str(int(signal.SIGTERM)), f"{job_id}_0")
    ended(slurm, client, job_id)
    # Slurm may have the last word: that there is nobody left to signal.
    assert "told\nend\n" in (tmp_path / "task-0.log").read_text()


def test_a_controller_that_is_away_says_nothing_and_all_is_known_when_it_is_back(
    slurm, client, job, tmp_path
):
    job_id = client.submit(job("sleep 3", tasks=(0, 1)))
    queue = SharedQueue(client, tmp_path / "home", 0.5)
    slurm.wait_until(lambda: slurm.states(job_id) == ["RUNNING"] * 2)
    before = queue.look(max_age=0.0)
    slurm.stop_controller()
    impatient = CommandLineClient(timeout_seconds=2)
    assert "scontrol ping" in client.ping()
    for ask in (
        impatient.queue,
        lambda: impatient.find("astra-test-1"),
        lambda: impatient.detail(job_id, 0),
        lambda: impatient.cancel(job_id),
    ):
        with pytest.raises(SlurmUnavailableError):
            ask()
    with pytest.raises(SlurmUnavailableError):
        client.submit(job())
    queue.client = impatient
    during = queue.look(max_age=0.0)
    assert during.stale
    assert during.tasks == before.tasks

    slurm.start_controller()
    assert client.ping() is None
    assert {each.state for each in ended(slurm, client, job_id)} == {SlurmState.COMPLETED}
    assert slurm.arrays() == {job_id}


def test_a_thousand_tasks_cost_one_question_and_little_text(slurm, client, job, tmp_path, monkeypatch):
    calls = []
    run = CommandLineClient._run

    def counted(self, arguments, **options):
        done = run(self, arguments, **options)
        calls.append((arguments[0], len(done.stdout)))
        return done

    monkeypatch.setattr(CommandLineClient, "_run", counted)
    job_id = client.submit(job("sleep 60", tasks=range(1000), procs=1))
    slurm.wait_until(lambda: slurm.states(job_id).count("RUNNING") >= 16)
    calls.clear()
    queue = SharedQueue(client, tmp_path / "home", 60.0)
    for _ in range(50):
        snapshot = queue.look()
    assert [program for program, _ in calls] == ["squeue"]
    assert calls[0][1] < 10_000
    ours = [task for (its_job, _), task in snapshot.tasks.items() if its_job == job_id]
    assert sorted(task.task for task in ours) == list(range(1000))
    assert {task.state for task in ours} <= {SlurmState.PENDING, SlurmState.RUNNING}


def test_none_of_it_needs_accounts(slurm, client, job):
    assert "accounting_storage/none" in slurm.conf.read_text()
    job_id = client.submit(job("exit 3"))
    ended(slurm, client, job_id)
    detail = client.detail(job_id, 0)
    assert (detail.exit_code, detail.memory_used_mb, detail.cancelled_by) == (3, None, None)
    assert client.find("not there") == []
