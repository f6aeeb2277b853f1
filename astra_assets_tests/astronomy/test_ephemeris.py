"""Positions and times of Sun, Moon and stars, compared with astropy; no table of the Earth's rotation is fetched.

UT1 - UTC is set to 0: it is less than a second, in which the sky turns by 0.004 degree, and its predictions age.
"""

from __future__ import annotations

import erfa
import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import TETE, AltAz, EarthLocation, SkyCoord, get_body, get_sun
from astropy.time import Time
from astropy.utils import iers

from astra_assets.astronomy.ephemeris import EPHEMERIS, Direction, separation
from astra_assets.astronomy.observatories import APACHE_POINT, LAS_CAMPANAS, OBSERVATORIES
from astra_assets.demo.sky import EPHEMERIS as ROUNDED
from astra_assets.ingest.night import solar_midnight

MJD = np.arange(51_000.0, 60_000.0, 37.37)
"""1998 to 2023: what SDSS has observed, at all seasons, hours and phases of the Moon."""

places = pytest.mark.parametrize("place", [APACHE_POINT, LAS_CAMPANAS], ids=["north", "south"])
ephemerides = pytest.mark.parametrize("ephemeris", [EPHEMERIS, ROUNDED], ids=["accurate", "rounded"])


@pytest.fixture(scope="module", autouse=True)
def offline():
    with iers.conf.set_temp("auto_download", False), iers.conf.set_temp("iers_degraded_accuracy", "ignore"):
        yield


@pytest.fixture(scope="module")
def times():
    moments = Time(MJD, format="mjd", scale="utc")
    moments.delta_ut1_utc = 0.0
    return moments


def of_date(coordinates, times):
    """Right ascension and declination for the true equator and equinox of date."""
    apparent = coordinates.transform_to(TETE(obstime=times))
    return Direction(apparent.ra.deg, apparent.dec.deg)


def location(place):
    return EarthLocation(lon=place.longitude * u.deg, lat=place.latitude * u.deg)


@ephemerides
def test_the_sun_is_where_astropy_has_it(ephemeris, times):
    # the Almanac grants its formula 0.01 degree, and nutation, left out, is 0.005
    assert separation(ephemeris.sun(MJD), of_date(get_sun(times), times)).max() < 0.015


def test_the_moon_is_about_where_astropy_has_it(times):
    # one term of the longitude: the next ones, evection and variation, are 1.3 and 0.7 degrees
    away = separation(EPHEMERIS.moon(MJD), of_date(get_body("moon", times), times))
    assert away.max() < 3.0
    assert np.median(away) < 1.0


def test_the_phase_of_the_moon_is_that_of_astropy(times):
    angle = get_body("moon", times).separation(get_sun(times))
    exact = (1 - np.cos(angle.rad)) / 2
    assert np.abs(EPHEMERIS.moon_phase(MJD) - exact).max() < 0.03


@places
@pytest.mark.parametrize(
    ("ephemeris", "tolerance"), [(EPHEMERIS, 2e-5), (ROUNDED, 5e-5)], ids=["accurate", "rounded"]
)
def test_sidereal_time_is_that_of_astropy(place, ephemeris, tolerance):
    # the precession of the equinox is not quite linear: 1e-5 degree in these years; rounded rates lose 2e-5 more
    moments = Time(MJD, format="mjd", scale="ut1")
    moments.delta_ut1_utc = 0.0
    exact = moments.sidereal_time("mean", longitude=place.longitude * u.deg).deg
    turned = (ephemeris.sidereal_time(MJD, place.longitude) - exact + 180) % 360 - 180
    assert np.abs(turned).max() < tolerance


@places
def test_altitude_and_azimuth_are_those_of_astropy(place, times):
    star = SkyCoord(150, 20, unit="deg")
    exact = star.transform_to(AltAz(obstime=times, location=location(place)))
    altitude, azimuth = EPHEMERIS.horizontal(MJD, of_date(star, times), place)
    # nutation, of which sidereal time here knows nothing, and diurnal aberration
    assert np.abs(altitude - exact.alt.deg).max() < 0.01
    aside = ((azimuth - exact.az.deg + 180) % 360 - 180) * np.cos(exact.alt.rad)
    assert np.abs(aside).max() < 0.01


@ephemerides
def test_the_correction_to_the_barycentre_is_that_of_astropy(ephemeris):
    mjd = np.linspace(59200.0, 59560.0, 13)
    exact = SkyCoord(150, 20, unit="deg").radial_velocity_correction(
        obstime=Time(mjd, format="mjd"), location=location(APACHE_POINT)
    )
    target = Direction(np.array(150.0), np.array(20.0))
    # the Earth's orbit is no circle (0.5 km/s), and the Earth turns (0.4 km/s)
    assert np.max(np.abs(ephemeris.barycentric_correction(mjd, target) - exact.to_value("km/s"))) < 1.2


def sun_altitude(mjd, place):
    """Altitude of the Sun's centre in degrees by astropy, without any table of the Earth's rotation."""
    moments = Time(mjd, format="mjd", scale="utc")
    direction = get_sun(moments).cartesian.xyz.value.T
    # to the celestial intermediate frame of date, whose right ascension goes with the Earth's rotation angle
    intermediate = erfa.rxp(erfa.c2i06a(moments.tt.jd1, moments.tt.jd2), direction)
    ascension, declination = erfa.c2s(intermediate)
    angle = erfa.era00(moments.jd1, moments.jd2) + np.radians(place.longitude) - ascension
    latitude = np.radians(place.latitude)
    sine = np.sin(latitude) * np.sin(declination) + np.cos(latitude) * np.cos(declination) * np.cos(angle)
    return np.degrees(np.arcsin(sine))


@places
def test_the_sun_is_at_the_horizon_at_sunset_and_sunrise(place):
    midnight = solar_midnight(np.arange(55_000.3, 61_500, 137), place.longitude)
    sunset, sunrise = EPHEMERIS.sunset_and_sunrise(midnight, place)
    assert (sunset < midnight).all()
    assert (midnight < sunrise).all()
    for moments in (sunset, sunrise):
        assert np.abs(sun_altitude(moments, place)).max() < 0.02
    length = (sunrise - sunset) * 24
    assert 9.4 < length.min() < length.max() < 14.3


def test_the_large_and_the_small_telescope_of_apache_point_share_a_place():
    assert OBSERVATORIES["apo25m"] is OBSERVATORIES["apo1m"] is APACHE_POINT
    assert OBSERVATORIES["lco25m"] is LAS_CAMPANAS
