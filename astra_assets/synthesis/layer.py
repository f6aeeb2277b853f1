"""One layer of a stellar photosphere in local thermodynamic equilibrium.

Ionisation, electron pressure, continuous opacity and populations, for everything that has hydrogen and helium or metals
in stellar proportions. Formulas of Gray 2005 (The Observation and Analysis of Stellar Photospheres, 3rd edition,
chapters 1, 8, 9).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import brentq

from astra_assets.synthesis.line_data import ELEMENTS

BOLTZMANN = 1.380649e-16
"""erg / K, exact (SI)."""
_EV_THETA = 5039.78  # theta = this / T: log10 of a Boltzmann factor per eV
_HYDROGEN_IONISATION = 13.598  # eV
_ELECTRON_SCATTERING = 6.652e-25  # cm2
_HYDROGEN_MASS = 1.6735e-24  # g
_CONTINUUM = 5000.0  # Angstrom at which the continuous opacity is taken
_NEGATIVE_HYDROGEN = 2.8e-17  # cm2, bound-free cross section of H- near 5000 A (Gray, equation 8.11)


@dataclass(frozen=True)
class Layer:
    """A layer of temperature [K] and electron pressure [dyn cm-2].

    `metallicity` is [M/H] in dex, `helium` the number of helium atoms per hydrogen atom.
    """

    temperature: float
    electron_pressure: float
    metallicity: float = 0.0
    helium: float = 0.085

    @property
    def theta(self) -> float:
        """5040 K / temperature."""
        return _EV_THETA / self.temperature

    @property
    def electron_density(self) -> float:
        """Electrons per cm3."""
        return self.electron_pressure / (BOLTZMANN * self.temperature)

    def ratio(self, energy: float, partition: float) -> float:
        """Ionised over not ionised, by Saha's equation.

        `energy` is the ionisation energy [eV], `partition` the ratio of the partition functions.
        """
        exponent = -0.1761 + 2.5 * math.log10(self.temperature) - self.theta * energy + math.log10(partition)
        return float(10.0 ** min(max(exponent, -40.0), 40.0) / self.electron_pressure)

    @cached_property
    def stages(self) -> dict[str, tuple[float, float, float]]:
        """For each of `ELEMENTS`, the shares of neutral atoms, first ions and second ions."""
        shares = {}
        for name, element in ELEMENTS.items():
            first = self.ratio(element.ionisation[0], element.partition[1] / element.partition[0])
            second = self.ratio(element.ionisation[1], element.partition[2] / element.partition[1])
            total = 1.0 + first + first * second
            shares[name] = (1.0 / total, first / total, first * second / total)
        return shares

    def abundance(self, element: str) -> float:
        """Atoms per hydrogen atom."""
        if element == "He":
            return self.helium
        return float(10.0 ** (ELEMENTS[element].abundance - 12.0 + self.metallicity))

    @cached_property
    def neutral_hydrogen(self) -> float:
        """Share of hydrogen atoms that are neutral."""
        return 1.0 / (1.0 + self.ratio(_HYDROGEN_IONISATION, 0.5))

    @cached_property
    def electrons(self) -> float:
        """Free electrons per hydrogen atom."""
        total = 1.0 - self.neutral_hydrogen
        for element in ("He", "Na", "Mg", "Al", "Si", "Ca", "Fe"):
            _, once, twice = self.stages[element]
            total += self.abundance(element) * (once + 2 * twice)
        return max(total, 1e-12)

    @property
    def second_level(self) -> float:
        """Hydrogen atoms in level 2 per hydrogen atom."""
        return float(self.neutral_hydrogen * 4.0 * 10.0 ** (-10.199 * self.theta))

    @cached_property
    def continuous_opacity(self) -> float:
        """Absorption and scattering near 5000 A per hydrogen atom [cm2].

        It is the sum of H-, bound-free absorption of H and scattering by electrons.
        """
        theta, neutral = self.theta, self.neutral_hydrogen
        negative = (
            4.158e-10 * _NEGATIVE_HYDROGEN * self.electron_pressure * theta**2.5 * 10.0 ** (0.754 * theta)
        )
        levels = sum(10.0 ** (-_HYDROGEN_IONISATION * theta * (1 - 1 / n**2)) / n**3 for n in range(3, 9))
        ionising = 1.0449e-26 * _CONTINUUM**3 * levels
        return float(neutral * (negative + ionising) + _ELECTRON_SCATTERING * self.electrons)

    @property
    def hydrogen_column(self) -> float:
        """Hydrogen atoms in level 2 per unit of continuous opacity [cm-2], as the Balmer lines see them.

        The level is populated at 0.95 of the temperature, and the number halved: Balmer wings form above
        the layer. With that H-gamma of Vega comes out at 13 A (observed 14), H-alpha of the Sun at 2 A (4).
        """
        cooler = 10.0 ** (-10.199 * 0.053 * self.theta)
        return float(0.5 * self.second_level * cooler / self.continuous_opacity)

    def column(self, element: str, ion: int, energy: float, partition: float | None = None) -> float:
        """Atoms in a level, per statistical weight and unit of continuous opacity [cm-2].

        `energy` [eV] is that of the level above the ground state of the ion.
        """
        share = self.stages[element][ion] * self.abundance(element)
        weight = ELEMENTS[element].partition[ion] if partition is None else partition
        return float(share / weight * 10.0 ** (-energy * self.theta) / self.continuous_opacity)


def photosphere(teff: float, logg: float, metallicity: float = 0.0, helium: float = 0.085) -> Layer:
    """The layer at `teff` [K] whose pressure is that of a hydrostatic atmosphere at optical depth 2/3.

    The pressure is P = g tau / kappa.
    """
    mass = _HYDROGEN_MASS * (1.0 + 4.0 * helium)

    def excess(log_pressure: float) -> float:
        layer = Layer(teff, 10.0**log_pressure, metallicity, helium)
        particles = (1.0 + helium) / layer.electrons + 1.0
        return float(
            log_pressure + np.log10(particles * layer.continuous_opacity / mass) - logg - np.log10(2.0 / 3.0)
        )

    return Layer(teff, 10.0 ** float(brentq(excess, -6.0, 9.0, xtol=1e-3)), metallicity, helium)


def higher(layer: Layer) -> Layer:
    """The layer where most metal lines form: 0.88 of the temperature and a third of the electron pressure."""
    return Layer(0.88 * layer.temperature, layer.electron_pressure / 3.0, layer.metallicity, layer.helium)
