"""Which tests are run first, and which `make test` leaves to `make test-all`."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from astra_assets_tests.conftest import LONG, pytest_collection_modifyitems
from astra_assets_tests.project import PROJECT


def item(module: str, *markers: str) -> Any:
    return SimpleNamespace(
        path=Path(module), get_closest_marker=lambda name: name if name in markers else None, markers=markers
    )


def test_modules_with_tests_that_take_long_come_first_and_stay_whole():
    items = [
        item("a"),
        item("b"),
        item("b", "processes"),
        item("c", "end_to_end", "slurm"),
        item("d", "end_to_end"),
        item("a"),
    ]
    pytest_collection_modifyitems(items)
    assert [each.path.name for each in items] == ["c", "d", "b", "b", "a", "a"]
    assert [each.markers for each in items[2:4]] == [(), ("processes",)], "a module keeps its own order"


def test_make_test_runs_of_the_tests_that_take_long_only_those_marked_for_it():
    makefile = (PROJECT / "Makefile").read_text()
    (quick,) = re.findall(r'^test:.*\n\t.*-m "smoke or not \((.*)\)"$', makefile, re.MULTILINE)
    assert set(quick.split(" or ")) == set(LONG)
    (everything,) = re.findall(r"^test-all:.*\n\t(.*)$", makefile, re.MULTILINE)
    assert " -m " not in everything
