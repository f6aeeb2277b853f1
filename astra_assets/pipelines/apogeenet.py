"""ApogeeNet: effective temperature, gravity and metallicity from APOGEE spectra by a neural network.

The result table, its flags, its noise model and the declaration. The network is an external program.
"""

from __future__ import annotations

import math
from typing import Any

from sqlalchemy.orm import Mapped

from astra_assets.models.apogee import ApogeeCoaddedSpectrumInApStar, ApogeeVisitSpectrumInApStar
from astra_assets.models.base import PipelineResult
from astra_assets.pipelines.base import Pipeline, Step
from astra_assets.pipelines.external import ASTRA, files_program
from astra_assets.pipelines.net_rules import BAD, BITS, net_flags
from astra_assets.pipelines.options import SlurmOptions
from astra_assets.pipelines.rules import Row, number, raised
from astra_assets.registry.columns import flags, known

NOISE_MODEL = {"teff": (1.25, 10.0), "logg": (1.25, 0.01), "fe_h": (1.0, 0.01)}
"""Published error = factor * formal error + floor (K, dex, dex), as in Astra."""


class ApogeeNet(PipelineResult):
    """Stellar parameters of APOGEE spectra from the neural network APOGEENet (version 3).

    Errors are the formal ones, the scatter over noise draws, scaled and with a floor added.
    """

    teff: Mapped[float | None] = known("teff", category="Stellar Parameters")
    e_teff: Mapped[float | None] = known("e_teff")
    logg: Mapped[float | None] = known("logg")
    e_logg: Mapped[float | None] = known("e_logg")
    fe_h: Mapped[float | None] = known("fe_h")
    e_fe_h: Mapped[float | None] = known("e_fe_h")
    result_flags: Mapped[int] = flags(BITS, category="Metadata", warn=("unreliable_fe_h",), bad=BAD)
    raw_e_teff: Mapped[float | None] = known("raw_e_teff", category="Formal uncertainties")
    raw_e_logg: Mapped[float | None] = known("raw_e_logg")
    raw_e_fe_h: Mapped[float | None] = known("raw_e_fe_h")


def derive(row: Row) -> dict[str, Any]:
    """The flags that follow from the parameters; published errors where only formal ones are given."""
    errors = {}
    for name, (factor, floor) in NOISE_MODEL.items():
        formal = number(row, f"raw_e_{name}")
        if math.isnan(number(row, f"e_{name}")) and not math.isnan(formal):
            errors[f"e_{name}"] = factor * formal + floor
    return raised(ApogeeNet, row, net_flags(row)) | errors


PROGRAM = files_program(
    "astra-apogeenet",
    install=f"The network is part of Astra ({ASTRA}, astra.pipelines.apogeenet) and needs PyTorch and its weights.",
)
GPU = SlurmOptions(mem="16000", gres="gpu:1", time="48:00:00")

APOGEENET = Pipeline(
    name="ApogeeNet",
    key="apogeenet",
    product="APOGEENet",
    table=ApogeeNet,
    steps=(
        Step("star", inputs=ApogeeCoaddedSpectrumInApStar, program=PROGRAM, slurm=GPU),
        Step("visit", inputs=ApogeeVisitSpectrumInApStar, program=PROGRAM, slurm=GPU),
    ),
    derive=derive,
)
