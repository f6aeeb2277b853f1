"""Spectra of galaxies and quasars, with their redshift in them: each `draw_*` takes a random one of its kind.

Stellar populations are sums of the stars of `stars.py`; emission lines are those of the SDSS line lists,
with usual ratios.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from astra_assets.astronomy.constants import SPEED_OF_LIGHT
from astra_assets.synthesis import opacity, stars
from astra_assets.synthesis.opacity import Drawn, FloatArray, wavelength_scale

_NAN = float("nan")

# after Vanden Berk et al. 2001 (AJ 122, 549), table 2, rounded: vacuum wavelength [Angstrom], rest
# equivalent width [Angstrom], Gaussian sigma [Angstrom]
QUASAR_LINES = (
    (1033.0, 9.8, 7.8), (1216.3, 92.9, 19.5), (1240.1, 2.3, 12.0), (1398.3, 8.1, 14.3),
    (1546.2, 23.8, 14.3), (1637.9, 2.5, 8.0), (1905.5, 21.2, 23.6), (2800.3, 32.3, 34.9),
    (3127.7, 1.4, 19.0), (4102.7, 5.1, 18.6), (4346.4, 12.6, 20.3), (4686.0, 1.0, 15.0),
    (4853.1, 46.2, 40.4), (5877.4, 4.9, 23.4), (6564.9, 194.5, 47.4),
)  # fmt: skip
QUASAR_NARROW = (
    (3426.9, 1.2), (3728.6, 1.6), (3869.8, 1.4), (4960.3, 3.5), (5008.2, 13.2), (6718.0, 1.6), (6733.0, 1.5),
)  # fmt: skip
IRON_HUMPS = (
    (1930.0, 1.0, 60.0), (2080.0, 2.0, 70.0), (2500.0, 13.0, 110.0), (3000.0, 10.0, 120.0),
    (3191.0, 4.0, 50.0), (4564.0, 18.0, 60.0), (5305.0, 22.0, 60.0),
)  # fmt: skip

# star-forming galaxies: vacuum wavelength [Angstrom], strength relative to H-beta before dust (Kewley &
# Dopita 2002; Osterbrock & Ferland 2006)
NEBULAR_LINES = (
    (3727.1, 1.5), (3729.9, 1.9), (3869.9, 0.25), (3890.2, 0.18), (3971.2, 0.16), (4102.9, 0.26),
    (4341.7, 0.47), (4862.7, 1.0), (4960.3, 0.4), (5008.2, 1.2), (5877.2, 0.12), (6549.9, 0.3),
    (6564.6, 2.87), (6585.3, 0.9), (6718.3, 0.5), (6732.7, 0.37), (9071.1, 0.2), (9533.2, 0.5),
)  # fmt: skip


def draw_quasar(rng: np.random.Generator) -> Drawn:
    """A power law F_lambda ~ lambda^-0.6..-2.2 with broad lines and iron humps at redshift 0.05 to 3.5.

    The Lyman-alpha forest absorbs bluewards of 1216 A.
    """
    wavelength = wavelength_scale()
    redshift = float(rng.uniform(0.05, 3.5) if rng.random() < 0.8 else rng.uniform(0.05, 0.5))
    rest = wavelength / (1.0 + redshift)
    continuum = (rest / 2500.0) ** -rng.uniform(0.6, 2.2)
    strength, width = rng.uniform(0.5, 1.6), rng.uniform(0.6, 1.4)
    lines = np.zeros_like(rest)
    for centre, area, sigma in (*QUASAR_LINES, *IRON_HUMPS):
        own = width * sigma
        lines += (
            strength
            * rng.uniform(0.7, 1.3)
            * area
            / (2.507 * own)
            * np.exp(-0.5 * ((rest - centre) / own) ** 2)
        )
    narrow = rng.uniform(0.2, 2.5)
    for centre, area in QUASAR_NARROW:
        own = centre * rng.uniform(150.0, 350.0) / SPEED_OF_LIGHT
        lines += narrow * area / (2.507 * own) * np.exp(-0.5 * ((rest - centre) / own) ** 2)
    flux = continuum * (1.0 + lines)
    if redshift < 0.4:
        flux = flux + rng.uniform(0.0, 1.0) * np.median(flux) * opacity.normalised(
            redshifted(_population(0), redshift)
        )
    return _NAN, _NAN, flux * _forest(rest, redshift, rng)


def _forest(rest: FloatArray, redshift: float, rng: np.random.Generator) -> FloatArray:
    """Transmission of the intergalactic hydrogen.

    The Lyman-alpha forest has a mean optical depth of 0.0036 (1 + z)^3.45 (Madau 1995, ApJ 441, 18) and is
    clumped.
    """
    clumps = np.exp(1.2 * opacity.correlated_noise(rng, 150.0) - 0.72)
    tau = 0.0036 * (1.0 + redshift) ** 3.45 * (rest / 1216.0) ** 3.45 * clumps
    return np.asarray(np.where(rest < 1215.0, np.exp(-tau), 1.0))


@cache
def _population(age: int) -> FloatArray:
    """Flux of a mixture of stars, not broadened, redwards of 3500 A at rest.

    `age` is 0 (old), 1 (intermediate, with A stars) or 2 (young).
    """
    mixtures = (
        (
            (4400.0, 2.5, 0.0, 0.45),
            (4900.0, 3.0, 0.1, 0.25),
            (5600.0, 4.3, 0.0, 0.20),
            (6000.0, 4.3, -0.2, 0.10),
        ),
        ((4700.0, 2.7, 0.0, 0.35), (5900.0, 4.3, 0.0, 0.20), (8300.0, 4.1, 0.0, 0.45)),
        ((5000.0, 3.0, -0.2, 0.25), (7500.0, 4.1, -0.2, 0.25), (14000.0, 4.0, -0.2, 0.50)),
    )
    parts = [
        weight * opacity.normalised(stars.star(teff, logg, metals))
        for teff, logg, metals, weight in mixtures[age]
    ]
    return np.asarray(sum(parts))


def redshifted(flux: FloatArray, redshift: float) -> FloatArray:
    """Flux shifted redwards.

    What lies bluewards of 3500 A at rest is taken to fall from there as wavelength^3, as old populations
    do.
    """
    rest = wavelength_scale() / (1.0 + redshift)
    shifted = np.interp(rest, wavelength_scale(), flux)
    return np.asarray(np.where(rest < 3500.0, np.median(flux[:1500]) * (rest / 3560.0) ** 3, shifted))


def draw_galaxy(rng: np.random.Generator) -> Drawn:
    """A galaxy at redshift 0.003 to 0.4.

    Half are old (4000 A break, H and K, G band, Mg b, Na D), half form stars and have narrow emission lines.
    """
    redshift = float(
        np.exp(rng.uniform(np.log(0.003), np.log(0.4))) if rng.random() < 0.4 else rng.uniform(0.02, 0.4)
    )
    forming = rng.random() < 0.5
    dispersion = rng.uniform(60.0, 140.0) if forming else rng.uniform(120.0, 300.0)
    share = rng.dirichlet((1.0, 2.0, 2.0) if forming else (8.0, 0.5, 0.05))
    flux = np.asarray(sum(part * _population(age) for age, part in enumerate(share)))
    if forming:
        strength = np.exp(rng.uniform(np.log(2.0), np.log(40.0)))  # equivalent width of H-beta [Angstrom]
        flux = flux + _nebula(rng, float(strength), dispersion)
        flux = opacity.reddened(flux, float(rng.exponential(0.15)))
    elif rng.random() < 0.3:
        flux = flux + _nebula(rng, float(rng.uniform(0.2, 1.0)), dispersion)
    return _NAN, _NAN, redshifted(opacity.smoothed(flux, dispersion), redshift)


def _nebula(rng: np.random.Generator, width: float, dispersion: float) -> FloatArray:
    total = np.zeros_like(wavelength_scale())
    excitation, metallicity = np.exp(rng.normal(0.0, 0.6)), np.exp(rng.normal(0.0, 0.4))
    for centre, ratio in NEBULAR_LINES:
        factor = 1.0
        if centre in {4960.3, 5008.2, 3869.9, 9071.1, 9533.2}:
            factor = excitation
        elif centre in {6549.9, 6585.3, 6718.3, 6732.7}:
            factor = metallicity
        sigma = max(0.4 * centre * dispersion / SPEED_OF_LIGHT, 0.4)
        total += width * ratio * factor / (2.507 * sigma) * opacity.gaussian(centre, sigma)
    return total
