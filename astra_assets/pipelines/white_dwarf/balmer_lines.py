"""The hydrogen lines that white-dwarf spectra are fitted in: rest wavelengths and windows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BalmerLine:
    """One Balmer line and the window it is fitted in.

    `centre` is the vacuum rest wavelength [Angstrom]; `half_width` [Angstrom] reaches from the centre to
    either end of the window.
    """

    name: str
    centre: float
    half_width: float


# Vacuum wavelengths of NIST, as SDSS uses them. The windows of the first four are those of corv (Chandra,
# Arseneau); those of the higher lines, which overlap, reach about halfway to the neighbours.
H_ALPHA = BalmerLine("h_alpha", 6564.61, 100.0)
H_BETA = BalmerLine("h_beta", 4862.68, 100.0)
H_GAMMA = BalmerLine("h_gamma", 4341.68, 85.0)
H_DELTA = BalmerLine("h_delta", 4102.89, 70.0)
H_EPSILON = BalmerLine("h_epsilon", 3971.20, 32.0)
H_8 = BalmerLine("h_8", 3890.15, 25.0)
H_9 = BalmerLine("h_9", 3836.47, 18.0)
H_10 = BalmerLine("h_10", 3798.98, 14.0)

BALMER = (H_ALPHA, H_BETA, H_GAMMA, H_DELTA, H_EPSILON, H_8, H_9, H_10)
"""From red to blue."""
