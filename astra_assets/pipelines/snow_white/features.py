"""What the classifier sees of a spectrum: one vector of numbers, whatever its wavelengths and pixels.

Four groups: the spectrum divided by a smooth pseudo-continuum, on coarse pixels of 345 km/s; equivalent
widths and central depths of lines against their own surroundings; how well the Balmer lines of some model DA
match (a matched filter, for faint spectra); a few global numbers. All tolerate velocities of some hundred
km/s, and each is drawn towards "nothing there" where noise dominates, so that a poor spectrum looks like a
featureless one and not like a strange one.

What is missing is said: each line, flux ratio and block of coarse pixels has a number of its own that tells
whether it was measured; the numbers of what was not are 0. Spikes are taken out before (`despike.py`). No
training here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from astra_assets.astronomy.constants import SPEED_OF_LIGHT
from astra_assets.pipelines.base import Unusable
from astra_assets.pipelines.snow_white.despike import despiked
from astra_assets.pipelines.white_dwarf.grid import load_grid
from astra_assets.spectra.base import Spectrum

FloatArray = NDArray[np.float64]

FEATURE_VERSION = "2"
"""Version of the vector; a classifier names the one that it was trained on. Change it with any change of
the numbers."""

LOG_START, LOG_STEP, N_PIXELS = 3.5700, 5e-4, 788
"""The coarse pixels: log10 of the first one's lower edge (3715 A), their width, their number (up to 9200
A)."""
CONTINUUM_DEGREE = 5
_CLIP = (-2.0, 3.0)  # of the residuals from the continuum, in units of their error: lines mostly absorb
_FLOOR = 0.03  # relative error that is always granted to the pseudo-continuum's shape
_SHRINK = 0.12  # relative error of a coarse pixel at which its deviation from the continuum counts half
_CORE = 350.0  # km/s on either side of a line's centre in which its depth is measured
BLOCKS = 16
"""Blocks of coarse pixels for each of which the share that has data is told."""
MINIMUM_WINDOW = 0.6
"""Share of a line's window, and of each band beside it, that must have data for the line to be measured."""
MATCHED_TEFF = (6500.0, 8000.0, 10_000.0, 13_000.0, 18_000.0, 26_000.0, 45_000.0)
"""Temperatures [K] of the model DA, of logg 8, that are used as matched filters."""
MINIMUM_COVERAGE = 0.4
"""Least share of the coarse pixels between 3850 and 7000 A that must have data."""


@dataclass(frozen=True)
class Window:
    """Where a line is measured.

    Vacuum `centre`, `half` the width of the integration, width of the continuum band at either `side`
    [Angstrom].
    """

    name: str
    centre: float
    half: float
    side: float


