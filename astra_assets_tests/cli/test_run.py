"""What Ctrl-C does about jobs on a cluster."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import click

from astra_assets.cli.run import ask_to_stop

STEP = (SimpleNamespace(name="Corv"), SimpleNamespace(name="visit"))


class Runner:
    """One step is under way; what is stopped is remembered."""

    def __init__(self, jobs: tuple[str, ...] = ("7",)) -> None:
        self.found = jobs
        self.under_way = [STEP]
        self.stopped: list[object] = []

    def jobs(self, *_):
        return self.found

    def batch_id(self, *_):
        return "20260101-120000-abc"

    def stop(self, pipeline, step):
        self.stopped.append((pipeline, step))
        return "Corv visit: job 7 is cancelled"


def at_a_terminal(monkeypatch, answer: bool | None) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: answer is not None))
    monkeypatch.setattr(click, "confirm", lambda *_, **__: answer)


def test_jobs_are_cancelled_when_somebody_says_yes(monkeypatch, capsys):
    at_a_terminal(monkeypatch, answer=True)
    runner: Any = Runner()
    ask_to_stop(runner)
    assert runner.stopped == [STEP]
    assert capsys.readouterr().err == "Corv visit: job 7 is cancelled\n"


def test_jobs_go_on_when_somebody_says_no_and_when_nobody_can_be_asked(monkeypatch, capsys):
    for answer in (False, None):
        at_a_terminal(monkeypatch, answer=answer)
        runner: Any = Runner()
        ask_to_stop(runner)
        assert runner.stopped == []
        assert capsys.readouterr().err == (
            "job 7 of Corv visit goes on. The same command attaches to it; "
            "astra-assets cancel 20260101-120000-abc ends it\n"
        )


def test_what_runs_on_this_machine_is_not_asked_about(monkeypatch, capsys):
    at_a_terminal(monkeypatch, answer=True)
    runner: Any = Runner(jobs=())
    ask_to_stop(runner)
    assert (runner.stopped, capsys.readouterr().err) == ([], "")
