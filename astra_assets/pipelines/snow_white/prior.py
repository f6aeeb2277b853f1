"""Gaia's colour and parallax as prior of the classes.

Where in the colour-magnitude diagram the members of a class are is much better known than what a faint spectrum
shows: a quasar has no parallax, an M star without a companion lies on the main sequence, a hot subdwarf is six
magnitudes brighter than a white dwarf of its colour. For each class, colours and absolute magnitudes are a few
broad normal distributions, by eye after Gaia Collaboration, Babusiaux et al. 2018 (A&A 616, A10), Gentile
Fusillo et al. 2021 (MNRAS 508, 3877), Geier et al. 2019 (A&A 621, A38), Rebassa-Mansergas et al. 2021 (MNRAS
506, 5201). What Gaia brings to bear is limited (`LIMIT`), since its measurement may be of another star: it
decides where the spectrum leaves a question open, and no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astra_assets.pipelines.white_dwarf.gaia import PARALLAX_ERROR, Gaia

LIMIT = 300.0
"""Largest factor by which Gaia may change the ratio of the probabilities of two classes."""

_MAGNITUDES = np.arange(-6.0, 19.0, 0.1)
_MAIN_SEQUENCE = ((-0.5, -2.5), (-0.2, 0.0), (0.0, 1.2), (0.4, 2.8), (0.8, 4.8), (1.2, 6.8), (1.8, 8.6), (2.5, 10.3),
                  (3.5, 13.0), (4.5, 15.5))  # fmt: skip
_WHITE_DWARFS = ((-0.6, 8.3), (-0.45, 9.4), (-0.35, 10.1), (-0.25, 10.65), (-0.1, 11.3), (0.0, 11.75), (0.2, 12.4),
                 (0.5, 13.2), (1.0, 14.5), (1.5, 15.5), (2.0, 16.0))  # fmt: skip


@dataclass(frozen=True)
class Locus:
    """Where a class lies: mean and spread of BP - RP, and of M_G about a sequence or about one value."""

    colour: float
    colour_spread: float
    magnitude: float | None = None
    magnitude_spread: float = 0.6
    sequence: tuple[tuple[float, float], ...] = ()
    extragalactic: bool = False


LOCI: Mapping[str, tuple[tuple[float, Locus], ...]] = {
    "DA": ((1.0, Locus(0.05, 0.35, sequence=_WHITE_DWARFS)),),
    "DAH": ((1.0, Locus(0.15, 0.4, sequence=_WHITE_DWARFS)),),
    "DB": ((1.0, Locus(-0.1, 0.2, sequence=_WHITE_DWARFS)),),
    "DO": ((1.0, Locus(-0.4, 0.2, sequence=_WHITE_DWARFS)),),
    "DC": ((1.0, Locus(0.6, 0.5, sequence=_WHITE_DWARFS)),),
    "DQ": ((1.0, Locus(0.35, 0.4, sequence=_WHITE_DWARFS)),),
    "DZ": ((1.0, Locus(0.6, 0.5, sequence=_WHITE_DWARFS)),),
    "DA_MS": ((1.0, Locus(0.9, 0.7, 10.0, 1.3)),),
    "CV": ((1.0, Locus(0.5, 0.5, 9.0, 2.0)),),
    "SDB": ((1.0, Locus(-0.25, 0.25, 4.3, 1.0)),),
    "STAR": (
        (0.6, Locus(0.9, 0.9, sequence=_MAIN_SEQUENCE)),
        (0.2, Locus(1.2, 0.8, 1.0, 2.5)),
        (0.2, Locus(2.3, 0.8, sequence=_MAIN_SEQUENCE)),
    ),
    "QSO": ((1.0, Locus(0.6, 0.4, extragalactic=True)),),
    "GALAXY": ((1.0, Locus(1.2, 0.6, extragalactic=True)),),
    "UNKNOWN": ((0.5, Locus(0.6, 1.2, 8.0, 5.0)), (0.5, Locus(0.6, 1.2, extragalactic=True))),
}
"""By class the parts of its distribution, each with its weight."""


def likelihoods(classes: tuple[str, ...], gaia: Gaia) -> NDArray[np.float64] | None:
    """How well each class agrees with what Gaia says, the best one 1 and none below 1 / `LIMIT`.

    None where Gaia says nothing. Classes of other classifiers, which have no locus, get the mean of the others.
    """
    if gaia.bp_rp is None:
        return None
    known = {
        name: sum(w * _density(locus, gaia) for w, locus in LOCI[name]) for name in classes if name in LOCI
    }
    if not known:
        return None
    mean = float(np.mean(list(known.values())))
    values = np.array([known.get(name, mean) for name in classes])
    highest = float(values.max())
    if not highest > 0:
        return None
    return np.asarray(np.maximum(values / highest, 1.0 / LIMIT))


def updated(probabilities: Mapping[str, float], gaia: Gaia) -> dict[str, float]:
    """Probabilities of the classes, given the spectrum and what Gaia says."""
    classes = tuple(probabilities)
    likelihood = likelihoods(classes, gaia)
    if likelihood is None:
        return dict(probabilities)
    values = np.array(list(probabilities.values())) * likelihood
    return {name: float(value) for name, value in zip(classes, values / values.sum(), strict=True)}


def _density(locus: Locus, gaia: Gaia) -> float:
    """Probability density of the colour and the parallax in one part of a class."""
    colour = float(gaia.bp_rp or 0.0)
    # what dust and bad photometry do has a wide wing
    density = 0.9 * _normal(colour - locus.colour, locus.colour_spread) + 0.1 * _normal(
        colour - locus.colour, 1.5
    )
    if gaia.g_mag is None or gaia.plx is None or gaia.e_plx is None:
        return density
    error = float(np.hypot(gaia.e_plx, PARALLAX_ERROR))
    if locus.extragalactic:
        return density * _normal(gaia.plx, error)
    centre = _on_sequence(colour, locus.sequence) if locus.sequence else locus.magnitude
    assert centre is not None
    weight = 0.95 * np.exp(-0.5 * ((_MAGNITUDES - centre) / locus.magnitude_spread) ** 2) + 0.05 * np.exp(
        -0.5 * ((_MAGNITUDES - centre) / (4.0 * locus.magnitude_spread)) ** 2
    )
    # a magnitude-limited sample sees the brighter ones farther out; a constant density of stars is not assumed
    expected = 10.0 ** ((_MAGNITUDES - gaia.g_mag + 10.0) / 5.0)
    seen = np.exp(-0.5 * ((gaia.plx - expected) / error) ** 2) / (2.507 * error)
    return density * float((weight * seen).sum() / weight.sum())


def _on_sequence(colour: float, sequence: tuple[tuple[float, float], ...]) -> float:
    """Absolute magnitude of a sequence of (colour, magnitude) at a colour."""
    knots = np.array(sequence)
    return float(np.interp(colour, knots[:, 0], knots[:, 1]))


def _normal(distance: float, spread: float) -> float:
    return float(np.exp(-0.5 * (distance / spread) ** 2) / (2.507 * spread))
