"""The step that makes astraStar and astraVisit files: which sources, which rows, and when again."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from sqlalchemy import delete, text

from astra_assets.compute import NothingToDo, Selection
from astra_assets.database.database import Database
from astra_assets.files.paths import astra_path
from astra_assets.models.base import table_of
from astra_assets.models.boss import BossVisitSpectrum
from astra_assets.models.mwm import AstraSpectrumProductStatus
from astra_assets.models.source import Source
from astra_assets.pipelines import pipeline
from astra_assets.pipelines.astra_files import CREATED, NO_RESULT, file_kinds, with_astra_files
from astra_assets.pipelines.base import Pipeline, PipelineDeclarationError, Step
from astra_assets.pipelines.mwm import MWM
from astra_assets_tests.compute.conftest import Bench
from astra_assets_tests.compute.model_samples import MODEL, OTHER, SampleModel
from astra_assets_tests.compute.samples import FLUX, touch

VISIT, FILES = MODEL.steps


@pytest.fixture
def bench(database, tmp_path):
    return Bench(database, tmp_path)


@pytest.fixture
def sqlite_bench(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'astra.db'}")
    database.create_tables()
    return Bench(database, tmp_path)


def run(bench, *pipelines):
    """All steps; returns the account of the last one."""
    accounts = [bench.engine.run(each, step) for each in pipelines or (MODEL,) for step in each.steps]
    return accounts[-1]


def path(bench, pk, product="SampleModel"):
    """The file of the source whose first visit is `pk`."""
    return bench.roots.mwm_astra / astra_path("visit", product, "0.8.1", 1000 + pk)


def models(bench):
    return sorted(each.name for each in (bench.roots.mwm_astra / "0.8.1/pipelines").rglob("*.fits"))


def flags(bench):
    return bench.rows(AstraSpectrumProductStatus, "source_pk", "pipeline", "flags")


def test_a_source_gets_one_file_with_its_results_by_telescope_and_time(bench):
    pks = bench.visits([0, 0, 96, 0], per_source=3)
    touch(bench.database, BossVisitSpectrum, BossVisitSpectrum.c.spectrum_pk == pks[1], telescope="lco25m")
    account = run(bench)
    assert (account.inputs, account.results, account.complete) == (2, 2, True)
    with fits.open(path(bench, pks[0])) as hdus:
        assert hdus[0].header["PIPELINE"] == "SampleModel"
        assert hdus[0].header["SDSS_ID"] == 1000 + pks[0]
        assert [len(hdu.data) for hdu in hdus[1:]] == [2, 1, 0, 0]
        north, south = hdus[1].data, hdus[2].data
        assert north["spectrum_pk"].tolist() == [pks[0], pks[2]]
        assert north["mjd"].tolist() == [59000, 59002]
        np.testing.assert_array_equal(north["model_flux"][0], np.full(4648, pks[0], dtype=np.float32))
        assert np.isnan(north["model_flux"][1]).all(), "a result without pixels has its row all the same"
        assert np.isnan(north["level"][1])
        assert south["spectrum_pk"].tolist() == [pks[1]]
        assert south["model_flux"][0, 0] == pks[1]
        assert south["v_astra_major_minor"].tolist() == [8]
    assert path(bench, pks[3]).exists()
    assert [row[1:] for row in flags(bench)] == [("SampleModel", CREATED["visit"])] * 2


def test_only_files_of_sources_with_newer_results_are_made_again(sqlite_bench):
    bench = sqlite_bench
    pks = bench.visits([0, 0])
    run(bench)
    before = [path(bench, pk).stat().st_ino for pk in pks]
    assert isinstance(bench.engine.plan(MODEL, FILES), NothingToDo)
    touch(bench.database, BossVisitSpectrum, BossVisitSpectrum.c.spectrum_pk == pks[1], xcsao_v_rad=7.0)
    old = models(bench)
    assert bench.engine.run(MODEL, VISIT).results == 2
    assert bench.engine.account(MODEL, FILES).backlog == 1
    assert len(models(bench)) == 3, "the pixels of the older result stay until the file is made again"
    run(bench)
    after = [path(bench, pk).stat().st_ino for pk in pks]
    assert (after[0] == before[0], after[1] == before[1]) == (True, False)
    assert fits.getdata(path(bench, pks[1]), 1)["xcsao_v_rad"].tolist() == [7.0]
    assert len(models(bench)) == 2
    assert len(set(models(bench)) & set(old)) == 1


def test_a_source_that_changed_gets_a_new_header_from_the_results_that_are_there(sqlite_bench):
    bench = sqlite_bench
    (pk,) = bench.visits([0])
    run(bench)
    touch(bench.database, Source, ra=12.5)
    assert bench.engine.run(MODEL, FILES).results == 1
    assert fits.getheader(path(bench, pk))["RA"] == 12.5
    assert bench.log() == [str(pk)], "the spectrum was fitted once"


def test_a_redo_that_is_given_up_leaves_the_pixels_of_the_result_alone(sqlite_bench):
    bench = sqlite_bench
    (pk,) = bench.visits([0])
    bench.engine.run(MODEL, VISIT)
    batch = bench.engine.plan(MODEL, VISIT, Selection(force=True))
    bench.engine.start(batch)
    bench.engine.cancel(batch)
    assert len(models(bench)) == 2
    assert bench.engine.run(MODEL, FILES).results == 1
    assert fits.getdata(path(bench, pk), 1)["model_flux"][0, 0] == pk


def test_a_file_shows_no_result_that_is_no_more_and_goes_with_the_last_one(sqlite_bench):
    bench = sqlite_bench
    pks = bench.visits([0, 0], per_source=2)
    run(bench)
    for number, pk in enumerate(pks):
        bench.switch(f"skip-{pk}")
        touch(bench.database, BossVisitSpectrum, BossVisitSpectrum.c.spectrum_pk == pk)
        assert run(bench).complete
        if number == 0:
            assert fits.getdata(path(bench, pks[0]), 1)["spectrum_pk"].tolist() == [pks[1]]
    assert not path(bench, pks[0]).exists()
    assert [row[2] for row in flags(bench)] == [NO_RESULT]
    assert isinstance(bench.engine.plan(MODEL, FILES), NothingToDo)


def test_pixels_that_are_gone_are_told_and_the_old_file_stays(sqlite_bench):
    bench = sqlite_bench
    pks = bench.visits([0, 0])
    run(bench)
    touch(bench.database, Source)
    (lost,) = (bench.roots.mwm_astra / "0.8.1/pipelines").rglob(f"{pks[0]}-*.fits")
    lost.unlink()
    before = path(bench, pks[0]).read_bytes()
    account = bench.engine.run(MODEL, FILES)
    assert (account.results, account.failed_by_code) == (1, {"missing_pixels": 1})
    (outcome,) = bench.outcomes(MODEL)
    assert str(lost) in outcome["message"]
    assert f"astra-assets run sample_model --force --sdss-ids {1000 + pks[0]}" in outcome["message"]
    assert path(bench, pks[0]).read_bytes() == before
    bench.engine.run(MODEL, VISIT, Selection(force=True, sdss_ids=[1000 + pks[0]]))
    assert bench.engine.run(MODEL, FILES).complete
    assert bench.outcomes(MODEL) == []


def test_pixels_on_another_grid_are_refused(sqlite_bench):
    sqlite_bench.visits([97])
    account = run(sqlite_bench)
    assert account.failed_by_code == {"wrong_pixels": 1}
    (outcome,) = sqlite_bench.outcomes(MODEL)
    assert "BOSS files have 4648 pixels, found {'model_flux': 10}" in outcome["message"]


def test_pipelines_share_the_table_and_keep_out_of_each_other_s_way(bench):
    (pk,) = bench.visits([0])
    run(bench, MODEL, OTHER)
    both = sorted(row[1] for row in flags(bench))
    assert both == ["SampleModel", "SampleOther"]
    assert path(bench, pk, "SampleOther").exists()
    touch(bench.database, BossVisitSpectrum)
    bench.engine.run(MODEL, VISIT)
    assert [bench.engine.account(each, each.steps[1]).backlog for each in (MODEL, OTHER)] == [1, 0]
    bench.engine.run(MODEL, FILES)
    assert sorted(row[1] for row in flags(bench)) == both


def test_files_of_results_that_are_being_made_anew_are_made_again_afterwards(sqlite_bench):
    bench = sqlite_bench
    pks = bench.visits([0])
    run(bench)
    touch(bench.database, BossVisitSpectrum)
    running = bench.engine.plan(MODEL, VISIT)
    bench.engine.start(running)
    touch(bench.database, Source)
    early = bench.engine.plan(MODEL, FILES)
    assert early.planned < running.planned, "what it shows was there before"
    bench.engine.start(early)
    bench.engine.collect(early)
    bench.engine.collect(running)
    assert bench.engine.account(MODEL, FILES).backlog == 1
    assert run(bench).complete
    assert len(models(bench)) == len(pks)


def test_a_source_without_sdss_id_is_skipped_since_files_are_named_by_it(sqlite_bench):
    bench = sqlite_bench
    bench.visits([0])
    touch(bench.database, Source, sdss_id=None)
    account = run(bench)
    assert account.skipped_by_code == {"no_sdss_id": 1}


def test_a_source_without_results_is_no_input(sqlite_bench):
    bench = sqlite_bench
    bench.visits([0, 0])
    bench.engine.run(MODEL, VISIT)
    with bench.database.begin() as connection:
        result = table_of(SampleModel)
        connection.execute(delete(result).where(result.c.spectrum_pk == 1))
    assert bench.engine.account(MODEL, FILES).inputs == 1


def test_the_rows_of_a_source_are_found_by_index_and_not_among_all_of_the_pipeline(sqlite_bench):
    query = sqlite_bench.engine.inputs(MODEL, FILES).flagged()
    with sqlite_bench.database.connect() as connection:
        compiled = query.compile(connection, compile_kwargs={"literal_binds": True})
        plan = [row[3] for row in connection.execute(text(f"explain query plan {compiled}"))]
    for name in ("sample_model", "outcome_of_spectrum"):
        steps = [step for step in plan if name in step]
        assert steps
        assert all("spectrum_pk=?" in step for step in steps), steps
    assert all("source_pk=?" in step for step in plan if "boss_visit_spectrum" in step)


def test_what_the_step_is_called_follows_from_the_levels():
    assert [step.name for step in pipeline("snow_white").steps][-1] == "astra_star"
    assert [step.name for step in pipeline("corv").steps][-1] == "astra_visit"
    both = with_astra_files(pipeline("bossnet")).steps[-1]
    assert (both.name, both.after, file_kinds(both)) == (
        "astra_star_and_visit",
        ("star", "visit"),
        ("star", "visit"),
    )
    assert file_kinds(VISIT) == ()


def test_a_pipeline_without_results_on_coadds_or_visits_has_no_such_files():
    with pytest.raises(PipelineDeclarationError, match="MWM: MWMSpectrumProductStatus has no results"):
        with_astra_files(MWM)
    nothing = Pipeline("SampleFlux", FLUX.table, (Step("a", Source, function=print),))
    with pytest.raises(PipelineDeclarationError, match="no results on spectra"):
        with_astra_files(nothing)


def test_times_of_pixels_are_exact_to_the_microsecond(sqlite_bench):
    bench = sqlite_bench
    (pk,) = bench.visits([0])
    run(bench)
    ((modified,),) = bench.rows(SampleModel, "modified")
    assert models(bench) == [f"{pk}-{modified:%Y%m%dT%H%M%S%f}.fits"]
