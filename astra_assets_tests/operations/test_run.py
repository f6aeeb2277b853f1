"""In which order steps are submitted and collected, and what is left when somebody interrupts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from astra_assets.compute import Batch, NothingToDo
from astra_assets.compute.account import Account
from astra_assets.compute.step_inputs import UNPROCESSED
from astra_assets.models.boss import BossCombinedSpectrum
from astra_assets.operations.deployment import OperationError
from astra_assets.operations.run import run
from astra_assets.pipelines.options import AS_DECLARED
from astra_assets_tests.compute import samples

FILTER, VISIT = samples.FLUX.steps
OTHER = replace(VISIT, name="star", inputs=BossCombinedSpectrum, columns={})
FLUX = replace(samples.FLUX, steps=(FILTER, VISIT, OTHER), reference="")


class Runner:
    """Writes down what it is told to do; steps of `nothing` have no unprocessed input."""

    def __init__(self, compute: str, *, nothing: tuple[str, ...] = (), lost: int = 0) -> None:
        self.compute, self.nothing, self.lost = compute, nothing, lost
        self.done: list[str] = []

    def submit(self, pipeline, step, selection, resources, say):
        assert (selection, resources) == (UNPROCESSED, AS_DECLARED)
        self.done.append(f"submit {step.name}")
        say(step.name)
        if step.name in self.nothing:
            return NothingToDo(pipeline.name, step.name, 0)
        return object.__new__(Batch)

    def collect(self, pipeline, step, _say, show):
        assert show is None
        self.done.append(f"collect {step.name}")
        return Account(
            pipeline.name, step.name, inputs=3, results=3 - self.lost, failed=0, skipped=0, backlog=0
        )


def run_all(runner: Any) -> list[Account]:
    found: list[Account] = []
    run(runner, FLUX, FLUX.steps, say=lambda _: None, collected=found.append)
    return found


def test_on_a_cluster_steps_that_do_not_need_each_other_wait_together():
    runner = Runner("slurm", nothing=("visit_filter",))
    accounts = run_all(runner)
    assert runner.done == [
        "submit visit_filter",
        "collect visit_filter",
        "submit visit",
        "submit star",
        "collect visit",
        "collect star",
    ]
    assert [each.step for each in accounts] == ["visit_filter", "visit", "star"]


def test_on_this_machine_a_step_is_collected_before_the_next_one_starts():
    runner = Runner("local", nothing=("visit_filter",))
    run_all(runner)
    assert runner.done[2:] == ["submit visit", "collect visit", "submit star", "collect star"]


def test_a_step_that_needs_another_waits_for_it():
    runner = Runner("slurm")
    run_all(runner)
    assert runner.done[:3] == ["submit visit_filter", "collect visit_filter", "submit visit"]


def test_an_account_that_does_not_balance_is_told_and_ends_the_run():
    runner: Any = Runner("local", lost=1)
    told: list[Account] = []
    with pytest.raises(
        OperationError, match="please report this with the output of: astra-assets status --json"
    ):
        run(runner, FLUX, [VISIT], say=print, collected=told.append)
    assert len(told) == 1


def test_what_is_submitted_and_not_collected_is_under_way(make):
    runner = make()
    step = samples.FLUX.step("visit")
    runner.submit(samples.FLUX, step, UNPROCESSED, AS_DECLARED, lambda _: None)
    assert runner.under_way == [(samples.FLUX, step)]
    runner.collect(samples.FLUX, step, lambda _: None)
    assert runner.under_way == []
    runner.submit(samples.FLUX, samples.FLUX.steps[0], UNPROCESSED, AS_DECLARED, lambda _: None)
    assert runner.under_way == [], "a filter has nothing to wait for"
