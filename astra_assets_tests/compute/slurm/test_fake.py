"""The stand-in answers as the real cluster does, faults included."""

from __future__ import annotations

from pathlib import Path

import pytest

from astra_assets.compute.slurm.client import (
    SlurmUnavailableError,
    SubmissionRefusedError,
    SubmissionUnclearError,
)
from astra_assets.compute.slurm.fake import FakeSlurm
from astra_assets.compute.slurm.job_states import SlurmState
from astra_assets.compute.slurm.spec import JobSpec, script
from astra_assets.pipelines.options import SlurmOptions


def text(tasks=(0, 1, 5), name="astra-1"):
    options = SlurmOptions(mem="2G", throttle=2)
    return script(JobSpec(name, "the batch", tasks, options, ("run me", "-x"), "/it's/%a", Path("/it's")))


def test_what_a_script_says_is_what_is_queued():
    slurm = FakeSlurm()
    job_id = slurm.submit(text())
    assert [(task.job_id, task.task, task.name, task.comment, task.state) for task in slurm.queue()] == [
        (job_id, number, "astra-1", "the batch", SlurmState.PENDING) for number in (0, 1, 5)
    ]
    assert slurm.find("astra-1") == [job_id]
    assert slurm.find("astra") == []
    assert slurm.detail(job_id, 5).memory_asked_mb == 2048
    assert slurm.detail(job_id, 2) is None
    assert slurm.submitted[0].command == ["run me", "-x"]


def test_tasks_are_run_when_the_queue_is_read():
    ran = []

    def run(job, task):
        ran.append((job.name, task))
        return task

    slurm = FakeSlurm(run)
    job_id = slurm.submit(text())
    assert ran == []
    assert [task.state.name for task in slurm.queue()] == ["COMPLETED", "FAILED", "FAILED"]
    assert slurm.detail(job_id, 5).exit_code == 5
    slurm.queue()
    assert ran == [("astra-1", 0), ("astra-1", 1), ("astra-1", 5)]


def test_answers_and_submissions_are_lost_as_told():
    slurm = FakeSlurm(lose_answers=1, lose_submissions=1)
    for _ in range(2):
        with pytest.raises(SubmissionUnclearError):
            slurm.submit(text())
    assert slurm.find("astra-1") == [slurm.submitted[0].job_id]
    slurm.refuse = "no such partition"
    with pytest.raises(SubmissionRefusedError, match="no such partition"):
        slurm.submit(text())
    assert len(slurm.submitted) == 1


def test_a_controller_that_is_down_answers_nothing():
    slurm = FakeSlurm(down=3)
    with pytest.raises(SlurmUnavailableError):
        slurm.queue()
    with pytest.raises(SlurmUnavailableError):
        slurm.submit(text())
    assert "does not answer" in slurm.ping()
    assert slurm.ping() is None
    assert slurm.submitted == []


def test_an_empty_answer_does_not_touch_the_jobs():
    slurm = FakeSlurm(empty=1)
    slurm.submit(text())
    assert slurm.queue() == []
    assert len(slurm.queue()) == 3


def test_cancelling_and_forgetting():
    slurm = FakeSlurm()
    job_id = slurm.submit(text())
    slurm.set(job_id, 0, SlurmState.RUNNING, node="np001")
    slurm.cancel(job_id, [0, 1])
    assert {task.task: task.state for task in slurm.queue()} == {
        0: SlurmState.CANCELLED,
        5: SlurmState.PENDING,
    }
    slurm.cancel(job_id)
    assert slurm.detail(job_id, 5).state is SlurmState.CANCELLED
    slurm.forget(job_id)
    slurm.cancel(job_id)
    assert (slurm.find("astra-1"), slurm.queue()) == ([], [])
