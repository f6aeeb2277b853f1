"""Widths of pixels in km/s; shifts are tested where spectra are put on the common grids."""

from __future__ import annotations

import pytest

from astra_assets.spectra.grid import APOGEE_GRID, BOSS_GRID
from astra_assets.spectra.velocity import pixel_velocity


@pytest.mark.parametrize(
    ("grid", "expected"), [(BOSS_GRID, 69.03), (APOGEE_GRID, 4.14)], ids=["BOSS", "APOGEE"]
)
def test_pixels_of_the_common_grids_are_as_wide_as_their_documentation_says(grid, expected):
    assert pixel_velocity(grid.cdelt) == pytest.approx(expected, abs=0.005)
