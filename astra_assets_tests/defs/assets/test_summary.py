"""A product as an asset: what people see beside it, and what a failed check does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner
from sqlalchemy import insert, select, update

from astra_assets.cli.create import create
from astra_assets.config.declared import all_products
from astra_assets.config.releases import DR20
from astra_assets.config.settings import load_settings
from astra_assets.database import sqlite_reader
from astra_assets.defs.assets.outlining import product_outline
from astra_assets.defs.assets.summary import product_asset
from astra_assets.defs.checks import ACCOUNT, CONTENT, DRIFT
from astra_assets.defs.resources import DeploymentResource
from astra_assets.models.base import table_of
from astra_assets.models.boss import BossCombinedSpectrum
from astra_assets.models.source import Source
from astra_assets.operations import picture
from astra_assets.operations.create import left_out
from astra_assets.operations.deployment import Deployment
from astra_assets.operations.init import init
from astra_assets.pipelines.bossnet import BossNet
from astra_assets.products.findings import POSITIONS
from astra_assets_tests.products.samples import fill

KEY = dg.AssetKey("mwmTargets")


@pytest.fixture
def home(tmp_path, monkeypatch):
    for name in ("ASTRA_DATABASE_URL", "SAS_BASE_DIR", "MWM_ASTRA", "ASTRA_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    deployment = Deployment(load_settings(home=tmp_path / "home"))
    init(deployment, lambda _: None)
    fill(deployment.database)
    return deployment


def materialise(home, tmp_path, declared=None, **config) -> dg.ExecuteInProcessResult:
    declared = declared or all_products()["mwmTargets"]
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance:
        return dg.materialize(
            [product_asset(product_outline(declared))],
            instance=instance,
            resources={"survey": DeploymentResource(overrides={"home": str(home.settings.home)})},
            run_config={"ops": {declared.name: {"config": config}}},
            raise_on_error=False,
        )


def shown(done: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = done.asset_materializations_for_node("mwmTargets")
    return {name: value.value for name, value in event.metadata.items()}


def move_parallaxes(home: Deployment) -> None:
    """Change all sources so that a product of them has drifted."""
    source = table_of(Source)
    with home.database.begin() as connection:
        connection.execute(update(source).values(plx=1e6, modified=source.c.created))


def test_an_asset_shows_rows_files_checksum_first_rows_and_a_picture(home, tmp_path):
    done = materialise(home, tmp_path)
    assert done.success
    seen = shown(done)
    assert seen["dagster/row_count"] == 33
    assert len(seen["sha256"]) == 64
    assert "mwmTargets-0.8.1-sample.fits.gz" in seen["files"]
    assert seen["first rows"].startswith("| sdss_id | ra | dec |")
    assert seen["picture"].startswith("![mwmTargets](data:image/png;base64,")
    checks = {each.check_name: each for each in done.get_asset_check_evaluations()}
    assert set(checks) == {*CONTENT, DRIFT}
    assert all(each.passed for each in checks.values())


def test_options_of_the_launchpad_are_those_of_the_command(home, tmp_path):
    materialise(home, tmp_path)
    assert shown(materialise(home, tmp_path))["what happened"] == "inputs unchanged"
    assert shown(materialise(home, tmp_path, overwrite=True))["what happened"] == "written: asked for"
    sample = shown(materialise(home, tmp_path, limit=4))
    assert sample["path"].endswith("mwmTargets-0.8.1-sample-4.fits.gz")
    assert "not the product" in sample["sample"]
    assert "mwmTargets-0.8.1.fits " in shown(materialise(home, tmp_path, plain=True))["files"]


def test_drift_is_shown_and_warns(home, tmp_path):
    materialise(home, tmp_path)
    move_parallaxes(home)
    done = materialise(home, tmp_path)
    assert done.success, "a warning stops nothing"
    checks = {each.check_name: each for each in done.get_asset_check_evaluations()}
    assert (checks[DRIFT].passed, checks[DRIFT].severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "plx: the median moved" in str(checks[DRIFT].metadata["to be looked at"].value)
    assert "| plx |" in shown(done)["since the version before"]


def test_a_failed_check_is_told_and_no_file_is_written(home, tmp_path):
    source = table_of(Source)
    with home.database.begin() as connection:
        connection.execute(update(source).where(source.c.sdss_id == 990).values(dec=-999.0))
    done = materialise(home, tmp_path)
    assert not done.success
    (check,) = done.get_asset_check_evaluations()
    assert (check.check_name, check.passed, check.blocking) == (POSITIONS, False, True)
    assert "column dec: -999.0 is outside -90 to 90 deg" in str(check.description)
    assert not list(home.settings.products_root.rglob("*.fits.gz"))


@pytest.fixture
def readers_die(tmp_path, monkeypatch):
    """Called with a number, has as many of the next processes that read SQLite killed when they are asked."""
    program = tmp_path / "sqlite_child.py"

    def die(times: int) -> None:
        for number in range(times):
            (tmp_path / f"victim-{number}").touch()
        monkeypatch.setattr(sqlite_reader, "PROGRAM", program)
        sqlite_reader._idle.stop()

    program.write_text(f"""
