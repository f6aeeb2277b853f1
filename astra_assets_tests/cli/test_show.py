"""What a terminal shows while work goes on, and a log does not."""

from __future__ import annotations

import io
import sys

from astra_assets.cli.show import progress_bar
from astra_assets.compute import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar_with_counts_and_why_tasks_wait(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    with progress_bar("Corv visit") as show:
        show(Progress("Corv visit", 10, 3, 1, 0, 1, 2, waiting="Priority: others are before it"))
    shown = terminal.getvalue()
    assert "4/10" in shown
    assert "1 failed, 0 skipped, 1 of 2 tasks running, waiting: Priority" in shown


def test_a_log_gets_no_bar(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with progress_bar("Corv visit") as show:
        assert show is None
