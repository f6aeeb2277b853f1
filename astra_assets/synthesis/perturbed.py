"""DA spectra that are not those of the grid: what a fit meets in nature, where no model is exact.

The grid's spectra are changed beyond what interpolation in it can undo: line profiles are stretched or squeezed
(Stark broadening differs between published profiles by some 5 %: Tremblay & Bergeron 2009, ApJ 696, 1755),
depths scaled, cores filled in or deepened, and between 8000 and 14,000 K the lines are those of another
temperature than the continuum (3D against mixing-length convection, up to 3 %: Tremblay et al. 2013, A&A 559,
A104). Truth made of them can show that a fit is wrong; truth made of the grid cannot.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from astra_assets.pipelines.white_dwarf.balmer_lines import BALMER
from astra_assets.pipelines.white_dwarf.grid import load_grid
from astra_assets.synthesis import opacity
from astra_assets.synthesis.opacity import FloatArray, wavelength_scale

CONTINUUM = (3560.0, 4220.0, 4620.0, 5300.0, 6000.0, 6260.0, 6900.0, 7500.0, 8100.0, 10_400.0)
"""Wavelengths [Angstrom] that the local continuum of a DA is drawn through; the first stands for the Balmer jump."""


@dataclass(frozen=True)
class Perturbation:
    """How a spectrum differs from that of the grid: relative changes, 0 for none.

    `width` stretches line profiles, `strength` scales their depth in the logarithm, `core` adds to the flux of
    cores (in units of the continuum), `convection` changes the temperature of the lines near 11,000 K.
    """

    width: float = 0.0
    strength: float = 0.0
    core: float = 0.0
    convection: float = 0.0

    @classmethod
    def drawn(cls, rng: np.random.Generator, size: float = 1.0) -> Perturbation:
        """A random one; `size` 1 is what published models differ by."""
        return cls(
            width=float(rng.normal(0.0, 0.03 * size)),
            strength=float(rng.normal(0.0, 0.03 * size)),
            core=float(rng.normal(0.0, 0.03 * size)),
            convection=float(rng.normal(0.0, 0.02 * size)),
        )


def perturbed_da(teff: float, logg: float, perturbation: Perturbation) -> FloatArray:
    """Flux of a DA of the grid's temperature [K] and gravity, changed, on the common scale."""
    grid = load_grid()
    flux = grid.flux(teff, logg)
    near = float(np.exp(-0.5 * (np.log(teff / 11_000.0) / 0.25) ** 2))
    shifted = float(np.clip(teff * (1.0 + perturbation.convection * near), *grid.teff_range))
    other = grid.flux(shifted, logg)
    lines = other / _continuum(other)
    lines = np.interp(_stretched(perturbation.width), wavelength_scale(), lines)
    lines = np.exp((1.0 + perturbation.strength) * np.log(np.maximum(lines, 1e-6)))
    for line in BALMER[:6]:
        lines = lines + perturbation.core * opacity.gaussian(line.centre, 1.5) * (lines < 1.0)
    return np.asarray(_continuum(flux) * np.maximum(lines, 1e-3))


def _continuum(flux: FloatArray) -> FloatArray:
    """The logarithm interpolated between `CONTINUUM`; smooth on both sides of lines, not across the Balmer jump."""
    wavelength = wavelength_scale()
    knots = np.log(CONTINUUM)
    levels = np.log(np.interp(CONTINUUM, wavelength, flux))
    return np.asarray(np.exp(np.interp(np.log(wavelength), knots, levels)))


def _stretched(width: float) -> FloatArray:
    """Where the common scale's pixels are taken from when lines are stretched by a relative `width`.

    Halfway between two lines nothing is moved.
    """
    wavelength = wavelength_scale()
    centres = np.array([opacity.balmer_wavelength(upper) for upper in range(12, 2, -1)])
    edges = np.concatenate([[3745.0], 0.5 * (centres[1:] + centres[:-1]), [7200.0]])
    places = wavelength.copy()
    for centre, low, high in zip(centres, edges[:-1], edges[1:], strict=True):
        reach = min(centre - low, high - centre, 150.0)
        distance = wavelength - centre
        taper = np.clip(1.0 - (distance / reach) ** 2, 0.0, 1.0)
        places -= width / (1.0 + width) * distance * taper
    return places
