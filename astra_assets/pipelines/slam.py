"""Slam: stellar parameters of M dwarfs from BOSS coadds, by a model learned from other surveys.

The result table, its flags, which coadds are looked at, and the declaration. The model is an external program.
"""

from __future__ import annotations

import math

import numpy as np
from sqlalchemy.orm import Mapped

from astra_assets.models.base import PipelineResult
from astra_assets.models.boss import BossCombinedSpectrum
from astra_assets.models.cartons import in_program
from astra_assets.models.source import Source
from astra_assets.pipelines.base import Columns, Pipeline, Requirement, Step
from astra_assets.pipelines.external import files_program
from astra_assets.pipelines.options import SlurmOptions
from astra_assets.pipelines.rules import Limits, Row, number, raised
from astra_assets.registry.columns import column, flags, known, known_columns, virtual

MIN_G_RP = 0.56
MIN_M_G = 5.553
"""A source is redder than the one [mag] and fainter than the other [mag] to be a candidate."""
PROGRAMS = ("mwm_yso", "mwm_snc")
"""Sources in cartons of these programs are candidates whatever their colour."""

TEFF = Limits("teff", 2800, 4500, "K")
FE_H = Limits("fe_h", -1, 0.5)
BP_RP = (1.5, 3.5)
M_G = (6.0, 12.0)
"""Range of the stars that the model learned from; the ends are outside."""
GOOD_STATUS = (0, 2)
"""Values of the optimizer's status that can be trusted."""


class Slam(PipelineResult):
    """Stellar parameters of M dwarfs from the Stellar Labels Machine (SLAM)."""

    teff: Mapped[float | None] = known("teff", category="Stellar Labels")
    e_teff: Mapped[float | None] = known("e_teff")
    logg: Mapped[float | None] = known("logg")
    e_logg: Mapped[float | None] = known("e_logg")
    fe_h: Mapped[float | None] = known("fe_h")
    e_fe_h: Mapped[float | None] = known("e_fe_h")
    fe_h_niu: Mapped[float | None] = known("fe_h_niu")
    e_fe_h_niu: Mapped[float | None] = known("e_fe_h_niu")
    alpha_fe: Mapped[float | None] = known("alpha_fe")
    e_alpha_fe: Mapped[float | None] = known("e_alpha_fe")
    locals().update(
        known_columns(
            "rho_teff_logg",
            "rho_teff_fe_h",
            "rho_teff_fe_h_niu",
            "rho_teff_alpha_fe",
            "rho_logg_fe_h_niu",
            "rho_logg_alpha_fe",
            "rho_logg_fe_h",
            "rho_fe_h_fe_h_niu",
            "rho_fe_h_alpha_fe",
            category="Correlation Coefficients",
        )
    )
    initial_teff: Mapped[float | None] = known("initial_teff", category="Initial Labels")
    initial_logg: Mapped[float | None] = known("initial_logg")
    initial_fe_h: Mapped[float | None] = known("initial_fe_h")
    initial_alpha_fe: Mapped[float | None] = known("initial_alpha_fe")
    initial_fe_h_niu: Mapped[float | None] = known("initial_fe_h_niu")
    success: Mapped[bool | None] = column(
        None, "The optimizer was successful", ucd="meta.code.status", category="Metadata"
    )
    status: Mapped[int | None] = column(None, "Status of the optimizer", ucd="meta.code.status")
    optimality: Mapped[bool | None] = column(
        None, "The optimizer fulfilled its condition of optimality", ucd="meta.code.status"
    )
    # Inputs that bits 4 and 5 would mark are recorded as skipped instead.
    result_flags: Mapped[int] = flags(
        bad_optimizer_status=f"Status of the optimizer is neither {GOOD_STATUS[0]} nor {GOOD_STATUS[1]}",
        teff_outside_bounds=f"Effective temperature {TEFF}",
        fe_h_outside_bounds=f"[Fe/H] {FE_H}",
        outside_photometry_range=f"Not {BP_RP[0]:g} < BP - RP < {BP_RP[1]:g}, or not {M_G[0]:g} < M_G < {M_G[1]:g}",
        not_magnitude_cut=f"Not G - RP > {MIN_G_RP:g} and M_G > {MIN_M_G:g}",
        not_carton_match=f"In no carton of the programs {' and '.join(PROGRAMS)}",
        warn=("bad_optimizer_status", "outside_photometry_range"),
        bad=(
            "bad_optimizer_status",
            "teff_outside_bounds",
            "fe_h_outside_bounds",
            "outside_photometry_range",
        ),
    )
    chi2: Mapped[float | None] = known("chi2", category="Summary Statistics")
    rchi2: Mapped[float | None] = known("rchi2")
    wavelength = virtual("wavelength", category="Spectral Data")
    model_flux = virtual("model_flux")
    continuum = virtual("continuum")


def derive(row: Row) -> dict[str, int]:
    """The flags that follow from the labels, the optimizer, and the photometry of the source."""
    colour = number(row, "bp_mag") - number(row, "rp_mag")
    plx = number(row, "plx")
    magnitude = float(absolute_magnitude(number(row, "g_mag"), plx)) if plx > 0 else math.nan
    outside = [low >= x or x >= high for x, (low, high) in ((colour, BP_RP), (magnitude, M_G))]
    status = row.get("status")
    return raised(
        Slam,
        row,
        {
            "bad_optimizer_status": status is not None and status not in GOOD_STATUS,
            "teff_outside_bounds": TEFF.broken(row),
            "fe_h_outside_bounds": FE_H.broken(row),
            "outside_photometry_range": any(outside),
        },
    )


def absolute_magnitude(g_mag: np.ndarray | float, plx: np.ndarray | float) -> np.ndarray:
    """M_G [mag] from G [mag] and a positive parallax [mas]: G + 5 + 5 log10(plx / 1000)."""
    return np.asarray(g_mag + 5 + 5 * np.log10(np.asarray(plx) / 1000))


def is_candidate(columns: Columns) -> np.ndarray:
    """True where a source has the colour and magnitude of an M dwarf, or is in one of `PROGRAMS`.

    Without G, RP or a positive parallax only the programs count.
    """
    g_mag, rp_mag, plx = (columns[name].astype(np.float64) for name in ("g_mag", "rp_mag", "plx"))
    positive = plx > 0
    faint = absolute_magnitude(g_mag, np.where(positive, plx, np.nan)) > MIN_M_G
    wanted = np.asarray(positive & (g_mag - rp_mag > MIN_G_RP) & faint)
    for program in PROGRAMS:
        wanted |= in_program(columns["sdss5_target_flags"], program)
    return wanted


SLAM = Pipeline(
    name="Slam",
    table=Slam,
    steps=(
        Step(
            "star_filter",
            inputs=BossCombinedSpectrum,
            requires=(
                Requirement(
                    "not_magnitude_cut",
                    f"not G - RP > {MIN_G_RP:g} and M_G > {MIN_M_G:g}, and in no carton of {' or '.join(PROGRAMS)}",
                    needs=("g_mag", "rp_mag", "plx", "sdss5_target_flags"),
                    test=is_candidate,
                ),
            ),
        ),
        Step(
            "star",
            inputs=BossCombinedSpectrum,
            program=files_program(
                "astra-slam",
                install=(
                    "The model is the Stellar Labels Machine (https://github.com/hypergravity/astroslam) "
                    "and needs the trained model of the survey."
                ),
            ),
            columns={name: Source.c[name] for name in ("g_mag", "bp_mag", "rp_mag", "plx")},
            slurm=SlurmOptions(mem="0", time="96:00:00"),
        ),
    ),
    derive=derive,
)
