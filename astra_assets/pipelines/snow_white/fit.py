"""Effective temperature and surface gravity of a DA white dwarf from its coadd, with errors and flags.

The fit itself is `white_dwarf.balmer`, shared with Corv; whether a spectrum is a DA, and the table, are
elsewhere in this package.
"""

from __future__ import annotations

import logging
import math
from typing import TypedDict

from astra_assets.pipelines.white_dwarf.balmer import NOTHING_KNOWN, BalmerFit, Solution, fit_balmer
from astra_assets.pipelines.white_dwarf.comparison import NoUsableLinesError
from astra_assets.pipelines.white_dwarf.errors import total_logg, total_teff
from astra_assets.pipelines.white_dwarf.gaia import Gaia
from astra_assets.pipelines.white_dwarf.grid import DAGrid, load_grid
from astra_assets.pipelines.white_dwarf.lines import BALMER
from astra_assets.spectra.base import Spectrum

log = logging.getLogger(__name__)

LINES = BALMER[:6]
"""H-alpha to H8: the higher lines, which fade with pressure, hold logg."""
LOW_SNR = 8.0
"""S/N per pixel up to which a fit is flagged `low_snr` (Astra's limit)."""


class DAFit(TypedDict):
    """Columns of a SnowWhite row that the fit fills; `flags` are names of bits of its result_flags.

    teff, e_teff, raw_e_teff in K; logg, e_logg, raw_e_logg in log10(cm s-2); v_rel in km/s, relative to the
    frame of the spectrum. raw_e_* are the errors of the fit, e_* with what models are uncertain by
    (`white_dwarf.errors`). `other` is a second solution that is not excluded. All numbers are None where no
    line could be fitted, an error also where the data do not constrain its parameter.
    """

    teff: float | None
    e_teff: float | None
    logg: float | None
    e_logg: float | None
    raw_e_teff: float | None
    raw_e_logg: float | None
    v_rel: float | None
    rchi2: float | None
    other: Solution | None
    flags: tuple[str, ...]


def fit_da(spectrum: Spectrum, grid: DAGrid | None = None, gaia: Gaia = NOTHING_KNOWN) -> DAFit:
    """Fit the Balmer lines H-alpha to H8 of a DA white dwarf.

    `grid` is the packaged one unless given; `gaia` helps to choose between a hot and a cold solution. A spectrum
    whose lines cannot be fitted gives None everywhere and `unconverged`.
    """
    low = () if spectrum.snr > LOW_SNR else ("low_snr",)
    try:
        fit = fit_balmer(spectrum, grid or load_grid(), lines=LINES, gaia=gaia)
    except NoUsableLinesError as error:
        log.info("spectrum_pk %s: %s", spectrum.row.get("spectrum_pk"), error)
        return DAFit(
            teff=None,
            e_teff=None,
            logg=None,
            e_logg=None,
            raw_e_teff=None,
            raw_e_logg=None,
            v_rel=None,
            rchi2=None,
            other=None,
            flags=(*low, "unconverged"),
        )
    return _reported(fit, low)


def _reported(fit: BalmerFit, flags: tuple[str, ...]) -> DAFit:
    told = {
        "unconverged": not fit.converged,
        "teff_grid_edge_bad": fit.teff_at_edge,
        "logg_grid_edge_bad": fit.logg_at_edge,
        "hot_or_cold": fit.other is not None,
        "bad_fit": fit.bad,
        "gaia_chose": fit.by_gaia,
    }
    return DAFit(
        teff=fit.teff,
        e_teff=total_teff(fit.teff, fit.e_teff),
        logg=fit.logg,
        e_logg=total_logg(fit.e_logg),
        raw_e_teff=_finite(fit.e_teff),
        raw_e_logg=_finite(fit.e_logg),
        v_rel=fit.v_rad,
        rchi2=fit.rchi2,
        other=fit.other,
        flags=flags + tuple(name for name, true in told.items() if true),
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
