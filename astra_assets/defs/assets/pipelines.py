"""What the asset of a step of a pipeline is, as its declaration says: its keys, what it reads, its description."""

from __future__ import annotations

from astra_assets.defs.assets.outline import KeyPath
from astra_assets.defs.assets.tables import made_by, table_key
from astra_assets.models.base import Base, table_of
from astra_assets.models.boss import BossCombinedSpectrum, BossRestFrameVisitSpectrum
from astra_assets.operations.source_files import SPECTRA_PIPELINE
from astra_assets.pipelines import PIPELINES
from astra_assets.pipelines.astra_files import file_kinds
from astra_assets.pipelines.base import Pipeline, Step

FILES: dict[str, tuple[type[Base], str]] = {
    "mwmStar": (
        BossCombinedSpectrum,
        "One file per source: the coadd of its visits for each instrument and telescope.",
    ),
    "mwmVisit": (
        BossRestFrameVisitSpectrum,
        "One file per source: its visits in the rest frame on a common wavelength grid.",
    ),
}
"""The files that the step over sources makes: rows of their BOSS HDUs, and what they are."""


def step_keys(pipeline: Pipeline, step: Step) -> dict[str, KeyPath]:
    """Keys of what a step makes, by the name of the output of its graph: results or files, and further tables."""
    tables = {table_of(model).name: table_key(model) for model in step.tables}
    return result_keys(pipeline, step) | tables


def result_keys(pipeline: Pipeline, step: Step) -> dict[str, KeyPath]:
    """Keys of the results or files of a step, without those of further tables."""
    if pipeline.key == SPECTRA_PIPELINE:
        return {name: (name,) for name in FILES}
    return {"result": (pipeline.key, step.name)}


def upstream_of(pipeline: Pipeline, step: Step) -> list[KeyPath]:
    """What a step reads: its inputs, earlier steps of its pipeline, and the pipelines it comes after.

    A step that names the steps that it comes after needs no other pipelines: those steps have read them.
    """
    earlier = [key for each in pipeline.waits_for(step) for key in result_keys(pipeline, each).values()]
    if step.after:
        return [table_key(step.inputs), *earlier]
    others = [other for other in PIPELINES if other.name in pipeline.after]
    read = [key for other in others for key in result_keys(other, step_read(other, step)).values()]
    return [*made_by(step.inputs), *earlier, *read]


def step_read(other: Pipeline, step: Step) -> Step:
    """The step of another pipeline whose results a step reads: the last one on the same spectra, else its last one."""
    results = other.result_steps or other.steps
    same = [each for each in results if each.inputs is step.inputs]
    return same[-1] if same else results[-1]


def describe(pipeline: Pipeline, step: Step) -> str:
    """A sentence about the step, with what it skips."""
    what = f"{pipeline.name} on {step.inputs.__name__}"
    if file_kinds(step):
        what = f"One file per source: its results of {pipeline.name}, with their pixels"
    elif step.is_filter:
        what = f"Leaves out inputs that are not for {pipeline.name}"
    skips = "; ".join(f"`{requirement.code}`: {requirement.message}" for requirement in step.requires)
    return f"{what}." + (f" Skipped with a reason: {skips}." if skips else "")


def further_table(step: Step, output: str) -> type[Base] | None:
    """The further table that an output stands for; None where it is results or files."""
    return next((model for model in step.tables if table_of(model).name == output), None)


def output_description(pipeline: Pipeline, step: Step, output: str) -> str:
    """A sentence about what an output stands for."""
    table = further_table(step, output)
    if table is not None:
        return (table.__doc__ or table.__name__).partition("\n")[0]
    return FILES[output][1] if output in FILES else describe(pipeline, step)


def output_table(pipeline: Pipeline, step: Step, output: str) -> type[Base] | None:
    """The table that an output stands for; None where it is files, or where it has no rows."""
    if output in FILES:
        return None
    return further_table(step, output) or (None if step.is_filter else pipeline.written_by(step))


def file_names(pipeline: Pipeline, step: Step, output: str) -> tuple[str, ...]:
    """Names of the kinds of file that an output stands for, as files are listed; none where it is a table."""
    if output in FILES:
        return (output,)
    if further_table(step, output) is not None:
        return ()
    return tuple(f"astra{kind.capitalize()}{pipeline.product}" for kind in file_kinds(step))


def kinds(pipeline: Pipeline, step: Step, output: str) -> list[str]:
    """What the UI shows as the kind of an output."""
    return ["fits"] if file_names(pipeline, step, output) else ["table"]
