"""`try`: a pipeline's function on spectrum files, without a database; what a pipeline's author uses all day."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from astra_assets.models.base import Base, utcnow
from astra_assets.operations.deployment import OperationError, find_pipeline
from astra_assets.pipelines.base import Pipeline, Skip, Step, Unusable, WorkContext
from astra_assets.registry.columns import own_columns
from astra_assets.spectra.base import Spectrum, SpectrumError
from astra_assets.spectra.read import read_file

if TYPE_CHECKING:
    from astra_assets.operations.deployment import Deployment

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TryResult:
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
    """Return the last step of a pipeline whose function takes one spectrum.

    Raises:
        OperationError: there is none.
    """
    programs = [step.program.command[0] for step in pipeline.steps if step.program is not None]
    if programs:
        raise OperationError(
            f"{pipeline.name} is done by a program of other people ({programs[-1]}), which works on tables of inputs: there "
            "is nothing to try on single files"
        )
    steps = [step for step in pipeline.steps if not step.is_filter and step.level != "source"]
    if not steps:
        raise OperationError(
            f"{pipeline.name} has no step that works on one spectrum; there is nothing to try"
        )
    return steps[-1]


def try_(
    deployment: Deployment, pipeline: str, files: Iterable[str], *, air: bool = False
) -> Iterator[TryResult]:
    """Run the last step of a pipeline that takes one spectrum on each file, in order.

    Args:
        deployment: its settings and the version of its release are what the set-up of the step is given.
        pipeline: key or name of the pipeline.
        files: SDSS spec, spec-lite or specFull FITS files, or text (wavelength, flux and optionally ivar).
        air: wavelengths of the files are in air.

    Yields:
        What was made of each file; where it cannot be used, with an error.

    Raises:
        OperationError: there is no such pipeline, or it has no step that works on one spectrum.
    """
    settings = deployment.settings
    version = deployment.release().v_astra
    context = WorkContext(deployment.roots, version, utcnow(), settings.pipeline_settings)
    declared = find_pipeline(pipeline)
    step = spectrum_step(declared)
    resources = step.resources(context)
    names = [column.key for column in own_columns(declared.table)]
    for file in files:
        try:
            spectrum = read_file(Path(file), air=air)
            yield TryResult(file, values_of(step, spectrum, resources, names))
        except (SpectrumError, Unusable, Skip) as error:
            yield TryResult(file, dict.fromkeys(names), {"code": error.code, "message": str(error)})
        except Exception as error:
            log.exception("%s: %s failed", file, declared.name)
            yield TryResult(file, dict.fromkeys(names), {"code": type(error).__name__, "message": str(error)})


def values_of(step: Step, spectrum: Spectrum, resources: Any, names: list[str]) -> dict[str, Any]:
    """Return the result columns of one spectrum as plain numbers and text; NaN is None, which JSON can say."""
    assert step.function is not None
    row = step.function(spectrum, resources)
    found = (
        {name: getattr(row, name) for name in names}
        if isinstance(row, Base)
        else {n: row.get(n) for n in names}
    )
    return {name: plain(value) for name, value in found.items()}


def plain(value: Any) -> Any:
    """Return a value as JSON knows it."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
