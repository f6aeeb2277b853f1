"""Spectra of stars in the H band: a blackbody under lines of atoms, molecules and hydrogen.

An approximation that has the features a pipeline looks for, each with the right trend: it is not for measuring stars.
The optical depth of a line of a neutral atom that is mostly ionised follows from Saha's and Boltzmann's laws with the
opacity of H- (Gray 2005, The Observation and Analysis of Stellar Photospheres, chapter 13): log tau grows with
metallicity and with (energy - 0.75) * 5040 K / teff, and does not depend on the pressure.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from astra_assets.astronomy.constants import SPEED_OF_LIGHT
from astra_assets.spectra.airvac import air_to_vacuum
from astra_assets.spectra.grid import LogLinearGrid
from astra_assets.synthesis.h_band_lines import (
    BRACKETT,
    CO_LOWER,
    CO_ROTATION,
    CO_VIBRATION,
    LINES,
    RYDBERG,
    SPECIES,
)
from astra_assets.synthesis.opacity import FloatArray, planck

GRID = LogLinearGrid(crval=4.1755, cdelt=3e-6, n_pixels=19_500)
"""14,980 to 17,140 Angstrom; one pixel is 2.07 km/s."""
REFERENCE_TEFF, REFERENCE_LOGG = 4500.0, 3.0
"""The star whose depths are in the list of lines."""
COOLEST = 4200.0
"""K; in cooler stars most atoms are neutral, and their lines grow no further."""
INSTRUMENT = 5.66
"""km/s; sigma of the line spread function, a resolving power of 22,500 (Majewski et al. 2017, AJ 154, 94)."""
TURBULENCE = 4.0
"""km/s; sigma of the motions in an atmosphere, and of the slow rotation of most stars."""
REACH = 5.0
"""Lines end so many sigma from their centre."""
LEVEL_RANGE = (15_900.0, 16_500.0)
"""Angstrom; where the median flux is 1."""
CO_LINES = 40
CO_DEPTH = 0.07
"""Depth of one line near the head of a band of CO in the reference star."""
CO_ENERGY, CO_GRAVITY, CO_COOLEST = 3.0, -0.15, 3600.0
"""As of a species: bands of CO are strong in cool giants, and weak in dwarfs (Meyer et al. 1998, ApJ 508, 397)."""
SATURATED = 0.7
"""Depth of a line however many atoms there are: the surface shines as well."""


@dataclass(frozen=True)
class Atmosphere:
    """What a spectrum depends on: K, log cm s-2, [Fe/H], and the projected velocity of rotation in km/s."""

    teff: float
    logg: float
    fe_h: float
    v_sini: float = 0.0


@dataclass(frozen=True)
class _Lines:
    """Lines as arrays: pixel of the grid, optical depth in the reference star, and how it changes."""

    pixel: FloatArray
    tau: FloatArray
    slope: FloatArray
    gravity: FloatArray
    coolest: FloatArray


@cache
def _lines() -> _Lines:
    pixel, tau, slope, gravity, coolest = [], [], [], [], []
    for name, members in LINES:
        species = SPECIES[name]
        for wavelength, depth in members:
            pixel.append(float(GRID.position(air_to_vacuum(np.array([wavelength])))[0]))
            tau.append(-np.log(1.0 - depth))
            slope.append(species.energy - 0.75)
            gravity.append(species.gravity)
            coolest.append(COOLEST if name != "OH" else CO_COOLEST)
    for wavelength, depth in _carbon_monoxide():
        pixel.append(float(GRID.position(np.array([wavelength]))[0]))
        tau.append(-np.log(1.0 - depth))
        slope.append(CO_ENERGY - 0.75)
        gravity.append(CO_GRAVITY)
        coolest.append(CO_COOLEST)
    return _Lines(*(np.array(column) for column in (pixel, tau, slope, gravity, coolest)))


def _carbon_monoxide() -> list[tuple[float, float]]:
    """Lines of CO in vacuum: those near the heads of the bands, from where they run to the red ever more widely spaced."""
    omega, anharmonic = CO_VIBRATION
    rotation, coupling = CO_ROTATION
    found = []
    for lower in CO_LOWER:
        origin = 3 * omega - anharmonic * (6 * lower + 12)
        total = 2 * rotation - coupling * (2 * lower + 4)
        narrowing = 3 * coupling
        head = origin + total**2 / (4 * narrowing)
        found += [(1e8 / (head - narrowing * k**2), CO_DEPTH * np.exp(-k / 18.0)) for k in range(CO_LINES)]
    return found


def star(atmosphere: Atmosphere) -> NDArray[np.float32]:
    """F_lambda on `GRID` in units of its median between 15,900 and 16,500 Angstrom, at APOGEE's resolution."""
    continuum = planck(GRID.wavelength, atmosphere.teff)
    lines = SATURATED * (1.0 - np.exp(-_metals(atmosphere) / SATURATED))
    flux = continuum * (1.0 - lines) * (1.0 - _hydrogen(atmosphere))
    near = slice(*np.searchsorted(GRID.wavelength, LEVEL_RANGE))
    return np.asarray(flux / np.median(flux[near]), dtype=np.float32)


def _metals(atmosphere: Atmosphere) -> FloatArray:
    """Optical depth of atoms and molecules on the grid."""
    lines = _lines()
    theta = 5040.0 / np.maximum(atmosphere.teff, lines.coolest)
    growth = lines.slope * (theta - 5040.0 / REFERENCE_TEFF) + lines.gravity * (
        atmosphere.logg - REFERENCE_LOGG
    )
    narrow = np.hypot(INSTRUMENT, TURBULENCE)
    # A rotating star's lines are as a Gaussian of half its v sin i, as wide and shallow as conserves their area.
    sigma = float(np.hypot(narrow, 0.5 * atmosphere.v_sini))
    tau = lines.tau * 10.0 ** (growth + atmosphere.fe_h) * narrow / sigma
    width = sigma / SPEED_OF_LIGHT / np.log(10.0) / GRID.cdelt
    offsets = np.arange(-int(REACH * width), int(REACH * width) + 1)
    centre = np.rint(lines.pixel).astype(np.int64)
    profile = np.exp(-0.5 * ((offsets[None, :] + (centre - lines.pixel)[:, None]) / width) ** 2)
    places = np.clip(centre[:, None] + offsets[None, :], 0, GRID.n_pixels - 1)
    return np.asarray(
        np.bincount(places.ravel(), (tau[:, None] * profile).ravel(), GRID.n_pixels), dtype=np.float64
    )


def brackett_wavelength(upper: int) -> float:
    """Vacuum wavelength in Angstrom of the line of hydrogen from level `upper` to 4."""
    return 1e8 / (RYDBERG * (1.0 / 16.0 - 1.0 / upper**2))


def _hydrogen(atmosphere: Atmosphere) -> FloatArray:
    """Depth of the Brackett lines: deepest in A stars, and wide where the gravity is high.

    Trends follow the atlas of Meyer et al. (1998, ApJ 508, 397).
    """
    peak = 0.28 * np.exp(-0.5 * (np.log10(atmosphere.teff / 9300.0) / 0.13) ** 2)
    depth = np.zeros(GRID.n_pixels)
    for upper in BRACKETT:
        width = 16.0 * 10.0 ** (0.25 * (atmosphere.logg - 4.0)) * (11.0 / upper)
        distance = (GRID.wavelength - brackett_wavelength(upper)) / width
        depth += peak * (11.0 / upper) ** 1.3 / (1.0 + distance**2) ** 1.5
    return np.minimum(depth, 0.6)
