"""One active batch for each step, folders that are gone or not whole, and parts that do not belong to their batch."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import select

from astra_assets.compute import BatchError, NothingToDo, folders
from astra_assets.compute import batch as batches
from astra_assets.compute.batch import BrokenBatchError, read_batch
from astra_assets.compute.collect import Collector, PartError
from astra_assets.compute.ledger import Ledger
from astra_assets.compute.parts import describe, failure_schema
from astra_assets.models.base import table_of
from astra_assets.models.compute import ComputeBatch
from astra_assets.pipelines.options import ResourceRequest
from astra_assets_tests.compute.conftest import Directly
from astra_assets_tests.compute.samples import FLUX, SampleFlux

VISIT = FLUX.step("visit")


class KilledError(BaseException):
    """Stands for kill -9 at one place."""


def states(bench):
    return bench.rows(ComputeBatch, "state")


def test_a_second_plan_attaches_to_the_active_batch(bench):
    bench.visits([0])
    first = bench.engine.plan(FLUX, VISIT)
    bench.visits([0])
    second = bench.make().plan(FLUX, VISIT, resources=ResourceRequest(nodes=7))
    assert second == replace(first, attached=True)
    assert not first.attached
    bench.engine.start(second)
    assert bench.engine.collect(second).backlog == 1
    assert states(bench) == [("collected",)]


def test_two_planners_at_once_make_one_batch(bench):
    bench.visits([0] * 10)
    barrier = threading.Barrier(2)
    found = []

    def plan():
        engine = bench.make()
        barrier.wait()
        found.append(engine.plan(FLUX, VISIT))

    threads = [threading.Thread(target=plan) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0].batch_id == found[1].batch_id
    assert sorted(batch.attached for batch in found) in ([False, True], [True, True])
    assert [path.name for path in found[0].directory.parent.iterdir()] == [found[0].batch_id]


def test_collecting_twice_changes_nothing(bench):
    bench.visits([0, 91, 93])
    batch = bench.engine.plan(FLUX, VISIT)
    bench.engine.start(batch)
    first = bench.engine.collect(batch)
    before = bench.rows(SampleFlux), bench.outcomes(FLUX), bench.rows(ComputeBatch)
    assert bench.engine.collect(batch) == first
    assert (bench.rows(SampleFlux), bench.outcomes(FLUX), bench.rows(ComputeBatch)) == before


def test_the_row_of_a_batch_says_what_came_of_it(bench):
    bench.visits([0, 91, 93])
    batch = bench.engine.plan(FLUX, VISIT)
    bench.engine.start(batch)
    bench.engine.collect(batch)
    table = table_of(ComputeBatch)
    with bench.database.connect() as connection:
        row = connection.execute(select(table)).one()
    assert (row.state, row.n_inputs, row.n_tasks, row.n_results, row.n_failed, row.n_skipped) == (
        "collected", 3, 1, 1, 1, 1,
    )  # fmt: skip
    assert (row.pipeline, row.step, row.v_astra, row.backend) == ("SampleFlux", "visit", 8001, "local")
    assert row.directory == str(bench.home / "batches" / "sample_flux-visit" / row.batch_id)
    assert row.planned < row.finished


def test_a_folder_that_vanished_is_planned_again(bench, caplog):
    bench.visits([0])
    batch = bench.engine.plan(FLUX, VISIT)
    shutil.rmtree(bench.home / "batches")
    again = bench.engine.plan(FLUX, VISIT)
    assert again.batch_id != batch.batch_id
    assert again.n_inputs == 1
    assert f"batch {batch.batch_id} is given up and its inputs are planned again" in caplog.text
    assert sorted(states(bench)) == [("active",), ("cancelled",)]


@pytest.mark.parametrize(
    "damage",
    [
        "no-description",
        "no-manifest",
        "cut-manifest",
        "flipped-manifest",
        "other-manifest",
        "other-format",
        "other-tasks",
    ],
)
def test_a_folder_that_is_not_whole_is_set_aside(bench, caplog, damage):
    bench.visits([0])
    batch = bench.engine.plan(FLUX, VISIT)
    description = batch.directory / "batch.json"
    if damage == "no-description":
        description.unlink()
    elif damage == "no-manifest":
        batch.manifest.unlink()
    elif damage == "cut-manifest":
        batch.manifest.write_bytes(batch.manifest.read_bytes()[:100])
    elif damage == "flipped-manifest":
        flip(batch.manifest)
    elif damage == "other-tasks":
        tasks = json.loads(description.read_text())
        description.write_text(json.dumps(tasks | {"tasks": [[0, 0]]}))
    elif damage == "other-manifest":
        pq.write_table(pq.read_table(batch.manifest).slice(0, 0), batch.manifest)
    else:
        description.write_text(description.read_text().replace('"format": 2', '"format": 99'))
    again = bench.engine.plan(FLUX, VISIT)
    assert again.batch_id != batch.batch_id
    assert (batch.directory.parent / f"{batch.batch_id}.broken").is_dir()
    assert f"what is left of it is in {batch.directory}.broken" in caplog.text


@pytest.mark.parametrize("place", ["before the row", "before the rename"])
def test_a_planner_killed_between_two_writes_is_recovered_from(bench, monkeypatch, place):
    bench.visits([0])

    def die(*_, **__):
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)
        if place == "before the row":
            patch.setattr(Ledger, "register", die)
        else:
            patch.setattr(folders, "publish", die)
        with pytest.raises(KilledError):
            bench.engine.plan(FLUX, VISIT)
    step_folder = bench.home / "batches" / "sample_flux-visit"
    (left,) = step_folder.iterdir()
    assert left.name.startswith(".planning-")
    dead = left.rename(left.with_name(left.name.replace(f"-{os.getpid()}-", "-999999999-")))
    batch = bench.make().plan(FLUX, VISIT)
    assert batch.attached == (place == "before the rename")
    assert [path.name for path in step_folder.iterdir()] == [batch.batch_id]
    assert not dead.exists()
    assert states(bench) == [("active",)]


def test_a_cancelled_batch_leaves_its_inputs_unprocessed(bench):
    bench.visits([0, 0])
    batch = bench.engine.plan(FLUX, VISIT)
    bench.engine.cancel(batch)
    assert states(bench) == [("cancelled",)]
    assert bench.engine.account(FLUX, VISIT).backlog == 2
    again = bench.engine.plan(FLUX, VISIT)
    assert (again.n_inputs, again.attached) == (2, False)


def finished(bench, kinds=(0, 0, 0, 91)):
    """A batch whose parts are written but not collected."""
    bench.visits(list(kinds))
    batch = bench.engine.plan(FLUX, VISIT)
    bench.engine.start(batch)
    return batch, sorted(batch.task_folder(0).glob("*.parquet"))


def edited(part, change):
    """Replace a part by another version of it, which has no checksum."""
    table = change(pq.read_table(part)).replace_schema_metadata()
    part.unlink()
    pq.write_table(table, part)


def strangers(table):
    place = table.column_names.index("spectrum_pk")
    keys = [77_000 + number for number in range(table.num_rows)]
    return table.set_column(place, "spectrum_pk", pa.array(keys, pa.int64()))


def cut(part):
    part.write_bytes(part.read_bytes()[:-100])


def flip(part):
    content = bytearray(part.read_bytes())
    content[len(content) // 3] ^= 3
    part.write_bytes(content)


DAMAGES = {
    "cut": (cut, "its checksum is not the one|cannot be read"),
    "flipped": (flip, "its checksum is not the one that it was written with"),
    "empty": (lambda part: part.write_bytes(b""), "cannot be read"),
    "strangers": (lambda part: edited(part, strangers), r"spectrum_pk 77\d+ is not an input of this batch"),
    "other columns": (
        lambda part: edited(part, lambda table: table.drop_columns(["comment"])),
        r"has other columns than the batch: lacking comment \(string\), not expected none",
    ),
    "twice": (
        lambda part: edited(part, lambda table: pa.concat_tables([table, table])),
        r"spectrum_pk \d+ is in the parts of this batch twice",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_part_is_set_aside_and_only_its_inputs_are_done_again(bench, caplog, damage):
    batch, _ = finished(bench, (0, 0, 0, 0, 0, 91))
    (part, *others) = sorted(batch.task_folder(0).glob("results-*.parquet"))
    lost = pq.read_table(part)["spectrum_pk"].to_pylist()
    kept = {path: path.read_bytes() for path in (*others, *batch.task_folder(0).glob("failures-*"))}
    before = bench.log()
    spoil, said = DAMAGES[damage]
    spoil(part)
    bench.engine.start(batch)
    account = bench.engine.collect(batch)
    assert (account.results, account.failed, account.backlog, account.balanced) == (5, 1, 0, True)
    assert part.with_name(f"{part.name}.damaged").exists()
    assert re.search(rf"{part}: ({said}).*; it is set aside as {part.name}.damaged", caplog.text)
    assert {path: path.read_bytes() for path in kept} == kept
    assert sorted(map(int, bench.log()[len(before) :])) == sorted(lost)
    assert states(bench) == [("collected",)]


def test_an_input_that_is_in_two_parts_is_collected_once(bench):
    batch, (*_, part) = finished(bench)
    copy = part.with_name("results-9.parquet")
    shutil.copy(part, copy)
    assert bench.engine.collect(batch).results == 3
    assert copy.with_name(f"{copy.name}.damaged").exists()
    assert bench.count(SampleFlux) == 3
    assert len(bench.log()) == 4, "what is in another part is not done again"


def test_a_part_that_is_missing_is_made_again(bench):
    batch, (*_, part) = finished(bench)
    part.unlink()
    account = bench.engine.collect(batch)
    assert (account.results, account.failed, account.balanced) == (3, 1, True)


def test_a_disk_that_damages_every_part_ends_the_step_and_keeps_the_batch(bench, monkeypatch):
    batch, (*_, part) = finished(bench)
    part.unlink()
    monkeypatch.setattr(Directly, "start", lambda *_: None)
    with pytest.raises(
        BatchError, match=r"stopped 5 times without finishing one more input: parts of its results"
    ):
        bench.engine.collect(batch)
    assert states(bench) == [("active",)]


def test_a_part_that_is_damaged_while_it_is_collected_costs_only_itself(bench):
    batch, (*_, part) = finished(bench)
    collector = Collector(bench.database, batch, bench.engine.inputs(FLUX, VISIT))
    parts = collector.checked_parts()
    flip(part)
    with pytest.raises(PartError, match=rf"{part}: was damaged .* Nothing was written. Run the step again"):
        collector.collect(parts)
    assert bench.count(SampleFlux) == 0
    assert bench.engine.collect(batch).results == 3


def test_a_part_that_cannot_be_read_now_is_no_damaged_part(bench, monkeypatch):
    batch, (*_, part) = finished(bench)
    read = Path.read_bytes

    def refuse(path):
        if path == part:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return read(path)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", refuse)
        with pytest.raises(PermissionError):
            bench.engine.collect(batch)
    assert part.exists()
    assert bench.engine.collect(batch).results == 3


def test_a_manifest_that_is_damaged_before_its_batch_is_collected_is_noticed(bench):
    batch, parts = finished(bench)
    flip(batch.manifest)
    with pytest.raises(BrokenBatchError, match=r"inputs.parquet: its checksum .* Run the step again"):
        bench.engine.collect(batch)
    assert bench.count(SampleFlux) == 0
    assert all(part.exists() for part in parts)


def test_parts_of_a_version_without_checksums_are_collected(bench):
    batch, parts = finished(bench)
    for part in parts:
        edited(part, lambda table: table)
    assert bench.engine.collect(batch).results == 3


def test_results_of_a_table_that_has_changed_since_are_kept_and_how_to_go_on_is_said(bench):
    batch, parts = finished(bench)
    table = pq.read_table(batch.manifest)
    other = describe(failure_schema("spectrum_pk"), "spectrum_pk")
    pq.write_table(table.replace_schema_metadata(other), batch.manifest)
    with pytest.raises(
        PartError, match=r"has changed since the batch was planned .* Nothing is lost: install"
    ):
        bench.engine.collect(batch)
    assert all(part.exists() for part in parts)
    assert states(bench) == [("active",)]


def test_an_input_that_one_copy_of_a_task_made_and_another_gave_up_has_its_result(bench):
    batch, parts = finished(bench)
    failures = next(path for path in parts if path.name.startswith("failures"))
    made = pq.read_table(next(path for path in parts if path.name.startswith("results")))["spectrum_pk"]
    given_up = pq.read_table(failures)
    rows = [*given_up.to_pylist(), given_up.to_pylist()[0] | {"spectrum_pk": made[0].as_py()}]
    pq.write_table(pa.Table.from_pylist(rows, schema=given_up.schema), failures)
    account = bench.engine.collect(batch)
    assert (account.results, account.failed, account.balanced, account.backlog) == (3, 1, True, 0)
    assert bench.rows(ComputeBatch, "n_results", "n_failed") == [(3, 1)]


def test_a_batch_reads_back_as_it_was_written(bench):
    bench.visits([0])
    batch = bench.engine.plan(FLUX, VISIT, resources=ResourceRequest(procs=3, time="1:00:00"))
    assert read_batch(batch.directory) == batch
    assert (batch.slurm.procs, batch.slurm.time, batch.procs) == (3, "1:00:00", 1)
    assert batch.reference.declaration == "astra_assets_tests.compute.samples:FLUX"
    assert batch.declaration() == (FLUX, VISIT)


def test_a_filter_never_makes_a_batch(bench):
    bench.visits([0])
    assert isinstance(bench.engine.plan(FLUX, FLUX.step("visit_filter")), NothingToDo)
    assert states(bench) == []


@pytest.mark.parametrize(("inputs", "tasks"), [(10, 3), (2, 5), (1, 1), (7, 7)])
def test_tasks_cover_all_inputs_and_none_is_empty(inputs, tasks):
    made = batches.cut(inputs, tasks)
    assert [row for first, last in made for row in range(first, last)] == list(range(inputs))
    assert len(made) == min(inputs, tasks)
    sizes = [last - first for first, last in made]
    assert max(sizes) - min(sizes) <= 1
