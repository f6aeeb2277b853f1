"""Pipelines of other distributions: found by their entry point, checked together with ours, refused in words."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from dataclasses import replace
from typing import Any

import pytest

import astra_assets.pipelines as registry
from astra_assets.pipelines import PIPELINES, chosen, in_order
from astra_assets.pipelines.base import PipelineDeclarationError
from astra_assets.pipelines.finding import plug_ins
from astra_assets_tests.pipelines.offered import MOON, ROCKET, install


@pytest.fixture
def distribution(tmp_path, monkeypatch):
    """Installs a distribution with one module and one entry point; its modules are forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(source: str, value: str, name: str = "moonlab") -> None:
        install(tmp_path, name, {f"{name}.py": textwrap.dedent(source)}, {"moon": value})

    yield make
    for name in set(sys.modules) - before:
        del sys.modules[name]


OFFER = "from astra_assets_tests.pipelines.offered import MOON\n"


@pytest.mark.parametrize("value", ["moonlab", "moonlab:MOON"])
def test_an_entry_point_names_a_module_or_a_pipeline(distribution, value):
    distribution(OFFER, value)
    (found,) = plug_ins()
    assert found.pipelines == (MOON,)
    assert found.label == f"entry point moon = {value} of moonlab 1.2"


def test_a_pipeline_of_another_distribution_stands_beside_ours_and_main_runs_it(distribution, monkeypatch):
    distribution(OFFER, "moonlab")
    registry._registered.cache_clear()
    registry._keys_of_plug_ins.cache_clear()
    try:
        keys = [pipeline.key for pipeline in registry.PIPELINES]
        assert keys.index("offered_moon") >= 0
        assert MOON in chosen(("mwm",), plug_ins=True)
        assert MOON not in chosen(("mwm",))
        assert chosen(("offered_moon",)) == (MOON,)
        assert [each.key for each in chosen(("mwm",), plug_ins=True)] == ["mwm", "offered_moon"]
    finally:
        registry._registered.cache_clear()
        registry._keys_of_plug_ins.cache_clear()


@pytest.mark.parametrize(
    ("source", "value", "told"),
    [
        ("import no_such_module\n", "moonlab", r"ModuleNotFoundError: No module named 'no_such_module' \(.*moonlab.py, line 1\)"),
        ("x = 1 / 0\n", "moonlab", r"ZeroDivisionError: division by zero \(.*moonlab.py, line 1\)"),
        ("raise SystemExit(3)\n", "moonlab", r"SystemExit: 3 \(.*moonlab.py, line 1\)"),
        ("", "moonlab:MOON", "AttributeError: module 'moonlab' has no attribute 'MOON'"),
        ("", "sunlab", "ModuleNotFoundError: No module named 'sunlab'"),
    ],
)  # fmt: skip
def test_what_cannot_be_imported_is_told_with_distribution_entry_point_and_place(
    distribution, source, value, told
):
    distribution(source, value)
    pattern = rf"entry point moon = {value} of moonlab 1\.2 cannot be imported: {told}.*pip uninstall moonlab"
    with pytest.raises(PipelineDeclarationError, match=pattern):
        plug_ins()


@pytest.mark.parametrize(
    ("source", "value", "told"),
    [
        ("", "moonlab", r"is the module .*moonlab\.py without a Pipeline"),
        ("MOON = 3", "moonlab:MOON", "is 3, a int"),
    ],
)
def test_what_is_no_pipeline_is_refused(distribution, source, value, told):
    distribution(source, value)
    with pytest.raises(PipelineDeclarationError, match=rf"of moonlab 1\.2 {told}: it must name a Pipeline"):
        plug_ins()


RESULT = """
from sqlalchemy.orm import Mapped
from astra_assets.models.base import PipelineResult
from astra_assets.registry.columns import known

class Corv(PipelineResult):
    teff: Mapped[float | None] = known("teff")
"""


