"""Constants of the photosphere and of its lines are those of CODATA, to the digits that are written down."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import constants as codata

from astra_assets.synthesis import h_band_lines, layer, opacity

ATOMIC_MASS = codata.physical_constants["atomic mass constant"][0]
THOMSON = codata.physical_constants["Thomson cross section"][0]
RYDBERG_OF_HYDROGEN = codata.Rydberg / (1 + codata.m_e / codata.m_p)
CLASSICAL = codata.e**2 / (4 * codata.epsilon_0 * codata.m_e * codata.c**2)
"""pi times the classical radius of the electron."""


@pytest.mark.parametrize(
    ("value", "exact", "tolerance"),
    [
        (layer.BOLTZMANN, codata.k * 1e7, 1e-12),
        (layer._EV_THETA, np.log10(np.e) * codata.e / codata.k, 1e-6),
        (layer._ELECTRON_SCATTERING, THOMSON * 1e4, 1e-4),
        (layer._HYDROGEN_MASS, (codata.m_p + codata.m_e) * 1e3, 1e-4),
        (opacity._HC_OVER_K, codata.h * codata.c / codata.k * 1e10, 1e-7),
        (opacity._RYDBERG_HYDROGEN, RYDBERG_OF_HYDROGEN * 1e-10, 1e-7),
        (opacity.LINE_AREA, CLASSICAL * 1e2 * 1e-8, 1e-4),
        (h_band_lines.RYDBERG, RYDBERG_OF_HYDROGEN * 1e-2, 1e-8),
    ],
    ids=["k", "eV", "Thomson", "hydrogen", "hc/k", "Balmer", "area", "Brackett"],
)
def test_constants_are_those_of_codata(value, exact, tolerance):
    assert value == pytest.approx(exact, rel=tolerance)