WINDOWS = (
    Window("h_alpha", 6564.6, 60, 40),
    Window("h_alpha_core", 6564.6, 16, 16),
    Window("h_beta", 4862.7, 60, 30),
    Window("h_beta_core", 4862.7, 13, 13),
    Window("h_gamma", 4341.7, 55, 20),
    Window("h_gamma_core", 4341.7, 11, 11),
    Window("h_delta", 4102.9, 45, 15),
    Window("h_delta_core", 4102.9, 10, 10),
    Window("h_epsilon", 3971.2, 22, 9),
    Window("h_epsilon_core", 3971.2, 9, 8),
    Window("h_8", 3890.2, 17, 8),
    Window("h_9", 3836.5, 13, 6),
    Window("h_10", 3799.0, 11, 6),
    Window("he_i_4026", 4027.3, 12, 10),
    Window("he_i_4388", 4389.2, 11, 9),
    Window("he_i_4471", 4472.7, 15, 12),
    Window("he_i_4922", 4923.3, 12, 10),
    Window("he_i_5016", 5017.1, 12, 10),
    Window("he_i_5876", 5877.3, 18, 15),
    Window("he_i_6678", 6680.0, 18, 15),
    Window("he_i_7065", 7067.2, 18, 15),
    Window("he_ii_4200", 4201.0, 11, 9),
    Window("he_ii_4542", 4542.9, 14, 12),
    Window("he_ii_4686", 4687.0, 20, 15),
    Window("he_ii_5412", 5413.0, 18, 15),
    Window("ca_ii_k", 3934.8, 8, 7),
    Window("ca_ii_k_broad", 3934.8, 24, 10),
    Window("ca_i_4227", 4227.9, 8, 8),
    Window("ca_ii_8498", 8500.4, 11, 8),
    Window("ca_ii_8542", 8544.4, 13, 9),
    Window("ca_ii_8662", 8664.5, 13, 9),
    Window("g_band", 4303.0, 18, 12),
    Window("fe_i_4384", 4384.8, 8, 8),
    Window("mg_b", 5176.0, 25, 20),
    Window("fe_i_5270", 5271.0, 10, 10),
    Window("mg_h", 5180.0, 80, 40),
    Window("na_d", 5894.6, 14, 12),
    Window("na_i_8190", 8191.0, 18, 15),
    Window("c2_4737", 4690.0, 70, 30),
    Window("c2_5165", 5110.0, 80, 30),
    Window("c2_5636", 5570.0, 90, 30),
    Window("tio_6159", 6220.0, 70, 30),
    Window("tio_7054", 7120.0, 80, 30),
    Window("k_i_7680", 7685.0, 30, 25),
)
"""The lines and bands that are measured. The centres are rounded, and stay so: the classifier was trained on them."""

RATIOS = (
    ("break_4000", (4010.0, 4100.0), (3850.0, 3955.0)),
    ("balmer_jump", (4000.0, 4070.0), (3600.0, 3660.0)),
    ("cah_tio", (7130.0, 7200.0), (7000.0, 7045.0)),
    ("blue", (4150.0, 4250.0), (5450.0, 5550.0)),
    ("red", (7350.0, 7550.0), (5450.0, 5550.0)),
    ("infrared", (9000.0, 9180.0), (7350.0, 7550.0)),
)
"""Names and wavelength ranges [Angstrom] of flux ratios: breaks and colours."""

GLOBALS = (
    "snr",
    "scatter_blue",
    "scatter_red",
    "peaks_blue",
    "peaks_red",
    "highest",
    "dips_blue",
    "dips_red",
    "deepest",
)


def feature_names() -> tuple[str, ...]:
    """Names of the numbers that `extract` returns, in order."""
    pixels = tuple(f"pixel_{number}" for number in range(N_PIXELS))
    kinds = ("width", "significance", "depth", "measured")
    lines = tuple(f"{window.name}_{kind}" for window in WINDOWS for kind in kinds)
    ratios = tuple(f"{name}_{kind}" for name, _, _ in RATIOS for kind in ("ratio", "measured"))
    blocks = tuple(f"covered_{number}" for number in range(BLOCKS))
    matched = tuple(f"da_{teff:.0f}_{kind}" for teff in MATCHED_TEFF for kind in ("strength", "significance"))
    return (*pixels, *lines, *ratios, *GLOBALS, *blocks, *matched)


def extract(spectrum: Spectrum) -> NDArray[np.float32]:
    """The feature vector of a spectrum, shape (len(feature_names()),), all finite.

    Raises:
        Unusable: `no_flux` (no pixel with information, or only zeros), `too_little_coverage`.
    """
    return extract_measured(despiked(spectrum))


