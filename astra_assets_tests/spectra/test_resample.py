"""Resampling: positions, errors, flags and gaps."""

from __future__ import annotations

import numpy as np
import pytest

from astra_assets.astronomy.constants import SPEED_OF_LIGHT
from astra_assets.spectra.base import Spectrum
from astra_assets.spectra.grid import APOGEE_GRID, BOSS_GRID
from astra_assets.spectra.resample import N_RES, kernel, resample
from astra_assets.spectra.velocity import observed_wavelength, rest_wavelength

# Standard deviation, in pixels, of the narrowest Gaussian that 5 pixels per resolution element hold.
LINE_WIDTH = 2.5


def spectrum_of(wavelength, flux, ivar=None, **more) -> Spectrum:
    return Spectrum(wavelength, flux, np.ones_like(flux) if ivar is None else ivar, **more)


def line(wavelength, centre, depth=0.5, width=LINE_WIDTH):
    pixels = np.log10(wavelength / centre) / BOSS_GRID.cdelt
    return 1.0 - depth * np.exp(-0.5 * (pixels / width) ** 2)


def centroid(flux, centre) -> float:
    """Offset of a line from its wavelength, in pixels of the common grid."""
    middle = BOSS_GRID.position(np.array(centre))
    near = np.abs(np.arange(BOSS_GRID.n_pixels) - middle) < 15
    return float(np.average(np.arange(BOSS_GRID.n_pixels)[near], weights=1.0 - flux[near]) - middle)


def test_the_grids_are_those_of_astra():
    assert BOSS_GRID.wavelength[[0, -1]] == pytest.approx([3567.0, 10399.2], abs=0.1)
    assert APOGEE_GRID.wavelength[[0, -1]] == pytest.approx([15100.8, 16999.8], abs=0.1)
    np.testing.assert_allclose(BOSS_GRID.position(BOSS_GRID.wavelength[[0, 4647]]), [0, 4647], atol=1e-8)


def test_a_receding_source_is_shifted_to_the_blue_and_back():
    np.testing.assert_allclose(rest_wavelength(np.array([5000.0]), 300.0), 5000 * (1 - 300 / SPEED_OF_LIGHT))
    np.testing.assert_allclose(observed_wavelength(rest_wavelength(np.array([5e3]), -70.0), -70.0), 5e3)
    assert rest_wavelength(np.array([5000.0]), 300.0)[0] < 5000


@pytest.mark.parametrize("v_rad", [-612.3, -20.0, 0.0, 35.7, 480.9])
def test_a_line_lands_on_its_rest_wavelength(wavelength, v_rad):
    flux = line(rest_wavelength(wavelength, v_rad), 6564.61)
    result = resample(spectrum_of(wavelength, flux), rest_wavelength(wavelength, v_rad), BOSS_GRID)
    assert abs(centroid(result.flux, 6564.61)) < 0.01
    near = np.abs(BOSS_GRID.position(np.array(6564.61)) - np.arange(4648)) < 20
    # Its depth too: the kernel passes what such a line holds.
    np.testing.assert_allclose(result.flux[near], line(BOSS_GRID.wavelength, 6564.61)[near], atol=0.01)


def test_a_constant_stays_that_constant_up_to_both_ends(wavelength):
    flux = np.full_like(wavelength, 7.0)
    result = resample(spectrum_of(wavelength, flux), rest_wavelength(wavelength, 123.4), BOSS_GRID)
    inside = result.ivar > 0
    np.testing.assert_allclose(result.flux[inside], 7.0, rtol=1e-12)
    assert inside.sum() > 4590


def test_a_grid_of_other_steps_is_resampled_to_the_right_places():
    wavelength = np.linspace(4000.0, 7000.0, 4000)
    flux = 1.0 + 0.1 * np.sin(wavelength / 20.0)
    result = resample(spectrum_of(wavelength, flux), wavelength, BOSS_GRID)
    inside = (BOSS_GRID.wavelength > 4050) & (BOSS_GRID.wavelength < 6950)
    truth = 1.0 + 0.1 * np.sin(BOSS_GRID.wavelength / 20.0)
    np.testing.assert_allclose(result.flux[inside], truth[inside], atol=2e-3)


