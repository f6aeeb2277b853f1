"""A pipeline's function on spectrum files, without a database: what a pipeline's author uses all day.

Belongs here: from files to result values. Does not belong here: batches (`compute`), arguments and output (`cli`).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from astra_assets.errors import ExpectedError
from astra_assets.models.base import Base
from astra_assets.pipelines.base import Pipeline, Skip, Step, Unusable, WorkContext
from astra_assets.registry.columns import own_columns
from astra_assets.spectra.base import Spectrum, SpectrumError
from astra_assets.spectra.read import read_file

log = logging.getLogger(__name__)


class NothingToTryError(ExpectedError):
    """The pipeline has no step that works on one spectrum."""


@dataclass(frozen=True)
class Trial:
    """What a pipeline made of one file.

    Attributes:
        file: the path as given.
        values: the result columns; all None when there is no result.
        error: code and message when there is no result, else None.
    """

    file: str
    values: Mapping[str, Any]
    error: Mapping[str, str] | None = None

    def as_dict(self) -> dict[str, Any]:
        """The result columns, and `error` where there is no result."""
        return {**self.values, **({"error": dict(self.error)} if self.error else {})}


def spectrum_step(pipeline: Pipeline) -> Step:
    """The last step of a pipeline whose function takes one spectrum.

    Raises:
        NothingToTryError: there is none.
    """
    programs = [step.program.command[0] for step in pipeline.steps if step.program is not None]
    if programs:
        raise NothingToTryError(
            f"{pipeline.name} is done by a program of other people ({programs[-1]}), which works on tables of inputs: there "
            "is nothing to try on single files"
        )
    steps = [step for step in pipeline.steps if not step.is_filter and step.level != "source"]
    if not steps:
        raise NothingToTryError(
            f"{pipeline.name} has no step that works on one spectrum; there is nothing to try"
        )
    return steps[-1]


def attempt(pipeline: Pipeline, files: Iterable[str], context: WorkContext, *, air: bool) -> Iterator[Trial]:
    """Run the spectrum step of a pipeline on each file, in order; a file that cannot be used is a trial with an error.

    Args:
        pipeline: the pipeline.
        files: SDSS spec, spec-lite or specFull FITS files, or text (wavelength, flux and optionally ivar).
        context: what the set-up of the step is given.
        air: wavelengths of the files are in air.
    """
    step = spectrum_step(pipeline)
    resources = step.resources(context)
    names = [column.key for column in own_columns(pipeline.table)]
    for file in files:
        try:
            spectrum = read_file(Path(file), air=air)
            yield Trial(file, values_of(step, spectrum, resources, names))
        except (SpectrumError, Unusable, Skip) as error:
            yield Trial(file, dict.fromkeys(names), {"code": error.code, "message": str(error)})
        except Exception as error:
            log.exception("%s: %s failed", file, pipeline.name)
            yield Trial(file, dict.fromkeys(names), {"code": type(error).__name__, "message": str(error)})


def values_of(step: Step, spectrum: Spectrum, resources: Any, names: list[str]) -> dict[str, Any]:
    """The result columns of one spectrum as plain numbers and text; NaN is None, which JSON can say."""
    assert step.function is not None
    row = step.function(spectrum, resources)
    found = (
        {name: getattr(row, name) for name in names}
        if isinstance(row, Base)
        else {n: row.get(n) for n in names}
    )
    return {name: plain(value) for name, value in found.items()}


def plain(value: Any) -> Any:
    """A value as JSON knows it."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
