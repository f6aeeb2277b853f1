"""Spectra of white dwarfs, alone and with companions: each `draw_*` takes a random one of its kind.

DA spectra are those of the packaged grid; the others are one-layer syntheses (`opacity.py`) with line
strengths drawn from the range that the spectra of their kind show. What is no white dwarf is in `stars.py`
and `extragalactic.py`.
"""

from __future__ import annotations

import numpy as np

from astra_assets.astronomy.constants import SPEED_OF_LIGHT
from astra_assets.pipelines.white_dwarf.grid import load_grid
from astra_assets.synthesis import opacity, stars
from astra_assets.synthesis.late_types import m_dwarf_of_any_strength
from astra_assets.synthesis.line_data import CARBON, HELIUM_I, HELIUM_II, SWAN
from astra_assets.synthesis.opacity import (
    Drawn,
    FloatArray,
    normalised,
    planck,
    wavelength_scale,
)
from astra_assets.synthesis.perturbed import Perturbation, perturbed_da

COOLEST_DA = 6000.0
"""K; below, H-alpha fades and a hydrogen atmosphere is no longer classified DA at the S/N of a survey."""
HOTTEST_DA = 80000.0


def draw_da(rng: np.random.Generator) -> Drawn:
    """A hydrogen atmosphere of the grid.

    Two thirds as a magnitude-limited survey sees them (log teff normal about 14,500 K, logg 8.02 +- 0.2;
    Kepler et al. 2019, MNRAS 486, 2169), one third even over the whole range of log teff and logg.
    """
    grid = load_grid()
    lowest, highest = grid.logg_range
    if rng.random() < 2 / 3:
        teff = float(np.clip(np.exp(rng.normal(np.log(14500.0), 0.45)), COOLEST_DA, HOTTEST_DA))
        logg = float(np.clip(rng.normal(8.02, 0.2), lowest, highest))
    else:
        teff = float(np.exp(rng.uniform(np.log(COOLEST_DA), np.log(HOTTEST_DA))))
        logg = float(rng.uniform(lowest, highest))
    if rng.random() < 0.5:
        return teff, logg, grid.flux(teff, logg)
    flux = perturbed_da(teff, logg, Perturbation.drawn(rng, size=1.5))
    return teff, logg, flux * _traces(rng, teff)


def _traces(rng: np.random.Generator, teff: float) -> FloatArray:
    """Transmission of weak lines in one of six DA: Ca II K (DAZ), He II 4686 (DAO) or He I (DAB), which stay DA here."""
    eta = np.zeros_like(wavelength_scale())
    chosen = rng.random()
    if chosen < 0.08 and teff < 25_000.0:
        for air, relative in ((3933.66, 1.0), (3968.47, 0.6), (4481.2, 0.2)):
            opacity.peak_voigt(eta, float(opacity.vacuum(air)[0]), relative * rng.uniform(0.1, 1.0), 0.7, 0.5)
    elif chosen < 0.2 and teff > 45_000.0:
        opacity.peak_voigt(eta, float(opacity.vacuum(4685.7)[0]), rng.uniform(0.1, 0.6), 2.0, 3.0)
    elif chosen < 0.12 and 14_000.0 < teff < 35_000.0:
        eta = 0.15 * rng.random() * _helium(rng, 21_000.0, 1.0)
    return opacity.emergent(eta, 0.6)


def draw_dah(rng: np.random.Generator) -> Drawn:
    """A magnetic DA of 2 to 40 MG.

    Its Balmer lines are split into three by the linear Zeeman effect and shifted to the blue by the
    quadratic one.

    Linear: 4.67e-13 wavelength^2 B; quadratic: 4.97e-23 wavelength^2 n^4 (1 + m^2) B^2 (Preston 1970, ApJ
    160, L143), bent over at 60 A, where perturbation theory fails. The field of a dipole varies by a factor
    of two over the disc, which smears the outer components.
    """
    teff = float(np.exp(rng.uniform(np.log(8000.0), np.log(25000.0))))
    field = float(np.exp(rng.uniform(np.log(2e6), np.log(4e7))))  # G, mean over the disc
    wavelength = wavelength_scale()
    strength = float(np.exp(-0.5 * (np.log(teff / 12500.0) / 0.45) ** 2)) * rng.uniform(0.6, 1.3)
    eta = np.zeros_like(wavelength)
    samples = field * np.linspace(0.72, 1.28, 15) ** rng.uniform(0.5, 1.2)
    for upper, peak, gamma in (
        (3, 2.2, 9.0),
        (4, 2.6, 12.0),
        (5, 2.6, 14.0),
        (6, 2.0, 15.0),
        (7, 1.4, 16.0),
        (8, 0.8, 17.0),
    ):
        centre = opacity.balmer_wavelength(upper)
        for local in samples:
            linear = 4.67e-13 * centre**2 * local
            for component, weight in ((-1, 0.5), (0, 1.0), (1, 0.5)):
                quadratic = 4.97e-23 * centre**2 * upper**4 * (1 + component**2) * local**2
                at = centre + component * linear - quadratic / (1.0 + quadratic / 60.0)
                opacity.peak_voigt(eta, at, strength * peak * weight / len(samples), 3.0, gamma)
    return teff, 8.0, planck(wavelength, teff) * opacity.emergent(eta, 0.65)


