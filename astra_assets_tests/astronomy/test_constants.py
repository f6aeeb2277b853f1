"""Constants are those of SciPy and astropy."""

from __future__ import annotations

import erfa
import scipy.constants
from astropy.stats import gaussian_sigma_to_fwhm
from astropy.time import Time

from astra_assets.astronomy import constants


def test_the_speed_of_light_is_exact_in_both_units():
    assert scipy.constants.c == constants.SPEED_OF_LIGHT_SI
    assert scipy.constants.c / 1000 == constants.SPEED_OF_LIGHT


def test_the_width_of_a_gaussian_is_that_of_astropy():
    assert gaussian_sigma_to_fwhm == constants.FWHM_PER_SIGMA


def test_days_and_epochs_are_those_of_astropy():
    assert scipy.constants.day == constants.SECONDS_PER_DAY
    assert erfa.DJM0 == constants.JD_OF_MJD
    assert erfa.DJM00 == constants.MJD_J2000
    assert Time("1970-01-01", scale="utc").mjd == constants.UNIX_EPOCH_MJD


def test_leap_seconds_since_2017_are_those_of_astropy():
    for date in ("2017-01-02", "2025-06-01"):
        year, month, day = map(int, date.split("-"))
        assert erfa.dat(year, month, day, 0.0) == constants.TAI_MINUS_UTC
