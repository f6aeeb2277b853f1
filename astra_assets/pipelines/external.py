"""What the external programs of this package have in common: how they are called and what they print.

Convention: `NAME --manifest FILE --results FILE --processes N`. A site whose program is called otherwise names a
wrapper for it under `[programs]` in `astra.toml`, or there lets Astra's own command line do the step.
"""

from __future__ import annotations

from astra_assets.pipelines.base import ExternalProgram, Pipeline, Step

PROGRESS = r"(?<![\d/.])(?P<done>\d+)\s*(?:/|of)\s*\d+(?![\d/])"
"""Lines such as `1200/50000` or `1200 of 50000`, with anything around them, but no dates and no paths."""

ASTRA = "https://github.com/sdss/astra"
"""Where the survey's own pipelines are."""


SDSS_IDS = "{sdss_ids}"
"""Argument in whose place the objects of a batch stand, one argument for each."""

ASTRA_MODELS = {
    "BossCombinedSpectrum": "BossCombinedSpectrum",
    "BossVisitSpectrum": "boss.BossVisitSpectrum",
    "ApogeeVisitSpectrum": "apogee.ApogeeVisitSpectrum",
    "ApogeeCoaddedSpectrumInApStar": "apogee.ApogeeCoaddedSpectrumInApStar",
    "ApogeeVisitSpectrumInApStar": "apogee.ApogeeVisitSpectrumInApStar",
}
"""Models of inputs as Astra's command line knows them."""


def astra_arguments(pipeline: Pipeline, step: Step) -> tuple[str, ...]:
    """What follows Astra's program name for a step: `run TASK MODEL SDSS_ID...`; its tasks are named as our keys are."""
    model = step.inputs.__name__
    return ("run", pipeline.key, ASTRA_MODELS.get(model, model), SDSS_IDS)


def files_program(
    name: str, *, install: str, columns: tuple[str, ...] = (), inputs: int = 20_000
) -> ExternalProgram:
    """A program that is called by the convention of this module: a Parquet manifest in, Parquet results out.

    `columns` are further columns of the manifest that it wants, `install` says what a person does to get it, `inputs`
    how many inputs one start of it is given at most.
    """
    command = (name, "--manifest", "{manifest}", "--results", "{results}", "--processes", "{procs}")
    how = f"Put a program {name} on the search path, or name yours under [programs] in astra.toml. {install}"
    return ExternalProgram(command, columns=columns, progress=PROGRESS, install=how, inputs=inputs)
