"""What a site says about programs, which command follows from it, and what is said of one that is not here."""

from __future__ import annotations

import re
import sys

import pytest

from astra_assets.compute.program.call import call_of, read_call
from astra_assets.config.programs import absence_of, unknown_programs
from astra_assets.config.settings import SettingsError, load_settings
from astra_assets.pipelines import PIPELINES, pipeline
from astra_assets.pipelines.base import Pipeline
from astra_assets.pipelines.bossnet import BossNet
from astra_assets_tests.project import PROJECT

BOSSNET = pipeline("bossnet")
STAR, VISIT = BOSSNET.steps
VALUES = {"manifest": "/in", "results": "/out", "folder": "/f", "procs": "4", "v_astra": "0.8.1"}


@pytest.fixture
def site(tmp_path, monkeypatch):
    """What astra.toml says about programs."""
    for name in ("ASTRA_CONFIG", "ASTRA_COMPUTE", "SAS_BASE_DIR", "MWM_ASTRA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)

    def said(text):
        (tmp_path / "astra.toml").write_text(f"[programs]\n{text}\n")
        return {name: each.said for name, each in load_settings().programs.items()}

    return said


def test_without_a_word_it_is_the_declared_program(site):
    call = call_of(BOSSNET, STAR, site(""))
    assert call.arguments(VALUES) == [
        "astra-bossnet",
        "--manifest",
        "/in",
        "--results",
        "/out",
        "--processes",
        "4",
    ]
    assert (call.protocol, call.silence_seconds, call.inputs, call.named) == ("files", 7200.0, 20_000, False)
    assert call_of(pipeline("corv"), pipeline("corv").steps[0], site("")) is None


def test_the_declared_arguments_follow_a_command_without_placeholders(site):
    said = site(
        'bossnet = ["python3", "/opt/bossnet/run.py"]\n"bossnet/visit" = ["net", "{manifest}"]\nslam = "~/slam"'
    )
    assert call_of(BOSSNET, STAR, said).arguments(VALUES)[:4] == [
        "python3",
        "/opt/bossnet/run.py",
        "--manifest",
        "/in",
    ]
    assert call_of(BOSSNET, VISIT, said).arguments(VALUES) == ["net", "/in"]
    slam = pipeline("slam")
    assert call_of(slam, slam.step("star"), said).program.endswith("/slam")
    assert not call_of(slam, slam.step("star"), said).program.startswith("~")


def test_limits_are_taken_from_where_they_are_said(site):
    said = site(
        '"astra-bossnet" = "net"\nbossnet = {silence = "00:10:00"}\n"bossnet/star" = {inputs = 7, silence = "unlimited"}'
    )
    star, visit = (call_of(BOSSNET, step, said) for step in (STAR, VISIT))
    assert (star.program, star.silence_seconds, star.inputs) == ("net", 0.0, 7)
    assert (visit.program, visit.silence_seconds, visit.inputs) == ("net", 600.0, 20_000)


def test_a_site_switches_a_pipeline_to_astras_own_command_line(site):
    said = site(
        'bossnet = {astra = "astra"}\n"apogeenet/star" = {astra = ["apptainer", "exec", "a.sif", "astra"]}'
    )
    star = call_of(BOSSNET, STAR, said)
    assert (star.protocol, star.silence_seconds) == ("astra", 0.0)
    assert star.arguments(VALUES, [12, 7]) == ["astra", "run", "bossnet", "BossCombinedSpectrum", "12", "7"]
    assert call_of(BOSSNET, VISIT, said).command[3] == "boss.BossVisitSpectrum"
    net = pipeline("apogeenet")
    command = (
        "apptainer",
        "exec",
        "a.sif",
        "astra",
        "run",
        "apogeenet",
        "apogee.ApogeeCoaddedSpectrumInApStar",
        "{sdss_ids}",
    )
    assert call_of(net, net.step("star"), said).command == command
    assert call_of(net, net.step("visit"), said).protocol == "files"


def test_a_worker_is_told_its_call_as_text(site):
    call = call_of(BOSSNET, STAR, site('bossnet = {astra = "astra", inputs = 3}'))
    assert call is not None
    assert read_call(call.as_text()) == call
    assert read_call("") is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            'bossnet = {command = "a", astra = "b"}',
            r"bossnet in \[programs\] of astra.toml: give command or astra, not both",
        ),
        ('bossnet = {silence = "soon"}', r"bossnet.silence in \[programs\].*'soon' is no wall time"),
        ("bossnet = {inputs = 0}", r"bossnet.inputs in \[programs\]"),
        ('bossnet = ""', r"name a program"),
        ('bossnet = {path = "x"}', r"bossnet.path in \[programs\]"),
    ],
)
def test_entries_that_cannot_be_right_are_named(site, text, problem):
    with pytest.raises(SettingsError, match=problem):
        site(text)


