"""Air and vacuum wavelengths."""

from __future__ import annotations

import numpy as np

from astra_assets.spectra.airvac import air_to_vacuum, refractive_index, vacuum_to_air

# Ca II K, Na D2 and Ca II 8662 (NIST Atomic Spectra Database).
AIR = np.array([3933.663, 5889.951, 8662.140])
VACUUM = np.array([3934.777, 5891.583, 8664.520])


def test_lines_lie_where_the_atomic_data_base_has_them():
    np.testing.assert_allclose(air_to_vacuum(AIR), VACUUM, atol=3e-3)
    np.testing.assert_allclose(vacuum_to_air(VACUUM), AIR, atol=3e-3)


def test_there_and_back_again_changes_nothing():
    wavelength = np.linspace(2100.0, 17000.0, 500)
    np.testing.assert_allclose(air_to_vacuum(vacuum_to_air(wavelength)), wavelength, rtol=0, atol=1e-9)


def test_the_far_ultraviolet_is_in_vacuum_already():
    wavelength = np.array([1215.67, 1999.9, 2000.1])
    converted = air_to_vacuum(wavelength)
    assert list(converted[:2]) == list(wavelength[:2])
    assert converted[2] > wavelength[2]


def test_air_slows_light_by_what_is_measured():
    # Standard air at the wavelength of the helium-neon laser.
    np.testing.assert_allclose(refractive_index(np.array([6330.0])) - 1, 2.765e-4, atol=1e-7)
