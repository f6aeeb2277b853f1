"""What a program prints becomes text of bounded size, and progress."""

from __future__ import annotations

import io

import pytest

from astra_assets.compute.program import output
from astra_assets.compute.program.output import Output


@pytest.fixture
def log():
    return io.BytesIO()


def lines(log):
    return log.getvalue().decode().splitlines()


def test_lines_are_passed_on_however_they_come(log):
    said = Output(log, r"(?P<done>\d+)/\d+")
    for piece in (b"load", b"ing\nat 3/10\r\nat ", b"4/1", b"0\n\nat x/10\nend"):
        said.feed(piece)
    said.close()
    assert lines(log) == ["loading", "at 3/10", "at 4/10", "at x/10", "end"]
    assert said.done == 4
    assert said.tail.endswith("at x/10\nend")


def test_a_progress_bar_fills_neither_log_nor_tail(log):
    said = Output(log, r"(?P<done>\d+)/\d+")
    said.feed(b"begin\n" + b"".join(b"%d/5000\r" % n for n in range(5000)) + b"done\n")
    said.close()
    assert lines(log) == ["begin", "done"]
    assert (said.done, said.tail) == (4999, "begin\ndone")


def test_endless_lines_and_bytes_that_are_no_text_are_cut_and_replaced(log):
    said = Output(log)
    said.feed(b"\x00\xff" + 5_000_000 * b"x")
    said.feed(b"\x1b[1;31mred\x1b[0m\nnext\n")
    said.close()
    first, second = lines(log)
    assert len(first) < output.LINE_LENGTH + 40
    assert first.startswith("\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}x")
    assert first.endswith("x ... and 4,998,016 bytes")
    assert second == "next"


def test_a_flood_is_cut_and_its_end_is_kept(log, monkeypatch):
    monkeypatch.setattr(output, "LOG_BYTES", 1_000)
    said = Output(log)
    said.feed(b"".join(b"line number %d\n" % n for n in range(10_000)))
    said.close()
    assert len(log.getvalue()) < 1_500
    assert lines(log)[-1] == "line number 9999"


def test_a_full_disk_does_not_keep_the_program_from_being_heard(log):
    said = Output(log, r"(?P<done>\d+)/\d+")

    class Full(io.BytesIO):
        def write(self, _):
            raise OSError(28, "No space left on device")

    said.log = Full()
    said.feed(b"7/9\n")
    assert said.done == 7
