"""How a step stands, what a run of it would do, and why it cannot run here."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
from sqlalchemy import func, insert, select

from astra_assets.compute.progress import TaskStatus
from astra_assets.config.releases import DR20
from astra_assets.config.settings import SettingsError, load_settings
from astra_assets.errors import ExpectedError
from astra_assets.models.base import table_of
from astra_assets.models.boss import BossVisitSpectrum
from astra_assets.models.source import Source
from astra_assets.operations.work import NotAvailable, Restriction, Work
from astra_assets.pipelines import pipeline
from astra_assets.pipelines.base import ExternalProgram, Pipeline, Step
from astra_assets.pipelines.options import AS_DECLARED, ResourceRequest, SlurmOptions
from astra_assets.spectra.base import Roots
from astra_assets_tests.compute import samples

DECLARED = SlurmOptions(nodes=2, procs=4, time="00:10:00")
VISIT = replace(samples.FLUX.step("visit"), slurm=DECLARED)
FLUX = replace(samples.FLUX, steps=(samples.FLUX.steps[0], VISIT), reference="")
PROGRAM = Pipeline(
    "SampleFlux",
    samples.SampleFlux,
    (
        Step(
            "visit",
            BossVisitSpectrum,
            program=ExternalProgram(("ferre", "{manifest}"), install="Ask its authors for ferre."),
        ),
    ),
)


@pytest.fixture
def make(database, tmp_path, monkeypatch):
    """The pipelines of a release at work, on a database with eight visits."""
    for name in ("ASTRA_CONFIG", "ASTRA_COMPUTE", "SAS_BASE_DIR", "MWM_ASTRA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    database.create_tables()
    samples.add_visits(database, None, [0] * 8)

    def made(compute="local", toml="") -> Work:
        (tmp_path / "astra.toml").write_text(toml)
        settings = load_settings(home=tmp_path / "home")
        return Work(settings, database, Roots(tmp_path / "sas", tmp_path / "mwm"), DR20, compute)

    return made


def test_before_the_first_result_the_time_is_unknown(make):
    preview = make("slurm").preview(FLUX, VISIT, AS_DECLARED)
    assert (preview.inputs, preview.tasks, preview.inputs_per_task) == (8, 2, 4)
    assert preview.seconds is None
    assert preview.node_hours is None
    assert preview.disk == 8 * 8 * len(table_of(samples.SampleFlux).columns)


def test_node_hours_follow_from_results_so_far(make, monkeypatch):
    work = make("slurm")
    monkeypatch.setattr("astra_assets.operations.work.mean_seconds", lambda *_: 1800.0)
    preview = work.preview(FLUX, VISIT, ResourceRequest(procs=2))
    assert preview.seconds == 4 * 1800 / 2
    assert preview.node_hours == 2 * 3600 / 3600
    assert preview.notes == [
        "tasks would take longer than their wall time of 00:10:00: ask for more --nodes, --procs or --time"
    ]
    assert work.preview(FLUX, VISIT, ResourceRequest(time="02:00:00")).notes == []
    limited = work.preview(FLUX, VISIT, ResourceRequest(nodes=8), Restriction(limit=3))
    assert (limited.inputs, limited.tasks, limited.inputs_per_task) == (3, 3, 1)


def test_a_preview_is_of_the_inputs_that_a_run_would_look_at(make):
    work = make("local")
    table, visits = table_of(samples.SampleFlux), table_of(BossVisitSpectrum)
    with work.database.begin() as connection:
        found = connection.execute(select(visits.c.spectrum_pk, visits.c.source_pk).limit(3)).all()
        for spectrum_pk, source_pk in found:
            keys = {"spectrum_pk": spectrum_pk, "source_pk": source_pk}
            connection.execute(insert(table).values(v_astra=8001, **keys))
        sdss_id = connection.scalar(select(func.max(table_of(Source).c.sdss_id)))
    asked = {
        "everything": Restriction(),
        "force": Restriction(force=True),
        "limited": Restriction(limit=4, force=True),
        "object": Restriction(sdss_ids=(sdss_id,)),
    }
    inputs = {name: work.preview(FLUX, VISIT, AS_DECLARED, each).inputs for name, each in asked.items()}
    assert inputs == {"everything": 5, "force": 8, "limited": 4, "object": 1}


def test_what_no_node_can_meet_is_told_before_anything_is_submitted(make, monkeypatch):
    found = [("ok", "the controller answers"), ("error", "procs: 99 is more than a node has (16)")]
    monkeypatch.setattr("astra_assets.operations.work.diagnose", lambda _client, _options: found)
    preview = make("slurm").preview(FLUX, VISIT, ResourceRequest(procs=99))
    assert make("slurm").doubts(preview) == (found[1][1],)
    here = make("local")
    assert here.doubts(here.preview(FLUX, VISIT, AS_DECLARED)) == ()


def test_a_filter_needs_no_worker(make, monkeypatch):
    monkeypatch.setattr("astra_assets.operations.work.mean_seconds", lambda *_: 1800.0)
    work = make("slurm")
    preview = work.preview(FLUX, FLUX.steps[0], AS_DECLARED)
    assert preview.submits_nothing
    assert work.doubts(preview) == ()


def test_here_a_step_is_one_task_whatever_it_asks_of_a_cluster(make):
    preview = make("local").preview(FLUX, VISIT, AS_DECLARED)
    assert preview.tasks == 1
    assert not preview.on_cluster


def test_a_step_shows_its_batch_and_how_far_that_is(make):
    work = make("local")
    assert work.standing(samples.FLUX, samples.FLUX.step("visit")).unfinished
    batch = work.engine.plan(samples.FLUX, samples.FLUX.step("visit"))
    folder = batch.task_folder(0)
    folder.mkdir(parents=True)
    TaskStatus("running", 8, done=3, failed=1).write(folder)
    standing = work.standing(samples.FLUX, samples.FLUX.step("visit"))
    assert standing.batch.batch_id == batch.batch_id
    assert (standing.progress.finished, standing.progress.running, standing.jobs) == (4, 1, ())
    assert standing.account.backlog == 8
    preview = work.preview(samples.FLUX, samples.FLUX.step("visit"), AS_DECLARED)
    assert preview.notes == [
        f"a run goes on with the active batch {batch.batch_id} instead of planning this one"
    ]
    done_anew = replace(standing, account=replace(standing.account, results=8, backlog=0))
    assert done_anew.account.complete
    assert done_anew.unfinished
    assert work.folder_of_active(batch.batch_id) == batch.directory
    assert work.jobs(samples.FLUX, samples.FLUX.step("visit")) == ()
    assert work.stop(samples.FLUX, samples.FLUX.step("visit")) is None


def test_a_batch_that_is_not_active_is_no_batch_to_cancel(make):
    work = make("local")
    step = samples.FLUX.step("visit")
    with pytest.raises(ExpectedError, match="there is no batch 'nothing'; astra-assets status"):
        work.folder_of_active("nothing")
    batch = work.engine.plan(samples.FLUX, step)
    assert "inputs are unprocessed again" in work.cancel(batch.batch_id)
    with pytest.raises(ExpectedError, match="is cancelled already"):
        work.cancel(batch.batch_id)


def test_a_step_of_a_program_is_left_out_with_the_reason(make):
    work, said = make(), []
    step = PROGRAM.steps[0]
    left_out = work.submit(PROGRAM, step, Restriction(), AS_DECLARED, said.append)
    assert isinstance(left_out, NotAvailable)
    assert said == [str(left_out)]
    assert said[0].startswith(
        "SampleFlux visit is skipped: SampleFlux is done by a program of other people, and ferre is not on the search path"
    )
    assert said[0].endswith("search path. Ask its authors for ferre.")
    account = work.collect(PROGRAM, step, said.append)
    assert (account.backlog, account.balanced) == (8, True)
    standing = work.standing(PROGRAM, step)
    assert not standing.unfinished
    assert standing.unavailable == left_out.reason


def test_a_program_that_the_site_names_and_that_is_not_there_is_an_error(make, monkeypatch):
    monkeypatch.setattr("astra_assets.pipelines.PIPELINES", (PROGRAM,), raising=False)
    work, said = make("local", '[programs]\nferre = "/nowhere/ferre"\n'), []
    step = PROGRAM.steps[0]
    with pytest.raises(
        ExpectedError, match=r"SampleFlux visit cannot run: .*/nowhere/ferre is not there .* Correct its name"
    ):
        work.submit(PROGRAM, step, Restriction(), AS_DECLARED, said.append)
    standing = work.standing(PROGRAM, step)
    assert standing.wanted
    assert standing.unfinished
    assert replace(standing, account=replace(standing.account, results=8, backlog=0)).unfinished
    assert work.left_out(PROGRAM, step) is None


def test_a_table_of_no_step_stops_work_on_the_cluster_and_not_here(make):
    toml = "[slurm.steps.snow_wite]\nnodes = 2\n"
    with pytest.raises(SettingsError, match=r"belongs to no step; there are: .*snow_white"):
        assert make("slurm", toml).engine
    assert make("local", toml).engine.backend.name == "local"


def test_a_batch_goes_on_where_it_was_begun_whatever_the_setting_is_now(make):
    assert [each.name for each in make("slurm").engine.others] == ["local"]
    assert [each.name for each in make("local").engine.others] == ["slurm"]


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """The same without a database."""
    for name in ("ASTRA_CONFIG", "ASTRA_COMPUTE", "ASTRA_DATABASE_URL", "SAS_BASE_DIR", "MWM_ASTRA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/nowhere")

    def made(compute="local", toml="") -> Work:
        (tmp_path / "astra.toml").write_text(toml)
        return Work(load_settings(home=tmp_path), None, Roots(tmp_path, tmp_path), DR20, compute)

    return made


@pytest.mark.parametrize(
    ("compute", "toml", "available"),
    [
        ("local", "", False),
        ("slurm", "", False),
        ("local", "[slurm]\nsetup = ['module load ferre']\n", False),
        ("slurm", "[slurm]\nsetup = ['module load ferre']\n", True),
        ("slurm", "[slurm.steps.corv]\nsetup = ['module load ferre']\n", False),
        ("local", "[programs]\nbossnet = '/opt/net'\n", False),
        ("slurm", "[programs]\nbossnet = '/opt/net'\n", True),
        ("local", f"[programs]\nbossnet = '{sys.executable}'\n", True),
        ("local", f"[programs]\nbossnet = {{astra = '{sys.executable}'}}\n", False),
    ],
)
def test_a_program_counts_as_installed_where_it_is_found_or_cannot_be_seen_from_here(
    bare, compute, toml, available
):
    net = pipeline("bossnet")
    assert (bare(compute, toml).unavailable(net, net.steps[0]) is None) is available


def test_a_program_that_nobody_declares_is_an_error_of_the_settings(bare):
    with pytest.raises(
        SettingsError,
        match=r"bosnet in \[programs\] of astra.toml belongs to no program; there are: .*bossnet",
    ):
        assert bare("local", "[programs]\nbosnet = 'x'\n").engine
