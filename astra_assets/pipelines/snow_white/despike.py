"""Which pixels of a spectrum say something: missing ones are found, cosmic rays and dead columns taken out.

A spectrograph cannot record anything narrower than its own line spread. What rises from or falls below its
surroundings more steeply than that is no light of the object (the idea of L.A.Cosmic, van Dokkum 2001, PASP
113, 1420, in one dimension). Real lines, however narrow and strong, are at least as wide as the line spread
and stay.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from astra_assets.astronomy.constants import SPEED_OF_LIGHT
from astra_assets.pipelines.white_dwarf.instrument import boss_widths, measured_widths
from astra_assets.spectra.base import Spectrum

SIGNIFICANT = 6.0
"""Residuals from the surroundings, in units of the noise, from which on a pixel may be a spike."""
WIDEST = 3
"""Pixels that a spike may have."""
SURROUNDINGS = 11
"""Pixels whose median a spike is compared with: more than twice the widest spike."""
NOISE_PIXELS = 101
"""Pixels over which the scatter is measured, in case the errors are too small."""
STEEPER = 0.6
"""A neighbour of a spike has less than this share of what the line spread would give it."""
CONSTANT = 10
"""So many equal values in a row are a filling of a gap and no measurement."""
LEAST_WIDTH = 0.6
"""Sigma of the line spread [pixels] below which a line may be a single pixel, and nothing is taken out."""
MOST = 0.1
"""Largest share of the pixels that may be spikes; above it the spectrum is left alone."""
PASSES = 2
"""How often spikes are looked for: next to a high one a lower one is only seen when that is gone."""

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]


def measured_pixels(spectrum: Spectrum) -> BoolArray:
    """True where a pixel was measured: ivar > 0, finite numbers, and not part of a filled gap."""
    flux, ivar = spectrum.flux, spectrum.ivar
    good = (ivar > 0) & np.isfinite(ivar) & np.isfinite(flux) & (spectrum.wavelength > 3000.0)
    return np.asarray(good & ~_filled(flux))


def despiked(spectrum: Spectrum) -> Spectrum:
    """The spectrum with ivar 0 where `measured_pixels` is false or a spike is; flux and errors are not changed."""
    good = measured_pixels(spectrum)
    found = spikes(spectrum.wavelength, spectrum.flux, spectrum.ivar, good, spectrum.wresl)
    if found.sum() > MOST * max(1, int(good.sum())):
        found = np.zeros_like(found)
    return replace(spectrum, ivar=np.where(good & ~found, spectrum.ivar, 0.0))


def spikes(
    wavelength: FloatArray,
    flux: FloatArray,
    ivar: FloatArray,
    good: BoolArray,
    wresl: FloatArray | None = None,
) -> BoolArray:
    """Good pixels that are narrower than the line spread allows, of either sign.

    Args:
        wavelength: vacuum wavelengths [Angstrom], ascending, shape (n,).
        flux: in any unit, shape (n,).
        ivar: inverse variance of the flux, shape (n,).
        good: pixels to be looked at, shape (n,).
        wresl: full width at half maximum of the line spread [Angstrom], shape (n,); None for that of BOSS.
    """
    found = np.zeros(flux.size, dtype=np.bool_)
    for _ in range(PASSES):
        index = np.flatnonzero(good & ~found)
        if index.size < NOISE_PIXELS:
            break
        width = None if wresl is None else wresl[index]
        new = _steep(wavelength[index], flux[index], ivar[index] ** -0.5, width)
        if not new.any():
            break
        found[index[new]] = True
    return found


def _filled(flux: FloatArray) -> BoolArray:
    """True where a value is one of at least `CONSTANT` equal ones in a row, or of three zeros.

    A spectrum most of which is constant is no filled gap; it is left as it is.
    """
    if flux.size < CONSTANT:
        return np.zeros(flux.size, dtype=np.bool_)
    edges = np.flatnonzero(np.concatenate([[True], np.diff(flux) != 0, [True]]))
    length = np.diff(edges)
    value = flux[edges[:-1]]
    constant = (length >= CONSTANT) & (value != 0)
    if length[constant].sum() > 0.5 * flux.size:
        constant[:] = False
    return np.repeat(constant | ((value == 0) & (length >= 3)), length)


def _steep(
    wavelength: FloatArray, flux: FloatArray, sigma: FloatArray, wresl: FloatArray | None
) -> BoolArray:
    pixel = SPEED_OF_LIGHT * np.gradient(np.log(wavelength))  # km/s
    spread = boss_widths(wavelength) if wresl is None else measured_widths(wresl, wavelength)
    width = spread / pixel  # of the line spread, in pixels
    excess = flux - median_filter(flux, SURROUNDINGS, mode="nearest")
    scatter = 1.4826 * _running_median(np.abs(excess))
    limit = SIGNIFICANT * np.maximum(sigma, scatter)
    steep = np.zeros(flux.size, dtype=np.bool_)
    for sign in (1.0, -1.0):
        above = sign * excess
        for count in range(1, WIDEST + 1):
            _mark(steep, above, limit, width, count)
    return steep & (width > LEAST_WIDTH)


def _mark(steep: BoolArray, above: FloatArray, limit: FloatArray, width: FloatArray, count: int) -> None:
    """Mark groups of `count` pixels beyond the limit whose neighbours have less than a line would give them."""
    size = above.size - count - 1
    if size <= 0:
        return
    least = limit[1 : 1 + size]
    beyond = above[1 : 1 + size] > least
    for k in range(1, count):
        beyond &= above[1 + k : 1 + k + size] > least
    start = np.flatnonzero(beyond)  # the pixel before the group
    if not start.size:
        return
    inside = above[start[:, np.newaxis] + np.arange(1, count + 1)]
    reference = inside.min(axis=1)
    # the least steep a line can be that is centred on the group: neighbour over the outermost pixel of it
    half, outside = (count - 1) / 2.0, (count + 1) / 2.0
    share = np.exp(-0.5 * (outside**2 - half**2) / width[start + 1] ** 2)
    noise = limit[start + 1] / SIGNIFICANT
    neighbour = np.maximum(above[start], above[start + count + 1])
    narrow = start[neighbour + noise < STEEPER * share * reference]
    for k in range(count):
        steep[narrow + 1 + k] = True


def _running_median(values: FloatArray) -> FloatArray:
    """Medians of blocks of `NOISE_PIXELS`, interpolated: a running median is not needed that exactly."""
    blocks = max(1, values.size // NOISE_PIXELS)
    size = values.size // blocks
    medians = np.median(values[: blocks * size].reshape(blocks, size), axis=1)
    return np.asarray(np.interp(np.arange(values.size), (np.arange(blocks) + 0.5) * size, medians))
