"""The account of a step notices what does not add up."""

from __future__ import annotations

from sqlalchemy import insert

from astra_assets.models.base import table_of
from astra_assets.models.compute import ComputeOutcome
from astra_assets_tests.compute.samples import FLUX

VISIT = FLUX.step("visit")


def test_an_input_with_a_result_and_an_outcome_unbalances_the_account(bench):
    pks = bench.visits([0, 0])
    account = bench.engine.run(FLUX, VISIT)
    assert str(account) == "SampleFlux visit: 2 inputs = 2 results + 0 failed + 0 skipped + 0 backlog"
    assert account.complete
    row = {
        "spectrum_pk": pks[0], "pipeline": "SampleFlux", "step": "visit", "v_astra_major_minor": 8,
        "state": "failed", "code": "odd", "code_version": "1",
    }  # fmt: skip
    with bench.database.begin() as connection:
        connection.execute(insert(table_of(ComputeOutcome)).values(**row))
    account = bench.engine.account(FLUX, VISIT)
    assert (account.results, account.failed, account.balanced, account.complete) == (2, 1, False, False)
    assert str(account).endswith("DOES NOT BALANCE")


def test_outcomes_of_other_pipelines_steps_and_versions_do_not_count(bench):
    (pk,) = bench.visits([0])
    row: dict[str, object] = {
        "spectrum_pk": pk, "pipeline": "SampleFlux", "step": "visit", "v_astra_major_minor": 8,
        "state": "failed", "code": "odd", "code_version": "1",
    }  # fmt: skip
    others: list[dict[str, object]] = [
        {"pipeline": "SampleClass"},
        {"step": "star"},
        {"v_astra_major_minor": 9},
    ]
    with bench.database.begin() as connection:
        for other in others:
            connection.execute(insert(table_of(ComputeOutcome)).values(**row | other))
    account = bench.engine.account(FLUX, VISIT)
    assert (account.inputs, account.failed, account.backlog, account.balanced) == (1, 0, 1, True)


def test_an_account_of_nothing_balances(bench):
    account = bench.engine.account(FLUX, VISIT)
    assert (account.inputs, account.balanced, account.complete, account.by_code) == (0, True, True, {})
