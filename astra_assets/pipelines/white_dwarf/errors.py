"""Errors that are more than noise: what the parameters of a DA are uncertain by although the spectrum is good.

Measured on `synthesis.perturbed`: spectra whose profiles, depths and convection differ from the grid's by as much
as published models do among themselves, fitted with the grid, have to be met with pulls of about 1 at every S/N
(`docs/validation.md` has the numbers). They agree with what repeated observations of bright DA show: 1.2 to 2.5 %
and 0.04 to 0.06 dex (Liebert, Bergeron & Holberg 2005, ApJS 156, 47; Gianninas et al. 2011, ApJ 743, 138).
"""

from __future__ import annotations

import math

FLOOR_TEFF = 0.015
"""Relative error of an effective temperature, of models."""
FLOOR_TEFF_NEAR_MAXIMUM = 0.03
"""What is added to it in quadrature at 15,000 K, where lines are strongest and say least of temperature."""
FLOOR_LOGG = 0.055
"""Error of a surface gravity [dex], of models."""
FLOOR_VELOCITY = 5.0
"""Error [km/s] of the zero point of a visit's wavelengths: a fourteenth of a BOSS pixel."""


def total_teff(teff: float, formal: float) -> float | None:
    """The error of a temperature [K] from that of the fit; None where the data do not constrain it."""
    near = math.exp(-0.5 * (math.log(teff / 15_000.0) / 0.35) ** 2)
    return _with_floor(formal, math.hypot(FLOOR_TEFF, FLOOR_TEFF_NEAR_MAXIMUM * near) * teff)


def total_logg(formal: float) -> float | None:
    """The error of a gravity [dex] from that of the fit; None where the data do not constrain it."""
    return _with_floor(formal, FLOOR_LOGG)


def total_velocity(formal: float) -> float | None:
    """The error of a velocity [km/s] from that of the fit; None where the data do not constrain it."""
    return _with_floor(formal, FLOOR_VELOCITY)


def _with_floor(formal: float, floor: float) -> float | None:
    return math.hypot(formal, floor) if math.isfinite(formal) else None
