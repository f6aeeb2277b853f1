"""Submitting and collecting steps, where they run, and why a step cannot run here."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from astra_assets.compute.step_inputs import UNPROCESSED
from astra_assets.config.settings import SettingsError
from astra_assets.errors import ExpectedError
from astra_assets.models.boss import BossVisitSpectrum
from astra_assets.operations.status import step_status
from astra_assets.operations.step_runner import NotAvailable, absent_program
from astra_assets.pipelines import pipeline
from astra_assets.pipelines.base import ExternalProgram, Pipeline, Step
from astra_assets.pipelines.options import AS_DECLARED
from astra_assets_tests.compute import samples

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


def test_a_step_of_a_program_is_left_out_with_the_reason(make):
    runner, said = make(), []
    step = PROGRAM.steps[0]
    left_out = runner.submit(PROGRAM, step, UNPROCESSED, AS_DECLARED, said.append)
    assert isinstance(left_out, NotAvailable)
    assert said == [str(left_out)]
    assert said[0].startswith(
        "SampleFlux visit is skipped: SampleFlux is done by a program of other people, and ferre is not on the search path"
    )
    assert said[0].endswith("search path. Ask its authors for ferre.")
    account = runner.collect(PROGRAM, step, said.append)
    assert (account.backlog, account.balanced) == (8, True)
    found = step_status(runner, PROGRAM, step)
    assert not found.unfinished
    assert found.unavailable == left_out.reason


def test_a_program_that_the_site_names_and_that_is_not_there_is_an_error(make, monkeypatch):
    monkeypatch.setattr("astra_assets.pipelines.PIPELINES", (PROGRAM,), raising=False)
    runner, said = make("local", '[programs]\nferre = "/nowhere/ferre"\n'), []
    step = PROGRAM.steps[0]
    with pytest.raises(
        ExpectedError, match=r"SampleFlux visit cannot run: .*/nowhere/ferre is not there .* Correct its name"
    ):
        runner.submit(PROGRAM, step, UNPROCESSED, AS_DECLARED, said.append)
    found = step_status(runner, PROGRAM, step)
    assert found.wanted
    assert found.unfinished
    assert replace(found, account=replace(found.account, results=8, backlog=0)).unfinished
    assert runner.left_out(PROGRAM, step) is None


def test_a_table_of_no_step_stops_work_on_the_cluster_and_not_here(make):
    toml = "[slurm.steps.snow_wite]\nnodes = 2\n"
    with pytest.raises(SettingsError, match=r"belongs to no step; there are: .*snow_white"):
        assert make("slurm", toml).engine
    assert make("local", toml).engine.backend.name == "local"


def test_a_batch_goes_on_where_it_was_begun_whatever_the_setting_is_now(make):
    assert [each.name for each in make("slurm").engine.others] == ["local"]
    assert [each.name for each in make("local").engine.others] == ["slurm"]


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
    deploy, monkeypatch, compute, toml, available
):
    monkeypatch.setenv("PATH", "/nowhere")
    net = pipeline("bossnet")
    assert (absent_program(deploy(toml), net, net.steps[0], compute) is None) is available


def test_a_program_that_nobody_declares_is_an_error_of_the_settings(make):
    with pytest.raises(
        SettingsError,
        match=r"bosnet in \[programs\] of astra.toml belongs to no program; there are: .*bossnet",
    ):
        assert make("local", "[programs]\nbosnet = 'x'\n").engine
