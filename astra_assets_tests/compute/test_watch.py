"""Waiting for tasks: what is started again, what is waited for, and what ends the waiting."""

from __future__ import annotations

import itertools

import pytest

from astra_assets.compute import BatchError, Phase, Progress, Sparingly, TaskState
from astra_assets.compute import progress as states_module
from astra_assets.compute.backend import Backend
from astra_assets.compute.local import LocalBackend
from astra_assets.compute.progress import Meter, TaskStatus, read_status
from astra_assets.compute.watch import Watch
from astra_assets.models.compute import ComputeBatch
from astra_assets.pipelines.options import ResourceRequest
from astra_assets_tests.compute.conftest import Directly
from astra_assets_tests.compute.samples import FLUX

VISIT = FLUX.step("visit")


class Told(Directly):
    """Reports the phases that a test tells it, one at each look; then one for ever, or the truth."""

    def __init__(self, *phases, forever=None):
        super().__init__()
        self.phases, self.forever = list(phases), forever
        self.started, self.cancelled, self.detached = [], 0, 0

    @property
    def poll_seconds(self):
        return 0.001

    def poll(self, batch):
        phase = self.phases.pop(0) if self.phases else self.forever
        if phase is None:
            return super().poll(batch)
        return dict.fromkeys(range(len(batch.tasks)), TaskState(phase, "told so"))

    def start(self, _batch, tasks):
        self.started.append(list(tasks))

    def job(self, _batch):
        return "job 7" if self.started else None

    def detach(self, _batch):
        self.detached += 1
        return "it goes on elsewhere"

    def cancel(self, _batch):
        self.cancelled += 1


def planned(bench, *phases, forever=None):
    bench.visits([0, 0])
    backend = Told(*phases, forever=forever)
    engine = bench.make(backend)
    return engine, backend, engine.plan(FLUX, VISIT, resources=ResourceRequest(nodes=2))


def test_unknown_and_waiting_are_waited_for(bench):
    engine, backend, batch = planned(
        bench, Phase.WAITING, Phase.UNKNOWN, Phase.RUNNING, Phase.UNKNOWN, Phase.DONE
    )
    Directly.start(backend, batch, [0, 1])
    assert engine.collect(batch).results == 2
    assert backend.started == []


def test_stopped_tasks_are_started_again(bench):
    engine, backend, batch = planned(bench, Phase.STOPPED, Phase.STOPPED, Phase.RUNNING, Phase.DONE)
    Directly.start(backend, batch, [0, 1])
    engine.start(batch)
    assert engine.collect(batch).results == 2
    assert backend.started == [[0, 1], [0, 1]]
    assert bench.rows(ComputeBatch, "job") == [("job 7",)]
    assert bench.rows(ComputeBatch, "started") != [(None,)]


def test_a_task_that_stops_again_and_again_ends_the_waiting_and_says_where_to_look(bench):
    engine, backend, batch = planned(bench, forever=Phase.STOPPED)
    log_file = batch.log_file(0)
    log_file.parent.mkdir(parents=True)
    log_file.write_text("one\nno space left on device\n")
    with pytest.raises(BatchError) as caught:
        engine.collect(batch)
    said = str(caught.value)
    assert "task 0: stopped 5 times without finishing one more input: told so" in said
    assert f"The end of {log_file}:\none\nno space left on device" in said
    assert len(backend.started) == 5
    assert (backend.detached, backend.cancelled) == (1, 1)
    assert bench.rows(ComputeBatch, "state") == [("cancelled",)]


def test_a_task_that_gets_on_may_stop_as_often_as_it_likes(bench):
    _, _, batch = planned(bench)
    backend = Told()
    watch = Watch(backend, batch)
    for finished in range(8):
        folder = batch.task_folder(0)
        folder.mkdir(parents=True, exist_ok=True)
        TaskStatus("stopped", 10, done=finished).write(folder)
        watch.start_stopped({0: TaskState(Phase.STOPPED)})
    assert len(backend.started) == 8


def test_tries_under_other_conditions_are_not_counted(bench):
    _, _, batch = planned(bench)
    backend = Told()
    watch = Watch(backend, batch)
    for _ in range(8):
        watch.start_stopped({0: TaskState(Phase.STOPPED, changed=True)})
    assert len(backend.started) == 8


def test_a_job_that_is_started_while_waiting_is_recorded(bench):
    engine, backend, batch = planned(bench, Phase.STOPPED, Phase.DONE)
    Directly.start(backend, batch, [0, 1])
    engine.collect(batch)
    assert bench.rows(ComputeBatch, "job") == [("job 7",)]


