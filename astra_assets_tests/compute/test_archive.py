"""An archive that is not there stops the step; no spectrum is blamed for it."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest

from astra_assets.compute.archive import MARK, ArchiveError, compare_archive
from astra_assets.compute.batch import BatchError
from astra_assets.files.json_files import read_json
from astra_assets.models.boss import BossVisitSpectrum
from astra_assets_tests.compute.samples import FLUX, SampleFlux, touch

VISIT = FLUX.step("visit")


def outdate(bench, some):
    touch(bench.database, BossVisitSpectrum, BossVisitSpectrum.c.spectrum_pk.in_(some))


def refused(bench, match):
    """Run the step, which must stop and leave everything as it was."""
    before = bench.rows(SampleFlux), bench.outcomes(FLUX), bench.engine.account(FLUX, VISIT)
    with pytest.raises(ArchiveError, match=match) as error:
        bench.engine.run(FLUX, VISIT)
    assert "run the step again" in str(error.value)
    assert (bench.rows(SampleFlux), bench.outcomes(FLUX), bench.engine.account(FLUX, VISIT)) == before
    assert bench.engine.active(FLUX, VISIT) is None


@pytest.fixture
def processed(bench):
    """A bench with thirty results, five of them outdated."""
    pks = bench.visits([0] * 30)
    bench.engine.run(FLUX, VISIT)
    outdate(bench, pks[:5])
    return bench


def test_an_archive_that_is_missing_stops_the_step_and_is_named(processed):
    away = processed.roots.sas_base_dir.rename(processed.roots.sas_base_dir.with_name("away"))
    refused(processed, f"{processed.roots.sas_base_dir}: the folder cannot be read .*SAS_BASE_DIR")
    away.rename(processed.roots.sas_base_dir)
    assert processed.engine.run(FLUX, VISIT).results == 30


def test_an_archive_that_is_empty_stops_the_step_however_often_it_is_run(processed):
    away = processed.roots.sas_base_dir.rename(processed.roots.sas_base_dir.with_name("away"))
    processed.roots.sas_base_dir.mkdir()
    for _ in range(3):
        refused(processed, f"{processed.roots.sas_base_dir}: the folder is empty .*SAS_BASE_DIR")
    processed.roots.sas_base_dir.rmdir()
    away.rename(processed.roots.sas_base_dir)
    account = processed.engine.run(FLUX, VISIT)
    assert (account.results, account.complete) == (30, True)


def test_another_archive_in_its_place_stops_the_step(processed):
    processed.roots.sas_base_dir.rename(processed.roots.sas_base_dir.with_name("away"))
    (processed.roots.sas_base_dir / "lost+found").mkdir(parents=True)
    refused(processed, f"{processed.roots.sas_base_dir / 'ipl-4'}: the files of 35 of 35 inputs")


def test_one_planned_input_is_enough_to_notice_that_the_files_of_all_are_gone(bench):
    pks = bench.visits([0] * 6)
    bench.engine.run(FLUX, VISIT)
    outdate(bench, pks[:1])
    shutil.rmtree(bench.roots.sas_base_dir)
    (bench.roots.sas_base_dir / "lost+found").mkdir(parents=True)
    refused(bench, "inputs that have a result are gone")


def test_a_folder_with_many_files_that_gave_results_is_missed(bench):
    pks = bench.visits([0] * 30)
    touch(bench.database, BossVisitSpectrum, BossVisitSpectrum.c.spectrum_pk.in_(pks[:12]), fieldid=12000)
    for old in sorted(bench.roots.sas_base_dir.rglob("*.fits"))[:12]:
        new = Path(str(old).replace("000XXX/000100", "012XXX/012000").replace("spec-000100", "spec-012000"))
        new.parent.mkdir(parents=True, exist_ok=True)
        old.rename(new)
    assert bench.engine.run(FLUX, VISIT).results == 30
    outdate(bench, pks)
    (folder,) = bench.roots.sas_base_dir.rglob("012XXX")
    shutil.rmtree(folder)
    refused(bench, f"{folder}: the folder is gone, with at least 12 files")


def test_files_that_were_never_read_may_be_missing_and_are_counted(bench, caplog):
    bench.visits([0] * 4)
    files = sorted(bench.roots.sas_base_dir.rglob("*.fits"))
    for path in files[:3]:
        path.unlink()
    with caplog.at_level(logging.INFO):
        account = bench.engine.run(FLUX, VISIT)
    assert (account.results, account.failed_by_code) == (1, {"missing_file": 3})
    assert "1 files of the sample were never read and are not in this archive" in caplog.text


def test_an_archive_that_is_empty_before_the_first_result_stops_the_step_too(bench):
    bench.visits([0] * 4)
    shutil.rmtree(bench.roots.sas_base_dir)
    bench.roots.sas_base_dir.mkdir()
    refused(bench, "the folder is empty")


def test_a_task_stops_where_the_archive_is_not_mounted_and_goes_on_later(process_bench):
    bench = process_bench
    bench.visits([0] * 6)
    batch = bench.engine.plan(FLUX, VISIT)
    away = bench.roots.sas_base_dir.with_name("away")
    start = bench.engine.backend.start

    def unmount_and_start(*started):
        bench.roots.sas_base_dir.rename(away)
        start(*started)

    bench.engine.backend.start = unmount_and_start
    bench.engine.start(batch)
    assert read_json(batch.directory / MARK)["files"]
    with pytest.raises(
        BatchError, match=f"root_missing: {bench.roots.sas_base_dir}: the folder cannot be read"
    ):
        bench.engine.collect(batch)
    del bench.engine.backend.start
    assert bench.outcomes(FLUX) == []
    away.rename(bench.roots.sas_base_dir)
    assert bench.engine.run(FLUX, VISIT).results == 6


def test_a_task_compares_files_that_were_there_when_the_batch_was_started(bench):
    bench.visits([0] * 6)
    batch = bench.engine.plan(FLUX, VISIT)
    compare_archive(batch.directory)
    bench.engine.start(batch)
    compare_archive(batch.directory)
    files = sorted(bench.roots.sas_base_dir.rglob("*.fits"))
    for path in files[:2]:
        path.unlink()
    compare_archive(batch.directory)
    files[2].unlink()
    with pytest.raises(
        ArchiveError, match="3 of 6 files are gone that were there when the batch was started"
    ):
        compare_archive(batch.directory)


def test_an_archive_that_goes_away_in_the_middle_blames_no_input(process_bench):
    bench = process_bench
    bench.visits([0] * 40)
    bench.switch("slow")
    batch = bench.engine.plan(FLUX, VISIT)
    away = bench.roots.sas_base_dir.with_name("away")

    def unmount(progress):
        if progress.finished >= 3 and not away.exists():
            bench.roots.sas_base_dir.rename(away)

    bench.engine.start(batch)
    with pytest.raises(BatchError, match="root_missing"):
        bench.engine.collect(batch, unmount)
    assert bench.outcomes(FLUX) == []
    away.rename(bench.roots.sas_base_dir)
    bench.switch("slow", on=False)
    account = bench.engine.run(FLUX, VISIT)
    assert (account.results, account.failed, account.complete) == (40, 0, True)
    assert len(bench.log()) < 50
