"""Put a spectrum on a common grid, with its errors and its pixel flags, by a damped sinc kernel.

The method is Astra's (from the APOGEE reduction, Nidever et al. 2015, AJ 150, 173): each output pixel is a
sum over input pixels, with a sinc that passes what `n_res` pixels per resolution element can hold, times a
Gaussian that ends it softly. Where Astra's arithmetic is doubtful we differ:

- the weights of each output pixel sum to one, also at the ends of the spectrum and where the kernel is
  centred on an input pixel, so that a constant stays that constant;
- the Gaussian has a width of 3.25 Nyquist samples, the usual value for a kernel of 21 samples. Astra divides
  by the sampling twice, which leaves a fifth of the weight where the kernel is cut off, and so rings;
- pixels without information (ivar 0 or not finite) are bridged linearly from their neighbours, not by a
  median over 501 pixels, which is continuum even where the gap is in a line. They count as absent in the
  errors: ivar is multiplied by the share of the kernel's power that lies on good pixels, and is 0 below one
  half;
- negative flux is no reason to reject a pixel: rejecting it makes faint spectra too bright.

Detectors (the three chips of APOGEE) are resampled one by one, each with its own number of pixels per
resolution element; pixels of the grid in the gaps between them have flux and ivar 0.

Neighbouring output pixels share input pixels: their errors are correlated over about `n_res` / 2 pixels,
while `ivar` is the inverse variance of each pixel by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from astra_assets.spectra.base import BitPixels, FloatPixels, Spectrum
from astra_assets.spectra.good_pixels import good_pixels
from astra_assets.spectra.grid import LogLinearGrid

if TYPE_CHECKING:
    # Imported where it is used: whoever only plans work resamples nothing, and scipy takes long to import.
    from scipy.sparse import csr_array

N_RES = (5.0,)
"""Pixels per resolution element that Astra assumes for BOSS, whose two cameras are one spectrum."""

DAMPING = 3.25
"""Width of the kernel's Gaussian in Nyquist samples (half a resolution element)."""

KERNEL_SAMPLES = 21
"""Length of the kernel in Nyquist samples."""

FLAG_THRESHOLD = 0.1
"""An output pixel gets a bit whose resampled 0/1 pattern exceeds this (Astra)."""

MINIMUM_SHARE = 0.5
"""Below this share of the kernel's power on good pixels, an output pixel has ivar 0."""

# The kernel is tabulated at this many phases: positions are right to 1/4096 pixel (17 m/s for BOSS, 1 m/s for APOGEE).
_PHASES = 2048

Weights: TypeAlias = "csr_array[np.float64, tuple[int, int]]"


@dataclass(frozen=True, slots=True)
class GridSpectrum:
    """A spectrum on a common grid, arrays of shape (n_pixels,); flux and ivar are 0 outside the input."""

    flux: FloatPixels
    ivar: FloatPixels
    pixel_flags: BitPixels
    wresl: FloatPixels
    """Resolution of the input in Angstrom, NaN where it is not known."""


def resample(
    spectrum: Spectrum, rest_wavelength: FloatPixels, grid: LogLinearGrid, n_res: Sequence[float] = N_RES
) -> GridSpectrum:
    """`spectrum` on `grid`; its pixels lie at `rest_wavelength` (Angstrom, ascending).

    `n_res` is the number of pixels per resolution element, of each detector where there are several: these
    have as many equal parts of the pixels, and nothing is carried over from one to the next.
    """
    result = GridSpectrum(
        flux=np.zeros(grid.n_pixels),
        ivar=np.zeros(grid.n_pixels),
        pixel_flags=np.zeros(grid.n_pixels, dtype=np.int64),
        wresl=np.full(grid.n_pixels, np.nan),
    )
    log_wavelength = np.log10(rest_wavelength)
    size = len(log_wavelength) // len(n_res)
    for number, own_n_res in enumerate(n_res):
        part = slice(number * size, (number + 1) * size)
        position = np.interp(
            grid.log_wavelength, log_wavelength[part], np.arange(size), left=np.nan, right=np.nan
        )
        _fill(result, spectrum, part, position, own_n_res)
    return result


