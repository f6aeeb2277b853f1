"""The best model of a fit as a spectrum: on the common wavelengths, in the units of the data.

For people to look at and for the per-source files. The fit itself (`balmer.py`) compares line by line, each
with a continuum of its own, and needs none of this.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from astra_assets.pipelines.white_dwarf.grid import LOG_STEP, DAGrid, FloatArray
from astra_assets.pipelines.white_dwarf.instrument import WIDTHS, boss_width, cubic, doppler, measured_width
from astra_assets.spectra.base import Spectrum
from astra_assets.spectra.grid import BOSS_GRID
from astra_assets.spectra.velocity import SPEED_OF_LIGHT

DEGREE = 5
"""Degree of the polynomial in log wavelength that stands for flux calibration and reddening.

It bends over no less than some 1000 Angstrom, which a Balmer line does not.
"""


def best_model(spectrum: Spectrum, grid: DAGrid, teff: float, logg: float, v_rad: float) -> FloatArray:
    """The model of a DA spectrum, shape (4648,): at the wavelengths of `BOSS_GRID`, in the frame of the spectrum.

    It has the flux unit of the spectrum and the resolution of the spectrograph; teff in K, v_rad in km/s. NaN
    outside of the wavelengths that good pixels span.
    """
    good = (spectrum.ivar > 0) & np.isfinite(spectrum.flux)
    seen = spectrum.wavelength[good]
    at_pixels = _observed(spectrum, grid, (teff, logg, v_rad), seen)
    root = np.sqrt(spectrum.ivar[good])
    inside = np.isfinite(at_pixels)
    design = (_polynomials(seen) * at_pixels)[:, inside] * root[inside]
    amounts = np.linalg.lstsq(design.T, (spectrum.flux[good] * root)[inside], rcond=None)[0]
    wavelength = BOSS_GRID.wavelength
    model = _observed(spectrum, grid, (teff, logg, v_rad), wavelength) * (amounts @ _polynomials(wavelength))
    model[(wavelength < seen[inside].min()) | (wavelength > seen[inside].max())] = np.nan
    return model


def _observed(
    spectrum: Spectrum, grid: DAGrid, parameters: tuple[float, float, float], wavelength: FloatArray
) -> FloatArray:
    """The smoothed model at (teff, logg, v_rad), about 1 on average, at observed wavelengths; NaN outside of the grid."""
    teff, logg, v_rad = parameters
    flux = grid.flux(teff, logg)
    planes = [gaussian_filter1d(flux, width / _KM_S_PER_STEP, mode="nearest") for width in WIDTHS]
    position = (np.log10(wavelength / grid.wavelength[0]) - doppler(v_rad)) / LOG_STEP
    inside = (position >= 1) & (position < len(flux) - 2)
    values = cubic(np.array(planes), position[inside]) / flux.mean()
    # Linear in the square of the width, as in `SmoothedWindow.at_width`.
    place = np.interp(_widths(spectrum, wavelength[inside]) ** 2, WIDTHS**2, np.arange(len(WIDTHS)))
    below = np.minimum(place.astype(np.intp), len(WIDTHS) - 2)
    share, pixel = place - below, np.arange(values.shape[1])
    model = np.full(len(wavelength), np.nan)
    model[inside] = (1 - share) * values[below, pixel] + share * values[below + 1, pixel]
    return model


_KM_S_PER_STEP = SPEED_OF_LIGHT * np.log(10) * LOG_STEP


def _widths(spectrum: Spectrum, wavelength: FloatArray) -> FloatArray:
    """The instrument's sigma [km/s] at some wavelengths: as the file tells it, else that of BOSS."""
    if spectrum.wresl is None:
        return np.array([boss_width(each) for each in wavelength])
    fwhm = np.interp(wavelength, spectrum.wavelength, spectrum.wresl)
    return np.array([measured_width(*pair) for pair in zip(fwhm, wavelength, strict=True)])


def _polynomials(wavelength: FloatArray) -> FloatArray:
    """Chebyshev polynomials (degree + 1, n) over the common wavelengths."""
    first, last = BOSS_GRID.log_wavelength[[0, -1]]
    x = 2 * (np.log10(wavelength) - first) / (last - first) - 1
    return np.polynomial.chebyshev.chebvander(x, DEGREE).T
