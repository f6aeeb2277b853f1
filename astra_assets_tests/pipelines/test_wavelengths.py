"""Air wavelengths where vacuum ones are expected."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from astra_assets.pipelines.white_dwarf.wavelengths import looks_like_air
from astra_assets.spectra.airvac import vacuum_to_air
from astra_assets.spectra.grid import BOSS_GRID

GRIDS: dict[str, NDArray[np.float64]] = {
    "log": BOSS_GRID.wavelength,
    "linear": np.arange(3650.0, 9200.0, 1.0),
    "single precision": np.power(10.0, np.log10(BOSS_GRID.wavelength).astype(np.float32)).astype(np.float64),
}


@pytest.mark.parametrize("digits", [9, 2])
@pytest.mark.parametrize("name", GRIDS)
def test_pixels_that_were_converted_to_air_are_noticed(name, digits):
    assert looks_like_air(np.round(vacuum_to_air(GRIDS[name]), digits))
    assert not looks_like_air(np.round(GRIDS[name], digits))


def test_a_tenth_of_an_angstrom_is_enough_where_steps_are_logarithmic():
    assert looks_like_air(np.round(vacuum_to_air(BOSS_GRID.wavelength), 1))
    assert not looks_like_air(np.round(BOSS_GRID.wavelength, 1))


def test_gaps_do_not_matter():
    kept = np.random.default_rng(2).random(BOSS_GRID.n_pixels) > 0.2
    assert looks_like_air(vacuum_to_air(BOSS_GRID.wavelength)[kept])
    assert not looks_like_air(BOSS_GRID.wavelength[kept])


@pytest.mark.parametrize(
    "wavelength", [BOSS_GRID.wavelength[:300], np.sort(np.random.default_rng(1).uniform(3600, 9000, 3000))]
)
def test_where_nothing_can_be_told_nothing_is_said(wavelength):
    assert not looks_like_air(wavelength)