def draw_db(rng: np.random.Generator) -> Drawn:
    """A helium atmosphere of 12,500 to 30,000 K.

    It has broad He I lines on a blackbody; a quarter have a trace of hydrogen (DBA).
    """
    teff = float(rng.uniform(12500.0, 30000.0))
    wavelength = wavelength_scale()
    eta = _helium(rng, teff, 10.0 ** rng.uniform(-0.35, 0.35))
    if rng.random() < 0.25:
        trace = 0.4 * rng.random()
        for upper in (3, 4, 5, 6):
            opacity.peak_voigt(
                eta, opacity.balmer_wavelength(upper), trace * (1.5 if upper == 3 else 1.0), 2.0, 6.0
            )
    return teff, 8.0, planck(wavelength, teff) * opacity.emergent(eta, 0.6)


def _helium(rng: np.random.Generator, teff: float, factor: float) -> FloatArray:
    """Opacity of He I in a white dwarf.

    Lines are strongest near 20,000 K (Bergeron et al. 2011, ApJ 737, 28) and 5 to 25 A wide.
    """
    eta = np.zeros_like(wavelength_scale())
    strength = factor * float(np.exp(-0.5 * (np.log(teff / 21000.0) / 0.30) ** 2))
    width = rng.uniform(0.7, 1.4)
    for air, log_gf, energy in HELIUM_I:
        relative = 10.0 ** (0.55 * (log_gf - 0.05)) * 10.0 ** (-0.25 * (energy - 20.96))
        gamma = 6.0 * width * (0.5 if air > 5500 else 1.0)
        opacity.peak_voigt(eta, float(opacity.vacuum(air)[0]), 2.4 * strength * relative, 2.0, gamma)
    return eta


def draw_dc(rng: np.random.Generator) -> Drawn:
    """A featureless spectrum: a blackbody of 4500 to 11,500 K."""
    teff = float(rng.uniform(4500.0, 11500.0))
    return teff, 8.0, planck(wavelength_scale(), teff)


def draw_do(rng: np.random.Generator) -> Drawn:
    """A hot helium atmosphere of 45,000 to 100,000 K: He II, first of all 4686, with He I in the cooler half.

    Not a kind of the demo survey; the classifier must know it, since the Pickering lines of He II lie
    next to the Balmer lines.
    """
    teff = float(np.exp(rng.uniform(np.log(45000.0), np.log(100000.0))))
    wavelength = wavelength_scale()
    eta = _helium(
        rng, 21000.0, 0.35 * float(np.clip((70000.0 - teff) / 25000.0, 0, 1)) * rng.uniform(0.3, 1.2)
    )
    strength, width = rng.uniform(0.35, 1.1), rng.uniform(0.7, 1.5)
    for air, upper, lower in HELIUM_II:
        peak = 1.6 * strength * (1.3 if lower == 3 else 0.8 / (1 + 0.05 * (upper - 6) ** 2))
        opacity.peak_voigt(
            eta,
            float(opacity.vacuum(air)[0]),
            peak,
            2.0,
            width * (5.0 if lower == 3 else 4.0 + 1.2 * (upper - 5)),
        )
    return teff, 8.0, planck(wavelength, teff) * opacity.emergent(eta, 0.5)


def draw_dq(rng: np.random.Generator) -> Drawn:
    """Carbon: Swan bands of C2 on 5500 to 10,500 K.

    One in four is a warm DQ of 11,000 to 20,000 K with C I and C II lines.
    """
    wavelength = wavelength_scale()
    if rng.random() < 0.25:
        teff = float(rng.uniform(11000.0, 20000.0))
        eta = np.zeros_like(wavelength)
        factor, width = 10.0 ** rng.uniform(-0.4, 0.3), rng.uniform(0.6, 1.5)
        for air in CARBON:
            opacity.peak_voigt(
                eta, float(opacity.vacuum(air)[0]), factor * rng.uniform(0.5, 1.5), 2.5, 6.0 * width
            )
        return teff, 8.0, planck(wavelength, teff) * opacity.emergent(eta, 0.45)
    teff = float(rng.uniform(5500.0, 10500.0))
    strength = 10.0 ** rng.uniform(-0.75, 0.25)
    length, shift = (
        rng.uniform(45.0, 100.0),
        rng.choice([0.0, 0.0, 0.0, -40.0]),
    )  # peculiar DQ have shifted bands
    tau = sum(
        opacity.band(head + shift, strength * relative, length, to_red=False) for head, relative in SWAN
    )
    return teff, 8.0, planck(wavelength, teff) * np.exp(-opacity.smoothed(np.asarray(tau), 200.0))


