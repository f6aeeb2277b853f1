"""What `doctor` says about programs of other people."""

from __future__ import annotations

import sys

import pytest

from astra_assets.operations.doctor import check_folders, check_programs


@pytest.fixture
def found_in(deploy, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")

    def found(toml):
        return list(check_programs(deploy(toml)))

    return found


def test_programs_that_are_not_here_are_worth_knowing_and_no_problem(found_in):
    found = found_in(f'[programs]\nbossnet = "{sys.executable}"\n')
    assert found[0].weight == 0
    assert found[0].text == "programs of other people: here for bossnet/star, bossnet/visit"
    assert {each.weight for each in found[1:]} == {1}
    texts = [
        each.text for each in found if each.text.startswith("left out, apogeenet/star, apogeenet/visit: ")
    ]
    assert len(texts) == 1
    assert "astra-apogeenet is not on the search path. Put a program" in texts[0]


def test_an_entry_of_no_program_is_a_problem(found_in):
    (problem,) = [each for each in found_in('[programs]\nbosnet = "x"\n') if each.weight == 2]
    assert problem.text.startswith("bosnet in [programs] of astra.toml belongs to no program")


def test_a_program_that_is_named_and_not_there_is_a_problem(found_in):
    (problem,) = [each for each in found_in('[programs]\nbossnet = "/nonexistent/run"\n') if each.weight == 2]
    assert problem.text.startswith(
        "cannot run, bossnet/star, bossnet/visit: BossNet is done by a program of other people"
    )
    assert "/nonexistent/run is not there or cannot be executed. Correct its name" in problem.text


@pytest.mark.parametrize(
    ("mode", "told"),
    [(0o700, ""), (0o755, ""), (0o775, "its group"), (0o777, "its group and everybody"), (0o1777, "")],
)
def test_a_home_that_others_can_write_is_worth_knowing(deploy, mode, told):
    settings = deploy("").settings
    settings.home.mkdir(parents=True, exist_ok=True)
    settings.home.chmod(mode)
    notes = [each.text for each in check_folders(settings) if "can be written by" in each.text]
    advice = f"type: chmod go-w {settings.home}"
    assert [f"can be written by {told}, who" in text and text.endswith(advice) for text in notes] == (
        [True] if told else []
    )