def extract_measured(spectrum: Spectrum) -> NDArray[np.float32]:
    """The same of a spectrum that has been `despiked`: every pixel with ivar > 0 counts."""
    good = spectrum.ivar > 0
    if not good.any() or not spectrum.flux[good].any():
        raise Unusable("no_flux", "no pixel has both ivar > 0 and a flux other than zero")
    wavelength, flux, ivar = spectrum.wavelength[good], spectrum.flux[good], spectrum.ivar[good]
    if spectrum.wavelength.size < N_PIXELS // 100:
        raise Unusable("too_little_coverage", f"{spectrum.wavelength.size} pixels are no spectrum")
    step = np.asarray(np.gradient(spectrum.wavelength), dtype=np.float64)[good]
    flux, ivar = _scaled(flux, ivar)
    coarse, sigma = rebinned(wavelength, flux, ivar)
    _check_coverage(sigma)
    continuum = pseudo_continuum(coarse, sigma)
    relative, error = coarse / continuum - 1.0, sigma / continuum
    pixels = np.clip(relative / (1.0 + (error / _SHRINK) ** 2), -1.2, 3.0)
    numbers = (
        pixels,
        _lines(wavelength, flux, ivar, step),
        _ratios(wavelength, flux, ivar),
        _globals(relative, error),
        _blocks(np.isfinite(sigma)),
        _matched(relative, error),
    )
    return np.concatenate(numbers).astype(np.float32)


