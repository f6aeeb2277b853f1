"""Spectra of stars too cool, or too reddened, for `stars.star`: M dwarfs and giants, L dwarfs, carbon stars.

Hand-made like the M dwarfs of `stars.py`: a blackbody under bands whose strengths are varied from star to star
by more than they are known, so that what is learnt from them is "bands of TiO" and not these bands. For telling
kinds of spectra apart only.
"""

from __future__ import annotations

import numpy as np

from astra_assets.synthesis import opacity, stars
from astra_assets.synthesis.line_data import OTHER_COOL_BANDS, SWAN, TITANIUM_OXIDE
from astra_assets.synthesis.opacity import Drawn, FloatArray, wavelength_scale

DWARF, GIANT = 5.0, 1.0
"""Surface gravities [log cm s-2] that are said of these stars; their spectra do not depend on them."""

VANADIUM_OXIDE = ((7334.0, 0.35, 120.0), (7851.0, 0.45, 120.0), (7940.0, 0.30, 90.0), (8521.0, 0.20, 80.0))
"""VO heads of late M: air wavelength [Angstrom], relative strength, e-folding length (Kirkpatrick et al. 1991)."""
HYDRIDES = ((8611.0, 0.7, 110.0), (8692.0, 0.9, 180.0), (9896.0, 1.2, 250.0), (9969.0, 0.8, 200.0))
"""CrH and FeH heads of L dwarfs in the same form (Kirkpatrick et al. 1999, ApJ 519, 802)."""
CYANOGEN = ((6925.0, 0.35, 150.0), (7088.0, 0.45, 150.0), (7259.0, 0.35, 130.0), (7876.0, 0.8, 150.0),
            (8067.0, 0.7, 160.0), (8270.0, 0.5, 170.0), (9141.0, 1.1, 260.0), (9393.0, 0.9, 250.0))  # fmt: skip
"""Heads of the red system of CN, degraded to the red (Barnbaum, Stone & Keenan 1996, ApJS 105, 419)."""


def _bands(
    bands: tuple[tuple[float, float, float], ...], rng: np.random.Generator, scatter: float = 0.35
) -> FloatArray:
    """Optical depth of bands, each of which is stronger or weaker than listed by a random factor."""
    total = np.zeros_like(wavelength_scale())
    for head, strength, length in bands:
        factor = float(np.exp(rng.normal(0.0, scatter)))
        total += opacity.band(head, factor * strength, length * rng.uniform(0.7, 1.4), to_red=True)
    return total


def _blue_blanketing(slope: float) -> FloatArray:
    """Optical depth of all that absorbs bluewards of 4600 A and is not listed."""
    return np.asarray(slope * np.clip((4600.0 - wavelength_scale()) / 1500.0, 0.0, 1.0))


def _resonance_lines(strength: float, rng: np.random.Generator) -> FloatArray:
    """Na I, K I, Ca I 4227 and the Ca II triplet, as flux in units of the continuum."""
    lines = np.zeros_like(wavelength_scale())
    wide = rng.uniform(0.4, 2.0)
    for air, peak, gamma in ((5889.95, 30.0, 2.0), (5895.92, 20.0, 2.0), (8183.26, 4.0, 1.0), (8194.80, 6.0, 1.0),
                             (7664.9, 10.0, 1.2), (7699.0, 7.0, 1.2), (4226.73, 40.0, 1.5)):  # fmt: skip
        opacity.peak_voigt(lines, float(opacity.vacuum(air)[0]), strength * peak, 0.6, gamma * wide)
    triplet = rng.uniform(0.5, 3.0)
    for air, peak in ((8498.02, 1.5), (8542.09, 3.0), (8662.14, 2.5)):
        opacity.peak_voigt(lines, float(opacity.vacuum(air)[0]), triplet * peak, 0.8, 0.5)
    return opacity.emergent(lines, 0.8)


def draw_m_star(rng: np.random.Generator) -> Drawn:
    """An M star of M0 to M9, dwarf or giant: TiO by subtype, CaH and Na strong in dwarfs, VO from M6 on."""
    subtype = float(rng.uniform(-1.5, 9.0))
    giant = rng.random() < 0.4
    if not giant and 0 <= subtype < 7 and rng.random() < 0.4:
        return 3850.0 - 180.0 * subtype, DWARF, stars.m_dwarf(subtype, rng)
    teff = 3900.0 - (110.0 if giant else 170.0) * subtype + rng.normal(0.0, 120.0)
    flux = _m_star(subtype, float(teff), rng, giant=giant)
    if rng.random() < 0.3:
        flux = opacity.reddened(flux, min(float(rng.exponential(0.4)), 2.0))
    return float(teff), GIANT if giant else DWARF, _visible(flux)


def m_dwarf_of_any_strength(subtype: float, rng: np.random.Generator) -> FloatArray:
    """Flux of an M dwarf whose bands are stronger or weaker than those of `stars.m_dwarf`, normalised at 7500 A."""
    flux = _m_star(subtype, 3900.0 - 170.0 * subtype, rng, giant=False)
    return np.asarray(flux / np.interp(7500.0, wavelength_scale(), flux))


