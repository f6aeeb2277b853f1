"""The best model of a fit as a spectrum: on the common wavelengths, in the units of the data.

For people to look at and for the per-source files. The fit itself (`balmer.py`) compares line by line, each
with a continuum of its own, and needs none of this.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from astra_assets.pipelines.white_dwarf.grid import LOG_STEP, DAGrid, FloatArray
from astra_assets.pipelines.white_dwarf.instrument import (
    WIDTHS,
    boss_widths,
    cubic,
    doppler,
    measured_widths,
)
from astra_assets.spectra.base import Spectrum
from astra_assets.spectra.good_pixels import good_pixels
from astra_assets.spectra.grid import BOSS_GRID
from astra_assets.spectra.velocity import pixel_velocity

DEGREE = 5
"""Degree of the polynomial in log wavelength that stands for flux calibration and reddening.

It bends over no less than some 1000 Angstrom, which a Balmer line does not.
"""
PIXEL = pixel_velocity(LOG_STEP)
"""Pixel of the grid of models [km/s]."""


def best_model(spectrum: Spectrum, grid: DAGrid, teff: float, logg: float, v_rad: float) -> FloatArray:
    """The model of a DA spectrum, shape (4648,): at the wavelengths of `BOSS_GRID`, in the frame of the spectrum.

    It has the flux unit of the spectrum and the resolution of the spectrograph; teff in K, v_rad in km/s. NaN
    outside of the wavelengths that good pixels span.
    """
    good = good_pixels(spectrum.flux, spectrum.ivar)
    seen = spectrum.wavelength[good]
    flux = grid.flux(teff, logg)
    smooth = np.array(
        [gaussian_filter1d(flux / flux.mean(), width / PIXEL, mode="nearest") for width in WIDTHS]
    )
    start = np.log10(grid.wavelength[0]) + doppler(v_rad)
    at_pixels = _observed(spectrum, smooth, start, seen)
    inside = np.isfinite(at_pixels)
    root = np.sqrt(spectrum.ivar[good])[inside]
    design = (_polynomials(seen) * at_pixels)[:, inside] * root
    amounts = np.linalg.lstsq(design.T, spectrum.flux[good][inside] * root, rcond=None)[0]
    wavelength = BOSS_GRID.wavelength
    model = _observed(spectrum, smooth, start, wavelength) * (amounts @ _polynomials(wavelength))
    model[(wavelength < seen[inside].min()) | (wavelength > seen[inside].max())] = np.nan
    return model


def _observed(spectrum: Spectrum, smooth: FloatArray, start: float, wavelength: FloatArray) -> FloatArray:
    """A model at observed wavelengths (n); NaN outside of it.

    `smooth` (width, m) is the model at each of `WIDTHS`, whose first pixel is observed at log10(wavelength)
    `start`.
    """
    position = (np.log10(wavelength) - start) / LOG_STEP
    inside = (position >= 1) & (position < smooth.shape[1] - 2)
    values = cubic(smooth, position[inside])
    # Linear in the square of the width, as in `SmoothedWindow.at_width`.
    place = np.interp(_widths(spectrum, wavelength[inside]) ** 2, WIDTHS**2, np.arange(len(WIDTHS)))
    below = np.minimum(place.astype(np.intp), len(WIDTHS) - 2)
    share, pixel = place - below, np.arange(values.shape[1])
    model = np.full(len(wavelength), np.nan)
    model[inside] = (1 - share) * values[below, pixel] + share * values[below + 1, pixel]
    return model


def _widths(spectrum: Spectrum, wavelength: FloatArray) -> FloatArray:
    """The instrument's sigma [km/s] at some wavelengths: as the file tells it, else that of BOSS."""
    if spectrum.wresl is None:
        return boss_widths(wavelength)
    return measured_widths(np.interp(wavelength, spectrum.wavelength, spectrum.wresl), wavelength)


def _polynomials(wavelength: FloatArray) -> FloatArray:
    """Chebyshev polynomials (degree + 1, n) over the common wavelengths."""
    first, last = BOSS_GRID.log_wavelength[[0, -1]]
    x = 2 * (np.log10(wavelength) - first) / (last - first) - 1
    return np.polynomial.chebyshev.chebvander(x, DEGREE).T
