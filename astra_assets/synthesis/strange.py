"""Spectra of nothing in particular: what the classifier must call unknown.

They are made to have the sizes and slopes of real spectra and lines of the usual widths, but at places where no
kind has them: mirrored spectra, random lines on random continua, fringes, steps, noise.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from astra_assets.synthesis import opacity
from astra_assets.synthesis.opacity import Drawn, FloatArray, wavelength_scale

_NAN = float("nan")


def draw_strange(rng: np.random.Generator, others: Callable[[np.random.Generator], Drawn]) -> Drawn:
    """A spectrum of no known kind; `others` draws one of a known kind, to be mirrored."""
    wavelength = wavelength_scale()
    what = rng.random()
    if what < 0.35:
        flux = _mirrored(others(rng)[2])
    elif what < 0.75:
        flux = _random_lines(rng)
    elif what < 0.85:
        period = np.exp(rng.uniform(np.log(0.01), np.log(0.08)))
        wave = np.sin(2 * np.pi * np.log(wavelength) / period + rng.uniform(0.0, 6.3))
        flux = _continuum(rng) * (1.0 + rng.uniform(0.15, 0.7) * wave)
    else:
        steps = np.cumsum(rng.normal(0.0, 0.6, int(rng.integers(4, 14))))
        number = np.linspace(0.0, len(steps) - 1e-6, wavelength.size).astype(np.intp)
        flux = _continuum(rng) * np.exp(steps[number] - steps.mean())
    return _NAN, _NAN, np.asarray(flux)


def _mirrored(flux: FloatArray) -> FloatArray:
    """The lines of a spectrum in the wrong order, on its own continuum."""
    smooth = opacity.smoothed(flux, 15_000.0)
    return np.asarray(smooth * np.clip((flux / smooth)[::-1], 0.0, 30.0))


def _continuum(rng: np.random.Generator) -> FloatArray:
    slope = rng.uniform(-4.0, 3.0)
    curved = rng.normal(0.0, 1.0)
    phase = np.log(wavelength_scale() / 6000.0)
    return np.asarray(np.exp(slope * phase + curved * phase**2))


def _random_lines(rng: np.random.Generator) -> FloatArray:
    flux = _continuum(rng)
    for _ in range(int(rng.integers(4, 20))):
        centre = float(rng.uniform(3800.0, 9200.0))
        sigma = float(np.exp(rng.uniform(np.log(3.0), np.log(90.0))))
        depth = float(rng.uniform(0.15, 0.8))
        if rng.random() < 0.3:
            flux = flux * (1.0 + rng.uniform(0.3, 3.0) * opacity.gaussian(centre, sigma))
        else:
            flux = flux * (1.0 - depth * opacity.gaussian(centre, sigma))
    return np.asarray(flux)