def test_an_entry_of_no_program_is_named_with_those_that_there_are(site):
    (text,) = unknown_programs(site('bosnet = "x"\n"bossnet/star" = "y"\n"astra-slam" = "z"'), PIPELINES)
    assert text.startswith("bosnet in [programs] of astra.toml belongs to no program; there are: apogeenet, ")


def test_a_program_that_is_not_here_is_told_with_the_search_path_and_what_to_do(site, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere:/neither")
    absence = absence_of(BOSSNET, STAR, site(""))
    assert absence.reason.startswith(
        "BossNet is done by a program of other people, and astra-bossnet is not on the search path. Put a "
    )
    assert not absence.named
    assert absence_of(BOSSNET, STAR, site(f'bossnet = "{sys.executable}"')) is None
    wrong = absence_of(BOSSNET, STAR, site('bossnet = "/opt/net"'))
    assert (
        "/opt/net is not there or cannot be executed. Correct its name in [programs] of astra.toml."
        in wrong.reason
    )
    assert wrong.named
    assert absence_of(BOSSNET, STAR, site('bossnet = "/opt/net"'), prepared=True) is None


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('"bossnet/star" = "/opt/net"', True),
        ('"astra-bossnet" = ["/opt/net", "--fast"]', True),
        ('bossnet = {astra = "/opt/astra"}', True),
        ("bossnet = {inputs = 500}", False),
        ('"bossnet/visit" = "/opt/net"', False),
    ],
)
def test_a_program_is_named_by_a_command_of_its_own_and_by_nothing_else(site, monkeypatch, text, named):
    monkeypatch.setenv("PATH", "/nowhere")
    assert absence_of(BOSSNET, STAR, site(text)).named is named


def test_astras_command_line_needs_postgresql(site):
    said = site(f'bossnet = {{astra = "{sys.executable}"}}')
    assert "set ASTRA_DATABASE_URL" in absence_of(BOSSNET, STAR, said, database="sqlite:///astra.db").reason
    assert absence_of(BOSSNET, STAR, said, database="postgresql://host/astra") is None


def test_the_examples_of_the_pages_are_what_they_say(site):
    pages = PROJECT / "docs"
    (table,) = re.findall(r"```toml\n\[programs\]\n(.*?)```", (pages / "operate.md").read_text(), re.DOTALL)
    said = site(table)
    assert list(unknown_programs(said, PIPELINES)) == []
    assert call_of(BOSSNET, STAR, said).protocol == "astra"
    assert call_of(BOSSNET, VISIT, said).silence_seconds == 4 * 3600
    block = re.findall(r"```python\n(.*?)```", (pages / "add-a-pipeline.md").read_text(), re.DOTALL)[-1]
    names = {}
    exec(block, names)
    star = names["STAR"]
    rocket = Pipeline("Rocket", BossNet, (star,))
    assert call_of(rocket, star, {}).arguments(VALUES) == [
        "rocket-net",
        "--in",
        "/in",
        "--out",
        "/out",
        "--processes",
        "4",
    ]
    assert set(star.program.columns) <= set(star.columns)
