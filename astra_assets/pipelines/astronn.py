"""AstroNN: stellar parameters and abundances from APOGEE spectra by a neural network.

The result table, its flags and the declaration. The network is an external program.
"""

from __future__ import annotations

import math

from sqlalchemy.orm import Mapped

from astra_assets.models.apogee import ApogeeCoaddedSpectrumInApStar, ApogeeVisitSpectrumInApStar
from astra_assets.models.base import PipelineResult
from astra_assets.pipelines.base import Pipeline, Step
from astra_assets.pipelines.external import files_program
from astra_assets.pipelines.options import SlurmOptions
from astra_assets.pipelines.rules import Limits, Row, number, raised
from astra_assets.registry.columns import flags, known_columns
from astra_assets.registry.flags import ANY, AllOf

ELEMENTS = (
    *("c", "c_1", "n", "o", "na", "mg", "al", "si", "p", "s", "k", "ca"),
    *("ti", "ti_2", "v", "cr", "mn", "fe", "co", "ni"),
)
LABELS = ("teff", "logg", *(f"{element}_h" for element in ELEMENTS))
"""What the network gives, in the order of the table."""

TEFF_ERROR = Limits("raw_e_teff", high=300, unit="K")
LOGG_ERROR = Limits("raw_e_logg", high=0.2)
LOGG_SHARE = 0.075
FE_H_SHARE = 0.12


class AstroNN(PipelineResult):
    """Stellar parameters and abundances of APOGEE spectra from the neural network astroNN.

    Raw values and errors are those of the network; published errors come from a noise model of the release.
    """

    # The namespace of a class body may be written to; naming 88 columns one by one would say no more.
    locals().update(
        known_columns(
            *(name for label in LABELS for name in (label, f"e_{label}")), category="Stellar Labels"
        )
    )
    locals().update(
        known_columns(
            *(name for label in LABELS for name in (f"raw_{label}", f"raw_e_{label}")),
            category="Raw Stellar Labels",
        )
    )
    result_flags: Mapped[int] = flags(
        {
            0: (
                "uncertain_logg",
                f"Error of log g {LOGG_ERROR} and more than {LOGG_SHARE:g} of log g",
            ),
            1: ("uncertain_teff", f"Error of the effective temperature {TEFF_ERROR}"),
            2: ("uncertain_fe_h", f"Error of [Fe/H] more than {FE_H_SHARE:g} of [Fe/H]"),
            11: ("no_result", "The spectrum could not be used, or the network gave no temperature"),
        },
        category="Summary Statistics",
        warn=ANY,
        bad=AllOf("uncertain_logg", "uncertain_teff", "uncertain_fe_h"),
    )


def derive(row: Row) -> dict[str, int]:
    """The flags that follow from the raw values and their errors."""
    return raised(
        AstroNN,
        row,
        {
            "uncertain_logg": LOGG_ERROR.broken(row) and _share(row, "logg") > LOGG_SHARE,
            "uncertain_teff": TEFF_ERROR.broken(row),
            "uncertain_fe_h": _share(row, "fe_h") > FE_H_SHARE,
            "no_result": math.isnan(number(row, "raw_teff")) and math.isnan(number(row, "teff")),
        },
    )


def _share(row: Row, label: str) -> float:
    """Raw error over raw value, both positive; NaN where unknown, infinite where the value is 0."""
    value, error = abs(number(row, f"raw_{label}")), abs(number(row, f"raw_e_{label}"))
    return math.inf if value == 0 and error > 0 else error / value if value else math.nan


PROGRAM = files_program(
    "astra-astronn",
    install="The network is part of astroNN (https://github.com/henrysky/astroNN) and needs its weights.",
)
GPU = SlurmOptions(mem="16000", gres="gpu:1", time="48:00:00")

ASTRONN = Pipeline(
    name="AstroNN",
    key="astronn",
    table=AstroNN,
    steps=(
        Step("star", inputs=ApogeeCoaddedSpectrumInApStar, program=PROGRAM, slurm=GPU),
        Step("visit", inputs=ApogeeVisitSpectrumInApStar, program=PROGRAM, slurm=GPU),
    ),
    derive=derive,
)
