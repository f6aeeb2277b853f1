"""Cosmic rays go, lines stay, and what was not measured does not count."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from astra_assets.pipelines.snow_white.despike import despiked, measured_pixels, spikes
from astra_assets.spectra.base import Spectrum
from astra_assets.spectra.grid import BOSS_GRID
from astra_assets.synthesis import faults
from astra_assets.synthesis.simulate import ObservingConditions, simulate

WAVELENGTH = BOSS_GRID.wavelength


def flat(snr=30.0, seed=0):
    noise = np.random.default_rng(seed).normal(0, 1 / snr, WAVELENGTH.size)
    return Spectrum(WAVELENGTH, 1 + noise, np.full_like(WAVELENGTH, snr**2))


def simulated(kind, number=6):
    rng = np.random.default_rng([3, *kind.encode()])
    conditions = ObservingConditions(snr=(50.0, 100.0), defects=False)
    return [next(simulate(kind, rng, 1, conditions)) for _ in range(number)]


@pytest.mark.parametrize("number", [20, 60])
def test_most_pixels_of_many_spikes_are_found_and_hardly_any_other(number):
    clean = flat()
    hit = faults.spikes(number)(clean, np.random.default_rng(number))
    significance = np.abs(hit.flux - clean.flux) * np.sqrt(clean.ivar)
    lost = despiked(hit).ivar == 0
    assert lost[significance > 12].mean() > 0.85
    assert lost[significance == 0].sum() <= 2


@pytest.mark.parametrize("kind", ["DA", "DB", "CV", "GALAXY", "QSO", "DZ", "STAR"])
def test_lines_of_objects_are_no_spikes(kind):
    taken = [int((despiked(one).ivar == 0).sum() - (one.ivar == 0).sum()) for one in simulated(kind)]
    assert max(taken) <= 6  # of the forest of a quasar; 0 to 3 of others
    assert sum(taken) <= 7


def test_an_unresolved_emission_line_stays():
    spectrum = flat(snr=100.0)
    line = 3.0 * np.exp(-0.5 * ((WAVELENGTH - 6564.6) / 1.3) ** 2)  # the line spread of BOSS
    assert (despiked(replace(spectrum, flux=spectrum.flux + line)).ivar > 0).all()


def test_dead_columns_are_taken_out_like_cosmic_rays():
    spectrum = flat()
    flux = spectrum.flux.copy()
    flux[[700, 1500, 1501]] = -2.0
    assert np.flatnonzero(despiked(replace(spectrum, flux=flux)).ivar == 0).tolist() == [700, 1500, 1501]


def test_a_spectrum_of_spikes_is_left_alone():
    spectrum = flat()
    hit = np.random.default_rng(1).random(WAVELENGTH.size) < 0.2
    assert (despiked(replace(spectrum, flux=spectrum.flux + 50.0 * hit)).ivar > 0).mean() > 0.9


def test_nothing_is_taken_out_where_the_line_spread_is_smaller_than_a_pixel():
    spectrum = flat()
    flux = spectrum.flux.copy()
    flux[900] += 20.0
    good = np.ones(flux.size, dtype=bool)
    narrow = np.full(flux.size, 0.5)
    assert spikes(WAVELENGTH, flux, spectrum.ivar, good).sum() == 1
    assert spikes(WAVELENGTH, flux, spectrum.ivar, good, WAVELENGTH / 6500.0).sum() == 0
    assert spikes(WAVELENGTH, flux, spectrum.ivar, good, narrow).sum() == 1  # no spectrograph: that of BOSS


@pytest.mark.parametrize("filling", [0.0, 0.7])
def test_a_filled_gap_was_not_measured(filling):
    spectrum = flat()
    flux = spectrum.flux.copy()
    flux[2000:2200] = filling
    good = measured_pixels(replace(spectrum, flux=flux))
    assert not good[2000:2200].any()
    assert good.sum() == WAVELENGTH.size - 200


def test_a_spectrum_without_noise_is_no_filled_gap():
    assert measured_pixels(Spectrum(WAVELENGTH, np.ones_like(WAVELENGTH), np.ones_like(WAVELENGTH))).all()


@pytest.mark.parametrize("size", [0, 1, 2, 40])
def test_spectra_of_hardly_any_pixels_are_no_error(size):
    short = Spectrum(WAVELENGTH[:size], np.ones(size), np.ones(size))
    assert despiked(short).ivar.size == size
