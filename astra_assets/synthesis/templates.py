"""Random noiseless spectra of all the kinds that white-dwarf pipelines must tell apart.

They train the classifier and fill the demo survey and tests. DA spectra are from the grid, all others are one-layer
approximations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from astra_assets.synthesis import extragalactic, late_types, stars, strange, white_dwarfs
from astra_assets.synthesis.opacity import (
    Drawn,
    FloatArray,
    normalised,
    reddened,
    wavelength_scale,
)

KINDS = ("DA", "DAH", "DB", "DC", "DQ", "DZ", "DA_MS", "CV", "SDB", "STAR", "QSO", "GALAXY")
"""The kinds of the demo survey."""
FURTHER_KINDS = ("DO", "UNKNOWN")
"""Kinds that `draw` knows too, and that the classifier is trained on."""


@dataclass(frozen=True, eq=False)
class Template:
    """A noiseless spectrum at rest (galaxies and quasars: with their redshift), in vacuum.

    `teff` [K] and `logg` [log cm s-2] are NaN where they mean nothing; `wavelength` [Angstrom] (n) is
    log-linear from 3500 to 10500 with 17 km/s per pixel; `flux` (n) is F_lambda with median 1 between 5400
    and 5600 A.
    """

    kind: str
    teff: float
    logg: float
    wavelength: FloatArray
    flux: FloatArray


def draw(kind: str, rng: np.random.Generator) -> Template:
    """A random object of one of `KINDS` or `FURTHER_KINDS`, behind a random, mostly small amount of dust.

    Raises:
        ValueError: the kind is not known.
    """
    if kind not in _DRAW:
        raise ValueError(f"unknown kind {kind!r}: use one of {', '.join(_DRAW)}")
    teff, logg, flux = _DRAW[kind](rng)
    flux = reddened(flux, min(float(rng.exponential(0.04)), 0.4))
    return Template(kind, teff, logg, wavelength_scale(), normalised(flux))


def _draw_subdwarf(rng: np.random.Generator) -> Drawn:
    """A hot subdwarf: six tenths sdB, the others sdO.

    sdB: 24,000 to 38,000 K, logg 5.2 to 6.0, He/H 0.0005 to 0.05; sdO: 40,000 to 78,000 K, logg 5.1 to 6.3,
    He/H 0.01 to 10 (Heber 2016, PASP 128, 082001).
    """
    if rng.random() < 0.6:
        teff, logg, helium = rng.uniform(24000, 38000), rng.uniform(5.2, 6.0), 10 ** rng.uniform(-3.3, -1.3)
    else:
        teff, logg, helium = rng.uniform(40000, 78000), rng.uniform(5.1, 6.3), 10 ** rng.uniform(-2.0, 1.0)
    flux = stars.hot_subdwarf(teff, logg, helium, hydrogen=10 ** rng.uniform(-1.0, 0.0))
    return float(teff), float(logg), flux


_SPECTRAL_TYPES = (
    (0.35, 7300.0, 10000.0),
    (0.30, 6000.0, 7300.0),
    (0.15, 5200.0, 6000.0),
    (0.13, 4000.0, 5200.0),
    (0.07, 10000.0, 14500.0),
)


_OTHER_STARS = (
    (0.16, late_types.draw_m_star),
    (0.03, late_types.draw_l_dwarf),
    (0.06, late_types.draw_carbon_star),
    (0.08, late_types.draw_early_type),
)
"""Shares of the stars that are neither A, F, G, K nor late B."""


def _draw_star(rng: np.random.Generator) -> Drawn:
    """A star of any type: `_OTHER_STARS`, and for the rest `_draw_normal_star`."""
    chosen = float(rng.random())
    for share, draw_other in _OTHER_STARS:
        if chosen < share:
            return draw_other(rng)
        chosen -= share
    return _draw_normal_star(rng)


def _draw_normal_star(rng: np.random.Generator) -> Drawn:
    """A (35 %), F (30 %), G, K and late B stars of logg 3 to 4.6 and [M/H] -2.5 to 0.3.

    Stars of the horizontal branch are among them.
    """
    shares = [share for share, _, _ in _SPECTRAL_TYPES]
    _, coolest, hottest = _SPECTRAL_TYPES[int(rng.choice(len(shares), p=shares))]
    teff = float(rng.uniform(coolest, hottest))
    logg = float(rng.uniform(3.0, 4.6))
    metals = float(
        np.clip(rng.normal(-0.3, 0.4), -2.5, 0.3) if rng.random() < 0.7 else rng.uniform(-2.5, -0.5)
    )
    v_sini = float(rng.uniform(20.0, 250.0) if teff > 7000 else rng.uniform(2.0, 40.0))
    return teff, logg, stars.star(teff, logg, metals, v_sini, hydrogen=10 ** rng.uniform(-0.4, 0.2))


def _draw_unknown(rng: np.random.Generator) -> Drawn:
    """A spectrum of no kind at all; those that are mirrored are of any kind but the featureless DC."""
    kinds = [kind for kind in _DRAW if kind not in {"UNKNOWN", "DC"}]
    return strange.draw_strange(rng, _DRAW[kinds[int(rng.integers(len(kinds)))]])


_DRAW: Mapping[str, Callable[[np.random.Generator], Drawn]] = MappingProxyType(
    {
        "DA": white_dwarfs.draw_da,
        "DAH": white_dwarfs.draw_dah,
        "DB": white_dwarfs.draw_db,
        "DC": white_dwarfs.draw_dc,
        "DQ": white_dwarfs.draw_dq,
        "DZ": white_dwarfs.draw_dz,
        "DA_MS": white_dwarfs.draw_da_ms,
        "CV": white_dwarfs.draw_cv,
        "SDB": _draw_subdwarf,
        "STAR": _draw_star,
        "QSO": extragalactic.draw_quasar,
        "GALAXY": extragalactic.draw_galaxy,
        "DO": white_dwarfs.draw_do,
        "UNKNOWN": _draw_unknown,
    }
)
