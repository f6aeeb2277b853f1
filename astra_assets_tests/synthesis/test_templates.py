"""Synthetic spectra: each kind shows the lines that its class is named after, and is observed as said."""

from __future__ import annotations

import numpy as np
import pytest

from astra_assets.astronomy.constants import SPEED_OF_LIGHT
from astra_assets.pipelines.white_dwarf.grid import load_grid
from astra_assets.spectra.grid import BOSS_GRID
from astra_assets.synthesis import extragalactic, stars
from astra_assets.synthesis.layer import photosphere
from astra_assets.synthesis.observing import boss_fwhm, observe
from astra_assets.synthesis.opacity import (
    balmer_wavelength,
    normalised,
    oscillator_strength,
    smoothed,
    wavelength_scale,
)
from astra_assets.synthesis.templates import (
    FURTHER_KINDS,
    KINDS,
    draw,
)


def drawn(kind, number=8, seed=1):
    rng = np.random.default_rng([seed, 7])
    return [draw(kind, rng) for _ in range(number)]


def equivalent_width(flux, centre, half, side, wavelength=None):
    """Angstrom, positive in absorption, against the straight line between two side bands."""
    wavelength = wavelength_scale() if wavelength is None else wavelength
    away = wavelength - centre
    left, right = (away > -half - side) & (away < -half), (away > half) & (away < half + side)
    inner = np.abs(away) <= half
    ends = [-half - side / 2, half + side / 2]
    continuum = np.interp(away[inner], ends, [flux[left].mean(), flux[right].mean()])
    return float(np.trapezoid(1 - flux[inner] / continuum, wavelength[inner]))


def median_width(kind, centre, half, side, number=8):
    return np.median([equivalent_width(t.flux, centre, half, side) for t in drawn(kind, number)])


@pytest.mark.parametrize("kind", [*KINDS, *FURTHER_KINDS])
def test_every_kind_is_positive_normalised_and_on_the_common_wavelengths(kind):
    for template in drawn(kind, 4):
        assert template.kind == kind
        assert template.wavelength[0] == pytest.approx(3500.0)
        assert template.wavelength[-1] > 10499.0
        assert np.diff(np.log10(template.wavelength)) == pytest.approx(2.5e-5)
        assert np.isfinite(template.flux).all()
        assert (template.flux > 0).all()
        window = (template.wavelength >= 5400) & (template.wavelength <= 5600)
        assert np.median(template.flux[window]) == pytest.approx(1.0)


@pytest.mark.parametrize("kind", [*KINDS, *FURTHER_KINDS])
def test_a_seed_draws_the_same_objects_again_and_another_seed_others(kind):
    first, again, other = drawn(kind, 1)[0], drawn(kind, 1)[0], drawn(kind, 1, seed=2)[0]
    assert np.array_equal(first.flux, again.flux)
    assert not np.allclose(first.flux, other.flux, rtol=1e-3)


def test_an_unknown_kind_is_refused_with_the_kinds_that_exist():
    with pytest.raises(ValueError, match="unknown kind 'DX': use one of DA, DAH"):
        draw("DX", np.random.default_rng(0))


def test_da_cover_the_grid_and_are_its_spectra_behind_dust():
    templates = drawn("DA", 60)
    teff, logg = np.array([t.teff for t in templates]), np.array([t.logg for t in templates])
    assert teff.min() < 8000
    assert teff.max() > 40000
    assert logg.min() < 7.4
    assert logg.max() > 8.7
    ratio = np.log(templates[0].flux / load_grid().flux(templates[0].teff, templates[0].logg))
    slope = np.diff(ratio)
    assert np.abs(slope - np.median(slope)).max() < 1e-4  # nothing but smooth extinction between them


def test_kinds_without_temperature_say_so():
    for kind in ("CV", "QSO", "GALAXY"):
        assert all(np.isnan(t.teff) and np.isnan(t.logg) for t in drawn(kind, 3))
    for kind in set(KINDS) - {"CV", "QSO", "GALAXY"}:
        assert all(t.teff > 1300 and np.isfinite(t.logg) for t in drawn(kind, 3))


