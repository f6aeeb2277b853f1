"""Radial velocities and wavelengths.

Here: the speed of light and the shift to and from the rest frame. Not here: which velocity a spectrum is
given (`stack`).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from astra_assets.spectra.base import FloatPixels

SPEED_OF_LIGHT: Final = 299_792.458
"""km/s, exact (SI)."""


def rest_wavelength(observed: FloatPixels, v_rad: float) -> FloatPixels:
    """Wavelengths in the frame of an object that recedes with `v_rad` km/s (positive: redshifted).

    observed * (1 - v_rad / c), the first-order formula that Astra uses for its products. It differs from
    observed / (1 + v_rad / c) by (v/c)^2: 0.012 of a BOSS pixel at 500 km/s, below the error of any BOSS
    velocity.
    """
    return np.asarray(observed * (1.0 - v_rad / SPEED_OF_LIGHT))


def observed_wavelength(rest: FloatPixels, v_rad: float) -> FloatPixels:
    """The inverse of `rest_wavelength`."""
    return np.asarray(rest / (1.0 - v_rad / SPEED_OF_LIGHT))
