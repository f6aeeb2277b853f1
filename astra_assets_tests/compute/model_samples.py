"""Small pipelines whose results have pixel arrays and whose sources get files, for tests of the engine.

What a visit does is told by its catalogid, as in `samples`.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from sqlalchemy.orm import Mapped

from astra_assets.models.base import PipelineResult
from astra_assets.models.boss import BossVisitSpectrum
from astra_assets.pipelines.astra_files import with_astra_files
from astra_assets.pipelines.base import Pipeline, Skip, Step, WorkContext
from astra_assets.registry.columns import column, virtual
from astra_assets.spectra.grid import BOSS_GRID
from astra_assets_tests.compute.samples import remember, switch


class SampleModel(PipelineResult):
    """Median flux of a spectrum, and a flat model."""

    level: Mapped[float | None] = column(None, "Level of the model")
    model_flux = virtual("model_flux", category="Spectral Data")


class SampleOther(PipelineResult):
    """Another result, without pixels."""

    level: Mapped[float | None] = column(None, "Level of the model")


def fit(spectrum: Any, context: WorkContext) -> SampleModel:
    """A flat model of the height of the flux; none for catalogid % 100 = 96, one too short for 97."""
    kind = spectrum.row["catalogid"] % 100
    remember(context, str(spectrum.row["spectrum_pk"]))
    if switch(context, "slow"):
        time.sleep(0.15)
    if switch(context, f"skip-{spectrum.row['spectrum_pk']}"):
        raise Skip("not_wanted", "not for this pipeline")
    if kind == 96:
        return SampleModel()
    level = float(np.median(spectrum.flux))
    return SampleModel(level=level, model_flux=np.full(10 if kind == 97 else BOSS_GRID.n_pixels, level))


def has_level(row: Any) -> bool:
    """Whether there is a model."""
    return row["level"] is not None


def never(_: Any) -> bool:
    return False


def copy_level(_: Any, __: Any) -> dict[str, Any]:
    return {"level": 1.0}


MODEL = with_astra_files(
    Pipeline("SampleModel", SampleModel, (Step("visit", inputs=BossVisitSpectrum, function=fit),)),
    has_pixels=has_level,
)
OTHER = with_astra_files(
    Pipeline("SampleOther", SampleOther, (Step("visit", inputs=BossVisitSpectrum, function=copy_level),)),
    has_pixels=never,
)
