"""Pixels of visits and coadds, without files."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from astra_assets.astronomy.constants import SPEED_OF_LIGHT
from astra_assets.demo.apogee.detectors import BITS, NO_ERROR, combine, observe
from astra_assets.demo.apogee.visits import flag
from astra_assets.spectra.grid import APOGEE_GRID
from astra_assets.synthesis import h_band

LEVEL = 200.0


def recorded(visit, **changes):
    visit = replace(visit, **changes)
    rest = h_band.star(visit.star.atmosphere)
    return visit, observe(visit, rest, LEVEL, np.random.default_rng(visit.number))


@pytest.fixture(scope="module")
def several(small_plan):
    """Four visits of one cool star, S/N 100, with nothing wrong."""
    _, _, apogee = small_plan
    star = next(visit for visit in apogee.visits if visit.star.atmosphere.teff < 5500)
    return [recorded(star, number=number, snr=100.0, measured=star.v_rad) for number in (0, 1, 2, 4)]


def test_a_visit_has_three_chips_from_red_to_blue(several):
    _, seen = several[0]
    assert seen.flux.shape == seen.error.shape == seen.mask.shape == seen.wavelength.shape == (3, 4096)
    assert np.all(np.diff(seen.wavelength, axis=1) < 0)
    assert np.all(np.diff(seen.wavelength[:, 0]) < 0)
    assert [image.dtype for image in (seen.flux, seen.error, seen.mask)] == [np.float32, np.float32, np.int16]


def test_errors_describe_the_scatter_around_the_star_at_its_velocity(several):
    for visit, seen in several:
        rest = h_band.star(visit.star.atmosphere)
        at_rest = seen.wavelength / (1 + visit.relative / SPEED_OF_LIGHT)
        expected = LEVEL * np.interp(at_rest, h_band.GRID.wavelength, rest)
        good = seen.mask == 0
        pulls = (seen.flux[good] - expected[good]) / seen.error[good]
        assert np.std(pulls) == pytest.approx(1.0, abs=0.05)
        assert abs(np.mean(pulls)) < 0.05


def test_snr_is_about_what_is_asked_for(several):
    for _, seen in several:
        assert seen.snr == pytest.approx(100.0, rel=0.15)


def test_bad_pixels_sky_lines_and_telluric_lines_are_flagged(several):
    _, seen = several[0]
    bad = (seen.mask & 1 << BITS["BADPIX"]) > 0
    assert np.all(seen.error[bad] == np.float32(NO_ERROR))
    assert 0.003 < bad.mean() < 0.02
    line = np.abs(seen.wavelength - 16692.4) < 0.3
    assert np.all(seen.mask[line] & 1 << BITS["SIG_SKYLINE"])
    clean = seen.mask == 0
    usable = line & ~bad
    assert np.median(seen.error[usable]) > 3 * np.median(seen.error[clean])
    telluric = seen.wavelength[(seen.mask & 1 << BITS["SIG_TELLURIC"]) > 0]
    assert 15_700 < telluric.min() < 15_730
    assert 16_100 < telluric.max() < 16_150


def test_visits_without_dithering_have_half_of_the_pixels_of_the_same_range(several):
    _, whole = several[0]
    visit, half = recorded(several[0][0], number=5)
    assert not visit.dithered
    assert half.flux.shape == (3, 2048)
    assert np.allclose(half.wavelength[:, [0, -1]], whole.wavelength[:, [0, -1]], atol=0.6)


def test_flags_say_when_a_visit_is_faint_and_where_light_persists(several):
    _, faint = recorded(several[0][0], snr=3.0)
    assert faint.flags & flag("low_snr")
    assert not several[0][1].flags & flag("low_snr")
    _, held = recorded(several[0][0], number=7)
    assert held.flags & flag("persist_high")
    assert np.mean((held.mask & 1 << BITS["PERSIST_HIGH"]) > 0) > 0.2


def test_one_visit_has_one_row_and_several_have_two_coadds_before_them(several):
    visits, seen = zip(*several, strict=True)
    alone, together = combine(visits[:1], seen[:1]), combine(visits, seen)
    assert alone.flux.shape == alone.error.shape == alone.mask.shape == (1, 8575)
    assert together.flux.shape == together.error.shape == together.mask.shape == (6, 8575)
    assert np.array_equal(together.mask[0], np.bitwise_or.reduce(together.mask[2:]))
    assert np.array_equal(together.mask[1], np.bitwise_and.reduce(together.mask[2:]))
    assert together.snr == pytest.approx(2 * alone.snr, rel=0.1)


def test_a_coadd_is_the_star_at_rest(several):
    visits, seen = zip(*several, strict=True)
    together = combine(visits, seen)
    rest = LEVEL * np.interp(
        APOGEE_GRID.wavelength, h_band.GRID.wavelength, h_band.star(visits[0].star.atmosphere)
    )
    good = (together.mask[0] == 0) & (together.error[0] < 0.1 * LEVEL)
    assert good.mean() > 0.6
    assert np.std(together.flux[0][good] / rest[good] - 1) < 0.02
    for row in (0, 1):
        assert np.median(np.abs(together.flux[row][good] / rest[good] - 1)) < 0.01


def test_between_the_chips_there_is_nothing(several):
    visits, seen = zip(*several, strict=True)
    together = combine(visits, seen)
    gap = (APOGEE_GRID.wavelength > 15_820) & (APOGEE_GRID.wavelength < 15_845)
    assert np.all(together.flux[:, gap] == 0)
    assert np.all(together.error[:, gap] == np.float32(NO_ERROR))
    assert np.all(together.mask[:, gap] == 1 << BITS["BADPIX"])


def test_a_pixel_that_is_bad_in_every_visit_says_nothing_in_the_coadd(several):
    visits, seen = zip(*several, strict=True)
    spoiled = []
    for each in seen:
        error = each.error.copy()
        error[1, 2000:2050] = NO_ERROR
        spoiled.append(replace(each, error=error))
    together = combine(visits, spoiled)
    assert np.sum(together.error[0] == np.float32(NO_ERROR)) > np.sum(
        combine(visits, seen).error[0] == np.float32(NO_ERROR)
    )
    assert combine(visits, spoiled).snr > 0
