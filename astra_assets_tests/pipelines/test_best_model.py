"""The best model of a fit as a spectrum: that it is the one that was put in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from astra_assets.astronomy.constants import SPEED_OF_LIGHT
from astra_assets.pipelines.white_dwarf.best_model import best_model
from astra_assets.pipelines.white_dwarf.grid import LOG_STEP, load_grid
from astra_assets.spectra.base import Spectrum
from astra_assets.spectra.grid import BOSS_GRID

STAR = {"teff": 14_000.0, "logg": 8.0, "v_rad": 250.0}
RESOLUTION = 2000.0


@pytest.fixture(scope="module")
def true():
    """A DA at a constant resolution, reddened and calibrated badly, on pixels of another grid than ours."""
    grid = load_grid()
    smooth = gaussian_filter1d(
        grid.flux(STAR["teff"], STAR["logg"]), 1 / (RESOLUTION * 2.3548 * np.log(10) * LOG_STEP)
    )
    beta = STAR["v_rad"] / SPEED_OF_LIGHT
    wavelength = BOSS_GRID.wavelength[50:-400] * 1.00003
    flux = np.interp(wavelength / np.sqrt((1 + beta) / (1 - beta)), grid.wavelength, smooth)
    slope = 3.0 * (wavelength / 5500) ** 0.7 * (1 + 0.05 * np.sin(wavelength / 900))
    flux *= slope / np.median(flux)
    return Spectrum(wavelength, flux, (50 / flux) ** 2, wresl=wavelength / RESOLUTION)


def model_of(spectrum, **changes):
    return best_model(spectrum, load_grid(), **STAR | changes)


def test_it_is_the_spectrum_without_its_noise_in_the_frame_of_the_pixels(true):
    noise = np.random.default_rng(1).standard_normal(len(true.flux)) / np.sqrt(true.ivar)
    model = model_of(replace(true, flux=true.flux + noise))
    assert model.shape == (4648,)
    expected = np.interp(BOSS_GRID.wavelength, true.wavelength, true.flux)
    seen = np.isfinite(model)
    np.testing.assert_allclose(model[seen], expected[seen], rtol=0.012)
    shifted = model_of(true, v_rad=0.0)
    assert np.nanmax(np.abs(shifted / expected - 1)) > 0.05


def test_nothing_is_said_where_the_spectrum_says_nothing(true):
    ivar = np.where(true.wavelength < 4000, 0.0, true.ivar)
    model = model_of(replace(true, ivar=ivar))
    seen = np.isfinite(model)
    assert BOSS_GRID.wavelength[seen].min() >= 4000
    assert BOSS_GRID.wavelength[seen].max() <= true.wavelength[-1]
    assert seen.sum() > 3500


def test_without_a_measured_resolution_that_of_the_spectrograph_is_taken(true):
    with_own, without = model_of(true), model_of(replace(true, wresl=None))
    ratio = np.nanmax(np.abs(without / with_own - 1))
    assert 1e-4 < ratio < 0.1
