"""What Gaia says of a source, as far as it helps with white dwarfs: G, BP - RP and parallax.

Colours and absolute magnitudes of DA are rounded from the cooling models of the Montreal group (Bedard et al.
2020, ApJ 901, 93), good to 0.06 mag and 0.1 mag: enough to tell hot from cold, not to measure anything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

GAIA_COLUMNS = ("g_mag", "bp_mag", "rp_mag", "plx", "e_plx")
"""Columns of the source that `Gaia.of` reads."""
COLOUR_ERROR = 0.06
"""Uncertainty [mag] of BP - RP: of the relation, and of the photometry of a faint source."""
REDDENING = 0.12
"""Usual colour excess in BP - RP [mag] of a white dwarf of a survey; only makes redder."""
MAGNITUDE_ERROR = 0.4
"""Uncertainty [mag] of the absolute magnitude of a white dwarf of given temperature and gravity.

It has that of the gravity in it, and a companion's light.
"""
PARALLAX_ERROR = 0.05
"""Least uncertainty [mas] of a parallax."""
SIGNIFICANT = 4.0
"""Parallax over error from which on an absolute magnitude is used."""
MOST = 12.0
"""Largest chi2 that Gaia may bring against a solution: its data may belong to another star."""

_TEFF = (4000.0, 5000.0, 6000.0, 7000.0, 8000.0, 9000.0, 10_000.0, 11_000.0, 12_000.0, 13_000.0, 15_000.0,
         17_500.0, 20_000.0, 25_000.0, 30_000.0, 40_000.0, 60_000.0, 120_000.0)  # fmt: skip
_COLOUR = (1.55, 1.07, 0.73, 0.50, 0.34, 0.21, 0.11, 0.04, -0.02, -0.06, -0.13, -0.19, -0.25, -0.33, -0.39, -0.46,
           -0.52, -0.56)  # fmt: skip
_MAGNITUDE = (15.6, 14.6, 13.8, 13.25, 12.8, 12.4, 12.1, 11.85, 11.65, 11.5, 11.2, 10.9, 10.65, 10.25, 9.9, 9.35,
              8.7, 7.8)  # fmt: skip
_PER_DEX = 1.5  # magnitudes fainter per dex of gravity, as the mass-radius relation gives


@dataclass(frozen=True)
class Gaia:
    """Photometry [mag] and parallax [mas] of a source; None where they are not known."""

    g_mag: float | None = None
    bp_rp: float | None = None
    plx: float | None = None
    e_plx: float | None = None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Gaia:
        """From the columns of a manifest row; what is missing there, NULL or not a number, is not known."""
        known = {name: _number(row.get(name)) for name in GAIA_COLUMNS}
        bp, rp = known["bp_mag"], known["rp_mag"]
        plausible = bp is not None and rp is not None and -1.5 < bp - rp < 7.0
        return cls(
            g_mag=known["g_mag"],
            bp_rp=bp - rp if plausible and bp is not None and rp is not None else None,
            plx=known["plx"],
            e_plx=known["e_plx"] if (known["e_plx"] or 0.0) > 0 else None,
        )

    @property
    def absolute(self) -> float | None:
        """Absolute magnitude M_G, where the parallax is significant; not corrected for dust."""
        if self.g_mag is None or self.plx is None or self.e_plx is None:
            return None
        if self.plx < SIGNIFICANT * math.hypot(self.e_plx, PARALLAX_ERROR):
            return None
        return self.g_mag + 5.0 * math.log10(self.plx) - 10.0

    def misfit(self, teff: float, logg: float) -> float:
        """The chi2 of a DA of this temperature [K] and gravity having the colour and magnitude, at most `MOST`.

        0 when nothing is known. A redder star than the model is less improbable than a bluer one: there is dust.
        """
        total = 0.0
        if self.bp_rp is not None:
            excess = self.bp_rp - da_colour(teff)
            error = COLOUR_ERROR if excess < 0 else math.hypot(COLOUR_ERROR, REDDENING)
            total += (excess / error) ** 2
        absolute = self.absolute
        if absolute is not None and self.plx is not None and self.e_plx is not None:
            error = math.hypot(MAGNITUDE_ERROR, 2.17 * math.hypot(self.e_plx, PARALLAX_ERROR) / self.plx)
            total += ((absolute - da_magnitude(teff, logg)) / error) ** 2
        return min(total, MOST)


def da_colour(teff: float) -> float:
    """BP - RP [mag] of a DA of logg 8."""
    return float(np.interp(np.log(teff), np.log(_TEFF), _COLOUR))


def da_magnitude(teff: float, logg: float) -> float:
    """Absolute magnitude M_G of a DA."""
    return float(np.interp(np.log(teff), np.log(_TEFF), _MAGNITUDE)) + _PER_DEX * (logg - 8.0)


def _number(value: Any) -> float | None:
    """A finite number, or None; also for the fill values below -900 of catalogues."""
    if value is None:
        return None
    number = float(value)
    return number if math.isfinite(number) and number > -900.0 else None
