"""Corv: velocity, effective temperature and surface gravity of DA white dwarfs from single BOSS visits.

The declaration, the result table and the way from a spectrum to a row. The fit is in `white_dwarf.balmer`;
which sources are DA is what SnowWhite says.

Method: the Balmer lines H-alpha to H8 jointly against the Warwick DA grid, after corv (Chandra, Arseneau); the
choice between a hot and a cold solution with Gaia's colour, magnitude and parallax where they are known.
Limits: hydrogen atmospheres without magnetic field between 4000 and 120,000 K; others are flagged `bad_fit`. The
velocity includes the gravitational redshift, 20 to 100 km/s for a white dwarf. The velocity of the reduction
(`xcsao_v_rad`) plays no part: its templates are stars with narrow lines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy import Select, select
from sqlalchemy.orm import Mapped

from astra_assets.models.base import PipelineResult, bit
from astra_assets.models.boss import BossCombinedSpectrum, BossVisitSpectrum
from astra_assets.models.source import Source
from astra_assets.pipelines.astra_files import with_astra_files
from astra_assets.pipelines.base import (
    Columns,
    Pipeline,
    Requirement,
    Step,
    Unusable,
    WorkContext,
    this_version,
)
from astra_assets.pipelines.requirements import IN_MWM_WD
from astra_assets.pipelines.snow_white import SnowWhite
from astra_assets.pipelines.white_dwarf.gaia import GAIA_COLUMNS, Gaia
from astra_assets.registry.columns import flags, known, virtual
from astra_assets.spectra.base import Spectrum

if TYPE_CHECKING:
    from astra_assets.pipelines.white_dwarf.grid import DAGrid


class Corv(PipelineResult):
    """Velocities and stellar parameters of DA white dwarfs from BOSS visits, by fits of Balmer lines.

    `v_rad` is barycentric (spectra of the reduction are) and as observed, with the gravitational redshift.
    Errors are those of the fit, marginalised over the other parameters and the continuum, times sqrt(rchi2)
    where that is above 1, with what is uncertain about models and the zero point of wavelengths
    (`white_dwarf.errors`) added in quadrature. Of two solutions that the data leave open, one is given and
    `hot_or_cold` set.
    """

    v_rad: Mapped[float | None] = known("v_rad", category="Radial Velocity (corv)")
    e_v_rad: Mapped[float | None] = known("e_v_rad")
    teff: Mapped[float | None] = known("teff", category="Stellar Parameters")
    e_teff: Mapped[float | None] = known("e_teff")
    logg: Mapped[float | None] = known("logg")
    e_logg: Mapped[float | None] = known("e_logg")
    initial_teff: Mapped[float | None] = known("initial_teff", category="Initial values")
    initial_logg: Mapped[float | None] = known("initial_logg")
    initial_v_rad: Mapped[float | None] = known("initial_v_rad")
    rchi2: Mapped[float | None] = known("rchi2", category="Summary Statistics")
    # Bits 5 to 7 are Astra's; inputs that they would mark are recorded as skipped instead. Bits 0 to 3 are
    # SnowWhite's.
    result_flags: Mapped[int] = flags(
        {
            0: ("low_snr", "S/N <= 8"),
            1: ("unconverged", "The fit has not converged, or chi2 has no minimum in velocity"),
            2: ("teff_grid_edge_bad", "Effective temperature at the edge of the grid"),
            3: ("logg_grid_edge_bad", "Surface gravity at the edge of the grid"),
            5: ("not_mwm_wd", "The source is in no carton of the program mwm_wd"),
            6: ("no_wd_classification", "SnowWhite has not classified the source"),
            7: ("not_da_type", "SnowWhite's class is not DA"),
            8: ("hot_or_cold", "Another solution, hot or cold, is not excluded"),
            9: ("bad_fit", "No model fits the lines: magnetic field, companion, or not a DA"),
            13: ("gaia_chose", "Gaia chose between the hot and the cold solution"),
            14: ("air_wavelengths", "The wavelengths seem to be in air: v_rad is too low by 83 km/s"),
        }
    )
    # At the common wavelengths in the frame of the visit, not in the rest frame of the star.
    model_flux = virtual("model_flux", category="Spectral Data")


def load_models(context: WorkContext) -> DAGrid:  # noqa: ARG001 - the grid is packaged
    """The model grid, once per process."""
    from astra_assets.pipelines.white_dwarf.grid import load_grid

    return load_grid()


def fit_visit(spectrum: Spectrum, grid: DAGrid) -> Corv:
    """Fit one visit.

    Raises:
        Unusable: fewer than two Balmer lines are covered by good pixels (`no_usable_lines`).
    """
    from astra_assets.pipelines.snow_white.despike import despiked
    from astra_assets.pipelines.white_dwarf.balmer import fit_balmer
    from astra_assets.pipelines.white_dwarf.best_model import best_model
    from astra_assets.pipelines.white_dwarf.comparison import NoUsableLinesError
    from astra_assets.pipelines.white_dwarf.errors import total_logg, total_teff, total_velocity
    from astra_assets.pipelines.white_dwarf.quality import fit_flags
    from astra_assets.pipelines.white_dwarf.wavelengths import looks_like_air

    spectrum = despiked(spectrum)
    try:
        fit = fit_balmer(spectrum, grid, gaia=Gaia.of(spectrum.row))
    except NoUsableLinesError as error:
        raise Unusable("no_usable_lines", str(error)) from error
    in_air = looks_like_air(spectrum.wavelength)
    raised = (*fit_flags(fit, spectrum.snr), *(("air_wavelengths",) if in_air else ()))
    return Corv(
        v_rad=fit.v_rad,
        e_v_rad=total_velocity(fit.e_v_rad),
        teff=fit.teff,
        e_teff=total_teff(fit.teff, fit.e_teff),
        logg=fit.logg,
        e_logg=total_logg(fit.e_logg),
        initial_teff=fit.initial_teff,
        initial_logg=fit.initial_logg,
        initial_v_rad=fit.initial_v_rad,
        rchi2=fit.rchi2,
        result_flags=sum(bit(Corv, "result_flags", name) for name in raised),
        model_flux=best_model(spectrum, grid, fit.teff, fit.logg, fit.v_rad),
    )


def classifications() -> Select[tuple[int, str, float, int]]:
    """The class of each source: SnowWhite's of the coadd with the highest S/N that has one."""
    coadd = BossCombinedSpectrum.c
    return (
        select(coadd.source_pk, SnowWhite.classification, -coadd.snr, coadd.spectrum_pk)
        .join_from(SnowWhite, BossCombinedSpectrum, coadd.spectrum_pk == SnowWhite.spectrum_pk)
        .where(
            coadd.source_pk.is_not(None),
            SnowWhite.v_astra_major_minor == this_version(),
            SnowWhite.classification.is_not(None),
            SnowWhite.classification != "",
        )
    )


def is_classified(columns: Columns) -> np.ndarray:
    """True where SnowWhite has given a class."""
    return np.asarray(columns["classification"].astype(bool))


def is_da(columns: Columns) -> np.ndarray:
    """True where that class is DA and nothing else; `DA:` is an uncertain one."""
    return np.asarray(columns["classification"] == "DA", dtype=bool)


CORV = with_astra_files(
    Pipeline(
        name="Corv",
        key="corv",
        group="CORV",
        product="Corv",
        table=Corv,
        code_version="2",
        steps=(
            Step(
                "visit",
                inputs=BossVisitSpectrum,
                function=fit_visit,
                setup=load_models,
                columns={name: Source.c[name] for name in GAIA_COLUMNS},
                lookups={"classification": classifications()},
                requires=(
                    IN_MWM_WD,
                    Requirement(
                        "no_wd_classification",
                        "SnowWhite has not classified a coadd of the source",
                        needs=("classification",),
                        test=is_classified,
                    ),
                    Requirement(
                        "not_da_type",
                        "SnowWhite's class of the source is not DA",
                        needs=("classification",),
                        test=is_da,
                    ),
                ),
            ),
        ),
        after=("SnowWhite",),
    )
)
