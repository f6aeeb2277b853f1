"""What the demo survey is made of: how common each kind of object is, and what is typical of a kind.

Shares are not those of the survey: every kind that a pipeline must tell apart is there, and DA white dwarfs, which two
pipelines are about, are the most common. Spectra of a kind are in `synthesis.templates`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astra_assets.astronomy.ephemeris import Floats

WD_CARTONS = (
    "mwm_wd_core_0.1.0",
    "mwm_wd_core_0.5.0",
    "mwm_wd_pwd_boss_1.0.42",
    "mwm_wd_gaia_boss_1.0.42",
    "mwm_wd_gaia_boss_1.2.9",
)
"""Cartons of the program mwm_wd."""
NEARBY_CARTONS = ("mwm_snc_100pc_0.1.0", "mwm_snc_100pc_boss_0.5.0", "mwm_snc_100pc_boss_1.0.28")
BINARY_CARTONS = ("mwm_cb_300pc_boss_0.5.0", "mwm_cb_gaiagalex_boss_0.5.0", "mwm_cb_cvcandidates_boss_1.0.47")
HOT_CARTONS = ("mwm_cb_galex_mag_boss_1.0.42", "mwm_ob_core_boss_1.0.39", "mwm_erosita_compact_gen_0.5.2")
STAR_CARTONS = (
    "mwm_halo_bb_boss_0.5.0",
    "mwm_halo_mp_xp_boss_1.0.39",
    "mwm_astar_core_boss_1.0.43",
    "ops_std_boss_1.0.16",
)
QSO_CARTONS = ("bhm_rm_core_1.0.12", "bhm_aqmes_med_0.5.0", "bhm_spiders_agn_gaiadr3_1.0.37")
GALAXY_CARTONS = ("bhm_spiders_clusters_lsdr10_1.0.37", "bhm_spiders_agn_lsdr8_0.5.0")


@dataclass(frozen=True)
class KindTraits:
    """What is typical of one kind.

    `share` is the relative number of sources, `in_wd` the part of them in a carton of mwm_wd, `cartons` the
    others; `snr` the median S/N of a visit over 4000 to 8000 Angstrom; `dispersion` the spread of velocities
    in km/s around `velocity`; `binaries` the part with a varying velocity. `correlation` scales the XCSAO R
    value and `error` the XCSAO error: the templates of XCSAO are those of normal stars. `subclass` is what
    the reduction calls it.
    """

    share: int
    in_wd: float
    cartons: tuple[str, ...]
    snr: float = 20.0
    velocity: float = 0.0
    dispersion: float = 45.0
    binaries: float = 0.0
    correlation: float = 0.6
    error: float = 1.0
    subclass: str = "WD"
    spectral_class: str = "STAR"


# A white dwarf's spectrum is shifted by about 30 km/s by its gravity (Falcon et al. 2010, ApJ 712, 585).
GRAVITATIONAL = 30.0

TRAITS = {
    "DA": KindTraits(112, 0.94, NEARBY_CARTONS, 38.0, GRAVITATIONAL, binaries=0.12, subclass="WDhotter"),
    "DAH": KindTraits(8, 0.94, NEARBY_CARTONS, 24.0, GRAVITATIONAL, error=1.8, subclass="WDmagnetic"),
    "DB": KindTraits(14, 0.94, HOT_CARTONS, 24.0, GRAVITATIONAL, correlation=0.4, error=1.5),
    "DC": KindTraits(12, 0.94, NEARBY_CARTONS, 22.0, GRAVITATIONAL, correlation=0.3, error=8.0),
    "DQ": KindTraits(
        8, 0.94, NEARBY_CARTONS, 22.0, GRAVITATIONAL, correlation=0.35, error=3.0, subclass="CarbonWD"
    ),
    "DZ": KindTraits(
        8, 0.94, NEARBY_CARTONS, 22.0, GRAVITATIONAL, correlation=0.5, error=2.0, subclass="CalciumWD"
    ),
    "DA_MS": KindTraits(12, 0.85, BINARY_CARTONS, 24.0, binaries=1.0, correlation=1.0, subclass="M2"),
    "CV": KindTraits(8, 0.6, BINARY_CARTONS, binaries=1.0, correlation=0.5, error=2.0, subclass="CV"),
    "SDB": KindTraits(
        10, 0.7, HOT_CARTONS, 22.0, dispersion=60.0, binaries=0.3, correlation=0.9, subclass="OB"
    ),
    "STAR": KindTraits(
        24, 0.5, STAR_CARTONS, 22.0, dispersion=80.0, correlation=3.0, error=0.15, subclass="A0"
    ),
    "QSO": KindTraits(
        10,
        0.5,
        QSO_CARTONS,
        14.0,
        0.0,
        0.0,
        correlation=0.25,
        error=8.0,
        subclass="BROADLINE",
        spectral_class="QSO",
    ),
    "GALAXY": KindTraits(
        10,
        0.5,
        GALAXY_CARTONS,
        14.0,
        0.0,
        0.0,
        correlation=0.3,
        error=8.0,
        subclass="",
        spectral_class="GALAXY",
    ),
}
"""Traits by kind; the kinds are SnowWhite's classes and four that it does not know."""