@pytest.mark.parametrize(
    ("kind", "centre", "half", "side", "at_least"),
    [
        ("DA", 4862.7, 60, 30, 5.0),
        ("DAH", 4862.7, 150, 40, 3.0),
        ("DB", 4472.7, 25, 20, 2.0),
        ("DZ", 3934.8, 15, 6, 2.0),
        ("DQ", 5110.0, 80, 30, 1.5),
        ("DO", 4687.0, 25, 15, 1.0),
        ("SDB", 4341.7, 30, 15, 2.0),
        ("STAR", 3934.8, 6, 5, 1.0),
        ("DA_MS", 7120.0, 70, 10, 2.0),
    ],
)
def test_kinds_show_the_absorption_that_they_are_named_after(kind, centre, half, side, at_least):
    assert median_width(kind, centre, half, side, 16) > at_least


def test_cataclysmic_variables_emit_and_dc_show_nothing():
    assert median_width("CV", 6564.6, 60, 40) < -10.0
    for centre in (6564.6, 4862.7, 4472.7, 3934.8, 5890.0, 5110.0):
        assert median_width("DC", centre, 30, 20) == pytest.approx(0.0, abs=0.15)


def test_hot_subdwarfs_have_narrower_balmer_lines_than_white_dwarfs_of_their_temperature():
    def half_width(flux):
        inside = np.abs(wavelength_scale() - 4862.7) < 60
        depth = 1 - flux[inside] / flux[inside].max()
        return np.ptp(wavelength_scale()[inside][depth > 0.5 * depth.max()])

    subdwarf = half_width(smoothed(stars.hot_subdwarf(30000, 5.6, 0.01), 60.0))
    assert subdwarf < 0.7 * half_width(smoothed(load_grid().flux(30000, 8.0), 60.0))


def test_lines_of_stars_follow_temperature_as_in_the_spectral_sequence():
    def widths(centre, half, side, *teffs):
        return [equivalent_width(stars.star(teff, 4.3, 0.0, 20.0), centre, half, side) for teff in teffs]

    calcium = widths(3934.8, 12, 5, 5500, 7500, 10000)
    assert calcium[0] > calcium[1] > 3 * calcium[2]
    balmer = widths(4862.7, 50, 25, 6000, 9500, 14000)
    assert balmer[1] > balmer[0]
    assert balmer[1] > balmer[2]
    sodium = widths(5894.6, 14, 12, 4500, 6000, 9000)
    assert sodium[0] > sodium[1] > sodium[2]


def test_metal_poor_stars_have_weaker_metal_lines():
    rich, poor = (equivalent_width(stars.star(6000, 4.3, m), 5176.0, 25, 20) for m in (0.0, -2.0))
    assert rich > 2 * poor


def test_the_layer_reproduces_textbook_pressures_and_ionisation():
    sun, vega = photosphere(5777, 4.44), photosphere(9550, 4.0, -0.5)
    assert 5 < sun.electron_pressure < 40  # dyn/cm2; Gray 2005, table 9.2
    assert 100 < vega.electron_pressure < 1500
    assert sun.stages["Na"][1] > 0.99  # sodium is ionised in the Sun, hydrogen is not
    assert sun.neutral_hydrogen > 0.99
    assert sum(vega.stages["Fe"]) == pytest.approx(1.0)


def test_balmer_lines_are_where_and_as_strong_as_tabulated():
    assert [balmer_wavelength(n) for n in (3, 4, 5)] == pytest.approx([6564.6, 4862.7, 4341.7], abs=0.15)
    assert oscillator_strength(3) == pytest.approx(0.6407)
    assert oscillator_strength(12) == pytest.approx(0.00216, rel=0.05)  # Wiese, Smith & Glennon 1966


def test_a_redshift_moves_the_lines_of_a_galaxy():
    line = 1.0 + np.exp(-0.5 * ((wavelength_scale() - 5008.2) / 3.0) ** 2)
    shifted = extragalactic.redshifted(line, 0.1)
    assert wavelength_scale()[shifted.argmax()] == pytest.approx(5509.0, abs=0.5)


def test_quasars_have_broad_emission_lines():
    strongest = [np.max(t.flux / smoothed(t.flux, 15000.0)) for t in drawn("QSO", 6)]
    assert np.median(strongest) > 1.2