def test_two_result_tables_of_one_name_are_told_with_both_files(distribution):
    from astra_assets.pipelines import corv

    distribution(RESULT, "moonlab")
    with pytest.raises(PipelineDeclarationError) as caught:
        plug_ins()
    told = str(caught.value)
    assert "the result table Corv in" in told
    assert "moonlab.py has the name 'corv', which is that of Corv in" in told
    assert str(corv.__file__) in told
    assert "give the class another name" in told


def offered_file() -> str:
    from astra_assets_tests.pipelines import offered

    return str(offered.__file__)


@pytest.mark.parametrize("changes", [{"name": "Corv"}, {"key": "corv"}, {"product": "CORV"}])
def test_what_two_pipelines_share_is_told_with_the_files_to_change(changes):
    with pytest.raises(PipelineDeclarationError) as caught:
        in_order(
            [*PIPELINES, replace(MOON, reference="astra_assets_tests.pipelines.offered:MOON", **changes)]
        )
    told = str(caught.value)
    assert "have the same" in told
    assert offered_file() in told
    assert "corv.py" in told


def test_a_circle_is_told_with_its_members_and_their_files_only():
    circle = replace(MOON, after=("OfferedRocket",), reference="astra_assets_tests.pipelines.offered:MOON")
    with pytest.raises(PipelineDeclarationError) as caught:
        in_order([*PIPELINES, circle, ROCKET])
    told = str(caught.value)
    assert "wait for each other in a circle: OfferedMoon, OfferedRocket; check their `after`" in told
    assert told.endswith(offered_file())


@pytest.mark.parametrize("inputs", ["BossVisitSpectrum", int, "a result table", "bookkeeping"])
def test_a_step_on_an_unknown_model_is_told_with_file_and_what_there_is(inputs):
    from astra_assets.models.compute import ComputeBatch

    models: dict[object, Any] = {"a result table": MOON.table, "bookkeeping": ComputeBatch}
    step = replace(MOON.steps[0], inputs=models.get(inputs, inputs))
    with pytest.raises(PipelineDeclarationError) as caught:
        in_order([replace(MOON, steps=(step,), reference="astra_assets_tests.pipelines.offered:MOON")])
    told = str(caught.value)
    assert "OfferedMoon: step 'visit' reads" in told
    assert offered_file() in told
    assert "BossCombinedSpectrum, BossRestFrameVisitSpectrum, BossVisitSpectrum" in told


def test_all_problems_of_declarations_are_told_at_once():
    moon = replace(MOON, key="corv", after=("Sun",), reference="astra_assets_tests.pipelines.offered:MOON")
    with pytest.raises(PipelineDeclarationError) as caught:
        in_order([*PIPELINES, moon])
    assert "the same key 'corv'" in str(caught.value)
    assert "`after` names Sun" in str(caught.value)


def test_results_that_no_product_shows_are_told_with_the_file(monkeypatch):
    from astra_assets.config import declared
    from astra_assets.models.apogee import ApogeeVisitSpectrum

    step = replace(MOON.steps[0], inputs=ApogeeVisitSpectrum)
    moon = replace(MOON, steps=(step,), reference="astra_assets_tests.pipelines.offered:MOON")
    monkeypatch.setattr(declared.pipelines, "_registered", lambda: (moon,))  # type: ignore[attr-defined]
    with pytest.raises(PipelineDeclarationError) as caught:
        declared.all_products.__wrapped__()
    assert "no summary product shows results on ApogeeVisitSpectrum" in str(caught.value)
    assert offered_file() in str(caught.value)


def test_a_package_that_cannot_be_imported_is_told_in_words_by_every_verb_and_by_doctor(
    distribution, tmp_path
):
    from astra_assets.operations.doctor import check_pipelines

    distribution("import no_such_module", "moonlab")
    registry._registered.cache_clear()
    try:
        (found,) = check_pipelines()
    finally:
        registry._registered.cache_clear()
    assert found.weight == 2
    assert "moonlab 1.2 cannot be imported" in found.text
    paths = os.pathsep.join([str(tmp_path), *sys.path])
    command = [sys.executable, "-m", "astra_assets.cli", "plan", "corv"]
    environment = os.environ | {"PYTHONPATH": paths, "ASTRA_HOME": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr
