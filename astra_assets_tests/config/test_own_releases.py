"""Releases that a deployment declares in astra.toml: what they give, which are served together, what is refused."""

from __future__ import annotations

import re
import subprocess

import dagster as dg
import pytest
import yaml

from astra_assets.config.own_releases import SettingsError, load_releases
from astra_assets.config.releases import DR20, MAIN, RELEASES
from astra_assets.config.settings import load_settings
from astra_assets.definitions import build_defs
from astra_assets.defs.assets import all_assets, keys_of, located
from astra_assets.defs.assets.kept import outline
from astra_assets.operations.deployment import Deployment
from astra_assets.operations.news import news
from astra_assets.operations.products import products
from astra_assets.products.bundle import summary_path
from astra_assets_tests.project import PROJECT

MINI = """
[releases.mini]
description = "What the small survey has."
run2d = ["v6_1_3"]
apred = []
pipelines = ["mwm", "snow_white"]
"""
NEXT = """
[releases.next]
run2d = ["v6_2_1"]
v_astra = "0.9.0"
pipelines = ["mwm", "snow_white", "corv"]
"""


@pytest.fixture
def toml(tmp_path, monkeypatch):
    """Writes the astra.toml of the deployment."""
    for name in ("ASTRA_RELEASE", "ASTRA_DATABASE_URL", "SAS_BASE_DIR", "MWM_ASTRA", "ASTRA_CATALOGS"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "site.toml"
    file.write_text("")
    monkeypatch.setenv("ASTRA_CONFIG", str(file))
    monkeypatch.setenv("ASTRA_HOME", str(tmp_path / "home"))
    return file.write_text


def test_a_declared_release_is_a_job_with_a_schedule_and_a_sensor(toml):
    toml(MINI)
    definitions = build_defs()
    repository = definitions.get_repository_def()
    job = definitions.resolve_job_def("mini")
    assert job.description == "What the small survey has."
    assert job.tags["astra/release"] == "mini"
    mini = load_releases().known_releases["mini"]
    selected = {key.to_user_string() for key in job.asset_layer.executable_asset_keys}
    assert selected == {key.to_user_string() for key in keys_of(mini)}
    assert {
        "source",
        "boss_visit_spectrum",
        "mwmStar",
        "snow_white/star",
        "astraAllStarSnowWhite",
    } <= selected
    assert not selected & {"apogee_visit_spectrum", "corv/visit", "astraAllVisitCorv", "line_forest/star"}
    schedule = repository.get_schedule_def("mini_daily")
    assert (schedule.job_name, schedule.cron_schedule) == ("mini", "0 12 * * *")
    assert repository.get_sensor_def("new_spectra_mini").job_name == "mini"
    assert {job.name for job in repository.get_all_jobs()} >= {"main", "dr20", "mini"}


def test_without_a_version_a_declared_release_shares_products_with_those_of_the_package(toml):
    toml(MINI)
    deployment = Deployment.load()
    paths = [
        {each.name: each.path for each in products(deployment, deployment.release(name))}
        for name in ("dr20", "mini")
    ]
    assert paths[0]["mwmTargets"] == paths[1]["mwmTargets"]
    assert deployment.release("mini").run2d == ("v6_1_3",)


def test_a_release_of_another_version_is_served_apart_and_writes_elsewhere(toml, monkeypatch):
    toml(MINI + NEXT)
    assert set(load_releases().served_releases) == {"main", "dr20", "mini"}
    monkeypatch.setenv("ASTRA_RELEASE", "next")
    assert set(load_releases().served_releases) == {"next"}
    deployment = Deployment.load()
    listed = {each.name: each.path for each in products(deployment, deployment.release())}
    root = deployment.settings.products_root
    assert listed["mwmTargets"] == root / summary_path("mwmTargets", "0.9.0")
    assert "0.9.0" in str(listed["mwmTargets"])
    assert listed["mwmTargets"] != root / summary_path("mwmTargets", MAIN.v_astra)


def test_locations_of_two_versions_load_side_by_side_and_have_no_asset_in_common(toml, monkeypatch):
    toml(MINI + NEXT)
    ours = build_defs()
    monkeypatch.setenv("ASTRA_RELEASE", "next")
    theirs = build_defs()
    for definitions in (ours, theirs):
        dg.Definitions.validate_loadable(definitions)
    keys = [definitions.resolve_asset_graph().get_all_asset_keys() for definitions in (ours, theirs)]
    assert not keys[0] & keys[1]
    assert dg.AssetKey("mwmTargets") in keys[0]
    job = theirs.resolve_job_def("next")
    assert dg.AssetKey(["v0_9_0", "corv", "visit"]) in job.asset_layer.executable_asset_keys
    jobs = [{job.name for job in each.get_repository_def().get_all_jobs()} for each in (ours, theirs)]
    assert "next" not in jobs[0]
    assert not jobs[1] & {"main", "dr20", "mini"}


class NothingNew:
    """What ingestion reports where it was given nothing."""

    def table(self) -> str:
        return "nothing"


def test_assets_of_another_version_report_under_their_own_keys_and_write_their_own_files(toml, monkeypatch):
    toml(NEXT)
    monkeypatch.setattr("astra_assets.operations.migrate.migrate", lambda *_, **__: NothingNew())
    definitions = build_defs(release="next")
    names = [table.name for table in outline().tables]
    wanted = [dg.AssetKey(["v0_9_0", name]) for name in (*names, "mwmTargets")]
    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize(
            located("0.9.0", all_assets()), instance=instance, selection=wanted,
            resources=definitions.resources, tags={"astra/release": "next"}, raise_on_error=False,
        )  # fmt: skip
        made = {event.asset_key for event in done.get_asset_materialization_events()}
        checked = {check.asset_key for check in done.get_asset_check_evaluations()}
    assert done.success
    assert made == set(wanted)
    assert checked == {wanted[-1]}
    folder = load_settings().products_root
    assert (folder / summary_path("mwmTargets", "0.9.0")).is_file()
    assert not (folder / MAIN.v_astra).exists()


def test_the_deployment_s_release_is_what_verbs_mean_without_a_name(toml, monkeypatch):
    toml(NEXT)
    assert Deployment.load().release() == MAIN
    monkeypatch.setenv("ASTRA_RELEASE", "next")
    deployment = Deployment.load()
    assert deployment.release().name == "next"
    assert news(deployment, deployment.release()).looked_for[0].endswith("spAll-v6_2_1.fits.gz")


def test_without_tables_there_are_the_releases_of_the_package(toml):
    assert load_releases().known_releases == RELEASES
    assert set(RELEASES) == {"main", "dr20"}
    assert set(DR20.pipelines) < set(MAIN.pipelines)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (MINI.replace("snow_white", "snow_whit"), "pipelines in [releases.mini] of {file}: there is no pipeline 'snow_whit'; did you mean snow_white?"),  # noqa: E501
        (MINI.replace('"snow_white"', '"mwm"'), "pipelines in [releases.mini] of {file}: mwm: named twice"),
        (MINI.replace("mini", "main"), "[releases] of {file}: 'main' is the name of a release of this package"),
        (MINI.replace("mini", "DR20"), "[releases] of {file}: 'DR20' is the name of a release of this package"),
        (MINI.replace("releases.mini", 'releases."mini-2"'), "[releases] of {file}: 'mini-2' cannot be the name of a job"),
        (MINI.replace("mini", "a__b"), "'a__b' cannot be the name of a job"),
        (MINI.replace("mini", "class"), "'class' cannot be the name of a job"),
        (MINI + 'v_astra = "one"', "v_astra in [releases.mini] of {file}: an Astra version looks like 0.8.1, found 'one'"),
        (MINI + 'v_astra = "0.09.1"', "v_astra in [releases.mini] of {file}: an Astra version looks like 0.8.1, found '0.09.1'; write 0.9.1"),  # noqa: E501
        (MINI + "v_astra = 0.9", "v_astra in [releases.mini] of {file}: Input should be a valid string"),
        (MINI + "pipeline = []", "pipeline in [releases.mini] of {file}: Extra inputs are not permitted"),
        (MINI.replace('["v6_1_3"]', '"v6_1_3"'), "run2d in [releases.mini] of {file}: Input should be a valid list"),
        (MINI.replace("v6_1_3", "../v6"), "run2d in [releases.mini] of {file}: '../v6': a reduction is called like v6_2_1"),
        (MINI.replace('["v6_1_3"]', "[]"), "[releases.mini] of {file}: names no reduction: add run2d"),
        ('[releases.mini]\nrun2d = ["v6_1_3"]', "pipelines in [releases.mini] of {file}: Field required"),
        ("releases = 3", "[releases] of {file}: Input should be a valid dictionary"),
        ('release = "other"', "there is no release 'other'; choose one of: main, dr20"),
        ("[releases", "site.toml cannot be read: Expected"),
    ],
)  # fmt: skip
def test_a_bad_declaration_is_refused_when_definitions_load(toml, tmp_path, text, told):
    toml(text)
    with pytest.raises(SettingsError) as caught:
        build_defs()
    assert told.format(file=tmp_path / "site.toml") in str(caught.value)


