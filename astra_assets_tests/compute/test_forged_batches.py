"""What stands on a shared disk is not believed: batches that name code, and parts of other users."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from dataclasses import replace

import pytest

from astra_assets.compute.batch import Batch, BatchAccess, BatchError, BrokenBatchError, read_batch
from astra_assets.compute.collect import PartError
from astra_assets.compute.worker import worker_command
from astra_assets_tests.compute.samples import CLASS, FLUX, SampleFlux
from astra_assets_tests.project import PROJECT

VISIT = FLUX.step("visit")
STRANGER = 54_321

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")


def planned(bench, engine=None) -> Batch:
    bench.visits([0] * 4)
    batch = (engine or bench.engine).plan(FLUX, VISIT)
    assert isinstance(batch, Batch)
    return batch


def forge(batch, **changes):
    path = batch.directory / "batch.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.fixture
def evil(tmp_path):
    """A module that leaves a trace where it is imported, and what a forged batch says about it."""
    folder = tmp_path / "evil"
    folder.mkdir()
    trace = tmp_path / "imported"
    (folder / "evil_module.py").write_text(f"open({str(trace)!r}, 'w').close()\nFLUX = None\n")
    return {"reference": "evil_module:FLUX", "import_path": str(folder)}, trace


def test_a_batch_says_nothing_that_can_be_imported_or_executed(bench):
    content = json.loads((planned(bench).directory / "batch.json").read_text())
    assert (content["pipeline"], content["step"]) == ("SampleFlux", "visit")
    assert not {"reference", "import_path", "program"} & {*content, *content["settings"]}


def test_a_module_named_in_a_batch_is_not_imported_and_the_batch_is_planned_again(bench, evil, caplog):
    forged, trace = evil
    batch = planned(bench)
    forge(batch, **forged)
    with pytest.raises(BrokenBatchError, match="has what no batch has: import_path, reference"):
        read_batch(batch.directory)
    assert bench.engine.run(FLUX, VISIT).results == 4
    assert "batch.json has what no batch has: import_path, reference" in caplog.text
    assert not trace.exists()


def test_a_worker_imports_what_its_command_line_names_and_nothing_of_the_batch(bench, evil):
    forged, trace = evil
    batch = planned(bench)
    forge(batch, **forged)
    command = [*worker_command(batch.directory, batch.reference), "0"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "has what no batch has" in done.stderr
    assert not trace.exists()


@pytest.mark.parametrize("changes", [{"pipeline": "Corv"}, {"step": "star"}, {"batch_id": "other"}])
def test_a_batch_that_names_another_step_than_was_planned_is_given_up(bench, changes, caplog):
    batch = planned(bench)
    forge(batch, **changes)
    assert bench.engine.active(FLUX, VISIT) is None
    assert "batch.json is that of" in caplog.text


def test_a_pipeline_that_is_not_registered_is_refused_in_words(bench):
    batch = read_batch(planned(bench).directory)
    with pytest.raises(
        BatchError, match="names the pipeline 'SampleFlux' and the step 'visit', but there is no"
    ):
        batch.declaration()


def test_a_worker_that_runs_another_pipeline_than_the_batch_names_refuses(bench):
    batch = planned(bench)
    with pytest.raises(BatchError, match="but this process runs SampleFlux"):
        replace(batch, pipeline=CLASS.name).declaration()
    with pytest.raises(BatchError, match="but SampleFlux has no step 'star'"):
        replace(batch, step="star").declaration()


@pytest.mark.parametrize(("group_readable", "mode"), [(False, 0o700), (True, 0o750)])
def test_the_folder_of_a_batch_is_its_owners_whatever_the_umask_gives(bench, group_readable, mode):
    before = os.umask(0)
    try:
        batch = planned(bench, bench.make(access=BatchAccess(group_readable=group_readable)))
    finally:
        os.umask(before)
    assert stat.S_IMODE(batch.directory.stat().st_mode) == mode


@needs_root
@pytest.mark.parametrize("kind", ["results", "failures"])
def test_a_part_of_another_user_is_refused_with_file_owner_and_advice(bench, kind):
    bench.visits([0, 91])
    batch = bench.engine.plan(FLUX, VISIT)
    bench.engine.start(batch)
    part = next(batch.task_folder(0).glob(f"{kind}-*.parquet"))
    os.chown(part, STRANGER, -1)
    advice = r"`operators` in \[security\] of astra.toml; otherwise cancel the batch \(astra-assets cancel"
    with pytest.raises(PartError, match=rf"{part}: belongs to uid {STRANGER}, .*{advice}"):
        bench.engine.collect(batch)
    assert bench.count(SampleFlux) == 0
    trusting = bench.make(access=BatchAccess(operators=frozenset({STRANGER})))
    assert trusting.collect(batch).results == 1


@needs_root
def test_a_description_of_another_user_is_not_read(bench):
    batch = planned(bench)
    os.chown(batch.directory / "batch.json", STRANGER, -1)
    with pytest.raises(BrokenBatchError, match=f"belongs to uid {STRANGER}, not to the owner of the folder"):
        read_batch(batch.directory)


@needs_root
def test_a_folder_that_another_user_put_in_place_of_a_batch_is_refused(bench):
    batch = planned(bench)
    for path in (batch.directory, batch.directory / "batch.json"):
        os.chown(path, STRANGER, -1)
    told = rf"belongs to uid {STRANGER}, who is no operator here.*astra-assets cancel {batch.batch_id}"
    with pytest.raises(BatchError, match=told):
        bench.engine.active(FLUX, VISIT)
    trusting = bench.make(access=BatchAccess(operators=frozenset({STRANGER})))
    assert trusting.active(FLUX, VISIT) == replace(batch, attached=True)


def test_a_batch_that_this_user_may_not_read_is_told_in_words(bench, monkeypatch):
    batch = planned(bench)

    def forbidden(_path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("astra_assets.compute.batch.read_json", forbidden)
    with pytest.raises(
        BatchError, match=r"batch.json: this user may not read it. Run as .*group_readable = true"
    ):
        read_batch(batch.directory)
