"""Spectra in the H band have the lines that they should, with the right trends."""

from __future__ import annotations

import numpy as np
import pytest

from astra_assets.spectra.airvac import air_to_vacuum
from astra_assets.synthesis.h_band import GRID, LEVEL_RANGE, Atmosphere, brackett_wavelength, star
from astra_assets.synthesis.h_band_lines import LINES

REFERENCE = Atmosphere(4500.0, 3.0, 0.0)
IRON, MAGNESIUM, ALUMINIUM, HYDROXYL = 15207.526, 15748.886, 16718.957, 16904.28
CARBON_MONOXIDE = 15_781.0
"""Angstrom, vacuum; just beside the head of the band 4-1."""


def depth(atmosphere, centre, *, air=True):
    """Depth of a line below the flux beside it."""
    flux = star(atmosphere)
    middle = air_to_vacuum(np.array([centre]))[0] if air else centre
    near = np.abs(GRID.wavelength - middle)
    return 1.0 - flux[near < 0.2].min() / np.quantile(flux[near < 12.0], 0.95)


def test_the_flux_is_one_in_the_middle_of_the_band():
    for atmosphere in (REFERENCE, Atmosphere(12_000.0, 4.0, 0.0, 150.0)):
        flux = star(atmosphere)
        near = (GRID.wavelength > LEVEL_RANGE[0]) & (GRID.wavelength < LEVEL_RANGE[1])
        assert np.median(flux[near]) == pytest.approx(1.0, abs=1e-4)
        assert flux.dtype == np.float32
        assert np.all(flux > 0)


def test_depths_in_the_reference_star_are_those_of_the_list():
    listed = {wavelength: value for _, members in LINES for wavelength, value in members}
    for wavelength in (IRON, MAGNESIUM, ALUMINIUM):
        assert depth(REFERENCE, wavelength) == pytest.approx(listed[wavelength], abs=0.08)


@pytest.mark.parametrize("wavelength", [IRON, MAGNESIUM, ALUMINIUM])
def test_lines_of_metals_grow_with_metallicity_and_shrink_with_temperature(wavelength):
    poor, rich = (depth(Atmosphere(4500.0, 3.0, fe_h), wavelength) for fe_h in (-1.5, 0.3))
    assert poor < 0.5 * depth(REFERENCE, wavelength) < 0.5 * rich
    assert depth(Atmosphere(6500.0, 4.3, 0.0), wavelength) < 0.75 * depth(REFERENCE, wavelength)


def test_molecules_are_strong_in_cool_giants_and_weak_in_dwarfs():
    for wavelength, air in ((HYDROXYL, True), (CARBON_MONOXIDE, False)):
        giant, dwarf = (depth(Atmosphere(4200.0, logg, 0.0), wavelength, air=air) for logg in (1.0, 4.6))
        assert giant > 1.5 * dwarf


def test_hydrogen_is_strong_in_a_stars_and_its_lines_are_wide_in_dwarfs():
    assert brackett_wavelength(11) == pytest.approx(16811.1, abs=0.1)
    centre = brackett_wavelength(11)
    near = np.abs(GRID.wavelength - centre) < 4.0

    def flux(teff, logg, m_h):
        spectrum = star(Atmosphere(teff, logg, m_h, 100.0))
        return spectrum[near].mean() / spectrum[np.abs(GRID.wavelength - centre - 120.0) < 4.0].mean()

    assert flux(9500.0, 4.0, 0.0) < 0.8
    assert flux(4800.0, 2.5, 0.0) > 0.9
    assert flux(9500.0, 4.3, 0.0) == pytest.approx(flux(9500.0, 3.7, 0.0), abs=0.05)


def test_rotation_makes_lines_shallow():
    assert depth(Atmosphere(6500.0, 4.3, 0.0, 60.0), MAGNESIUM) < 0.5 * depth(
        Atmosphere(6500.0, 4.3, 0.0), MAGNESIUM
    )
