"""Effective temperature and surface gravity of a DA white dwarf from its coadd, with errors and flags.

The fit itself is `white_dwarf.balmer`, shared with Corv; whether a spectrum is a DA, and the table, are
elsewhere in this package.
"""

from __future__ import annotations

import logging
from typing import TypedDict

from astra_assets.pipelines.white_dwarf.balmer import NOTHING_KNOWN, BalmerFit, fit_balmer
from astra_assets.pipelines.white_dwarf.balmer_lines import BALMER
from astra_assets.pipelines.white_dwarf.comparison import NoUsableLinesError
from astra_assets.pipelines.white_dwarf.errors import total_logg, total_teff
from astra_assets.pipelines.white_dwarf.gaia import Gaia
from astra_assets.pipelines.white_dwarf.grid import DAGrid, load_grid
from astra_assets.pipelines.white_dwarf.quality import finite, fit_flags, low_snr
from astra_assets.spectra.base import Spectrum

log = logging.getLogger(__name__)

LINES = BALMER[:6]
"""H-alpha to H8: the higher lines, which fade with pressure, hold logg."""


class DAFit(TypedDict):
    """Columns of a SnowWhite row that the fit fills; `flags` are names of bits of its result_flags.

    teff, e_teff, raw_e_teff in K; logg, e_logg, raw_e_logg in log10(cm s-2); v_rel in km/s, relative to the
    frame of the spectrum. raw_e_* are the errors of the fit, e_* with what models are uncertain by
    (`white_dwarf.errors`). All numbers are None where no line could be fitted, an error also where the data do not
    constrain its parameter.
    """

    teff: float | None
    e_teff: float | None
    logg: float | None
    e_logg: float | None
    raw_e_teff: float | None
    raw_e_logg: float | None
    v_rel: float | None
    rchi2: float | None
    flags: tuple[str, ...]


def fit_da(spectrum: Spectrum, grid: DAGrid | None = None, gaia: Gaia = NOTHING_KNOWN) -> DAFit:
    """Fit the Balmer lines H-alpha to H8 of a DA white dwarf.

    `grid` is the packaged one unless given; `gaia` helps to choose between a hot and a cold solution. A spectrum
    whose lines cannot be fitted gives None everywhere and `unconverged`.
    """
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
            flags=(*low_snr(spectrum.snr), "unconverged"),
        )
    return _reported(fit, fit_flags(fit, spectrum.snr))


def _reported(fit: BalmerFit, flags: tuple[str, ...]) -> DAFit:
    return DAFit(
        teff=fit.teff,
        e_teff=total_teff(fit.teff, fit.e_teff),
        logg=fit.logg,
        e_logg=total_logg(fit.e_logg),
        raw_e_teff=finite(fit.e_teff),
        raw_e_logg=finite(fit.e_logg),
        v_rel=fit.v_rad,
        rchi2=fit.rchi2,
        flags=flags,
    )
