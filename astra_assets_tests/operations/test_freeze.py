"""A release is not frozen with older results of inputs that failed, unless somebody says so."""

from __future__ import annotations

from dataclasses import replace

import pytest
from click.testing import CliRunner

from astra_assets.cli import main_group
from astra_assets.config.releases import DR20
from astra_assets.models.boss import BossVisitSpectrum
from astra_assets.operations import freeze as operation
from astra_assets.operations.deployment import OperationError
from astra_assets.operations.step_runner import StepRunner
from astra_assets.products.release.freezing import FreezeError
from astra_assets_tests.compute import samples
from astra_assets_tests.compute.conftest import Directly

STEP = samples.FLUX.step("visit")


def silent(_):
    """What a test does not hear."""


@pytest.fixture
def kept(make, monkeypatch, tmp_path):
    """A release of one step with eight results, of which one is older than its input, whose file is gone."""
    runner = make("local")
    monkeypatch.setattr(StepRunner, "steps", lambda _: iter([(samples.FLUX, STEP)]))
    runner.__dict__["engine"] = replace(runner.engine, backend=Directly())
    assert runner.engine.run(samples.FLUX, STEP).results == 8
    min((tmp_path / "home" / "demo").rglob("*.fits")).unlink()
    samples.touch(runner.deployment.database, BossVisitSpectrum)
    assert runner.engine.run(samples.FLUX, STEP).kept == 1
    return runner


def test_freeze_wants_a_decision_about_older_results_that_were_kept(kept):
    for incomplete in (False, True):
        with pytest.raises(
            OperationError, match=r"(?s)of these 1 keep an older result.*--keep-older.*--drop-older"
        ):
            operation.freeze(kept.deployment, DR20, incomplete=incomplete, say=silent)
    assert kept.engine.account(samples.FLUX, STEP).kept == 1


def test_older_results_that_are_kept_on_purpose_do_not_stop_freeze(kept, monkeypatch):
    asked = []

    def nothing_wrong(_deployment, release, **_):
        asked.append(release)
        return []

    monkeypatch.setattr(operation, "verify", nothing_wrong)
    with pytest.raises(FreezeError):
        operation.freeze(kept.deployment, DR20, older="keep", say=silent)
    assert asked == [DR20]
    assert kept.engine.account(samples.FLUX, STEP).kept == 1


def test_older_results_are_dropped_and_products_are_to_be_made_again(kept):
    with pytest.raises(
        OperationError, match=r"deleted \(SampleFlux visit: 1\).*create all, and freeze again"
    ):
        operation.freeze(kept.deployment, DR20, older="drop", say=silent)
    account = kept.engine.account(samples.FLUX, STEP)
    assert (account.results, account.failed, account.kept, account.balanced) == (7, 1, 0, True)


def test_keeping_and_dropping_at_once_is_refused():
    result = CliRunner().invoke(main_group, ["freeze", "--keep-older", "--drop-older"])
    assert result.exit_code == 2
    assert "one of --keep-older and --drop-older" in result.output
