"""Physics that all templates share: the wavelength scale, Planck's law, opacity of lines, dust.

All lines are formed in one layer: with `eta` the ratio of line to continuous opacity and a source function that rises
linearly inwards (Milne-Eddington; Mihalas 1978, Stellar Atmospheres, section 10-3) the flux in units of the continuum is
1 - depth * eta / (1 + eta). That gives right orders of strength and the right way of saturating, not the accuracy of a
model atmosphere.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import voigt_profile

from astra_assets.astronomy.constants import SPEED_OF_LIGHT
from astra_assets.pipelines.white_dwarf.grid import LOG_STEP, WAVELENGTH_RANGE
from astra_assets.spectra.airvac import air_to_vacuum
from astra_assets.spectra.velocity import pixel_velocity

FloatArray = NDArray[np.float64]

Drawn = tuple[float, float, FloatArray]
"""Effective temperature [K] and logg [log cm s-2], NaN where they mean nothing, and the flux on the common
scale."""

REFERENCE = (5400.0, 5600.0)
"""Templates have median flux 1 between these wavelengths [Angstrom]."""
PIXEL_VELOCITY = pixel_velocity(LOG_STEP)
"""Step of the templates' wavelengths [km/s]: that of the DA grid."""
BALMER_LIMIT = 3647.0
"""Vacuum wavelength [Angstrom] of the Balmer limit."""
_HC_OVER_K = 1.438777e8  # second radiation constant [Angstrom K], CODATA
_RYDBERG_HYDROGEN = 1.0967758e-3  # [1/Angstrom]
LINE_AREA = 8.8525e-21
"""pi e^2 / (m c^2) for wavelengths in Angstrom: the area of a line is this * f * wavelength^2 [cm^2 Angstrom]."""
_OSCILLATOR = {
    3: 0.6407,
    4: 0.1193,
    5: 0.0447,
    6: 0.0221,
    7: 0.0127,
    8: 0.00804,
    9: 0.00543,
    10: 0.00385,
}  # Wiese et al. 1966
_UNSHIFTED = {3: 0.06, 4: 0.6, 5: 1.0, 6: 1.3}
HIGHEST_LEVEL = 24


@cache
def wavelength_scale() -> FloatArray:
    """Vacuum wavelengths [Angstrom] of all templates, 3500 to 10500, those of the DA grid."""
    start, end = np.log10(WAVELENGTH_RANGE)
    scale: FloatArray = 10.0 ** (start + LOG_STEP * np.arange(int((end - start) / LOG_STEP) + 1))
    scale.setflags(write=False)
    return scale


def vacuum(air: ArrayLike) -> FloatArray:
    """Vacuum wavelengths [Angstrom] of the air wavelengths in the tables."""
    return air_to_vacuum(np.atleast_1d(np.asarray(air, dtype=np.float64)))


def planck(wavelength: FloatArray, temperature: float) -> FloatArray:
    """A blackbody's F_lambda in arbitrary units, of which ratios between temperatures [K] are right."""
    return np.asarray(1e20 / wavelength**5 / np.expm1(_HC_OVER_K / (wavelength * temperature)))


def depth(wavelength: FloatArray, teff: float, surface: float = 0.72) -> FloatArray:
    """Depth of a fully saturated line: 1 - B(surface * teff) / B(teff).

    A grey atmosphere's surface has 0.81 teff; cores of strong lines form higher still, where 0.72 gives the
    observed residual intensities of about 0.3 in A stars and 0.1 in the Sun's H and K.
    """
    return np.asarray(1.0 - planck(wavelength, surface * teff) / planck(wavelength, teff))


def emergent(eta: FloatArray, saturated: FloatArray | float) -> FloatArray:
    """Flux in units of the continuum, from the opacity ratio and the depth of a saturated line."""
    return np.asarray(1.0 - saturated * eta / (1.0 + eta))


def normalised(flux: FloatArray, wavelength: FloatArray | None = None) -> FloatArray:
    """The flux divided by its median between the wavelengths of `REFERENCE`."""
    wavelength = wavelength_scale() if wavelength is None else wavelength
    inside = (wavelength >= REFERENCE[0]) & (wavelength <= REFERENCE[1])
    return np.asarray(flux / np.median(flux[inside]))


def add_voigt(
    eta: FloatArray, centre: float, strength: float, sigma: float, gamma: float, *, reach: float
) -> None:
    """Add a Voigt profile to `eta` on the common scale.

    `strength` is its area, `sigma` and `gamma` its widths, `reach` how far it is followed, all in Angstrom.
    """
    wavelength = wavelength_scale()
    first, last = np.searchsorted(wavelength, [centre - reach, centre + reach])
    if last > first:
        eta[first:last] += strength * voigt_profile(wavelength[first:last] - centre, sigma, gamma)


def peak_voigt(eta: FloatArray, centre: float, peak: float, sigma: float, gamma: float) -> None:
    """Add a Voigt profile of height `peak`; its reach follows from that. Widths are in Angstrom."""
    area = peak / float(voigt_profile(0.0, sigma, gamma))
    reach = 6 * sigma + gamma * min(60.0, 10 * np.sqrt(1 + peak))
    add_voigt(eta, centre, area, sigma, gamma, reach=reach)


def balmer_wavelength(upper: int) -> float:
    """Vacuum wavelength [Angstrom] of the Balmer line from level `upper`."""
    return float(1.0 / (_RYDBERG_HYDROGEN * (0.25 - 1.0 / upper**2)))


