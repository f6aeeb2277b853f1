"""Nights: dark, with the field up, and with times that agree."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import AltAz, EarthLocation, SkyCoord, get_sun
from astropy.time import Time
from astropy.utils import iers

from astra_assets.demo.sky import make_patch


@pytest.fixture(scope="module", autouse=True)
def offline():
    with iers.conf.set_temp("auto_download", False), iers.conf.set_temp("iers_degraded_accuracy", "ignore"):
        yield


@pytest.fixture(scope="module")
def fields():
    return [
        field for number in range(5) for field in make_patch(number, np.random.default_rng(number)).fields
    ]


def test_exposures_are_in_the_dark_of_the_date_with_the_field_up(fields):
    for field in fields:
        place = field.site.observatory
        location = EarthLocation(lon=place.longitude * u.deg, lat=place.latitude * u.deg)
        edges = [time / 86400 for night in field.nights for time in (night.tai_beg, night.tai_end)]
        times = Time(edges, format="mjd", scale="tai")
        frame = AltAz(obstime=times, location=location)
        assert np.all(get_sun(times).transform_to(frame).alt.deg < -13)
        assert np.all(SkyCoord(field.ra, field.dec, unit="deg").transform_to(frame).alt.deg > 29)
        # the date of a night is that of its morning in Greenwich
        assert np.all(
            np.abs(times.utc.mjd - np.repeat([night.mjd for night in field.nights], 2) - 0.25) < 0.3
        )


def test_headers_of_a_night_agree_with_each_other(fields):
    for field in fields:
        for night in field.nights:
            assert night.tai_end - night.tai_beg >= night.exptime
            assert len(night.moon_distance) == len(night.moon_phase) == night.n_exp
            assert night.airmass == pytest.approx(1 / np.sin(np.radians(night.altitude)))
            assert all(0 <= phase <= 1 for phase in night.moon_phase)


def test_dates_of_a_field_differ_and_ascend(fields):
    for field in fields:
        dates = [night.mjd for night in field.nights]
        assert dates == sorted(set(dates))
        assert len(dates) == 12


def test_plates_were_used_before_the_robots(fields):
    plated = [night.mjd for field in fields if field.plate for night in field.nights]
    robots = [night.mjd for field in fields if not field.plate for night in field.nights]
    assert max(plated) < min(robots)


def test_positions_lie_within_the_field():
    patch = make_patch(0, np.random.default_rng(3))
    places = [patch.position(np.random.default_rng(number)) for number in range(200)]
    centre = SkyCoord(patch.ra, patch.dec, unit="deg")
    distances = SkyCoord(places, unit="deg").separation(centre).deg
    assert 0.9 < distances.max() < 1.01