class TestObserve:
    wavelength = BOSS_GRID.wavelength

    def observed(self, template, snr=20.0, v_rad=0.0, seed=5, **options):
        rng = np.random.default_rng(seed)
        return observe(template, rng, wavelength=self.wavelength, snr=snr, v_rad=v_rad, **options)

    def test_snr_is_the_median_per_pixel_from_4000_to_8000(self):
        flux, ivar = self.observed(drawn("DA", 1)[0], snr=17.0)
        inside = (self.wavelength >= 4000) & (self.wavelength <= 8000)
        assert np.median(flux[inside] * np.sqrt(ivar[inside])) == pytest.approx(17.0, rel=0.03)

    def test_noise_is_what_ivar_says(self):
        template = drawn("DC", 1)[0]
        clean, _ = self.observed(template, snr=1e6, calibration_error=0.0)
        flux, ivar = self.observed(template, snr=15.0, calibration_error=0.0)
        pulls = ((flux - clean) * np.sqrt(ivar))[ivar > 0]
        assert pulls.std() == pytest.approx(1.0, abs=0.05)
        assert pulls.mean() == pytest.approx(0.0, abs=0.06)

    def test_noise_grows_towards_both_ends(self):
        _, ivar = self.observed(drawn("DC", 1)[0])
        sigma = dict(
            zip((3700, 5500, 9700), np.interp([3700, 5500, 9700], self.wavelength, ivar**-0.5), strict=True)
        )
        assert sigma[3700] > 1.3 * sigma[5500]
        assert sigma[9700] > 1.3 * sigma[5500]

    @pytest.mark.parametrize("v_rad", [-450.0, 90.0, 600.0])
    def test_lines_move_with_the_velocity(self, v_rad):
        template = drawn("DB", 1)[0]
        rest, _ = self.observed(template, snr=1e6, calibration_error=0.0)
        moved, _ = self.observed(template, snr=1e6, v_rad=v_rad, calibration_error=0.0)
        inside = (self.wavelength > 4000) & (self.wavelength < 7000)
        back = np.interp(self.wavelength * (1 + v_rad / SPEED_OF_LIGHT), self.wavelength, moved)
        assert np.median(np.abs(back[inside] / rest[inside] - 1)) < 2e-4

    def test_resolution_is_that_of_boss(self):
        line = 1.0 - 0.5 * np.exp(-0.5 * ((wavelength_scale() - 5000.0) / 0.05) ** 2)
        template = drawn("DC", 1)[0]
        sharp = type(template)("DC", 9000.0, 8.0, wavelength_scale(), normalised(line))
        flux, _ = self.observed(sharp, snr=1e7, calibration_error=0.0)
        near = np.abs(self.wavelength - 5000.0) < 12
        depth = 1 - flux[near]
        sigma = np.sqrt(
            np.average(
                (self.wavelength[near] - np.average(self.wavelength[near], weights=depth)) ** 2, weights=depth
            )
        )
        assert 2.3548 * sigma == pytest.approx(
            float(np.interp(5000.0, self.wavelength, boss_fwhm(self.wavelength))), rel=0.05
        )
        assert 1600 < 5000.0 / (2.3548 * sigma) < 2300

    def test_calibration_errors_are_smooth_and_can_be_left_out(self):
        template = drawn("DC", 1)[0]
        wrong, _ = self.observed(template, snr=1e7, calibration_error=0.1)
        right, _ = self.observed(template, snr=1e7, calibration_error=0.0)
        ratio = wrong / right
        assert np.ptp(ratio) > 0.02
        assert np.abs(np.diff(np.log(ratio))).max() < 5e-4

    def test_pixels_outside_of_the_template_carry_nothing(self):
        template = drawn("DC", 1)[0]
        wavelength = np.linspace(3000.0, 11000.0, 500)
        flux, ivar = observe(template, np.random.default_rng(0), wavelength=wavelength, snr=10.0, v_rad=0.0)
        outside = (wavelength < 3500) | (wavelength > 10500)
        assert not flux[outside].any()
        assert not ivar[outside].any()
        assert (ivar[~outside] > 0).all()
