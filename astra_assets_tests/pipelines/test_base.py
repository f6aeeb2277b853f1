"""What can be declared as a pipeline, and what is refused with a message that says what to change."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Mapped

import astra_assets.pipelines as registry
from astra_assets.models.base import PipelineResult
from astra_assets.models.boss import BossCombinedSpectrum, BossVisitSpectrum
from astra_assets.models.source import Source
from astra_assets.pipelines import in_order, pipeline
from astra_assets.pipelines.base import (
    Pipeline,
    PipelineDeclarationError,
    Requirement,
    Skip,
    Step,
    Unusable,
    WorkContext,
    reference_of,
    this_version,
)
from astra_assets.pipelines.options import SlurmOptions
from astra_assets.registry.columns import known
from astra_assets.text import snake_case
from astra_assets_tests.project import PROJECT


class SampleRocket(PipelineResult):
    """A result table."""

    teff: Mapped[float | None] = known("teff")


class SampleMoon(PipelineResult):
    """Another one."""

    teff: Mapped[float | None] = known("teff")


def fit(spectrum, resources):
    return {}


def always(columns):
    return columns["snr"] > 0


VISIT = Step("visit", inputs=BossVisitSpectrum, function=fit, slurm=SlurmOptions(nodes=2))
ROCKET = Pipeline("SampleRocket", SampleRocket, (VISIT,))
MOON = Pipeline("SampleMoon", SampleMoon, (VISIT,))


def test_all_but_the_name_has_a_default():
    assert (ROCKET.key, ROCKET.group, ROCKET.product) == ("sample_rocket", "SampleRocket", "SampleRocket")


def test_lists_are_taken_for_tuples():
    made = Pipeline("SampleRocket", SampleRocket, steps=[VISIT], after=["SampleMoon"])  # type: ignore[arg-type]
    assert (made.steps, made.after) == ((VISIT,), ("SampleMoon",))


@pytest.mark.parametrize(
    ("name", "key"),
    [("SnowWhite", "snow_white"), ("Corv", "corv"), ("CORV", "corv"), ("MDwarfType", "m_dwarf_type")],
)
def test_keys_follow_from_names(name, key):
    assert snake_case(name) == key


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "Snow White"}, "pipeline name 'Snow White': use letters, digits and _"),
        ({"key": "Rocket!"}, "key 'Rocket!'"),
        ({"steps": ()}, "needs at least one step"),
        ({"steps": (VISIT, VISIT)}, "different step names, found ['visit', 'visit']"),
        ({"after": ("SampleRocket",)}, "SampleRocket is named in its own `after`"),
    ],
)
def test_what_cannot_work_is_refused(changes, message):
    with pytest.raises(PipelineDeclarationError) as caught:
        replace(ROCKET, **changes)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"), [({"name": "Visit"}, "step name 'Visit'"), ({}, "neither a function")]
)
def test_steps_that_cannot_work_are_refused(options, message):
    with pytest.raises(PipelineDeclarationError, match=message):
        Step(**{"name": "visit", "inputs": BossVisitSpectrum} | options)


@pytest.mark.parametrize("error", [Skip, Unusable])
def test_codes_are_one_word(error):
    assert error("no_flux", "There is no flux.").code == "no_flux"
    with pytest.raises(PipelineDeclarationError, match="code 'no flux'"):
        error("no flux", "There is no flux.")


@pytest.mark.parametrize(
    ("model", "level", "key"),
    [
        (BossVisitSpectrum, "visit", "spectrum_pk"),
        (BossCombinedSpectrum, "star", "spectrum_pk"),
        (Source, "source", "source_pk"),
    ],
)
def test_the_level_of_a_step_follows_from_its_inputs(model, level, key):
    step = replace(VISIT, inputs=model)
    assert (step.level, step.key_name) == (level, key)


def test_filters_count_for_later_steps_on_the_same_inputs():
    requires = (Requirement("odd", "It is odd.", ("snr",), always),)
    star_filter = Step("star_filter", inputs=BossCombinedSpectrum, requires=requires)
    other_filter = Step("visit_filter", inputs=BossVisitSpectrum, requires=requires)
    star = replace(VISIT, name="star", inputs=BossCombinedSpectrum)
    made = replace(ROCKET, steps=(star_filter, other_filter, star))
    assert star_filter.is_filter
    assert made.filters_before(star) == (star_filter,)
    assert made.filters_before(star_filter) == ()


def test_a_step_is_found_by_name():
    assert ROCKET.step("visit") is VISIT
    with pytest.raises(KeyError, match="SampleRocket has no step 'star'; it has: visit"):
        ROCKET.step("star")


def test_resources_are_what_setup_returns_or_the_context(tmp_path):
    context = WorkContext(roots=None, v_astra="0.8.1", planned=None)
    assert VISIT.resources(context) is context
    assert replace(VISIT, setup=lambda given: given.v_astra).resources(context) == "0.8.1"


def test_workers_find_a_declaration_by_module_and_attribute():
    assert reference_of(ROCKET) == f"{__name__}:ROCKET"
    assert reference_of(replace(ROCKET, reference="rocket.science:ROCKET")) == "rocket.science:ROCKET"
    with pytest.raises(PipelineDeclarationError, match="workers cannot find its declaration in"):
        reference_of(replace(ROCKET, group="Nameless"))


def test_the_version_is_a_parameter_that_the_engine_fills_in():
    query = select(SampleRocket.teff).where(SampleRocket.v_astra_major_minor == this_version())
    compiled = query.params(v_astra_major_minor=8).compile(compile_kwargs={"literal_binds": True})
    assert str(compiled).endswith("v_astra_major_minor = 8")


def test_pipelines_come_after_those_that_they_read():
    rocket = replace(ROCKET, after=("SampleMoon",))
    assert in_order([rocket, MOON]) == (MOON, rocket)
    writer = replace(MOON, steps=(replace(VISIT, inputs=Source, tables=(BossVisitSpectrum,)),))
    assert in_order([ROCKET, writer]) == (writer, ROCKET)


def test_circles_are_refused():
    rocket, moon = replace(ROCKET, after=("SampleMoon",)), replace(MOON, after=("SampleRocket",))
    with pytest.raises(
        PipelineDeclarationError, match="wait for each other in a circle: SampleMoon, SampleRocket"
    ):
        in_order([rocket, moon])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "samplerocket"}, "the same name"),
        ({"key": "sample_rocket"}, "the same key 'sample_rocket'"),
        ({"product": "SAMPLEROCKET"}, "the same product"),
        ({"table": SampleRocket}, "the same table"),
    ],
)
def test_names_belong_to_one_pipeline(changes, message):
    with pytest.raises(PipelineDeclarationError, match=message):
        in_order([ROCKET, replace(MOON, **changes)])


def test_after_must_name_a_pipeline():
    with pytest.raises(PipelineDeclarationError, match="SampleRocket: `after` names Sun, but there are only"):
        in_order([replace(ROCKET, after=("Sun",))])


def test_the_pipelines_of_the_package_are_found_in_order():
    names = [each.name for each in registry.PIPELINES]
    assert names.index("MWM") < names.index("SnowWhite") < names.index("Corv")
    assert pipeline("snow_white") is pipeline("SnowWhite") is pipeline("snowwhite")
    with pytest.raises(KeyError, match="there is no pipeline 'nothing'; there are: "):
        pipeline("nothing")
    for each in registry.PIPELINES:
        module, _, attribute = reference_of(each).partition(":")
        assert getattr(sys.modules[module], attribute) is each


def test_importing_the_declarations_is_light():
    program = (
        "import sys; from astra_assets.pipelines import PIPELINES; assert PIPELINES; "
        "print([name for name in ('scipy', 'astropy', 'onnxruntime', 'matplotlib', 'dagster') if name in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


def test_a_step_waits_for_those_on_its_inputs_and_those_whose_results_it_reads():
    files = Step("files", inputs=Source, function=fit, table=SampleMoon, after=("visit",))
    other = Step("other", inputs=Source, function=fit)
    made = Pipeline("SampleRocket", SampleRocket, (VISIT, other, files))
    assert made.waits_for(VISIT) == made.waits_for(other) == ()
    assert made.waits_for(files) == (VISIT, other)
    assert [made.written_by(step) for step in made.steps] == [SampleRocket, SampleRocket, SampleMoon]
    assert made.result_steps == (VISIT, other)


def test_a_step_comes_after_earlier_steps_only():
    files = Step("files", inputs=Source, function=fit, after=("visit",))
    with pytest.raises(
        PipelineDeclarationError, match=r"files: `after` names \['visit'\], the earlier steps are \[\]"
    ):
        Pipeline("SampleRocket", SampleRocket, (files, VISIT))