EXTRAGALACTIC = ("QSO", "GALAXY")
"""Kinds whose redshift is part of the template; they have no radial velocity, parallax or proper motion."""

VISIT_NUMBERS = {1: 0.27, 2: 0.25, 3: 0.18, 4: 0.13, 5: 0.06, 6: 0.04, 8: 0.03, 10: 0.02, 12: 0.02}
"""Part of the sources that have so many visits."""

_WD_TEFF = (4000.0, 5000.0, 6000.0, 8000.0, 10000.0, 12000.0, 15000.0, 20000.0, 30000.0, 50000.0, 100000.0)
_WD_COLOUR = (1.75, 1.25, 0.90, 0.46, 0.20, 0.05, -0.08, -0.21, -0.37, -0.49, -0.56)
_WD_MAGNITUDE = (15.7, 14.6, 13.8, 12.9, 12.2, 11.7, 11.2, 10.6, 9.8, 9.0, 7.9)
_STAR_TEFF = (3500.0, 4500.0, 5500.0, 6500.0, 7500.0, 9000.0, 11000.0, 15000.0, 25000.0, 40000.0)
_STAR_COLOUR = (2.40, 1.35, 0.85, 0.60, 0.36, 0.05, -0.10, -0.22, -0.40, -0.52)
_STAR_MAGNITUDE = (9.5, 6.8, 5.0, 3.7, 2.6, 1.5, 0.8, 0.2, 4.4, 4.2)


def colour(kind: str, teff: float, rng: np.random.Generator) -> float:
    """Gaia BP - RP in magnitudes, good to 0.1: rounded from cooling tracks (Bedard et al. 2020, ApJ 901, 93)."""
    if kind in EXTRAGALACTIC:
        return float(rng.normal(0.6 if kind == "QSO" else 1.3, 0.2))
    if kind in ("CV", "DA_MS"):
        return float(rng.normal(0.9, 0.35))
    if kind in ("STAR", "SDB"):
        usual = 8000.0 if kind == "STAR" else 28000.0
        return _read_off(_STAR_TEFF, _STAR_COLOUR, teff, usual) + float(rng.normal(0, 0.02))
    return _read_off(_WD_TEFF, _WD_COLOUR, teff, 9000.0) + float(rng.normal(0, 0.02))


def star_colour(teff: float) -> float:
    """Gaia BP - RP of a normal star, without scatter."""
    return _read_off(_STAR_TEFF, _STAR_COLOUR, teff, teff)


def giant_magnitude(teff: float, logg: float) -> float:
    """Gaia M_G of a giant of one solar mass: its luminosity follows from gravity and temperature.

    The Sun has M_G 4.67, 5772 K and logg 4.438 (Willmer 2018, ApJS 236, 47).
    """
    return 4.67 - 2.5 * (4.0 * float(np.log10(teff / 5772.0)) - (logg - 4.438))


def absolute_magnitude(kind: str, teff: float, logg: float, rng: np.random.Generator) -> float:
    """Gaia M_G, as rough as `colour`.

    White dwarfs are 1.5 fainter for each dex of surface gravity above 8.
    """
    if kind in ("CV", "DA_MS"):
        return float(rng.normal(9.6, 0.9))
    if kind in ("STAR", "SDB"):
        usual = 8000.0 if kind == "STAR" else 28000.0
        return _read_off(_STAR_TEFF, _STAR_MAGNITUDE, teff, usual) + float(rng.normal(0, 0.3))
    gravity = logg if np.isfinite(logg) else 8.0
    return (
        _read_off(_WD_TEFF, _WD_MAGNITUDE, teff, 9000.0) + 1.5 * (gravity - 8.0) + float(rng.normal(0, 0.05))
    )


def _read_off(temperatures: tuple[float, ...], values: tuple[float, ...], teff: float, usual: float) -> float:
    known = teff if np.isfinite(teff) else usual
    return float(np.interp(np.log10(known), np.log10(temperatures), values))


def allocate(total: int) -> list[str]:
    """The kinds of `total` sources, by shares, with at least one of each.

    Raises ValueError when that is impossible.
    """
    if total < len(TRAITS):
        raise ValueError(f"{total} sources are too few to have one of each kind; use at least {len(TRAITS)}")
    shares = np.array([traits.share for traits in TRAITS.values()], dtype=np.float64)
    numbers = apportion(shares, total - len(TRAITS)) + 1
    return [kind for kind, number in zip(TRAITS, numbers, strict=True) for _ in range(number)]


def apportion(shares: Floats, total: int) -> NDArray[np.int64]:
    """Whole numbers in the ratio of `shares` that add up to `total` (largest remainders)."""
    exact = np.asarray(shares) / np.sum(shares) * total
    numbers = np.floor(exact).astype(np.int64)
    missing = total - int(numbers.sum())
    numbers[np.argsort(numbers - exact, kind="stable")[:missing]] += 1
    return numbers


def part_of(number: int, share: float) -> bool:
    """Whether the `number`-th of many (from 0) belongs to a part of the given share.

    Spread evenly, the first one does.
    """
    return bool(np.ceil((number + 1) * share - 1e-9) > np.ceil(number * share - 1e-9))
