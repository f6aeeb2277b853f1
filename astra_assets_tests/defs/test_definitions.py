"""The asset graph as people and jobs see it."""

from __future__ import annotations

import json
import os
from typing import Any

import dagster as dg
import pytest

from astra_assets.config.releases import RELEASES
from astra_assets.definitions import build_defs, defs
from astra_assets.defs.assets import keys_of
from astra_assets.pipelines import PIPELINES
from astra_assets_tests.project import DATA

SNAPSHOT = DATA / "graph.json"
UPDATE = "ASTRA_UPDATE_SNAPSHOT"


def graph_of(definitions: dg.Definitions) -> dict[str, dict[str, Any]]:
    """What a reviewer looks at: key, dependencies, group, owners, kinds, checks."""
    graph = definitions.resolve_asset_graph()
    found: dict[str, dict[str, Any]] = {}
    for key in sorted(graph.get_all_asset_keys()):
        node = graph.get(key)
        found[key.to_user_string()] = {
            "dependencies": sorted(parent.to_user_string() for parent in node.parent_keys),
            "group": node.group_name,
            "owners": sorted(node.owners),
            "kinds": sorted(node.kinds),
            "code_version": node.code_version,
            "checks": sorted(check.name for check in node.check_keys),
        }
    return found


def test_the_graph_is_the_reviewed_one():
    found = graph_of(defs)
    if os.environ.get(UPDATE):
        SNAPSHOT.write_text(json.dumps(found, indent=1) + "\n")
    expected = json.loads(SNAPSHOT.read_text())
    assert found == expected, (
        f"the graph changed; look at the difference and, if it is meant, run with {UPDATE}=1"
    )


def test_groups_are_those_of_the_survey():
    groups = {node["group"] for node in graph_of(defs).values()}
    own = {"Initialisation", "SummarySpectrumProducts", "SpectrumProducts"}
    boss = {"SnowWhite", "CORV", "BOSSNet", "LineForest", "Slam", "MDwarfType"}
    apogee = {"ApogeeNet", "ASPCAP", "AstroNN", "AstroNN_Dist", "ThePayne"}
    assert groups == own | boss | apogee


def test_every_asset_says_what_it_is_and_who_answers_for_it():
    graph = defs.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.description, f"{key} has no description"
        assert node.owners, f"{key} has no owner"
        assert node.kinds, f"{key} has no kind"


@pytest.mark.parametrize("name", ["main", "dr20"])
def test_a_job_has_its_schedule_at_noon_and_its_sensor_both_stopped(name):
    repository = defs.get_repository_def()
    schedule = repository.get_schedule_def(f"{name}_daily")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 12 * * *", "UTC")
    assert schedule.job_name == name
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED
    sensor = repository.get_sensor_def(f"new_spectra_{name}")
    assert sensor.job_name == name
    assert sensor.default_status == dg.DefaultSensorStatus.STOPPED


@pytest.mark.parametrize("name", ["main", "dr20"])
def test_a_job_materialises_everything_that_its_release_declares(name):
    job = defs.resolve_job_def(name)
    selected = set(job.asset_layer.executable_asset_keys)
    assert selected == set(keys_of(RELEASES[name]))
    groups = {pipeline.group for pipeline in PIPELINES if pipeline.key not in RELEASES[name].pipelines}
    graph = defs.resolve_asset_graph()
    assert not groups & {graph.get(key).group_name for key in selected}


def test_main_runs_everything_and_dr20_what_reads_boss_spectra():
    graph = defs.resolve_asset_graph()
    selected = {name: set(keys_of(RELEASES[name])) for name in ("main", "dr20")}
    assert selected["main"] == graph.get_all_asset_keys()
    groups = {graph.get(key).group_name for key in selected["dr20"]}
    boss = {"SnowWhite", "CORV", "BOSSNet", "LineForest", "Slam", "MDwarfType"}
    assert groups == boss | {"Initialisation", "SpectrumProducts", "SummarySpectrumProducts"}
    left_out = {key.path[0] for key in selected["main"] - selected["dr20"]}
    tables = {
        "apogee_visit_spectrum",
        "apogee_coadded_spectrum_in_ap_star",
        "apogee_visit_spectrum_in_ap_star",
    }
    assert {name for name in left_out if "spectrum" in name} == tables


def test_the_real_dependencies_decide_the_order():
    graph = graph_of(defs)

    def upstream(name: str) -> set[str]:
        direct = set(graph[name]["dependencies"])
        return direct.union(*(upstream(parent) for parent in direct))

    assert "boss_combined_spectrum" in upstream("snow_white/star_filter"), (
        "star-level pipelines read the coadds"
    )
    assert "snow_white/star" in upstream("corv/visit")
    assert "snow_white/star_filter" in upstream("snow_white/star")
    assert "corv/visit" in upstream("astraAllVisitCorv")
    assert "mwmAllStar" not in upstream("snow_white/star"), "a summary is no input of a pipeline"
    assert "apogeenet/star" in upstream("aspcap/star")
    assert "apogeenet/visit" not in upstream("aspcap/star"), "the initial guess is that of the coadd"
    assert "astronn/star" in upstream("astronn_dist/star")
    assert "slam/star_filter" in upstream("slam/star")
    assert not upstream("line_forest/visit") & {"boss_combined_spectrum", "line_forest/star"}
    assert {"apogee_visit_spectrum", "boss_visit_spectrum"} <= upstream("mwmAllVisit")
    assert {"apogee_coadded_spectrum_in_ap_star", "boss_combined_spectrum"} <= upstream("mwmAllStar")
    assert "apogee_visit_spectrum_in_ap_star" in upstream("mwmStar")


def test_definitions_take_settings_that_win_over_the_environment(tmp_path):
    survey = build_defs(home=str(tmp_path / "elsewhere")).resources["survey"]
    assert survey.deployment().settings.home == tmp_path / "elsewhere"


def test_the_code_location_loads():
    dg.Definitions.validate_loadable(defs)
