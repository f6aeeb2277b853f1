"""Air and vacuum wavelengths: the refractive index of air and the two conversions."""

from __future__ import annotations

import numpy as np

from astra_assets.spectra.base import FloatPixels

AIR_STARTS = 2000.0
"""Angstrom. By custom, wavelengths below this are given in vacuum; the formula for air ends near it."""


def refractive_index(vacuum: FloatPixels) -> FloatPixels:
    """Index of refraction of dry air (15 C, 101325 Pa, 450 ppm CO2) at vacuum wavelengths in Angstrom.

    Ciddor 1996, Applied Optics 35, 1566, equation 1; valid from 2300 Angstrom to the near infrared.
    """
    wavenumber_squared = (1.0e4 / vacuum) ** 2
    return np.asarray(
        1.0 + 5.792105e-2 / (238.0185 - wavenumber_squared) + 1.67917e-3 / (57.362 - wavenumber_squared)
    )


def vacuum_to_air(vacuum: FloatPixels) -> FloatPixels:
    """Air wavelengths of vacuum wavelengths, both in Angstrom; below 2000 Angstrom nothing is changed."""
    vacuum = np.asarray(vacuum, dtype=np.float64)
    air = vacuum.copy()
    long = vacuum >= AIR_STARTS
    air[long] = vacuum[long] / refractive_index(vacuum[long])
    return air


def air_to_vacuum(air: FloatPixels) -> FloatPixels:
    """Vacuum wavelengths of air wavelengths, both in Angstrom; below 2000 Angstrom nothing is changed.

    The inverse of `vacuum_to_air` to 1e-9 Angstrom: the index is evaluated at the vacuum wavelength by
    iteration (it varies so slowly that each round gains five digits).
    """
    air = np.asarray(air, dtype=np.float64)
    vacuum = air.copy()
    long = air >= AIR_STARTS
    for _ in range(3):
        vacuum[long] = air[long] * refractive_index(vacuum[long])
    return vacuum
