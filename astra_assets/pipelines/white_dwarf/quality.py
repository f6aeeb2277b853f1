"""What SnowWhite and Corv both say of a fit: flags, and errors that the data do not give."""

from __future__ import annotations

import math

from astra_assets.pipelines.white_dwarf.balmer import BalmerFit

LOW_SNR = 8.0
"""S/N per pixel up to which a fit is flagged `low_snr` (the limit of Astra's SnowWhite)."""


def low_snr(snr: float) -> tuple[str, ...]:
    """The flag of a fit to a spectrum of this S/N, which NaN has too."""
    return () if snr > LOW_SNR else ("low_snr",)


def fit_flags(fit: BalmerFit, snr: float) -> tuple[str, ...]:
    """Names of the flags of a fit to a spectrum of this S/N, which both result tables have."""
    told = {
        "unconverged": not fit.converged,
        "teff_grid_edge_bad": fit.teff_at_edge,
        "logg_grid_edge_bad": fit.logg_at_edge,
        "hot_or_cold": fit.other is not None,
        "bad_fit": fit.bad,
        "gaia_chose": fit.by_gaia,
    }
    return (*low_snr(snr), *(name for name, true in told.items() if true))


def finite(value: float) -> float | None:
    """A value for the database: None where it is not finite."""
    return value if math.isfinite(value) else None
