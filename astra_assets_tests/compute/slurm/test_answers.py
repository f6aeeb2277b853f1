"""Reading what Slurm's programs print, of several versions."""

from __future__ import annotations

import pytest

from astra_assets.compute.slurm import answers
from astra_assets.compute.slurm.client import QueuedTask, TaskDetail
from astra_assets.compute.slurm.job_states import SlurmState

RUNNING = {
    "job": "12",
    "tasks": "3",
    "state": "RUNNING",
    "reason": "None",
    "node": "np001",
    "run": "1-02:03:04",
    "name": "a",
    "comment": "b",
}


def line(**changes):
    return "\x1f".join((RUNNING | changes).values()) + "\n"


def test_a_running_task():
    assert answers.queue(line()) == [
        QueuedTask("12", 3, "a", "b", SlurmState.RUNNING, "", "np001", 26 * 3600 + 3 * 60 + 4)
    ]


def test_waiting_tasks_share_a_line():
    text = line(tasks="1,4-6,10-20:5%4", state="PENDING", reason="Resources", node="", run="0:00")
    tasks = answers.queue(text)
    assert [task.task for task in tasks] == [1, 4, 5, 6, 10, 15, 20]
    assert {(task.state, task.reason, task.run_seconds) for task in tasks} == {
        (SlurmState.PENDING, "Resources", 0.0)
    }


def test_a_job_that_is_no_array_has_no_number():
    (task,) = answers.queue(line(tasks="N/A", comment="(null)"))
    assert task.task is None
    assert task.comment == ""


def test_nothing_queued_is_an_empty_list():
    assert answers.queue("") == []


def test_lines_that_cannot_be_read_are_left_out():
    text = (
        "slurm says hello\n" + line(name="of a\nnother user") + line(job="13", tasks="1-...") + line(job="14")
    )
    assert [task.job_id for task in answers.queue(text)] == ["14"]


def test_names_may_have_any_character_in_them():
    (task,) = answers.queue(line(name="a|b %j 'c'", comment="d\u2028e  f"))
    assert (task.name, task.comment) == ("a|b %j 'c'", "d\u2028e  f")


def test_the_record_of_what_was_refused_is_told_from_a_failure():
    refused, failed = answers.queue(
        line(state="FAILED", reason="BadConstraints") + line(state="FAILED", reason="NonZeroExitCode")
    )
    assert refused.refused
    assert not failed.refused


SHOWN = (
    "JobId=13 ArrayJobId=12 ArrayTaskId=3 JobName=astra-x UserId=root(0) Account=sdss-np QOS=normal JobState=FAILED "
    "Reason=NonZeroExitCode Dependency=(null) Requeue=1 Restarts=2 BatchFlag=1 Reboot=0 ExitCode=1:9 RunTime=00:01:05 "
    "TimeLimit=00:01:00 Partition=sdss-np NodeList=np[001-002] {host}NumNodes=1 {tres} Comment=b1 \n"
)


@pytest.mark.parametrize(
    ("host", "tres", "node", "megabytes"),
    [
        ("BatchHost=np001 ", "TRES=cpu=1,mem=100M,node=1,billing=1", "np001", 100),
        ("", "ReqTRES=cpu=1,mem=1G,node=1 AllocTRES=cpu=1,mem=1.50G,node=1", "np[001-002]", 1024),
        ("", "TRES=cpu=1,node=1", "np[001-002]", None),
    ],
)
def test_what_scontrol_shows(host, tres, node, megabytes):
    assert answers.shown(SHOWN.format(host=host, tres=tres)) == TaskDetail(
        SlurmState.FAILED, 1, 9, "NonZeroExitCode", node, 2, megabytes, None, 65.0, None
    )


def test_scontrol_that_shows_nothing():
    assert answers.shown("") is None


def test_what_accounts_tell():
    lines = [
        "12_1|COMPLETED|0:0||100M|np001|5",
        "12_3|CANCELLED by 0|0:15||100Mn|np002|7",
        "12_3.batch|CANCELLED|0:15|104857600||np002|7",
        "12_3.extern|COMPLETED|0:0|1024||np002|7",
    ]
    assert answers.accounted(lines, "12_3") == TaskDetail(
        SlurmState.CANCELLED, 0, 15, "", "np002", 0, 100.0, 100.0, 7.0, "root"
    )


def test_accounts_that_do_not_know_a_task():
    assert answers.accounted([], "12_3") is None
    assert answers.accounted(["12_[3-7]|PENDING|0:0||100M|None assigned|0"], "12_3") is None


def test_a_user_without_a_name_is_told_by_number():
    found = answers.accounted(["12|CANCELLED by 987654|0:15|||None assigned|"], "12")
    assert found is not None
    assert found.cancelled_by == "user 987654"
    assert (found.node, found.memory_asked_mb, found.run_seconds) == ("", None, 0.0)


@pytest.mark.parametrize(
    ("text", "seconds"), [("0:07", 7), ("1:00:00", 3600), ("2-00:00:01", 172_801), ("INVALID", 0), ("", 0)]
)
def test_times(text, seconds):
    assert answers.seconds(text) == seconds


@pytest.mark.parametrize(
    ("text", "megabytes"),
    [("1048576", 1), ("100M", 100), ("2.50G", 2560), ("512K", 0.5), ("4Gc", 4096), ("", None), ("?", None)],
)
def test_sizes_of_memory(text, megabytes):
    assert answers.megabytes(text) == megabytes
