"""The fit of Balmer lines, on spectra that are made here."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from astra_assets.astronomy.constants import SPEED_OF_LIGHT
from astra_assets.pipelines.white_dwarf.balmer import fit_balmer
from astra_assets.pipelines.white_dwarf.balmer_lines import BALMER, H_ALPHA, H_BETA, H_GAMMA
from astra_assets.pipelines.white_dwarf.comparison import NoUsableLinesError, compare
from astra_assets.pipelines.white_dwarf.continuum import slope_misfit
from astra_assets.pipelines.white_dwarf.grid import LOG_STEP, load_grid
from astra_assets.pipelines.white_dwarf.instrument import (
    boss_width,
    cubic,
    doppler,
    measured_width,
    smoothed_window,
)
from astra_assets.spectra.base import Spectrum

WAVELENGTH = np.power(10.0, 3.5523 + 1e-4 * np.arange(4648))


@pytest.fixture(scope="module")
def grid():
    return load_grid()


def observed(grid, teff, logg, v_rad, snr=None, *, seed=0, resolution=None):
    """A white dwarf as BOSS sees it: noise-free without `snr`, which is that of a pixel at 5500 A."""
    sharp = grid.flux(teff, logg)
    shifted = np.log10(grid.wavelength) + np.log10(1 + v_rad / SPEED_OF_LIGHT)
    arms = []
    for number in (resolution or 1850, resolution or 2200):
        sigma = 1 / (number * 2.3548 * np.log(10) * LOG_STEP)
        arms.append(np.interp(np.log10(WAVELENGTH), shifted, gaussian_filter1d(sharp, sigma)))
    flux = np.where(WAVELENGTH < 6000, *arms)
    flux /= np.median(flux[(WAVELENGTH > 5400) & (WAVELENGTH < 5600)])
    error = np.sqrt(0.5 + 0.5 * flux) / (snr or 1000.0)
    if snr is not None:
        flux = flux + error * np.random.default_rng(seed).standard_normal(len(flux))
    return Spectrum(WAVELENGTH, flux, error**-2)


def changed(spectrum, **arrays):
    values = {name: getattr(spectrum, name) for name in ("wavelength", "flux", "ivar", "wresl")}
    return Spectrum(**values | arrays)


@pytest.mark.parametrize(
    ("teff", "logg", "v_rad"),
    [
        (6500, 8.0, 30),
        (9000, 7.4, -120),
        (12_000, 8.3, 0),
        (14_000, 8.6, 55),
        (24_000, 7.9, 400),
        (60_000, 7.6, -900),
    ],
)
def test_parameters_are_found_without_noise(grid, teff, logg, v_rad):
    fit = fit_balmer(observed(grid, teff, logg, v_rad), grid)
    assert fit.teff == pytest.approx(teff, rel=0.02)
    assert fit.logg == pytest.approx(logg, abs=0.06)
    assert fit.v_rad == pytest.approx(v_rad, abs=max(2.0, 2 * v_rad**2 / SPEED_OF_LIGHT))
    assert fit.converged
    assert not fit.teff_at_edge
    assert not fit.logg_at_edge


def test_velocities_are_unbiased_and_their_errors_true(grid):
    random = np.random.default_rng(7)
    offset, error, pulls = [], [], []
    for seed in range(40):
        teff, logg = np.exp(random.uniform(np.log(7000), np.log(40_000))), random.uniform(7.5, 8.5)
        v_rad = random.normal(0, 80)
        spectrum = observed(grid, teff, logg, v_rad, snr=25, seed=seed)
        spectrum.ivar[random.random(len(WAVELENGTH)) < 0.03] = 0
        fit = fit_balmer(spectrum, grid)
        offset.append(fit.v_rad - v_rad)
        error.append(fit.e_v_rad)
        pulls.append([(fit.teff - teff) / fit.e_teff, (fit.logg - logg) / fit.e_logg, offset[-1] / error[-1]])
    assert abs(np.median(offset)) < 3
    assert np.median(np.abs(offset)) < 8
    width = 1.4826 * np.median(np.abs(pulls - np.median(pulls, axis=0)), axis=0)
    assert np.all((width > 0.6) & (width < 1.5)), width  # 40 draws know a width to 18 %


def test_cosmic_rays_do_not_matter(grid):
    clean = observed(grid, 13_000, 8.0, 20, snr=40)
    hit = clean.flux.copy()
    hit[[1300, 1301, 1360, 1290, 2645, 2666]] += 3.0
    expected, found = fit_balmer(clean, grid), fit_balmer(changed(clean, flux=hit), grid)
    assert found.v_rad == pytest.approx(expected.v_rad, abs=expected.e_v_rad)
    assert found.teff == pytest.approx(expected.teff, abs=expected.e_teff)
    assert found.n_pixels < expected.n_pixels


def test_flux_calibration_does_not_matter(grid):
    spectrum = observed(grid, 17_000, 8.0, -40, snr=40)
    tilt = 1e-16 * (WAVELENGTH / 5000) ** 0.6
    other = changed(spectrum, flux=spectrum.flux * tilt, ivar=spectrum.ivar / tilt**2)
    expected, found = fit_balmer(spectrum, grid), fit_balmer(other, grid)
    assert found.v_rad == pytest.approx(expected.v_rad, abs=0.2)
    assert found.teff == pytest.approx(expected.teff, rel=0.005)


def test_errors_grow_when_noise_was_underestimated(grid):
    spectrum = observed(grid, 11_000, 8.0, 0, snr=20)
    honest, bold = fit_balmer(spectrum, grid), fit_balmer(changed(spectrum, ivar=9 * spectrum.ivar), grid)
    assert bold.rchi2 == pytest.approx(9 * honest.rchi2, rel=0.05)
    assert bold.e_v_rad == pytest.approx(honest.e_v_rad * max(1, honest.rchi2**0.5), rel=0.1)


@pytest.mark.parametrize(("teff", "hot"), [(9500, False), (10_500, False), (17_000, True), (22_000, True)])
def test_hot_and_cold_are_told_apart(grid, teff, hot):
    found = [fit_balmer(observed(grid, teff, 8.0, 10, snr=10, seed=seed), grid) for seed in range(4)]
    assert all((fit.teff > 13_000) == hot for fit in found)


def test_core_that_is_less_deep_than_the_models_does_not_pull_a_cold_star_to_the_hot_side(grid):
    spectrum = observed(grid, 10_900, 7.8, 0, snr=20, seed=3)
    flux = spectrum.flux.copy()
    for line in BALMER[:6]:
        flux += 0.12 * np.exp(-0.5 * ((WAVELENGTH - line.centre) / 1.6) ** 2)
    fit = fit_balmer(changed(spectrum, flux=flux), grid)
    assert fit.teff == pytest.approx(10_900, rel=0.04)
    assert fit.v_rad == pytest.approx(0, abs=3.5 * fit.e_v_rad)


def test_second_solution_is_told_when_data_do_not_exclude_it(grid):
    blue_only = observed(grid, 11_500, 7.9, 0, snr=6, seed=2)
    blue_only.ivar[WAVELENGTH > 5000] = 0
    fit = fit_balmer(blue_only, grid)
    assert fit.other is not None
    assert (fit.other.teff > 13_000) != (fit.teff > 13_000)
    temperatures = sorted((fit.teff, fit.other.teff))
    assert temperatures[0] == pytest.approx(11_500, rel=0.1)
    assert fit_balmer(observed(grid, 25_000, 8, 0, snr=40), grid).other is None


def test_slope_of_the_continuum_prefers_the_right_side(grid):
    cold = observed(grid, 10_900, 7.8, 0, snr=20)
    assert slope_misfit(cold, grid, 10_900, 7.8) < 1
    assert slope_misfit(cold, grid, 15_300, 7.3) > 5
    blue_only = changed(cold, ivar=np.where(WAVELENGTH < 5000, cold.ivar, 0))
    assert slope_misfit(blue_only, grid, 15_300, 7.3) == 0


def test_solution_at_an_edge_is_flagged(grid):
    dense = fit_balmer(observed(grid, 12_000, 9.0, 0), grid)
    assert dense.logg_at_edge
    assert not dense.teff_at_edge
    assert fit_balmer(observed(grid, 120_000, 7.5, 0), grid).teff_at_edge


def test_windows_without_good_pixels_are_left_out(grid):
    spectrum = observed(grid, 15_000, 8.0, 35, snr=50)
    spectrum.ivar[np.abs(WAVELENGTH - H_ALPHA.centre) < 6] = 0
    spectrum.ivar[WAVELENGTH < 4150] = 0
    fit = fit_balmer(spectrum, grid)
    assert fit.lines == (H_BETA.name, H_GAMMA.name)
    assert fit.v_rad == pytest.approx(35, abs=4 * fit.e_v_rad)


@pytest.mark.parametrize("what", ["masked", "one line", "not a number", "negative"])
def test_spectrum_without_two_lines_is_an_error_that_counts_them(grid, what):
    spectrum = observed(grid, 15_000, 8.0, 35, snr=50)
    flux, ivar = spectrum.flux.copy(), spectrum.ivar.copy()
    if what == "masked":
        ivar[:] = 0
    elif what == "one line":
        ivar[WAVELENGTH < 5500] = 0
    elif what == "not a number":
        flux[:] = np.nan
    else:
        flux = -flux
    number = 1 if what == "one line" else 0
    with pytest.raises(NoUsableLinesError, match=f"{number} found"):
        fit_balmer(changed(spectrum, flux=flux, ivar=ivar), grid)


def test_noise_alone_gives_no_confident_velocity(grid):
    random = np.random.default_rng(5)
    flux = 0.3 + random.standard_normal(len(WAVELENGTH))
    fit = fit_balmer(Spectrum(WAVELENGTH, flux, np.ones_like(flux)), grid)
    assert not fit.converged or fit.e_v_rad > 20


@pytest.mark.parametrize("sigma", [45.0, 66.0, 140.0])
def test_models_are_smoothed_to_the_resolution(grid, sigma):
    window = smoothed_window(grid, H_BETA)
    node = int(np.argmin(np.abs(grid.teff - 14_000)))
    found = np.exp(window.at_width(sigma)[node, 2])
    at = 10 ** (window.start + 2 * LOG_STEP * np.arange(len(found)))
    sharp = grid.flux(14_000, 8.0)
    smooth = gaussian_filter1d(sharp, sigma / (SPEED_OF_LIGHT * np.log(10) * LOG_STEP))
    expected = np.interp(at, grid.wavelength, smooth)
    ratio = found / expected
    assert np.abs(ratio / ratio.mean() - 1).max() < 0.003


def test_resolution_of_the_file_is_preferred_to_that_of_boss(grid):
    spectrum = observed(grid, 30_000, 8.0, 0, snr=200)
    informed = changed(spectrum, wresl=WAVELENGTH / 900)
    widths = [compare(one, grid, [H_BETA, H_GAMMA]).core_width[0] for one in (spectrum, informed)]
    assert widths[1] > 1.5 * widths[0]


def test_instrument_numbers():
    assert boss_width(4341.68) == pytest.approx(SPEED_OF_LIGHT / 2.3548 / 1758, rel=0.01)
    assert boss_width(7500) == pytest.approx(SPEED_OF_LIGHT / 2.3548 / 2250, rel=0.01)
    assert measured_width(2.5, 5000) == pytest.approx(SPEED_OF_LIGHT / 2.3548 / 2000, rel=1e-3)
    assert measured_width(0.0, 5000) == boss_width(5000)
    assert doppler(100.0) == pytest.approx(100 / SPEED_OF_LIGHT / np.log(10), rel=1e-3)


def test_interpolation_between_pixels_is_exact_for_cubics():
    x = np.arange(12.0)
    cubes = np.stack([x**3, 2 - x**2])
    at = np.array([1.0, 4.25, 9.5])
    assert np.allclose(cubic(cubes, at), [at**3, 2 - at**2])


def test_fit_is_fast(grid):
    spectrum = observed(grid, 13_000, 8.0, 20, snr=15)
    fit_balmer(spectrum, grid)
    start = time.process_time()
    fit_balmer(spectrum, grid)
    assert time.process_time() - start < 0.5  # 0.06 s on an idle core
