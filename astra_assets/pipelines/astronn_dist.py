"""AstroNNdist: distances of stars from APOGEE coadds and Ks, by a neural network.

The result table, its flags and the declaration. The network is an external program.
"""

from __future__ import annotations

import math

from sqlalchemy.orm import Mapped

from astra_assets.models.apogee import ApogeeCoaddedSpectrumInApStar
from astra_assets.models.base import PipelineResult
from astra_assets.models.source import Source
from astra_assets.pipelines.base import Pipeline, Step
from astra_assets.pipelines.external import files_program
from astra_assets.pipelines.options import SlurmOptions
from astra_assets.pipelines.rules import Row, number, raised
from astra_assets.registry.columns import flags, known

UNRELIABLE_SHARE = 0.2
"""A pseudo-luminosity with an error of this fraction or more is unreliable."""


class AstroNNdist(PipelineResult):
    """Distances from the neural network of astroNN, which predicts a pseudo-luminosity in Ks.

    In summary files `k_mag` and `ebv` are those of the source.
    """

    __tablename__ = "astro_nn_dist"

    k_mag: Mapped[float | None] = known("k_mag", category="Stellar Labels")
    ebv: Mapped[float | None] = known("ebv")
    A_k_mag: Mapped[float | None] = known("A_k_mag")
    L_fakemag: Mapped[float | None] = known("L_fakemag")
    e_L_fakemag: Mapped[float | None] = known("e_L_fakemag")  # noqa: N815 - Astra's name
    dist: Mapped[float | None] = known("dist")
    e_dist: Mapped[float | None] = known("e_dist")
    result_flags: Mapped[int] = flags(
        {
            0: ("fakemag_unreliable", f"Error of the pseudo-luminosity {UNRELIABLE_SHARE:g} of it or more"),
            1: ("missing_photometry", "No Ks magnitude"),
            2: ("missing_extinction", "No extinction in Ks"),
            11: ("no_result", "The spectrum could not be used, or there is no pseudo-luminosity"),
        },
        category="Summary Statistics",
        warn=("missing_extinction",),
        bad=("fakemag_unreliable", "missing_photometry", "no_result"),
    )


def derive(row: Row) -> dict[str, int]:
    """The flags that follow from what was predicted and what it was predicted with."""
    luminosity = number(row, "L_fakemag")
    return raised(
        AstroNNdist,
        row,
        {
            "fakemag_unreliable": number(row, "e_L_fakemag") >= UNRELIABLE_SHARE * luminosity,
            "missing_photometry": math.isnan(number(row, "k_mag")),
            "missing_extinction": math.isnan(number(row, "ebv")) and math.isnan(number(row, "A_k_mag")),
            "no_result": math.isnan(luminosity),
        },
    )


ASTRONN_DIST = Pipeline(
    name="AstroNNdist",
    key="astronn_dist",
    group="AstroNN_Dist",
    product="AstroNNDist",
    table=AstroNNdist,
    steps=(
        Step(
            "star",
            inputs=ApogeeCoaddedSpectrumInApStar,
            program=files_program(
                "astra-astronn-dist",
                columns=("k_mag", "ebv"),
                install="The network is part of astroNN (https://github.com/henrysky/astroNN) and needs its weights.",
            ),
            columns={"k_mag": Source.c.k_mag, "ebv": Source.c.ebv},
            slurm=SlurmOptions(time="48:00:00"),
        ),
    ),
    after=("AstroNN",),
    derive=derive,
)
