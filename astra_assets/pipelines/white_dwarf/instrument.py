"""Model windows as a spectrograph sees them: smoothed, Doppler-shifted, at the wavelengths of its pixels.

Models only: which pixels are used and how data and model are compared is in `comparison.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from astra_assets.astronomy.constants import FWHM_PER_SIGMA, SPEED_OF_LIGHT
from astra_assets.pipelines.white_dwarf.balmer_lines import BalmerLine
from astra_assets.pipelines.white_dwarf.grid import LOG_STEP, DAGrid, FloatArray
from astra_assets.spectra.velocity import pixel_velocity

VELOCITY_LIMIT = 1500.0
"""Largest velocity [km/s] that models are shifted by, either way."""
SCAN_REACH = 300.0
"""Velocity [km/s] beyond the limit up to which chi2 may still be evaluated."""
THINNING = 2
"""Smoothed windows keep every second pixel of the grid: 34.5 km/s, below any width in `WIDTHS`."""
STEP = THINNING * LOG_STEP
"""Step of smoothed windows in log10(wavelength)."""
WIDTHS = np.array([35.0, 50.0, 62.0, 75.0, 92.0, 120.0, 165.0, 230.0, 320.0])
"""Instrumental widths [km/s, Gaussian sigma] that windows are smoothed to beforehand; R = 3600 to 400."""
MARGIN = 4
"""Pixels of `STEP` beyond the shifted window, for the interpolation between pixels."""
IntArray = NDArray[np.intp]


def boss_width(wavelength: float) -> float:
    """Instrumental sigma [km/s] of the BOSS spectrographs where a file does not tell it."""
    return float(boss_widths(np.array([wavelength]))[0])


def boss_widths(wavelength: FloatArray) -> FloatArray:
    """The same at many wavelengths (n).

    R rises linearly from 1560 at 3700 A to 2270 at 6000 A in the blue arm and from 1850 at 6000 A to 2650 at
    9000 A in the red one (Smee et al. 2013, AJ 146, 32, section 4.5).
    """
    blue = np.interp(wavelength, [3700.0, 6000.0], [1560.0, 2270.0])
    red = np.interp(wavelength, [6000.0, 9000.0], [1850.0, 2650.0])
    return np.asarray(SPEED_OF_LIGHT / (FWHM_PER_SIGMA * np.where(wavelength < 6000.0, blue, red)))


def measured_width(fwhm: float, wavelength: float) -> float:
    """Instrumental sigma [km/s] from the full width at half maximum [Angstrom] that WRESL of BOSS files is.

    A value that no BOSS spectrograph has (R outside of 200 to 8000) is replaced by `boss_width`.
    """
    return float(measured_widths(np.array([fwhm]), np.array([wavelength]))[0])


def measured_widths(fwhm: FloatArray, wavelength: FloatArray) -> FloatArray:
    """The same at many wavelengths (n)."""
    usable = (fwhm > wavelength / 8000.0) & (fwhm < wavelength / 200.0)
    measured = SPEED_OF_LIGHT * fwhm / (FWHM_PER_SIGMA * wavelength)
    return np.where(usable, measured, boss_widths(wavelength))


def doppler(v_rad: float) -> float:
    """The log10 of observed over rest wavelength, sqrt((1 + b) / (1 - b)), at v_rad = b c [km/s]."""
    beta = v_rad / SPEED_OF_LIGHT
    return float(0.5 * np.log10((1 + beta) / (1 - beta)))


@dataclass(frozen=True, eq=False)
class SmoothedWindow:
    """The grid's models around one line, for each of `WIDTHS`.

    `start` is log10(wavelength [Angstrom]) of the first pixel; pixels are `STEP` apart. `log_flux` (width,
    teff, logg, pixel) is the natural logarithm of the smoothed flux, less its mean, which keeps single
    precision exact enough.
    """

    line: BalmerLine
    start: float
    log_flux: NDArray[np.float32]

    def at_width(self, sigma: float) -> NDArray[np.float32]:
        """log_flux (teff, logg, pixel) at an instrumental sigma [km/s], clipped to `WIDTHS`.

        Linear in sigma^2, as the heat equation says for small differences.
        """
        position = float(np.interp(sigma**2, WIDTHS**2, np.arange(len(WIDTHS))))
        below = min(int(position), len(WIDTHS) - 2)
        share = np.float32(position - below)
        between: NDArray[np.float32] = (1 - share) * self.log_flux[below] + share * self.log_flux[below + 1]
        return between


@cache
def smoothed_window(grid: DAGrid, line: BalmerLine) -> SmoothedWindow:
    """The window of a line; once per process (50 ms, 3 MB for a strong line)."""
    reach = doppler(VELOCITY_LIMIT + SCAN_REACH) + MARGIN * STEP
    log_wavelength = np.log10(grid.wavelength)
    beyond = int(4.5 * WIDTHS[-1] / pixel_velocity(LOG_STEP))
    first = int(np.searchsorted(log_wavelength, np.log10(line.centre - line.half_width) - reach))
    last = int(np.searchsorted(log_wavelength, np.log10(line.centre + line.half_width) + reach))
    low, high = max(first - beyond, 0), min(last + beyond, len(log_wavelength))
    flux = np.exp(grid.log_flux[:, :, low:high])
    planes = []
    for width in WIDTHS:
        sigma = width / pixel_velocity(LOG_STEP)
        smooth = gaussian_filter1d(flux, sigma, axis=-1, mode="nearest", truncate=4.0)
        logarithm = np.log(smooth[:, :, first - low : last - low : THINNING])
        planes.append(logarithm - logarithm.mean(axis=-1, keepdims=True))
    return SmoothedWindow(line, float(log_wavelength[first]), np.array(planes, dtype=np.float32))


def cubic(values: FloatArray, position: FloatArray) -> FloatArray:
    """Values (..., m), given at 0, 1, ..., m - 1, at positions (n) between 1 and m - 2: (..., n).

    Four-point Lagrange interpolation.
    """
    left: IntArray = position.astype(np.intp)
    t = position - left
    before, after = (t + 1) * t / 2, (t - 1) * (t - 2) / 2
    weights = (-t * after / 3, (t + 1) * after, before * (2 - t), before * (t - 1) / 3)
    total: FloatArray = weights[0] * np.take(values, left - 1, axis=-1)
    for offset in (0, 1, 2):
        total += weights[offset + 1] * np.take(values, left + offset, axis=-1)
    return total