def test_outside_the_input_flux_and_ivar_are_zero():
    wavelength = BOSS_GRID.wavelength[1000:2000].copy()
    flags = np.full(1000, 3, dtype=np.int64)
    spectrum = spectrum_of(wavelength, np.ones(1000), pixel_flags=flags, wresl=np.full(1000, 2.0))
    result = resample(spectrum, wavelength * (1 + 1e-9), BOSS_GRID)
    outside = np.ones(4648, dtype=bool)
    outside[1000:2000] = False
    assert np.all(result.flux[outside] == 0)
    assert np.all(result.ivar[outside] == 0)
    assert np.all(result.pixel_flags[outside] == 0)
    assert np.all(result.ivar[1001:1999] > 0)
    assert np.all(np.isnan(result.wresl[outside]))
    assert np.all(result.wresl[1001:1999] == 2.0)


@pytest.mark.parametrize("v_rad", [0.0, 37.0])
def test_errors_are_honest_pixel_by_pixel(wavelength, v_rad):
    rng = np.random.default_rng(5)
    ivar = np.linspace(1.0, 9.0, len(wavelength))
    found = []
    for _ in range(12):
        flux = 5.0 + rng.normal(size=len(wavelength)) / np.sqrt(ivar)
        result = resample(spectrum_of(wavelength, flux, ivar), rest_wavelength(wavelength, v_rad), BOSS_GRID)
        inside = result.ivar > 0
        found.append(((result.flux - 5.0) * np.sqrt(result.ivar))[inside])
    pulls = np.array(found)
    assert np.std(pulls) == pytest.approx(1.0, abs=0.03)
    assert np.mean(pulls) == pytest.approx(0.0, abs=0.05)
    # Neighbours share pixels, those of different resolution elements do not.
    assert np.mean(pulls[:, :-1] * pulls[:, 1:]) > 0.5
    assert abs(np.mean(pulls[:, :-10] * pulls[:, 10:])) < 0.05


def test_a_short_gap_is_bridged_and_costs_weight(wavelength):
    flux = line(wavelength, 6564.61, width=30.0)
    hole = int(np.argmin(np.abs(wavelength - 6564.61)))
    ivar = np.ones_like(flux)
    ivar[hole] = 0.0
    spoilt = flux.copy()
    spoilt[hole] = 1e4
    result = resample(spectrum_of(wavelength, spoilt, ivar), wavelength, BOSS_GRID)
    whole = resample(spectrum_of(wavelength, flux), wavelength, BOSS_GRID)
    np.testing.assert_allclose(result.flux, whole.flux, atol=2e-3)
    middle = int(np.argmin(np.abs(BOSS_GRID.wavelength - 6564.61)))
    assert 0.4 * whole.ivar[middle] < result.ivar[middle] < 0.8 * whole.ivar[middle]
    far = np.abs(np.arange(4648) - middle) > 40
    np.testing.assert_allclose(result.ivar[far], whole.ivar[far])


def test_nothing_is_claimed_inside_a_long_gap(wavelength):
    ivar = np.ones_like(wavelength)
    ivar[2000:2100] = 0.0
    result = resample(spectrum_of(wavelength, np.ones_like(wavelength), ivar), wavelength, BOSS_GRID)
    places = BOSS_GRID.position(wavelength[[2002, 2097]]).round().astype(int)
    assert np.all(result.ivar[places[0] : places[1]] == 0)
    assert np.all(np.isfinite(result.flux))


def test_negative_flux_of_faint_spectra_is_kept(wavelength):
    flux = np.random.default_rng(2).normal(0.0, 1.0, len(wavelength))
    result = resample(spectrum_of(wavelength, flux), wavelength, BOSS_GRID)
    assert np.mean(result.flux[result.ivar > 0]) == pytest.approx(0.0, abs=0.06)


