"""What guards a release: the checks of products, and that they stop what comes after them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from astra_assets.compute import Account
from astra_assets.config.declared import all_products
from astra_assets.defs.checks import (
    ACCOUNT,
    DRIFT,
    account_check,
    check_specs,
    content_checks,
    drift_check,
    failed_check,
    is_restricted,
)
from astra_assets.products.check.content import not_judged
from astra_assets.products.compare.column_statistics import Distribution
from astra_assets.products.compare.versions import ColumnDrift, Diff, TableDiff
from astra_assets.products.findings import (
    FILE,
    FILLED,
    KEYS,
    POSITIONS,
    TWIN,
    Finding,
    VerificationError,
)
from astra_assets.products.make import CreateReport

KEY = dg.AssetKey("astraAllVisitCorv")


def account(**terms: int) -> Account:
    counts: dict[str, Any] = {"inputs": 10, "results": 6, "failed": 1, "skipped": 3, "backlog": 0}
    return Account("Corv", "visit", **counts | terms)


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
        specs = check_specs(dg.AssetKey(name), has_steps=bool(declared.steps()))
        assert {spec.name for spec in specs} >= {FILE, KEYS, TWIN, POSITIONS, FILLED, DRIFT}
        assert all(spec.blocking for spec in specs)
        assert (ACCOUNT in {spec.name for spec in specs}) == bool(declared.steps())


def report(**changes) -> CreateReport:
    made = CreateReport(
        "astraAllVisitCorv", Path("x.fits.gz"), (3, 0), True, "new", "0" * 64, "1" * 64, 10, 0.1
    )
    return replace(made, **changes)


def test_checks_show_what_was_found_and_know_a_sample():
    findings = (Finding(FILE, "sound", facts={"rows": "3 + 0"}), not_judged(FILLED, 5))
    shown = {each.check_name: each for each in content_checks(report(findings=findings, limit=5), KEY)}
    assert set(shown) == {FILE, KEYS, TWIN, POSITIONS, FILLED}
    assert all(each.passed for each in shown.values())
    assert shown[FILE].metadata["rows"].value == "3 + 0"
    assert shown[FILLED].description == "not judged: a sample of at most 5 rows"
    assert shown[FILLED].metadata["sample"].value == 5


def test_a_finding_that_did_not_pass_warns():
    (shown,) = [
        each
        for each in content_checks(report(findings=(Finding(POSITIONS, "dec is -999", passed=False),)), KEY)
        if each.check_name == POSITIONS
    ]
    assert (shown.passed, shown.severity) == (False, dg.AssetCheckSeverity.WARN)


def drift(name: str, old: float, new: float) -> ColumnDrift:
    before, now = (Distribution((m - 2, m - 1, m, m + 1, m + 2), m) for m in (old, new))
    return ColumnDrift(name, (0.0, 0.0), (before, now), 3)


@pytest.mark.parametrize(("new", "passed"), [(10.1, True), (12.0, False)])
def test_a_large_drift_warns_and_a_small_one_passes(new, passed):
    table = TableDiff("HDU 1", "spectrum_pk", (3, 3), 0, 0, (), (), (), (), {}, (drift("v_rad", 10.0, new),))
    diff = Diff("astraAllVisitCorv", Path("old"), Path("new"), (table,))
    shown = drift_check(report(diff=diff), KEY)
    assert (shown.passed, shown.severity) == (passed, dg.AssetCheckSeverity.WARN)
    assert ("median moved by +2" in str(shown.description)) == (not passed)


def test_nothing_to_compare_with_is_said():
    assert "left alone, inputs unchanged" in str(
        drift_check(report(written=False, reason="inputs unchanged"), KEY).description
    )


def test_what_keeps_a_file_from_its_name_fails_its_check():
    shown = failed_check(VerificationError(KEYS, "7 occurs 2 times as key"), KEY)
    assert (shown.check_name, shown.passed, shown.severity) == (KEYS, False, dg.AssetCheckSeverity.ERROR)
    assert "7 occurs 2 times" in str(shown.description)


def test_a_failed_check_stops_what_comes_after_and_fails_the_run(tmp_path: Path):
    reached = []

    @dg.asset(key=KEY, check_specs=check_specs(KEY, has_steps=True))
    def product() -> dg.MaterializeResult:
        checks = [
            *content_checks(report(), KEY),
            drift_check(report(), KEY),
            account_check([account(results=4, backlog=2)], {}, KEY),
        ]
        return dg.MaterializeResult(check_results=checks)

    @dg.asset(deps=[KEY])
    def release() -> None:
        reached.append(True)

    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance:
        done = dg.materialize([product, release], instance=instance, raise_on_error=False)
    assert not done.success
    assert not reached
