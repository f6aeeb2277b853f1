"""The slope of a continuum against a model's: what tells hot from cold where the Balmer lines do not.

Only the slope over the whole spectrum: the continuum next to a line is part of `comparison.py`.
"""

from __future__ import annotations

import numpy as np

from astra_assets.pipelines.white_dwarf.grid import DAGrid
from astra_assets.spectra.base import Spectrum
from astra_assets.spectra.good_pixels import good_pixels

BANDS = np.array(
    [
        (4190.0, 4240.0),
        (4500.0, 4620.0),
        (5050.0, 5250.0),
        (5400.0, 5560.0),
        (5700.0, 5850.0),
        (6000.0, 6270.0),
        (6800.0, 6860.0),
        (7000.0, 7150.0),
        (7400.0, 7580.0),
        (7750.0, 8100.0),
        (8400.0, 8520.0),
    ]
)
"""Between hydrogen lines and strong night-sky or telluric lines [vacuum Angstrom]."""
SLOPE_ERROR = 0.2
"""Uncertainty of d ln flux / d ln wavelength that is not noise: 16 % between 4000 and 8500 A.

Flux calibration, with fibres not centred on the star in the blue (Margala et al. 2016, ApJ 831, 157, find
such sizes for BOSS), and the reddening of nearby stars.
"""
BAND_ERROR = 0.03
"""Relative uncertainty of a band that is not noise."""


def slope_misfit(spectrum: Spectrum, grid: DAGrid, teff: float, logg: float) -> float:
    """The chi2, of one degree of freedom, of a model having the continuum slope of the spectrum.

    teff [K] and logg of the model. 0 when fewer than three bands with positive flux span at least a quarter
    in ln wavelength, because then there is nothing to tell.
    """
    wavelength, flux, ivar = spectrum.wavelength, spectrum.flux, spectrum.ivar
    good = good_pixels(flux, ivar)
    model = grid.flux(teff, logg)
    position, ratio, variance = [], [], []
    for low, high in BANDS:
        band = good & (wavelength >= low) & (wavelength <= high)
        if not band.any():
            continue
        weight = ivar[band].sum()
        mean = float(np.sum(flux[band] * ivar[band]) / weight)
        if mean <= 0:
            continue
        inside = (grid.wavelength >= low) & (grid.wavelength <= high)
        position.append(np.log(0.5 * (low + high)))
        ratio.append(np.log(mean / model[inside].mean()))
        variance.append(1 / (weight * mean**2) + BAND_ERROR**2)
    if len(position) < 3 or np.ptp(position) < 0.25:
        return 0.0
    x, y, weights = np.array(position), np.array(ratio), 1 / np.array(variance)
    centred = x - np.average(x, weights=weights)
    information = float(np.sum(weights * centred**2))
    slope = float(np.sum(weights * centred * y)) / information
    return slope**2 / (1 / information + SLOPE_ERROR**2)
