"""One question per interval for all who look, whatever goes wrong."""

from __future__ import annotations

import fcntl
import itertools
import json
import logging
import threading
import time
from pathlib import Path

import pytest

from astra_assets.compute.slurm.fake import FakeSlurm
from astra_assets.compute.slurm.job_states import SlurmState
from astra_assets.compute.slurm.queue import LONGEST_PAUSE, SharedQueue
from astra_assets.compute.slurm.spec import JobSpec, script
from astra_assets.pipelines.options import SlurmOptions


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def fake():
    made = FakeSlurm()
    spec = JobSpec("a", "b", (0, 1, 2), SlurmOptions(), ("worker",), "/log", Path("/"))
    made.submit(script(spec))
    return made


@pytest.fixture
def queue(fake, tmp_path, clock):
    return SharedQueue(fake, tmp_path / "slurm", 20.0, clock)


def test_many_looks_cost_one_question_per_interval(queue, fake, clock):
    for _ in range(10):
        queue.look()
        clock.now += 3.9
    assert fake.calls["queue"] == 2


def test_other_processes_share_the_answer(queue, fake, clock, tmp_path):
    fake.set("1001", 1, SlurmState.RUNNING, node="np001", run_seconds=5.0)
    first = queue.look()
    clock.now += 5
    other = SharedQueue(fake, tmp_path / "slurm", 20.0, clock).look()
    assert other.tasks == first.tasks
    assert other.tasks["1001", 1].node == "np001"
    assert other.age == 5.0
    assert fake.calls["queue"] == 1


def test_a_newer_answer_can_be_asked_for(queue, fake, clock):
    queue.look()
    clock.now += 2
    fake.set("1001", 0, SlurmState.COMPLETED)
    assert queue.look().tasks["1001", 0].state is SlurmState.PENDING
    assert queue.look(max_age=1.0).tasks["1001", 0].state is SlurmState.COMPLETED
    assert fake.calls["queue"] == 2


def test_a_controller_that_is_down_is_asked_ever_more_rarely_and_the_last_answer_stays(
    queue, fake, clock, caplog
):
    queue.look()
    fake.down = 1000
    asked_at = []
    with caplog.at_level(logging.WARNING):
        for _ in range(2000):
            clock.now += 1
            before = fake.calls["queue"]
            snapshot = queue.look(max_age=0.0)
            if fake.calls["queue"] > before:
                asked_at.append(clock.now)
    pauses = [later - earlier for earlier, later in itertools.pairwise(asked_at)]
    assert pauses[:4] == [40, 80, 160, LONGEST_PAUSE]
    assert max(pauses) == LONGEST_PAUSE
    assert snapshot.stale
    assert "does not answer" in snapshot.problem
    assert set(snapshot.tasks) == {("1001", 0), ("1001", 1), ("1001", 2)}
    assert snapshot.age == 2000
    assert len(caplog.records) == 1

    fake.down = 0
    clock.now += LONGEST_PAUSE
    fresh = queue.look()
    assert (fresh.stale, fresh.problem, fresh.age) == (False, "", 0.0)


def test_no_answer_yet_is_not_an_empty_queue(queue, fake):
    fake.down = 1
    snapshot = queue.look()
    assert snapshot.stale
    assert snapshot.tasks == {}
    assert snapshot.age == float("inf")


def test_a_clock_that_was_set_back_does_not_stop_the_questions(queue, fake, clock):
    queue.look()
    clock.now -= 500
    queue.look()
    assert fake.calls["queue"] == 2


def test_a_file_of_another_version_or_a_broken_one_is_asked_for_anew(queue, fake, clock, tmp_path):
    queue.look()
    for content in ("{", "[]", '{"tasks": 3}', '{"asked": 1000, "answered": 1000, "tasks": [[1]]}'):
        (tmp_path / "slurm" / "queue.json").write_text(content)
        assert len(queue.look().tasks) == 3
    assert fake.calls["queue"] == 5


def test_who_finds_another_one_asking_takes_the_last_answer(queue, fake, clock, tmp_path):
    queue.look()
    clock.now += 30
    with (tmp_path / "slurm" / "lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        assert queue.look().age == 30
    assert fake.calls["queue"] == 1
    assert queue.look().age == 0


def test_many_at_once_ask_once(fake, tmp_path):
    class Slow(FakeSlurm):
        def queue(self):
            time.sleep(0.2)
            return super().queue()

    slow = Slow(jobs=fake.jobs)
    seen = []

    def look():
        seen.append(SharedQueue(slow, tmp_path / "slurm", 20.0).look())

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert slow.calls["queue"] == 1
    assert {len(snapshot.tasks) for snapshot in seen} == {3}


def test_time_is_that_of_the_file_system(fake, tmp_path):
    queue = SharedQueue(fake, tmp_path / "slurm", 3600.0)
    queue.look()
    time.sleep(0.05)
    assert queue.look().age >= 0.04
    file = tmp_path / "slurm" / "queue.json"
    kept = json.loads(file.read_text())
    assert abs(kept["asked"] - file.stat().st_mtime) < 60
    file.write_text(json.dumps(kept | {"asked": kept["asked"] - 3600}))
    assert queue.look().age < 3600
    assert fake.calls["queue"] == 2
