"""Which visits are stacked, and what the stack is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from astra_assets.astronomy.constants import SPEED_OF_LIGHT
from astra_assets.spectra.base import Spectrum
from astra_assets.spectra.grid import BOSS_GRID
from astra_assets.spectra.stack import coadd, has_good_velocity, in_stack, summarise, to_rest_frame

VISIT = {
    "mjd": 59000,
    "snr": 20.0,
    "zwarning_flags": 0,
    "gri_gaia_transform_flags": 0,
    "xcsao_rxc": 12.0,
    "xcsao_v_rad": 0.0,
    "xcsao_e_v_rad": 2.0,
    "xcsao_teff": 9000.0,
    "xcsao_e_teff": 100.0,
    "xcsao_logg": 4.0,
    "xcsao_e_logg": 0.1,
    "xcsao_fe_h": -0.5,
    "xcsao_e_fe_h": 0.1,
}


def spectrum(wavelength, flux=None, ivar=None, flags=None, **row) -> Spectrum:
    return Spectrum(
        wavelength,
        np.full_like(wavelength, 5.0) if flux is None else flux,
        np.ones_like(wavelength) if ivar is None else ivar,
        pixel_flags=None if flags is None else np.full(len(wavelength), flags, dtype=np.int64),
        row=VISIT | row,
    )


@pytest.mark.parametrize(
    ("changes", "white_dwarf", "stacked"),
    [
        ({}, False, True),
        ({"snr": 3.0}, False, False),
        ({"snr": None}, False, False),
        ({"snr": float("nan")}, True, False),
        ({"xcsao_rxc": 6.0}, False, False),
        ({"xcsao_rxc": None}, False, False),
        ({"xcsao_rxc": 0.5}, True, True),
        ({"xcsao_rxc": None}, True, True),
        ({"zwarning_flags": 4}, True, False),
        ({"zwarning_flags": None}, False, True),
        ({"zwarning_flags": -1}, False, True),
    ],
)
def test_a_visit_is_stacked_by_snr_velocity_or_program_and_warnings(changes, white_dwarf, stacked):
    assert in_stack(VISIT | changes, white_dwarf) is stacked


def test_a_velocity_counts_only_with_a_good_correlation():
    assert has_good_velocity(VISIT)
    assert not has_good_velocity(VISIT | {"xcsao_rxc": 6.0})
    assert not has_good_velocity(VISIT | {"xcsao_v_rad": None})
    assert not has_good_velocity(VISIT | {"xcsao_v_rad": float("nan")})


def observed_line(wavelength, v_rad, centre=6564.61):
    rest = wavelength * (1 - v_rad / SPEED_OF_LIGHT)
    return 1.0 - 0.6 * np.exp(-0.5 * (np.log10(rest / centre) / 3e-4) ** 2)


def line_pixel(flux) -> float:
    near = np.abs(np.arange(4648) - BOSS_GRID.position(np.array(6564.61))) < 15
    return float(np.average(np.arange(4648)[near], weights=1.0 - flux[near]))


def test_lines_of_visits_at_different_velocities_coincide_in_the_coadd(wavelength):
    visits = [
        to_rest_frame(spectrum(wavelength, observed_line(wavelength, v), xcsao_v_rad=v), white_dwarf=False)
        for v in (-210.0, 3.0, 155.0)
    ]
    total = coadd(visits)
    expected = float(BOSS_GRID.position(np.array(6564.61)))
    assert line_pixel(total.flux) == pytest.approx(expected, abs=0.02)
    assert min(total.flux[BOSS_GRID.wavelength > 6000]) == pytest.approx(0.4, abs=0.02)


def test_visits_outside_the_stack_stay_in_the_observed_frame(wavelength):
    flux = observed_line(wavelength, 200.0)
    visit = to_rest_frame(spectrum(wavelength, flux, xcsao_v_rad=200.0, snr=2.0), white_dwarf=False)
    shift = np.log10(1 / (1 - 200.0 / SPEED_OF_LIGHT)) / 1e-4
    assert not visit.in_stack
    expected = BOSS_GRID.position(np.array(6564.61)) + shift
    assert line_pixel(visit.pixels.flux) == pytest.approx(expected, abs=0.05)


def test_white_dwarfs_are_shifted_by_their_doubtful_velocity_and_stay_where_there_is_none(wavelength):
    flux = observed_line(wavelength, 100.0)
    doubtful = spectrum(wavelength, flux, xcsao_v_rad=100.0, xcsao_rxc=1.0)
    none = spectrum(wavelength, observed_line(wavelength, 0.0), xcsao_v_rad=None, xcsao_rxc=None)
    expected = float(BOSS_GRID.position(np.array(6564.61)))
    for visit in (doubtful, none):
        rest = to_rest_frame(visit, white_dwarf=True)
        assert rest.in_stack
        assert line_pixel(rest.pixels.flux) == pytest.approx(expected, abs=0.02)


def test_the_ivar_of_n_equal_visits_is_n_times_that_of_one_and_its_errors_are_honest(wavelength):
    rng = np.random.default_rng(11)
    ivar = np.full_like(wavelength, 4.0)
    visits = []
    for number in range(9):
        flux = 5.0 + rng.normal(size=len(wavelength)) / 2.0
        visit = spectrum(wavelength, flux, ivar, xcsao_v_rad=40.0 * number - 100)
        visits.append(to_rest_frame(visit, white_dwarf=False))
    one, total = coadd(visits[:1]), coadd(visits)
    middle = slice(300, 4400)
    ratio = total.ivar[middle] / one.ivar[middle]
    # The kernel's share of independent pixels depends a little on where between pixels it is centred.
    np.testing.assert_allclose(ratio, 9.0, rtol=0.03)
    pulls = (total.flux[middle] - 5.0) * np.sqrt(total.ivar[middle])
    # 4100 pixels correlated over 2.5 hold about 1600 independent ones.
    assert np.std(pulls) == pytest.approx(1.0, abs=0.08)
    assert total.snr == pytest.approx(np.mean(5.0 * np.sqrt(total.ivar[total.ivar > 0])), rel=0.01)


def test_only_stacked_visits_are_added_and_flags_are_joined(wavelength):
    rows: list[dict[str, Any]] = [{"flags": 1}, {"flags": 4}, {"flags": 8, "snr": 1.0}]
    visits = [to_rest_frame(spectrum(wavelength, **row), white_dwarf=False) for row in rows]
    total = coadd(visits)
    assert total.pixel_flags[2000] == 5
    assert total.ivar[2000] == pytest.approx(visits[0].pixels.ivar[2000] * 2)
    assert coadd(visits[2:]) is None


def test_a_coadd_has_no_flux_in_the_far_blue_or_where_no_visit_reaches(wavelength):
    short = wavelength[:4000]
    total = coadd([to_rest_frame(spectrum(short), white_dwarf=False)])
    blue = BOSS_GRID.wavelength < 3650
    assert np.all(np.isnan(total.flux[blue]))
    assert np.all(total.ivar[blue] == 0)
    assert np.isnan(total.flux[-1])
    assert total.ivar[-1] == 0
    assert np.all(np.isfinite(total.flux[total.ivar > 0]))


def test_a_visit_with_a_nan_of_its_own_spoils_no_other(wavelength):
    good = to_rest_frame(spectrum(wavelength), white_dwarf=False)
    ivar = np.ones_like(wavelength)
    ivar[1000:2000] = 0.0
    gap = to_rest_frame(spectrum(wavelength, ivar=ivar), white_dwarf=False)
    total = coadd([good, gap])
    np.testing.assert_allclose(total.flux[total.ivar > 0], 5.0)
    assert total.ivar[1500] == pytest.approx(good.pixels.ivar[1500])


def rest(wavelength, **row):
    return to_rest_frame(spectrum(wavelength, **row), white_dwarf=False)


def test_the_summary_of_visits_follows_the_rules(wavelength):
    visits = [
        rest(wavelength, mjd=59000, xcsao_v_rad=10.0, xcsao_e_v_rad=1.0, gri_gaia_transform_flags=1),
        rest(wavelength, mjd=59100, xcsao_v_rad=14.0, xcsao_e_v_rad=2.0, gri_gaia_transform_flags=4),
        rest(wavelength, mjd=59200, xcsao_rxc=2.0, xcsao_v_rad=900.0, gri_gaia_transform_flags=8),
        rest(wavelength, mjd=59300, zwarning_flags=2, xcsao_v_rad=12.0, xcsao_e_v_rad=None),
    ]
    row = summarise(visits)
    assert (row["min_mjd"], row["max_mjd"]) == (59000, 59300)
    assert (row["n_visits"], row["n_good_visits"], row["n_good_rvs"]) == (4, 2, 3)
    assert row["v_rad"] == pytest.approx((10 + 14 / 4) / 1.25)
    assert row["e_v_rad"] == pytest.approx(1.25**-0.5)
    assert row["std_v_rad"] == pytest.approx(np.std([10, 14, 12]))
    assert row["median_e_v_rad"] == 1.5
    assert row["xcsao_teff"] == pytest.approx(9000)
    assert row["xcsao_e_teff"] == pytest.approx(100 / np.sqrt(2))
    assert row["xcsao_meanrxc"] == 12
    assert row["gri_gaia_transform_flags"] == 5
    assert row["zwarning_flags"] == 0


def test_what_no_visit_knows_is_null(wavelength):
    row = summarise([rest(wavelength, xcsao_rxc=1.0, xcsao_teff=None)])
    assert row["n_good_rvs"] == 0
    for name in ("v_rad", "e_v_rad", "std_v_rad", "median_e_v_rad", "xcsao_teff", "xcsao_e_teff"):
        assert row[name] is None