def test_what_a_cluster_is_asked_for_anew_holds_for_a_batch_that_goes_on(bench):
    engine, _, batch = planned(bench)
    again = engine.plan(FLUX, VISIT, resources=ResourceRequest(time="3:00:00", nodes=9, procs=9))
    assert (again.slurm.time, again.tasks, again.slurm.nodes) == ("3:00:00", batch.tasks, 2)
    assert engine.active(FLUX, VISIT) == again


def test_a_batch_that_is_refused_before_it_made_anything_is_cancelled(bench):
    engine, backend, batch = planned(bench, forever=Phase.STOPPED)

    def refuse(_batch, _tasks):
        raise BatchError("no such partition")

    backend.start = refuse
    with pytest.raises(BatchError, match="no such partition"):
        engine.start(batch)
    assert backend.cancelled == 1
    assert bench.rows(ComputeBatch, "state") == [("cancelled",)]


def test_a_broken_task_with_parts_leaves_the_batch_active(bench):
    engine, backend, batch = planned(bench, forever=Phase.BROKEN)
    Directly.start(backend, batch, [0])
    with pytest.raises(BatchError, match="told so"):
        engine.collect(batch)
    assert (backend.detached, backend.cancelled) == (1, 0)
    assert bench.rows(ComputeBatch, "state") == [("active",)]


def test_an_interrupt_detaches_and_leaves_the_batch_active(bench, caplog):
    engine, backend, batch = planned(bench, forever=Phase.RUNNING)

    def interrupt(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine.collect(batch, interrupt)
    assert backend.detached == 1
    assert bench.rows(ComputeBatch, "state") == [("active",)]
    assert f"SampleFlux visit, batch {batch.batch_id}: it goes on elsewhere" in caplog.text


def test_the_local_backend_is_a_backend():
    backend: Backend = LocalBackend(procs=3)
    options = backend.options(FLUX, VISIT, ResourceRequest())
    assert (backend.name, options.nodes, options.procs) == ("local", 1, 3)
    options = backend.options(FLUX, VISIT, ResourceRequest(nodes=4, procs=2, time="1:00:00"))
    assert (options.nodes, options.procs, options.time) == (4, 2, "1:00:00")
    assert 1 <= LocalBackend().options(FLUX, VISIT, ResourceRequest()).procs <= 8


def test_progress_tells_counts_rate_and_time_left(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(states_module.time, "monotonic", lambda: clock[0])  # type: ignore[attr-defined]
    meter = Meter("SnowWhite star", inputs=100, tasks=2)
    first = meter.read([TaskStatus("running", 50, done=10), None], running=2)
    assert str(first) == "SnowWhite star: 10 of 100, 0 failed, 0 skipped, 2 of 2 tasks running"
    assert first.seconds_left is None
    clock[0] += 10.0
    then = meter.read([TaskStatus("running", 50, done=25, failed=3, skipped=2)], running=1)
    assert (then.finished, then.rate, then.seconds_left) == (30, 2.0, 35.0)
    assert str(then).endswith("30 of 100, 3 failed, 2 skipped, 1 of 2 tasks running, 2/s, 35 s left")


def test_lines_come_at_growing_intervals_and_only_when_something_changed(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(states_module.time, "monotonic", lambda: clock[0])  # type: ignore[attr-defined]
    said = []
    say = Sparingly(lambda _: said.append(clock[0]))
    for second in range(4000):
        clock[0] = float(second)
        say(Progress("x", 10_000, second, 0, 0, 1, 1))
    gaps = [later - sooner for sooner, later in itertools.pairwise(said)]
    assert said[0] == 2.0
    assert gaps == sorted(gaps)
    assert gaps[-1] == 300.0
    before = len(said)
    for second in range(4000, 5000):
        clock[0] = float(second)
        say(Progress("x", 10_000, 1, 0, 0, 1, 1))
    assert len(said) <= before + 1


def test_a_status_reads_back_and_ignores_what_it_does_not_know(tmp_path):
    status = TaskStatus("running", 5, done=2, host="node1", peak_memory=120.5)
    status.write(tmp_path)
    assert read_status(tmp_path) == status
    path = tmp_path / "status.json"
    path.write_text(path.read_text().replace('"done"', '"colour": "red",\n "done"'))
    assert read_status(tmp_path) == status
    path.write_text("")
    assert read_status(tmp_path) is None
