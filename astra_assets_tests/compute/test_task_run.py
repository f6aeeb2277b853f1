"""How a task was started, who may run it, and whether it is short of memory."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from typing import Any

import pytest

from astra_assets.compute import claims, supervisor, task_run
from astra_assets.compute.child import PreparedStep
from astra_assets.compute.crew import Died
from astra_assets.compute.in_hand import InHand
from astra_assets.compute.memory_watch import MemoryWatch
from astra_assets.compute.parts import manifest_rows
from astra_assets.compute.progress import Cause, Phase, TaskStatus, read_status, storage_text
from astra_assets.compute.task_run import TaskConditions, on_cluster
from astra_assets.compute.usage import usage_of
from astra_assets.compute.worker import EXIT_MEMORY, EXIT_TIME
from astra_assets_tests.compute.samples import FLUX
from astra_assets_tests.project import PROJECT

VISIT = FLUX.step("visit")


def test_the_conditions_of_a_task_come_from_slurm_and_its_submission(tmp_path):
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "2.json").write_text(json.dumps({"spared": [3], "more_memory": True}))
    variables = {
        "SLURM_ARRAY_JOB_ID": "7", "SLURM_RESTART_COUNT": "4", "SLURMD_NODENAME": "np001", "SLURM_MEM_PER_NODE": "900",
    }  # fmt: skip
    found = on_cluster(tmp_path, 2, 3, variables)
    assert found == TaskConditions(None, (2, 4), "7_3", "np001", 900.0, spare=True, more_memory=True)
    assert not on_cluster(tmp_path, 2, 4, variables).spare
    by_processor = {"SLURM_MEM_PER_CPU": "500", "SLURM_CPUS_ON_NODE": "4", "SLURM_JOB_ID": "8"}
    assert on_cluster(tmp_path, 1, 0, by_processor) == TaskConditions(
        rank=(1, 0), job="8_0", memory_mb=2000.0
    )
    assert on_cluster(tmp_path, 1, 0, {}).memory_mb is None


def test_a_copy_of_a_higher_rank_takes_over_and_one_of_a_lower_rank_does_not(tmp_path):
    first = claims.take(tmp_path, (1, 0))
    again = claims.take(tmp_path, (1, 0))
    assert (first.holds(), again.holds()) == (False, True)
    restarted = claims.take(tmp_path, (1, 1))
    later = claims.take(tmp_path, (2, 0))
    assert (restarted.holds(), later.holds()) == (False, True)
    with pytest.raises(claims.TaskTakenError, match="a later copy of this task runs already"):
        claims.take(tmp_path, (1, 7))
    assert later.holds()


def test_a_copy_takes_over_from_a_living_process_of_the_same_machine(tmp_path):
    take = "import sys, pathlib; from astra_assets.compute import claims; claims.take(pathlib.Path(sys.argv[1]), (1, 0)); "
    program = [sys.executable, "-c", f"{take} print('taken', flush=True); input()", str(tmp_path)]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=PROJECT) as other:
        other.stdout.readline()
        assert claims.living_owner(tmp_path) == other.pid
        with pytest.raises(claims.TaskTakenError, match="of this machine runs this task already"):
            claims.take(tmp_path)
        assert claims.take(tmp_path, (1, 1)).holds()
        other.communicate(b"\n")


def test_nobody_runs_a_task_that_was_revoked(tmp_path):
    claim = claims.take(tmp_path, (1, 0))
    claims.revoke(tmp_path)
    assert not claim.holds()
    for rank in (None, (9, 9)):
        with pytest.raises(claims.TaskTakenError, match="the batch was cancelled"):
            claims.take(tmp_path, rank)


def test_inputs_that_were_in_hand_when_memory_ran_short_are_put_off_but_not_blamed(tmp_path):
    InHand(tmp_path).put(0, 12)
    spared = InHand(tmp_path, spare=True)
    assert spared.deaths == {12: 0}
    spared.put(0, 12)
    assert InHand(tmp_path).deaths == {12: 1}


def test_lack_of_memory_is_told_by_the_count_of_the_kernel_and_by_what_was_used(tmp_path, monkeypatch):
    events = tmp_path / "memory.events"
    events.write_text("low 0\noom 1\noom_kill 1\n")
    monkeypatch.setattr("astra_assets.compute.memory_watch._events_file", lambda _: events)
    watch = MemoryWatch(None)
    assert not watch.killed()
    events.write_text("low 0\noom 2\noom_kill 2\n")
    assert watch.killed()
    assert not watch.killed(), "each kill counts once"
    watch = MemoryWatch(1e6)
    watch.look([os.getpid(), 999_999_999])
    assert 20 < watch.used_mb < 5000
    assert not watch.killed()
    watch.limit_mb = watch.most_mb
    assert watch.killed()


class Killed:
    """A crew one of whose processes is killed for its memory when it has its third input."""

    def __init__(self, directory, _size, reference):
        from astra_assets.compute.child import PreparedStep

        self.work = PreparedStep(directory, reference)
        self.member = self.Member()
        self.given, self.memory, self.cpu, self.pids = 0, {}, {1: 0.5}, []

    class Member:
        slot = 0
        row: Any = None

    @property
    def idle(self):
        return [] if self.member.row else [self.member]

    @property
    def busy(self):
        return [self.member] if self.member.row else []

    def fill(self, _wanted):
        pass

    def give(self, member, row):
        self.given += 1
        member.row = row

    def answers(self, _timeout):
        if self.given == 3:
            yield self.member, Died("signal 9", killed=True)
        elif self.member.row:
            yield self.member, self.work.on(self.member.row)

    def dismiss(self):
        pass


@pytest.mark.parametrize(("more", "cause"), [(True, Cause.MEMORY), (False, Cause.OTHER)])
def test_a_task_that_is_short_of_memory_stops_if_it_can_have_more(process_bench, monkeypatch, more, cause):
    process_bench.visits([0] * 5)
    batch = process_bench.engine.plan(FLUX, VISIT)
    monkeypatch.setattr(supervisor, "Crew", Killed)
    monkeypatch.setattr(task_run.signal, "signal", lambda *_: None)  # type: ignore[attr-defined]
    conditions = TaskConditions(rank=(1, 0), job="7_0", node="np001", memory_mb=1.0, more_memory=more)
    monkeypatch.setattr(MemoryWatch, "killed", lambda _: True)
    if not more:
        # the process that died is not replaced here: the third row is put off and the crew goes on
        monkeypatch.setattr(Killed, "answers", _dies_once)
    ended = supervisor.run_task(batch.directory, 0, conditions, batch.reference)
    status = read_status(batch.task_folder(0))
    assert (ended.phase, ended.cause) == (Phase.STOPPED if more else Phase.DONE, cause)
    assert (status.done, status.job, status.node, status.runs) == (2 if more else 5, "7_0", "np001", 1)
    assert status.ended >= status.started
    if more:
        assert "killed for its memory" in status.message
        assert InHand(batch.task_folder(0), spare=True).deaths == {3: 0}
    else:
        assert InHand(batch.task_folder(0)).deaths == {3: 1}


def _dies_once(self, _timeout):
    if self.given == 3:
        self.given += 1
        yield self.member, Died("signal 9", killed=True)
        self.member.row = None
    elif self.member.row:
        yield self.member, self.work.on(self.member.row)


def test_the_exit_status_tells_why_a_task_stopped():
    from astra_assets.compute.worker import EXIT_BROKEN, EXIT_STOPPED

    assert len({0, EXIT_TIME, EXIT_MEMORY, EXIT_BROKEN, EXIT_STOPPED}) == 5


@pytest.mark.processes
def test_usage_sums_up_all_copies_of_a_task(process_bench):
    process_bench.visits([0] * 4)
    batch = process_bench.engine.plan(FLUX, VISIT)
    folder = batch.task_folder(0)
    folder.mkdir(parents=True)
    empty = usage_of(batch)
    assert (empty.node_hours, empty.rate_per_hour, empty.efficiency, empty.retries) == (0.0, None, None, 0)
    TaskStatus("running", 4, wall_seconds=7200.0, cpu_seconds=1800.0, peak_memory=900.0).write(folder)
    process_bench.engine.start(batch)
    process_bench.engine.collect(batch)
    used = usage_of(batch)
    assert (used.job_ids, used.memory_asked_mb, used.tasks, used.retries) == ((), None, 1, 1)
    assert 2 < used.node_hours < 2.1
    assert 0.1 < used.efficiency < 0.3
    assert used.peak_memory_mb >= 900
    assert 0 < used.rate_per_hour < 2.1


@pytest.mark.parametrize(
    ("code", "phase", "cause"),
    [(errno.ENOSPC, Phase.BROKEN, Cause.STORAGE), (errno.EIO, Phase.STOPPED, Cause.OTHER)],
)
def test_a_task_that_cannot_write_a_part_says_so_in_its_status(bench, monkeypatch, code, phase, cause):
    bench.visits([0])
    batch = bench.engine.plan(FLUX, VISIT)
    run = waiting_run(batch, monkeypatch)

    def fail():
        raise OSError(code, os.strerror(code), str(run.folder / "results-1.parquet"))

    monkeypatch.setattr(run, "work", fail)
    ended = run.run()
    assert (ended.phase, ended.cause) == (phase, cause)
    status = read_status(run.folder)
    assert status.phase == phase.value
    assert status.message.startswith(f"{run.folder / 'results-1.parquet'}: the disk ")
    assert "type the same again" in status.message


def test_a_disk_that_does_not_even_take_the_status_is_told_by_the_exit_status(bench, monkeypatch):
    bench.visits([0])
    batch = bench.engine.plan(FLUX, VISIT)
    run = waiting_run(batch, monkeypatch)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(run, "work", full)
    monkeypatch.setattr(run, "_write_status", full)
    monkeypatch.setattr(run, "beat", lambda: None)
    assert run.run().cause is Cause.STORAGE
    text = storage_text(run.folder, read_status(run.folder))
    assert text.startswith(f"{run.folder}: nothing can be written there")
    assert "are free on its file system" in text


def test_a_disk_that_is_full_for_the_step_is_no_failure_of_its_input(bench, monkeypatch):
    bench.visits([0])
    batch = bench.engine.plan(FLUX, VISIT)
    work = PreparedStep(batch.directory, batch.reference)
    (row,) = next(manifest_rows(batch.manifest, 0, 1)).to_pylist()

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device", "/mwm/spectra/x.fits")

    monkeypatch.setattr(work, "_call", full)
    with pytest.raises(OSError, match="No space"):
        work.on(row)


def waiting_run(batch, monkeypatch):
    """A run of the first task in this process, which keeps its handlers of signals."""
    monkeypatch.setattr("astra_assets.compute.task_run.signal.signal", lambda *_: None)
    folder = batch.task_folder(0)
    folder.mkdir(parents=True)
    return supervisor.Supervisor(batch, 0, claims.take(folder), TaskConditions())
