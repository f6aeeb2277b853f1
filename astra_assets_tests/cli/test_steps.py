"""What a command line means: names as people and the survey's own scripts write them."""

from __future__ import annotations

from typing import Any

import click
import pytest
from click.testing import CliRunner

from astra_assets.cli import main_group
from astra_assets.cli.steps import asked, chosen, parsed, resources
from astra_assets.compute.step_inputs import UNPROCESSED, Selection
from astra_assets.config.profile import Asked
from astra_assets.operations.deployment import OperationError
from astra_assets.pipelines.options import ResourceRequest


def names(name: str, *words: str, step: str | None = None) -> list[str]:
    pipeline, steps, _ = chosen(name, words, step)
    return [f"{pipeline.key}/{each.name}" for each in steps]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("snow_white",), ["snow_white/star_filter", "snow_white/star", "snow_white/astra_star"]),
        (("SnowWhite", "BossCombinedSpectrum"), ["snow_white/star_filter", "snow_white/star"]),
        (
            ("astra.pipelines.snow_white.snow_white_filter", "BossCombinedSpectrum"),
            ["snow_white/star_filter"],
        ),
        (("astra.pipelines.snow_white.snow_white",), ["snow_white/star"]),
        (
            ("astra.pipelines.snow_white",),
            ["snow_white/star_filter", "snow_white/star", "snow_white/astra_star"],
        ),
        (("astra.products.mwm.create_mwmVisit_and_mwmStar_products",), ["mwm/star"]),
        (("corv", "boss.BossVisitSpectrum"), ["corv/visit"]),
        (("corv", "astra.models.boss.BossVisitSpectrum", "54000001"), ["corv/visit"]),
    ],
)
def test_pipelines_and_models_may_be_named_as_in_the_survey_s_scripts(words, expected):
    assert names(*words) == expected


def test_numbers_after_the_model_are_objects_and_so_is_a_number_in_its_place():
    assert chosen("corv", ("BossVisitSpectrum", "12", "13"), None)[2] == (12, 13)
    assert chosen("corv", ("12",), None)[2] == (12,)
    with pytest.raises(click.UsageError, match="expected SDSS_IDs after the model, found twelve"):
        chosen("corv", ("BossVisitSpectrum", "twelve"), None)


def selection(*words: str, **options: Any) -> Selection:
    given: dict[str, Any] = {
        "sdss_ids": (),
        "limit": None,
        "retry_failed": False,
        "force": False,
        "step_name": None,
    }
    return parsed(pipeline="corv", words=words, **{**given, **options})[2]


def test_without_options_a_step_works_on_all_that_is_unprocessed_else_on_what_they_say():
    assert selection() == UNPROCESSED
    assert selection("12", sdss_ids=(13,)) == Selection(sdss_ids=(12, 13))
    options: dict[str, Any] = {"limit": 5, "retry_failed": True, "force": True}
    assert selection(**options) == Selection(**options)


def test_a_step_that_is_not_there_is_answered_with_those_that_are():
    with pytest.raises(
        OperationError, match=r"SnowWhite has no step like that; it has: star_filter \(BossCombined"
    ):
        names("snow_white", "BossVisitSpectrum")
    with pytest.raises(OperationError, match="there is no pipeline 'rocket'"):
        names("astra.pipelines.rocket.fly")


SEED = (
    "--mem=16000 --gres=gpu:v100 --account=notchpeak-gpu --time=48:00:00",
    "--nodes 1 --procs 64 --mem 0 --time=48:00:00",
    "--nodes 4 --time=48:00:00 --qos=sdss-np --partition=sdss-np --account=sdss-np",
)


@pytest.mark.parametrize("line", SEED)
def test_the_options_of_the_survey_s_scripts_are_understood(line):
    found: list[ResourceRequest] = []

    @click.command()
    @resources()
    def verb(**options: object) -> None:
        found.append(asked(options))

    done = CliRunner().invoke(verb, line.split(), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    words = line.replace("=", " ").split()
    expected = {name.removeprefix("--"): value for name, value in zip(words[::2], words[1::2], strict=True)}
    assert {name: str(value) for name, value in found[0].asked.items()} == expected


def test_every_option_of_a_step_can_be_asked_for():
    line = ["--exclusive", "--throttle", "3", "--nice", "100", "--constraint", "skl", "--extra=--reservation=night",
            "--setup", "module load cuda", "--setup", "ulimit -n 4096"]  # fmt: skip
    found: list[ResourceRequest] = []

    @click.command()
    @resources()
    def verb(**options: object) -> None:
        found.append(asked(options))

    assert CliRunner().invoke(verb, line, catch_exceptions=False).exit_code == 0
    assert found == [
        ResourceRequest(
            exclusive=True,
            throttle=3,
            nice=100,
            constraint="skl",
            extra=("--reservation=night",),
            setup=("module load cuda", "ulimit -n 4096"),
        )
    ]
    srun = main_group.commands["srun"]
    assert {param.name for param in srun.params} >= set(Asked.model_fields)


def test_wrong_options_are_all_named_before_anything_is_done():
    with pytest.raises(click.UsageError) as caught:
        asked({"time": "soon", "mem": "lots", "nodes": 0, "gres": None})
    text = str(caught.value)
    assert "--time: expected [days-]hours:minutes:seconds" in text
    assert "--mem: expected a size" in text
    assert "--nodes: must be at least 1, found 0" in text