def test_flags_reach_the_pixels_that_used_flagged_ones(wavelength):
    flags = np.zeros(len(wavelength), dtype=np.int64)
    flags[1000] = 1 << 22
    flags[1001] = (1 << 22) | 1
    flags[3000] = 1 << 30
    spectrum = spectrum_of(wavelength, np.ones_like(wavelength), pixel_flags=flags)
    result = resample(spectrum, wavelength, BOSS_GRID)
    first, last = BOSS_GRID.position(wavelength[[1000, 3000]])
    (set_22,) = np.nonzero(result.pixel_flags & (1 << 22))
    assert set(set_22) >= {round(first), round(first) + 1}
    assert np.all(np.abs(set_22 - first - 0.5) < 4)
    assert abs(np.mean(np.nonzero(result.pixel_flags & 1)[0]) - first - 1) < 1
    (set_30,) = np.nonzero(result.pixel_flags & (1 << 30))
    assert round(last) in set_30
    assert not np.any(result.pixel_flags & ~((1 << 22) | 1 | (1 << 30)))


def test_the_kernel_has_one_peak_and_ends_softly():
    offsets = np.arange(-26, 27, dtype=np.float64)
    values = kernel(offsets, N_RES[0])
    assert np.argmax(values) == 26
    assert values[26] == 1.0
    assert abs(values[[0, -1]]).max() < 1e-3


def test_detectors_are_resampled_one_by_one_with_their_own_resolution():
    """Three chips with gaps between them: lines land where they should, and nothing is claimed in the gaps."""
    edges = ((15_150.0, 15_800.0), (15_860.0, 16_420.0), (16_480.0, 16_950.0))
    wavelength = np.concatenate([np.linspace(*edge, 4096) for edge in edges])
    centres = (15_400.0, 16_100.0, 16_700.0)
    flux = np.ones_like(wavelength)
    for centre in centres:
        flux -= 0.5 * np.exp(-0.5 * ((wavelength - centre) / 0.5) ** 2)
    ivar = np.full_like(flux, 4.0)
    flux[4095] = 1e4  # the last pixel of the first chip is spoilt, and of no matter to the second
    ivar[4095] = 0.0
    flags = np.zeros(len(flux), dtype=np.int64)
    flags[4096] = 8
    spectrum = spectrum_of(wavelength, flux, ivar, pixel_flags=flags)
    result = resample(spectrum, wavelength, APOGEE_GRID, (3.5, 4.25, 5.0))
    grid = APOGEE_GRID.wavelength
    inside = np.any([(grid > low) & (grid < high) for low, high in edges], axis=0)
    assert np.all(result.ivar[~inside] == 0)
    assert np.all(result.flux[~inside] == 0)
    # Only what is bridged over the spoilt pixel has no error.
    assert np.sum(result.ivar[inside] == 0) < 5
    for centre in centres:
        near = np.abs(grid - centre) < 5
        assert np.average(grid[near], weights=1.0 - result.flux[near]) == pytest.approx(centre, abs=0.005)
        assert result.flux[near].min() == pytest.approx(0.5, abs=0.01)
    assert np.all(np.abs(grid[result.pixel_flags == 8] - 15_860.0) < 1)


def test_a_dead_detector_leaves_the_others_alone():
    wavelength = np.linspace(15_200.0, 16_900.0, 300)
    ivar = np.ones(300)
    ivar[100:200] = 0.0
    result = resample(
        spectrum_of(wavelength, np.full(300, 3.0), ivar), wavelength, APOGEE_GRID, (2.0, 2.0, 2.0)
    )
    grid = APOGEE_GRID.wavelength
    dead = (grid > wavelength[99]) & (grid < wavelength[200])
    assert not np.any(result.ivar[dead])
    assert not np.any(result.flux[dead])
    np.testing.assert_allclose(result.flux[result.ivar > 0], 3.0)
    assert np.any(result.ivar[grid > wavelength[200]])
