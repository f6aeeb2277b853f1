"""What guards a release: the checks of products, and that they stop what comes after them."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from astra_assets.checks import ACCOUNT, FILE, account_check, check_specs, is_restricted
from astra_assets.compute import Account
from astra_assets.declared import all_products

KEY = dg.AssetKey("astraAllVisitCorv")


def account(**terms: int) -> Account:
    return Account(
        "Corv", "visit", **({"inputs": 10, "results": 6, "failed": 1, "skipped": 3, "backlog": 0} | terms)
    )


def test_a_complete_account_passes():
    checked = account_check([account()], {}, KEY)
    assert checked.passed
    assert checked.check_name == ACCOUNT


@pytest.mark.parametrize(
    ("terms", "config", "severity", "told"),
    [
        (
            {"results": 4, "backlog": 2},
            {},
            dg.AssetCheckSeverity.ERROR,
            "2 inputs have no result and no reason yet",
        ),
        (
            {"results": 4, "backlog": 2},
            {"ops": {"corv__visit": {"config": {"limit": 4}}}},
            dg.AssetCheckSeverity.WARN,
            "run the step again without a limit",
        ),
        ({"results": 5}, {}, dg.AssetCheckSeverity.ERROR, "inputs are lost or counted twice"),
        (
            {"results": 5},
            {"ops": {"corv__visit": {"config": {"limit": 4}}}},
            dg.AssetCheckSeverity.ERROR,
            "inputs are lost or counted twice",
        ),
    ],
)
def test_a_backlog_fails_and_a_wanted_one_only_warns_and_an_imbalance_always_fails(
    terms, config, severity, told
):
    checked = account_check([account(**terms)], config, KEY)
    assert not checked.passed
    assert checked.severity == severity
    assert told in str(checked.description)


def test_restrictions_are_seen_in_the_run_config():
    assert is_restricted({"ops": {"a": {"config": {"sdss_ids": [1]}}}})
    assert not is_restricted({"ops": {"a": {"config": {"procs": 1, "limit": None, "sdss_ids": []}}}})
    assert not is_restricted({})


def test_every_check_of_every_product_is_blocking():
    for name, declared in all_products().items():
        specs = check_specs(declared, dg.AssetKey(name))
        assert {spec.name for spec in specs} >= {FILE}
        assert all(spec.blocking for spec in specs)
    guarded = {name for name, declared in all_products().items() if len(check_specs(declared, KEY)) == 2}
    assert guarded == {"mwmAllStar", "astraAllStarSnowWhite", "astraAllVisitCorv"}


def test_a_failed_check_stops_what_comes_after_and_fails_the_run(tmp_path: Path):
    declared = all_products()["astraAllVisitCorv"]
    reached = []

    @dg.asset(key=KEY, check_specs=check_specs(declared, KEY))
    def product() -> dg.MaterializeResult:
        sound = dg.AssetCheckResult(passed=True, check_name=FILE, asset_key=KEY)
        checks = [sound, account_check([account(results=4, backlog=2)], {}, KEY)]
        return dg.MaterializeResult(check_results=checks)

    @dg.asset(deps=[KEY])
    def release() -> None:
        reached.append(True)

    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance:
        done = dg.materialize([product, release], instance=instance, raise_on_error=False)
    assert not done.success
    assert not reached