def _m_star(subtype: float, teff: float, rng: np.random.Generator, *, giant: bool) -> FloatArray:
    wavelength = wavelength_scale()
    tau = (0.25 + 0.22 * max(subtype, -0.8)) * _bands(TITANIUM_OXIDE, rng)
    hydride = rng.uniform(0.0, 0.3) if giant else rng.uniform(0.4, 1.6)
    tau = tau + hydride * (0.3 + 0.15 * max(subtype, 0.0)) * _bands(OTHER_COOL_BANDS, rng)
    tau = tau + max(subtype - 5.0, 0.0) * 0.5 * _bands(VANADIUM_OXIDE, rng)
    tau = tau + _blue_blanketing(rng.uniform(0.3, 3.5))
    strength = rng.uniform(0.1, 0.5) if giant else 0.4 + 0.2 * max(subtype, 0.0)
    flux = opacity.planck(wavelength, teff) * np.exp(-tau) * _resonance_lines(strength, rng)
    blends = opacity.correlated_noise(rng, 70.0) + 0.7 * opacity.correlated_noise(rng, 400.0)
    flux = flux * np.exp(-0.12 * np.exp(0.5 * blends) * (wavelength / 5500.0) ** -2)
    if rng.random() < (0.1 if giant else 0.1 + 0.08 * max(subtype, 0.0)):
        level = float(np.interp(6564.6, wavelength, flux)) * rng.uniform(0.5, 4.0)
        for upper, ratio in ((3, 1.0), (4, 0.5), (5, 0.3), (6, 0.2)):
            flux = flux + level * ratio * opacity.gaussian(opacity.balmer_wavelength(upper), 1.2)
    return np.asarray(flux)


def _visible(flux: FloatArray) -> FloatArray:
    """The flux with a floor of a thousandth of its mean, so that a normalisation in the blue stays finite."""
    return np.asarray(flux + 1e-3 * float(flux.mean()))


def draw_l_dwarf(rng: np.random.Generator) -> Drawn:
    """An L dwarf: 1400 to 2300 K, K I and Na I hundreds of Angstrom wide, CrH and FeH, hardly any flux in the blue."""
    teff = float(rng.uniform(1400.0, 2300.0))
    wavelength = wavelength_scale()
    late = (2300.0 - teff) / 900.0
    tau = (1.0 - late) * _bands(VANADIUM_OXIDE, rng) + 0.8 * _bands(HYDRIDES, rng)
    tau = tau + (1.0 - late) * 1.5 * _bands(TITANIUM_OXIDE, rng)
    tau = tau + rng.uniform(0.6, 2.5) * (0.5 + late) / (1.0 + ((wavelength - 7685.0) / 250.0) ** 2)
    tau = tau + rng.uniform(0.5, 2.0) / (1.0 + ((wavelength - 5894.0) / 350.0) ** 2)
    return teff, DWARF, _visible(opacity.planck(wavelength, teff) * np.exp(-tau))


def draw_carbon_star(rng: np.random.Generator) -> Drawn:
    """A carbon star, dwarf or giant: 2800 to 5300 K, Swan bands of C2, CN to the red, metal lines and Na D."""
    teff = float(rng.uniform(2800.0, 5300.0))
    wavelength = wavelength_scale()
    strength = float(np.exp(rng.uniform(np.log(0.3), np.log(2.5))))
    tau = np.zeros_like(wavelength)
    for head, relative in SWAN:
        factor = strength * float(np.exp(rng.normal(0.0, 0.25)))
        tau += opacity.band(head, factor * relative, rng.uniform(40.0, 110.0), to_red=False)
    tau += rng.uniform(0.4, 1.6) * _bands(CYANOGEN, rng)
    tau += opacity.band(4216.0, rng.uniform(0.5, 2.5), 60.0, to_red=False)
    tau += opacity.band(3883.4, rng.uniform(0.5, 2.5), 80.0, to_red=False)
    tau += rng.uniform(0.5, 1.5) * np.exp(-(np.abs((wavelength - 4301.0) / 15.0) ** 4))
    tau += _blue_blanketing(rng.uniform(0.5, 3.0))
    blends = opacity.correlated_noise(rng, 60.0) + 0.7 * opacity.correlated_noise(rng, 400.0)
    tau += rng.uniform(0.05, 0.35) * np.exp(0.5 * blends) * (wavelength / 4500.0) ** -2
    lines = np.zeros_like(wavelength)
    for air, peak in (
        (5889.95, 8.0),
        (5895.92, 6.0),
        (8498.02, 1.5),
        (8542.09, 3.0),
        (8662.14, 2.5),
        (4554.0, 3.0),
    ):
        opacity.peak_voigt(lines, float(opacity.vacuum(air)[0]), peak * rng.uniform(0.5, 2.0), 1.0, 0.8)
    flux = opacity.planck(wavelength, teff) * np.exp(-tau) * opacity.emergent(lines, 0.8)
    if rng.random() < 0.2:
        level = float(np.interp(6564.6, wavelength, flux)) * rng.uniform(0.3, 1.5)
        flux = flux + level * opacity.gaussian(6564.6, 1.3)
    return teff, GIANT, _visible(flux)


def draw_early_type(rng: np.random.Generator) -> Drawn:
    """An O or B star of logg 3 to 4.4 and helium in solar proportion, mostly far behind dust (E(B-V) to 2.5)."""
    teff = float(np.exp(rng.uniform(np.log(10_500.0), np.log(42_000.0))))
    logg = float(rng.uniform(3.0, 4.4))
    v_sini = float(rng.uniform(20.0, 300.0))
    flux = stars.hot_subdwarf(
        teff, logg, float(rng.uniform(0.06, 0.16)), hydrogen=float(10 ** rng.uniform(-0.9, 0.0))
    )
    if rng.random() < 0.2:  # a Be star
        continuum = float(np.interp(6564.6, wavelength_scale(), flux))
        for upper, ratio in ((3, 1.0), (4, 0.25), (5, 0.08)):
            level = continuum * ratio * rng.uniform(0.2, 3.0)
            flux = flux + level * opacity.gaussian(opacity.balmer_wavelength(upper), 3.0)
    dust = float(rng.exponential(0.5))
    return teff, logg, opacity.reddened(opacity.smoothed(flux, max(0.5 * v_sini, 5.0)), min(dust, 2.5))