METALS = (
    (3933.66, 3.0), (3968.47, 2.2), (4226.73, 1.0), (3820.43, 0.8), (3735.0, 0.9), (3749.5, 0.6),
    (3832.3, 0.9), (3838.3, 1.0), (3859.9, 0.5), (4045.8, 0.35), (4063.6, 0.25), (4271.8, 0.3),
    (4383.5, 0.35), (4404.8, 0.2), (5172.7, 0.5), (5183.6, 0.6), (5167.3, 0.4), (5269.5, 0.25),
    (5328.0, 0.2), (5889.95, 0.5), (5895.92, 0.4), (8498.0, 0.15), (8542.1, 0.4), (8662.1, 0.35),
    (3944.0, 0.3), (3961.5, 0.3),
)  # fmt: skip
"""Lines of DZ stars: air wavelength [Angstrom] and relative strength (Dufour et al. 2007, ApJ 663, 1291)."""


def draw_dz(rng: np.random.Generator) -> Drawn:
    """Metals in a cool helium atmosphere of 5000 to 11,000 K.

    Ca II H and K show always, Ca I, Mg, Fe, Na by temperature and abundance.
    """
    teff = float(rng.uniform(5000.0, 11000.0))
    abundance = 10.0 ** rng.uniform(-0.3, 1.3)
    eta = np.zeros_like(wavelength_scale())
    neutral = 10.0 ** (1.2 * (5040.0 / teff - 0.75)) * rng.uniform(0.15, 1.2)
    width = rng.uniform(0.5, 1.3) * (9000.0 / teff)
    for air, relative in METALS:
        ionised_calcium = air in {3933.66, 3968.47, 8498.0, 8542.1, 8662.1}
        peak = abundance * relative * (1.0 if ionised_calcium else 0.4 * neutral)
        opacity.peak_voigt(eta, float(opacity.vacuum(air)[0]), peak, 1.5, 3.0 * width)
    return teff, 8.0, planck(wavelength_scale(), teff) * opacity.emergent(eta, 0.9)


def draw_da_ms(rng: np.random.Generator) -> Drawn:
    """A DA with an M dwarf of M0 to M6, whose flux at 7500 A is 0.4 to 3 times that of the white dwarf."""
    teff = float(np.exp(rng.uniform(np.log(9000.0), np.log(45000.0))))
    logg = float(np.clip(rng.normal(7.95, 0.25), 7.2, 8.8))
    primary = load_grid().flux(teff, logg)
    primary = primary / np.interp(7500.0, wavelength_scale(), primary)
    ratio = float(np.exp(rng.uniform(np.log(0.4), np.log(3.0))))
    if rng.random() < 0.5:
        return teff, logg, primary + ratio * stars.m_dwarf(rng.uniform(0.0, 6.0), rng)
    return teff, logg, primary + ratio * m_dwarf_of_any_strength(rng.uniform(0.0, 7.0), rng)


def draw_cv(rng: np.random.Generator) -> Drawn:
    """A cataclysmic variable.

    It has a blue continuum with Balmer and He I emission, He II and double peaks in some (Szkody et al. 2002
    onwards).
    """
    wavelength = wavelength_scale()
    continuum = normalised(wavelength ** rng.uniform(-2.8, -0.3))
    if rng.random() < 0.4:  # the white dwarf shows: broad absorption below the emission
        teff = float(rng.uniform(10000.0, 20000.0))
        continuum = continuum + rng.uniform(0.5, 1.5) * normalised(
            load_grid().flux(teff, float(rng.uniform(7.6, 8.6)))
        )
    if rng.random() < 0.3:
        continuum = continuum + rng.uniform(0.1, 0.6) * stars.m_dwarf(rng.uniform(2.0, 6.0), rng)
    sigma = rng.uniform(250.0, 900.0)  # km/s
    split = rng.uniform(350.0, 700.0) if rng.random() < 0.4 else 0.0
    width = rng.uniform(20.0, 120.0)  # equivalent width of H-alpha [Angstrom]
    decrement = rng.uniform(0.75, 1.05)
    lines = [(opacity.balmer_wavelength(upper), width * decrement ** (upper - 3)) for upper in range(3, 12)]
    helium = rng.uniform(0.1, 0.35)
    lines += [
        (float(opacity.vacuum(air)[0]), width * helium) for air in (4471.5, 4921.9, 5875.6, 6678.2, 7065.2)
    ]
    lines.append((float(opacity.vacuum(4685.7)[0]), width * rng.choice([0.05, 0.1, 0.5])))
    flux = continuum.copy()
    for centre, area in lines:
        level = (
            float(np.interp(centre, wavelength, continuum))
            * area
            / (np.sqrt(2 * np.pi) * centre * sigma / SPEED_OF_LIGHT)
        )
        for side in (-split, split) if split else (0.0,):
            share = 0.5 if split else 1.0
            flux += (
                share
                * level
                * opacity.gaussian(centre * (1 + side / SPEED_OF_LIGHT), centre * sigma / SPEED_OF_LIGHT)
            )
    return float("nan"), float("nan"), flux