import os, runpy, signal, sys
from pathlib import Path
victims = list(Path({str(tmp_path)!r}).glob("victim-*"))
if victims:
    sys.stdin.readline()
    victims[0].unlink()
    os.kill(os.getpid(), signal.SIGKILL)
runpy.run_path({str(sqlite_reader.PROGRAM)!r}, run_name="__main__")
""")
    yield die
    sqlite_reader._idle.stop()


def events(done: dg.ExecuteInProcessResult, wanted: dg.DagsterEventType) -> list[Any]:
    return [event for event in done.all_events if event.event_type == wanted]


def test_a_step_whose_helping_process_is_killed_is_tried_once_more_and_says_so(
    home, tmp_path, readers_die, capfd
):
    readers_die(1)
    done = materialise(home, tmp_path)
    assert done.success
    assert shown(done)["dagster/row_count"] == 33
    (retry,) = events(done, dg.DagsterEventType.STEP_UP_FOR_RETRY)
    reason = "the process that reads the database ended before all rows were read"
    assert reason in str(retry.event_specific_data.error.cause)
    assert f"{reason} (exit status -9)" in (said := capfd.readouterr().err)
    assert "this step is tried again: " in said


def test_a_picture_that_cannot_be_drawn_is_left_out_and_the_checks_say_what_they_found(
    home, tmp_path, readers_die, monkeypatch, capfd
):
    materialise(home, tmp_path)
    move_parallaxes(home)
    draws = picture.picture

    def drawn(*arguments: Any) -> object:
        readers_die(1)
        return draws(*arguments)

    monkeypatch.setattr(picture, "picture", drawn)
    done = materialise(home, tmp_path)
    assert done.success
    assert events(done, dg.DagsterEventType.STEP_UP_FOR_RETRY) == []
    checks = {each.check_name: each for each in done.get_asset_check_evaluations()}
    assert "plx: the median moved" in str(checks[DRIFT].metadata["to be looked at"].value)
    assert "picture" not in shown(done)
    assert "there is no picture: " in capfd.readouterr().err


def test_a_step_whose_helping_process_is_killed_each_time_fails_in_words(home, tmp_path, readers_die):
    readers_die(99)
    done = materialise(home, tmp_path)
    assert not done.success
    assert len(events(done, dg.DagsterEventType.STEP_UP_FOR_RETRY)) == 1
    (failed,) = events(done, dg.DagsterEventType.STEP_FAILURE)
    reason = failed.event_specific_data.user_failure_data.description
    assert reason.startswith("mwmTargets: ")
    assert "could not be written, an older version of it stays: " in reason
    assert f"{Path(home.database.engine.url.database)}: the process that reads the database ended " in reason
    assert "(exit status -9). Doing the same again loses nothing" in reason
    assert not list(home.settings.products_root.rglob("*.fits.gz"))


def test_a_product_whose_program_is_not_here_is_left_out_with_the_reason_unless_it_has_rows(
    home, tmp_path, monkeypatch
):
    monkeypatch.setenv("PATH", "/nowhere")
    declared = all_products()["astraAllStarBOSSNet"]
    done = materialise(home, tmp_path, declared)
    assert done.success
    assert done.asset_materializations_for_node(declared.name) == []
    (observed,) = done.get_asset_observation_events()
    data: Any = observed.event_specific_data
    reason = data.asset_observation.metadata["left out"].value
    assert reason.startswith(
        "astraAllStarBOSSNet is left out, since it would have no rows: BossNet is done by a program of other people, and "
        "astra-bossnet is not on the search path"
    )
    checks = done.get_asset_check_evaluations()
    assert {each.check_name for each in checks} == {*CONTENT, DRIFT, ACCOUNT}
    assert all(each.passed for each in checks)
    assert not list(home.settings.products_root.rglob("*BOSSNet*"))
    assert left_out(home, declared, DR20) == reason
    command = CliRunner().invoke(create, [declared.name], env={"ASTRA_HOME": str(home.settings.home)})
    assert (command.exit_code, command.stderr, command.stdout) == (0, f"{reason}\n", "")
    assert left_out(home, all_products()["mwmTargets"], DR20) is None
    coadd = table_of(BossCombinedSpectrum)
    with home.database.begin() as connection:
        pk, source_pk = connection.execute(select(coadd.c.spectrum_pk, coadd.c.source_pk)).first()
        row = {"spectrum_pk": pk, "source_pk": source_pk, "v_astra": 8001, "teff": 5000.0}
        connection.execute(insert(table_of(BossNet)).values(row))
    assert left_out(home, declared, DR20) is None