def _fill(result: GridSpectrum, spectrum: Spectrum, part: slice, position: FloatPixels, n_res: float) -> None:
    """Fill in the pixels of the grid that lie within one detector: at a `position` in its pixels that is no NaN."""
    (inside,) = np.nonzero(np.isfinite(position))
    flux = spectrum.flux[part]
    weights = _weights(position[inside], len(flux), n_res)
    result.flux[inside], result.ivar[inside] = _resample_flux(weights, flux, spectrum.ivar[part])
    if spectrum.pixel_flags is not None:
        result.pixel_flags[inside] = _resample_bits(weights, spectrum.pixel_flags[part])
    if spectrum.wresl is not None:
        result.wresl[inside] = np.interp(position[inside], np.arange(len(flux)), spectrum.wresl[part])


def kernel(offset: FloatPixels, n_res: float) -> FloatPixels:
    """The damped sinc, not normalised, at offsets in pixels."""
    x = offset / (n_res / 2)
    return np.asarray(np.sinc(x) * np.exp(-((x / DAMPING) ** 2)))


@lru_cache(maxsize=8)
def _kernel_table(n_res: float) -> FloatPixels:
    """The kernel at all phases, shape (_PHASES + 1, taps); the output is `phase` after the middle tap."""
    half = int(KERNEL_SAMPLES * n_res / 2) // 2
    taps = np.arange(-half, half + 1)
    phase = np.arange(_PHASES + 1) / _PHASES
    return kernel(taps[None, :] - phase[:, None], n_res)


def _weights(position: FloatPixels, n_in: int, n_res: float) -> Weights:
    """The linear map from input to output pixels; rows sum to one. `position` is in input pixels."""
    from scipy.sparse import csr_array

    table = _kernel_table(n_res)
    taps = table.shape[1]
    whole = np.floor(position)
    values = table[np.rint((position - whole) * _PHASES).astype(np.intp)]
    columns = whole.astype(np.int32)[:, None] + np.arange(-(taps // 2), taps // 2 + 1, dtype=np.int32)
    # Taps beyond an end of the spectrum get no weight; where they point is then of no matter.
    values[(columns < 0) | (columns >= n_in)] = 0.0
    np.clip(columns, 0, n_in - 1, out=columns)
    values /= values.sum(axis=1, keepdims=True)
    rows = np.arange(0, values.size + 1, taps, dtype=np.int32)
    return csr_array((values.ravel(), columns.ravel(), rows), shape=(len(position), n_in))


def _resample_flux(weights: Weights, flux: FloatPixels, ivar: FloatPixels) -> tuple[FloatPixels, FloatPixels]:
    from scipy.sparse import csr_array

    good = good_pixels(flux, ivar)
    if not good.any():
        nothing = np.zeros(weights.shape[0])
        return nothing, nothing
    pixel = np.arange(len(flux))
    bridged = np.interp(pixel, pixel[good], flux[good])
    variance = np.interp(pixel, pixel[good], 1.0 / ivar[good])
    power = csr_array((weights.data**2, weights.indices, weights.indptr), shape=weights.shape)
    summed = power @ np.column_stack([variance, good, np.ones(len(flux))])
    share = summed[:, 1] / summed[:, 2]
    return np.asarray(weights @ bridged), np.where(share >= MINIMUM_SHARE, share / summed[:, 0], 0.0)


def _resample_bits(weights: Weights, flags: BitPixels) -> BitPixels:
    present = int(np.bitwise_or.reduce(flags))
    bits = np.array([bit for bit in range(63) if present >> bit & 1], dtype=np.int64)
    patterns = (flags[:, None] >> bits) & 1
    reached = np.abs(weights @ patterns.astype(np.float64)) > FLAG_THRESHOLD
    return np.asarray(np.bitwise_or.reduce(reached.astype(np.int64) << bits, axis=1, initial=0))