def _scaled(flux: FloatArray, ivar: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Flux and ivar in units of a typical flux, and no pixel better than 0.5 %: calibration is not."""
    level = float(np.median(np.abs(flux)))
    if level == 0:
        level = float(np.mean(np.abs(flux)))
    variance = 1.0 / (ivar * level**2) + 0.005**2
    return flux / level, 1.0 / variance


def rebinned(wavelength: FloatArray, flux: FloatArray, ivar: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Weighted mean flux of the coarse pixels, shape (N_PIXELS,), and its error, infinite without data."""
    index = np.floor((np.log10(wavelength) - LOG_START) / LOG_STEP).astype(np.intp)
    inside = (index >= 0) & (index < N_PIXELS)
    weight = np.bincount(index[inside], ivar[inside], N_PIXELS)
    total = np.bincount(index[inside], ivar[inside] * flux[inside], N_PIXELS)
    filled = weight > 0
    mean = np.divide(total, weight, out=np.zeros(N_PIXELS), where=filled)
    error = np.full(N_PIXELS, np.inf)
    error[filled] = weight[filled] ** -0.5
    return mean, error


def coarse_wavelength() -> FloatArray:
    """Central wavelengths [Angstrom] of the coarse pixels."""
    return np.asarray(10.0 ** (LOG_START + LOG_STEP * (np.arange(N_PIXELS) + 0.5)))


def _check_coverage(sigma: FloatArray) -> None:
    wavelength = coarse_wavelength()
    needed = (wavelength > 3850) & (wavelength < 7000)
    share = float(np.isfinite(sigma[needed]).mean())
    if share < MINIMUM_COVERAGE:
        raise Unusable(
            "too_little_coverage",
            f"only {share:.0%} of 3850 to 7000 Angstrom has data, {MINIMUM_COVERAGE:.0%} are needed; "
            "wavelengths are expected in Angstrom",
        )


@cache
def _polynomials() -> FloatArray:
    places = np.linspace(-1.0, 1.0, N_PIXELS)
    basis = np.asarray(np.polynomial.chebyshev.chebvander(places, CONTINUUM_DEGREE), dtype=np.float64)
    basis.setflags(write=False)
    return basis


def pseudo_continuum(flux: FloatArray, sigma: FloatArray) -> FloatArray:
    """A polynomial in log wavelength through the upper part of the coarse pixels.

    It is never below a twentieth of their median.
    """
    basis = _polynomials()
    data = np.isfinite(sigma)
    floor = 0.05 * float(np.median(np.abs(flux[data])))
    continuum: FloatArray = np.full(N_PIXELS, float(np.median(flux[data])))
    kept = data
    for _ in range(6):
        variance = sigma[kept] ** 2 + (_FLOOR * continuum[kept]) ** 2
        weighted = basis[kept] / variance[:, np.newaxis]
        normal = weighted.T @ basis[kept] + 1e-6 * np.eye(CONTINUUM_DEGREE + 1)
        fitted = basis @ np.linalg.solve(normal, weighted.T @ flux[kept])
        continuum = np.asarray(np.maximum(fitted, floor), dtype=np.float64)
        residual = (flux - continuum) / np.hypot(np.where(data, sigma, 1.0), _FLOOR * continuum)
        chosen = data & (residual > _CLIP[0]) & (residual < _CLIP[1])
        if chosen.sum() < 0.25 * data.sum():
            break
        kept = chosen
    return continuum


def _lines(wavelength: FloatArray, flux: FloatArray, ivar: FloatArray, step: FloatArray) -> FloatArray:
    """Equivalent width, its significance, central depth of every window, of order unity; 1 where measured."""
    numbers = np.zeros((len(WINDOWS), 4))
    for row, window in zip(numbers, WINDOWS, strict=True):
        measured = measure(wavelength, flux, ivar, step, window)
        if measured is not None:
            width, error, depth, depth_error = measured
            row[0] = np.arcsinh(width / 2.0 / (1.0 + (error / 2.0) ** 2))
            row[1] = np.arcsinh(width / error / 3.0)
            row[2] = np.clip(depth, -3.0, 1.5) / (1.0 + (depth_error / _SHRINK) ** 2)
            row[3] = 1.0
    return numbers.ravel()


def measure(wavelength: FloatArray, flux: FloatArray, ivar: FloatArray, step: FloatArray,
            window: Window) -> tuple[float, float, float, float] | None:  # fmt: skip
    """Equivalent width of a line, its error, its depth within 350 km/s of the centre, its error.

    Widths are in Angstrom and positive in absorption, depths in units of the continuum: the straight line
    through the weighted means of the two side bands. None where less than `MINIMUM_WINDOW` of a band, of the
    line or of its centre has data. `step` is the width of each pixel [Angstrom].
    """
    edges = window.centre + np.array(
        [-window.half - window.side, -window.half, window.half, window.half + window.side]
    )
    first, left, right, last = np.searchsorted(wavelength, edges)
    if left - first < 2 or last - right < 2 or right - left < 3:
        return None
    bands = [slice(first, left), slice(right, last)]
    covered = np.concatenate([[0.0], step[first:last].cumsum()])
    in_line = float(covered[right - first] - covered[left - first])
    sides = (float(covered[left - first]), float(covered[-1] - covered[right - first]))
    if min(sides) < MINIMUM_WINDOW * window.side or in_line < MINIMUM_WINDOW * 2 * window.half:
        return None
    reach = window.centre * _CORE / SPEED_OF_LIGHT
    low, high = np.searchsorted(wavelength[left:right], [window.centre - reach, window.centre + reach])
    core = slice(low, high)
    if covered[left + high - first] - covered[left + low - first] < MINIMUM_WINDOW * 2 * reach:
        return None
    weight = [float(ivar[band].sum()) for band in bands]
    level = [float((ivar[band] * flux[band]).sum()) / w for band, w in zip(bands, weight, strict=True)]
    middle = [edges[0] + window.side / 2, edges[3] - window.side / 2]
    mean = 0.5 * (level[0] + level[1])
    if mean <= 0:
        return None
    inner = slice(left, right)
    continuum = level[0] + (level[1] - level[0]) * (wavelength[inner] - middle[0]) / (middle[1] - middle[0])
    missing = (flux[inner] - continuum) / mean
    width = -float((missing * step[inner]).sum()) * 2 * window.half / in_line
    error = np.sqrt(float((step[inner] ** 2 / ivar[inner]).sum())
                    + window.half**2 * (1 / weight[0] + 1 / weight[1])) / mean  # fmt: skip
    weights = ivar[inner][core]
    depth = -float((weights * missing[core]).sum() / weights.sum())
    return width, float(error), depth, float(weights.sum() ** -0.5 / mean)


def _ratios(wavelength: FloatArray, flux: FloatArray, ivar: FloatArray) -> FloatArray:
    """Logarithms of the flux ratios, each followed by 1 where it was measured; else both are 0."""
    values = np.array(
        [
            np.log(_mean(wavelength, flux, ivar, one) / _mean(wavelength, flux, ivar, two))
            for _, one, two in RATIOS
        ]
    )
    measured = np.isfinite(values)
    limited = np.clip(np.where(measured, values, 0.0), -3.0, 3.0)
    return np.stack([limited, measured.astype(np.float64)], axis=1).ravel()


def _mean(wavelength: FloatArray, flux: FloatArray, ivar: FloatArray, limits: tuple[float, float]) -> float:
    """Weighted mean flux, at least three of its errors; NaN where there is no data."""
    first, last = np.searchsorted(wavelength, limits)
    weight = float(ivar[first:last].sum())
    if last - first < 5 or weight == 0:
        return float("nan")
    mean = float((ivar[first:last] * flux[first:last]).sum()) / weight
    return max(mean, 3.0 / math.sqrt(weight))


def _globals(relative: FloatArray, error: FloatArray) -> FloatArray:
    """Noise, scatter about the continuum, and how many coarse pixels stand out, in the order of `GLOBALS`."""
    data = np.isfinite(error)
    wavelength = coarse_wavelength()
    significance = np.where(data, relative / np.where(data, error, 1.0), 0.0)
    halves = [data & (wavelength < 5500), data & (wavelength >= 5500) & (wavelength < 9000)]
    numbers = [np.arcsinh(1.0 / (10.0 * float(np.median(error[data]))))]
    for half in halves:
        scatter = np.mean(np.clip(significance[half], -30, 30) ** 2) if half.any() else 1.0
        numbers.append(np.arcsinh(np.sqrt(scatter)))
    for sign in (1.0, -1.0):
        stands_out = (sign * significance > 4.0) & (sign * relative > 0.05)
        numbers += [5.0 * float(np.mean(stands_out[half])) if half.any() else 0.0 for half in halves]
        numbers.append(
            np.arcsinh(
                max(float(np.max((sign * relative)[data & (significance * sign > 4.0)], initial=0.0)), 0.0)
            )
        )
    return np.array(numbers)


def _blocks(data: NDArray[np.bool_]) -> FloatArray:
    """The share of the coarse pixels of each block that has data."""
    return np.array([float(block.mean()) for block in np.array_split(data, BLOCKS)])


@cache
def _templates() -> FloatArray:
    """Model DA of `MATCHED_TEFF` less their pseudo-continuum, relative to it, on the coarse pixels."""
    grid = load_grid()
    found = []
    for teff in MATCHED_TEFF:
        flux = grid.flux(teff, 8.0)
        flux = flux / float(np.median(flux))
        coarse, _ = rebinned(grid.wavelength, flux, np.ones_like(flux))
        found.append(coarse / pseudo_continuum(coarse, np.full(N_PIXELS, 0.01)) - 1.0)
    templates = np.array(found)
    templates.setflags(write=False)
    return templates


def _matched(relative: FloatArray, error: FloatArray) -> FloatArray:
    """How strong the lines of each model DA are in the spectrum (1: as in the model), and how significant that is."""
    templates = _templates()
    data = np.isfinite(error)
    weight = np.where(data, 1.0 / (np.where(data, error, 1.0) ** 2 + 0.03**2), 0.0)
    values = np.where(data, np.clip(relative, -1.0, 1.0), 0.0)
    norm = templates**2 @ weight
    overlap = templates @ (weight * values)
    # half a unit of information keeps a spectrum without lines in range from dividing by nothing
    strength = np.clip(overlap / (norm + 0.5), -2.0, 2.0)
    significance = np.arcsinh(overlap / np.sqrt(norm + 0.5) / 3.0)
    return np.stack([strength, significance], axis=1).ravel()