def oscillator_strength(upper: int) -> float:
    """Absorption oscillator strength of the Balmer line to level `upper`.

    Above 10 it is Kramers' formula with a Gaunt factor of 0.87.
    """
    if upper in _OSCILLATOR:
        return _OSCILLATOR[upper]
    return float(0.87 * 1.9603 / (0.25 - 1.0 / upper**2) ** 3 / (32.0 * upper**3))


def stark_width(upper: int, electron_density: float) -> float:
    """Half width [Angstrom] of the Stark profile of a Balmer line at an electron density [cm-3].

    2.5e-9 alpha Ne^(2/3) with alpha of H-gamma 0.10 (Griem 1974, Spectral Line Broadening by Plasmas); the
    other lines in proportion to wavelength^2 upper^2 of the linear effect, times a factor that brings the
    equivalent widths of the lines of Vega near their observed proportion (from H-alpha to H-delta
    7 : 13 : 13 : 13 A comes out, 9 : 13 : 14 : 14 is observed): the first lines have strong unshifted
    components.
    """
    scale = (balmer_wavelength(upper) / 4341.7) ** 2 * (upper / 5.0) ** 2
    alpha = 0.10 * scale * _UNSHIFTED.get(upper, 1.35)
    return float(0.5 * 2.5e-9 * alpha * electron_density ** (2.0 / 3.0))


def hydrogen_opacity(column: float, electron_density: float, *, doppler: float = 12.0) -> FloatArray:
    """Opacity of the Balmer lines on the common scale, in units of the continuum's.

    Args:
        column: hydrogen atoms in level 2 per unit of continuous opacity [cm-2].
        electron_density: [cm-3]; sets the Stark widths. Wings fall as distance^-5/2 (Holtsmark).
        doppler: thermal width [km/s].
    """
    wavelength = wavelength_scale()
    total = np.zeros_like(wavelength)
    for upper in range(3, HIGHEST_LEVEL + 1):
        centre = balmer_wavelength(upper)
        thermal = centre * doppler / SPEED_OF_LIGHT
        width = float(np.hypot(stark_width(upper, electron_density), thermal))
        winged = (stark_width(upper, electron_density) / width) ** 1.5
        area = column * LINE_AREA * oscillator_strength(upper) * centre**2
        distance = np.abs(wavelength - centre)
        total += winged * area / (2.64 * width) / (1.0 + (distance / width) ** 2.5)
        total += (1 - winged) * area / (2.507 * thermal) * np.exp(-0.5 * (distance / thermal) ** 2)
    return total


def series_end(column: float) -> FloatArray:
    """Opacity of ionisation from level 2, bluewards of the Balmer limit, in units of the continuum's.

    Cross section 1.4e-17 cm2 at the limit (Kramers), falling as wavelength cubed; the confluence of the
    lines above `HIGHEST_LEVEL` extends it to the red of the limit. `column` as in `hydrogen_opacity`.
    """
    wavelength = wavelength_scale()
    share = np.clip((balmer_wavelength(HIGHEST_LEVEL) - wavelength) / 8.0 + 0.5, 0.0, 1.0)
    return np.asarray(column * 1.4e-17 * (wavelength / BALMER_LIMIT) ** 3 * share)


def band(head_air: float, strength: float, length: float, *, to_red: bool) -> FloatArray:
    """Optical depth of a molecular band on the common scale.

    It has a sharp head and an exponential tail of `length` [Angstrom].
    """
    away = wavelength_scale() - vacuum(head_air)[0]
    distance = np.maximum(away if to_red else -away, 0.0)
    rise = np.clip(away / 4.0 + 0.5, 0.0, 1.0) if to_red else np.clip(-away / 4.0 + 0.5, 0.0, 1.0)
    return np.asarray(strength * rise * np.exp(-distance / length))


def gaussian(centre: float, sigma: float) -> FloatArray:
    """A Gaussian of height 1 on the common scale; both in Angstrom."""
    return np.asarray(np.exp(-0.5 * ((wavelength_scale() - centre) / sigma) ** 2))


def smoothed(flux: FloatArray, sigma_velocity: float) -> FloatArray:
    """Flux on the common scale convolved with a Gaussian of `sigma_velocity` [km/s]."""
    from scipy.ndimage import gaussian_filter1d

    return np.asarray(gaussian_filter1d(flux, sigma_velocity / PIXEL_VELOCITY, mode="nearest"))


def reddened(flux: FloatArray, ebv: float) -> FloatArray:
    """Flux on the common scale behind dust of a colour excess E(B-V) [mag].

    A(lambda) = 3.1 E(B-V) (lambda / 5500)^-1.3, within 10 % of Cardelli, Clayton & Mathis 1989 (ApJ 345,
    245) from 3500 to 10,000 A.
    """
    return np.asarray(flux * 10.0 ** (-0.4 * 3.1 * ebv * (wavelength_scale() / 5500.0) ** -1.3))


def correlated_noise(rng: np.random.Generator, correlation: float) -> FloatArray:
    """Gaussian noise of unit variance on the common scale with a correlation length in km/s.

    It stands for unresolved blends and clumps.
    """
    white = rng.standard_normal(wavelength_scale().size)
    rough = smoothed(white, correlation)
    return np.asarray(rough / rough.std())