def test_everything_that_is_wrong_is_told_at_once_also_of_other_settings(toml):
    toml('procs = 0\n[releases.mini]\nrun2d = [""]\nv_astra = "x"\npipelines = ["rocket"]\ncolour = "red"\n')
    with pytest.raises(SettingsError) as caught:
        load_settings()
    lines = str(caught.value).splitlines()[1:]
    told = [line.split(":")[0].strip().split(" ")[0] for line in lines]
    assert sorted(told) == ["ASTRA_PROCS", "colour", "pipelines", "run2d", "v_astra"]
    with pytest.raises(SettingsError) as caught:
        load_releases()
    assert "ASTRA_PROCS" not in str(caught.value)


def test_definitions_load_whatever_else_is_wrong_with_the_settings(toml, monkeypatch):
    """What is wrong with them is told by the first step, in words."""
    toml("procs = 0\n")
    monkeypatch.setenv("ASTRA_DATABASE_URL", "postgresql://nobody@nowhere.invalid/survey")
    assert build_defs().resolve_job_def("main")


@pytest.mark.parametrize(("page", "v_astra"), [("run", MAIN.v_astra), ("deploy", "0.9.0")])
def test_the_release_of_a_page_is_one_as_it_stands_there(toml, page, v_astra):
    text = (PROJECT / "docs" / f"{page}.md").read_text()
    (shown,) = [block for block in re.findall(r"```toml\n(.*?)```", text, re.DOTALL) if "[releases." in block]
    toml(shown)
    assert load_releases().known_releases["mini"].v_astra == v_astra


def test_the_workspace_shows_how_another_version_is_served(tmp_path):
    text = (PROJECT / "workspace.yaml").read_text()
    head, _, shown = text.partition("  # - python_module:\n")
    entry = "  - python_module:\n" + "".join(
        f"{line.replace('  # ', '  ', 1)}\n" for line in shown.splitlines()
    )
    loaded = yaml.safe_load(head + entry)["load_from"]
    assert [each["python_module"]["location_name"] for each in loaded] == ["astra_assets", "mini"]
    program = PROJECT / loaded[1]["python_module"]["executable_path"]
    assert program.parent == PROJECT / "deploy"
    link = tmp_path / program.name
    link.symlink_to(PROJECT / "deploy" / "serve-release")
    show = "import os; print(os.environ['ASTRA_RELEASE'])"
    assert subprocess.run([link, "-c", show], capture_output=True, text=True, check=True).stdout == "mini\n"
