"""Whether wavelengths are in air although they should be in vacuum.

Air wavelengths are shorter by 1.4 Angstrom at H-beta, which in a velocity looks like -83 km/s: no line of a star
can tell it from motion. The pixels can. Spectrographs are sampled in equal steps of wavelength or of its
logarithm in vacuum, as SDSS is, and equal steps stay equal only until they are converted to air.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from astra_assets.spectra.airvac import air_to_vacuum

FloatArray = NDArray[np.float64]

LEAST_PIXELS = 500
"""Pixels that are needed to tell."""
LIKE_AIR = (0.8, 1.2)
"""How much of the curvature that a conversion to air brings about must be seen."""
SIGNIFICANT = 8.0
"""That share over its error, which is that of rounded numbers."""


def looks_like_air(wavelength: FloatArray) -> bool:
    """True if wavelengths [Angstrom] are unevenly spaced in the way in which even ones are after a conversion to air."""
    if wavelength.size < LEAST_PIXELS or wavelength[0] < 3000.0:
        return False
    converted = air_to_vacuum(wavelength)
    return _is_bent(np.log(wavelength), np.log(converted)) or _is_bent(wavelength, converted)


def _is_bent(positions: FloatArray, converted: FloatArray) -> bool:
    """Whether positions deviate from equal steps by what the conversion would undo."""
    steps = np.diff(positions)
    # counted from pixel to pixel: one step for all would have to be known to a tenth of a thousandth
    number = np.concatenate([[0.0], np.cumsum(np.maximum(np.round(steps / np.median(steps)), 1.0))])
    deviation = _from_straight(number, positions)
    curvature = deviation - _from_straight(number, converted)
    strength = float(curvature @ curvature)
    share = float(deviation @ curvature) / strength
    error = float(np.std(deviation - share * curvature)) / np.sqrt(strength)
    return bool(LIKE_AIR[0] < share < LIKE_AIR[1] and share > SIGNIFICANT * error)


def _from_straight(number: FloatArray, positions: FloatArray) -> FloatArray:
    centred = number - number.mean()
    slope = float(centred @ positions) / float(centred @ centred)
    return np.asarray(positions - positions.mean() - slope * centred)
