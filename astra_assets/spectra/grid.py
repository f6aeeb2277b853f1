"""The common wavelength grids that Astra puts its rest-frame spectra on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from astra_assets.spectra.base import FloatPixels


@dataclass(frozen=True)
class LogLinearGrid:
    """Pixels of equal step in log10(wavelength / Angstrom), vacuum."""

    crval: float
    """log10 of the first pixel's wavelength in Angstrom."""
    cdelt: float
    """Step in log10 per pixel."""
    n_pixels: int

    @cached_property
    def log_wavelength(self) -> FloatPixels:
        """log10 of the wavelengths, shape (n_pixels,)."""
        values = self.crval + self.cdelt * np.arange(self.n_pixels, dtype=np.float64)
        values.flags.writeable = False
        return values

    @cached_property
    def wavelength(self) -> FloatPixels:
        """Vacuum wavelengths in Angstrom, shape (n_pixels,)."""
        values = np.asarray(10.0**self.log_wavelength)
        values.flags.writeable = False
        return values

    def position(self, wavelength: FloatPixels) -> FloatPixels:
        """Where wavelengths lie, in pixels from the centre of the first; outside the grid too."""
        return np.asarray((np.log10(wavelength) - self.crval) / self.cdelt)


BOSS_GRID = LogLinearGrid(crval=3.5523, cdelt=1e-4, n_pixels=4648)
"""3567.0 to 10400 Angstrom; one pixel is 69.03 km/s (Astra's mwmVisit and mwmStar files)."""

APOGEE_GRID = LogLinearGrid(crval=4.179, cdelt=6e-6, n_pixels=8575)
"""15100.8 to 16999.8 Angstrom; one pixel is 4.14 km/s (apStar files)."""
