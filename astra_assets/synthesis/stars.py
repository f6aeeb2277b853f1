"""Spectra of stars that are no white dwarfs: A to K stars, hot subdwarfs, M dwarfs.

One-layer synthesis with the populations of `layer.py`; molecular bands, unresolved blends and M dwarfs are
put in by hand, with strengths read off published spectral atlases (Jacoby, Hunter & Christian 1984; Gray &
Corbally 2009). Right to some 30 % in the strength of a line, which is what telling kinds of spectra apart
needs; not for measuring stars.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.special import voigt_profile

from astra_assets.astronomy.constants import SPEED_OF_LIGHT, SPEED_OF_LIGHT_SI
from astra_assets.pipelines.white_dwarf.grid import LOG_STEP
from astra_assets.synthesis import opacity
from astra_assets.synthesis.layer import Layer, higher, photosphere
from astra_assets.synthesis.line_data import (
    ELEMENTS,
    HELIUM_I,
    HELIUM_II,
    LINES,
    OTHER_COOL_BANDS,
    TITANIUM_OXIDE,
)
from astra_assets.synthesis.opacity import FloatArray, wavelength_scale

_FINE = 8  # lines are computed on pixels this much smaller, 2.2 km/s, and averaged
_MICROTURBULENCE = 2.0  # km/s


def metal_lines(
    layer: Layer, saturated: FloatArray, *, microturbulence: float = _MICROTURBULENCE
) -> FloatArray:
    """Flux in units of the continuum, on the common scale, with the lines of metals and helium of `layer`."""
    log_start = np.log10(wavelength_scale()[0]) - 0.5 * LOG_STEP * (1 - 1 / _FINE)
    fine = 10.0 ** (log_start + LOG_STEP / _FINE * np.arange(wavelength_scale().size * _FINE))
    eta = np.zeros_like(fine)
    for element, ion, centre, log_gf, energy in _vacuum_lines():
        area = layer.column(element, ion, energy) * opacity.LINE_AREA * 10.0**log_gf * centre**2
        thermal = np.sqrt(1.6629e-2 * layer.temperature / ELEMENTS[element].mass)  # sqrt(2kT/m) in km/s
        sigma = centre * np.hypot(thermal, microturbulence) / SPEED_OF_LIGHT / np.sqrt(2.0)
        gamma = _collisional_width(centre, layer, helium=element == "He")
        reach = 8 * sigma + float(np.sqrt(area * gamma / (np.pi * 0.01)))
        first, last = np.searchsorted(fine, [centre - min(reach, 250.0), centre + min(reach, 250.0)])
        if last > first and area > 1e-4 * sigma:
            eta[first:last] += area * voigt_profile(fine[first:last] - centre, sigma, gamma)
    flux = opacity.emergent(eta, np.repeat(saturated, _FINE))
    return np.asarray(flux.reshape(-1, _FINE).mean(axis=1))


def _collisional_width(centre: float, layer: Layer, *, helium: bool) -> float:
    """Lorentzian half width [Angstrom].

    It is due to van der Waals broadening by H (metals), quadratic Stark effect (He I).
    """
    if helium:
        return 0.06 * (layer.electron_density / 1e16) * (centre / 4471.0) ** 2 + 1e-4
    gas = layer.electron_pressure / layer.electrons  # dyn cm-2, of hydrogen
    rate = 10.0 ** (19.5 + 0.4 * np.log10(1.0e-31) + np.log10(gas) - 0.7 * np.log10(layer.temperature))
    return float((rate + 2e8) * 1e-8 * centre**2 / (4 * np.pi * (100 * SPEED_OF_LIGHT_SI)))


@cache
def _vacuum_lines() -> tuple[tuple[str, int, float, float, float], ...]:
    helium = tuple(("He", 0, *line) for line in HELIUM_I)
    return tuple((e, i, float(opacity.vacuum(air)[0]), gf, chi) for e, i, air, gf, chi in (*LINES, *helium))


@cache
def _blends() -> FloatArray:
    """A fixed pattern, mean 1, that stands for the weak lines that `LINES` leaves out."""
    rng = np.random.default_rng(5040)
    rough = opacity.correlated_noise(rng, 60.0) + 0.7 * opacity.correlated_noise(rng, 400.0)
    pattern = np.exp(0.5 * rough)
    return np.asarray(pattern / pattern.mean())


def star(
    teff: float, logg: float, metallicity: float, v_sini: float = 10.0, *, hydrogen: float = 1.0
) -> FloatArray:
    """Flux of a star of 3900 to 15,000 K on the common scale, in arbitrary units; v_sini [km/s].

    `hydrogen` multiplies the opacity of the Balmer lines, to cover what one layer gets wrong.
    """
    wavelength = wavelength_scale()
    layer = photosphere(teff, logg, metallicity)
    saturated = opacity.depth(wavelength, teff)
    column = hydrogen * layer.hydrogen_column
    balmer = opacity.emergent(opacity.hydrogen_opacity(column, layer.electron_density), saturated)
    jump = opacity.emergent(opacity.series_end(column), 0.8 * opacity.depth(wavelength, teff, 0.8))
    spectrum = jump * balmer * metal_lines(higher(layer), saturated)
    spectrum *= np.exp(-_unresolved(teff, metallicity) * _blends())
    spectrum *= np.exp(-_molecules(teff, metallicity))
    return opacity.planck(wavelength, teff) * opacity.smoothed(spectrum, max(0.5 * v_sini, 5.0))


def _unresolved(teff: float, metallicity: float) -> FloatArray:
    """Mean optical depth of the weak lines.

    It is 0.3 at 4000 A in the Sun, 0.02 in A stars; a fifth as much at 6000 A.
    """
    cool = np.clip((5040.0 / teff - 0.55) / 0.32, 0.0, 1.6) ** 1.5
    return np.asarray(0.30 * cool * 10.0 ** (0.5 * metallicity) * (wavelength_scale() / 4000.0) ** -4 + 0.004)


def _molecules(teff: float, metallicity: float) -> FloatArray:
    """Optical depth of CH, CN and MgH (below 6800 K) and TiO (below 4300 K)."""
    wavelength = wavelength_scale()
    cool = float(np.clip((6800.0 - teff) / 1300.0, 0.0, 1.3)) * 10.0 ** (0.5 * metallicity)
    tau = 0.45 * cool * np.exp(-(np.abs((wavelength - 4301.0) / 13.0) ** 4))  # CH, the G band
    tau += opacity.band(3883.4, 0.35 * cool, 30.0, to_red=False) + opacity.band(
        4216.0, 0.12 * cool, 25.0, to_red=False
    )
    colder = float(np.clip((5300.0 - teff) / 1000.0, 0.0, 1.5))
    tau += opacity.band(5211.0, 0.30 * colder, 60.0, to_red=False)
    oxide = float(np.clip((4300.0 - teff) / 600.0, 0.0, 1.0))
    if oxide > 0:
        tau += 0.4 * oxide * _oxide_bands()
    return np.asarray(tau)


@cache
def _oxide_bands() -> FloatArray:
    bands = (*TITANIUM_OXIDE, *OTHER_COOL_BANDS)
    return np.asarray(
        sum(opacity.band(head, strength, length, to_red=True) for head, strength, length in bands)
    )


def m_dwarf(subtype: float, rng: np.random.Generator) -> FloatArray:
    """Flux of an M dwarf of a subtype 0 to 7 (M0 to M7), normalised at 7500 A.

    A blackbody of 3850 - 180 * subtype K under TiO, CaH and VO bands whose depth grows with the subtype, Na
    I 5893 and 8190, K I 7680, Ca II triplet, and Balmer emission in a share of stars that grows from a
    tenth to most (West et al. 2011, AJ 141, 97).
    """
    wavelength = wavelength_scale()
    strength = (0.25 + 0.20 * subtype) * rng.uniform(0.85, 1.15)
    tau = strength * _oxide_bands() + 0.8 * np.clip((4600 - wavelength) / 1500, 0, 1)
    flux = opacity.planck(wavelength, 3850.0 - 180.0 * subtype) * np.exp(-tau)
    lines = np.zeros_like(wavelength)
    for air, peak, gamma in (
        (5889.95, 30.0, 2.0),
        (5895.92, 20.0, 2.0),
        (8183.26, 4.0, 1.0),
        (8194.80, 6.0, 1.0),
        (7664.9, 10.0, 1.2),
        (7699.0, 7.0, 1.2),
    ):
        opacity.peak_voigt(lines, float(opacity.vacuum(air)[0]), peak * (0.4 + 0.2 * subtype), 0.6, gamma)
    for air, peak in ((8498.02, 1.5), (8542.09, 3.0), (8662.14, 2.5), (4226.73, 40.0)):
        opacity.peak_voigt(lines, float(opacity.vacuum(air)[0]), peak, 0.8, 0.5)
    flux = flux * opacity.emergent(lines, 0.75) * np.exp(-0.10 * _blends() * (wavelength / 5500) ** -2)
    if rng.random() < 0.1 + 0.12 * subtype:
        level = float(np.interp(6564.6, wavelength, flux)) * rng.uniform(0.5, 3.0)
        for upper, ratio in ((3, 1.0), (4, 0.5), (5, 0.3), (6, 0.2)):
            flux = flux + level * ratio * opacity.gaussian(opacity.balmer_wavelength(upper), 1.2)
    return np.asarray(flux / np.interp(7500.0, wavelength, flux))


def hot_subdwarf(teff: float, logg: float, helium: float, *, hydrogen: float = 0.3) -> FloatArray:
    """Flux of an sdB or sdO star on the common scale.

    `helium` is He/H by number (Heber 2016, PASP 128, 082001). `hydrogen` multiplies the opacity of the
    Balmer lines: at 0.3 the equivalent width of H-gamma is that observed in sdB stars, 7 A.

    Hydrogen and He I from the layer; He II grows from 32,000 K on: its lines of levels 3 and 4 are put in
    by hand, proportional to helium and saturating, since their populations are far from equilibrium.
    """
    wavelength = wavelength_scale()
    layer = photosphere(teff, logg, -4.0, helium)
    saturated = opacity.depth(wavelength, teff)
    column = hydrogen * layer.hydrogen_column
    eta = opacity.hydrogen_opacity(column, layer.electron_density, doppler=20.0)
    ionised = float(np.clip((teff - 32000.0) / 8000.0, 0.0, 1.5))
    for air, upper, lower in HELIUM_II:
        peak = (
            12.0
            * ionised
            * min(helium, 3.0) ** 0.6
            * (1.5 if lower == 3 else 1.0)
            / (1 + 0.08 * (upper - 4) ** 2)
        )
        opacity.peak_voigt(eta, float(opacity.vacuum(air)[0]), peak, 1.0, 0.5 + 0.12 * (upper - 3))
    jump = opacity.emergent(opacity.series_end(column), 0.8 * saturated)
    lines = metal_lines(
        Layer(0.92 * teff, layer.electron_pressure / 2, -4.0, helium), saturated, microturbulence=6.0
    )
    return opacity.planck(wavelength, teff) * jump * opacity.emergent(eta, saturated) * lines
