"""Sizes, durations and tables as people read them."""

from __future__ import annotations

import pytest

from astra_assets.text import aligned_table, duration_text, markdown_table, size_text


@pytest.mark.parametrize(("seconds", "text"), [(0.2, "0 s"), (75, "1 min 15 s"), (7260, "2 h 1 min")])
def test_durations_read_well(seconds, text):
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (2.5e9, "2.5 GB"), (3e15, "3000.0 TB")],
)
def test_sizes_read_well(n_bytes, text):
    assert size_text(n_bytes) == text


def test_a_cell_of_a_markdown_table_stays_in_its_cell():
    lines = markdown_table(["name", "note"], [["a|b", "two\nlines"], [1, None]])
    assert lines == ["| name | note |", "| --- | --- |", "| a\\|b | two lines |", "| 1 | None |"]


def test_columns_of_numbers_are_aligned_to_the_right():
    assert aligned_table(["step", "read"], [["a", "1"], ["long", "1,000"]], texts=(0,)) == [
        "step   read",
        "a         1",
        "long  1,000",
    ]
