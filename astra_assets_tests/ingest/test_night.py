"""Times of the night, compared with astropy's ephemeris."""

from __future__ import annotations

import numpy as np
import pytest

from astra_assets.ingest import night


def sun_altitude(mjd, place):
    """Altitude of the Sun's centre in radians by astropy, without any table of the Earth's rotation."""
    import erfa
    from astropy.coordinates import get_sun
    from astropy.time import Time

    moments = Time(mjd, format="mjd", scale="utc")
    direction = get_sun(moments).cartesian.xyz.value.T
    # to the celestial intermediate frame of date, whose right ascension goes with the Earth's rotation angle
    of_date = erfa.rxp(erfa.c2i06a(moments.tt.jd1, moments.tt.jd2), direction)
    ascension, declination = erfa.c2s(of_date)
    angle = erfa.era00(moments.jd1, moments.jd2) + np.radians(place.longitude) - ascension
    latitude = np.radians(place.latitude)
    return np.arcsin(
        np.sin(latitude) * np.sin(declination) + np.cos(latitude) * np.cos(declination) * np.cos(angle)
    )


@pytest.mark.parametrize("place", [night.APACHE_POINT, night.LAS_CAMPANAS], ids=["north", "south"])
def test_the_sun_is_at_the_horizon_at_sunset_and_sunrise(place):
    midnight = night.solar_midnight(np.arange(55_000.3, 61_500, 137), place.longitude)
    sunset, sunrise = night.sunset_and_sunrise(midnight, place)
    assert (sunset < midnight).all()
    assert (midnight < sunrise).all()
    for times in (sunset, sunrise):
        assert np.abs(np.degrees(sun_altitude(times, place))).max() < 0.02
    length = (sunrise - sunset) * 24
    assert 9.4 < length.min() < length.max() < 14.3


def test_fractions_run_from_sunset_to_sunrise():
    midnight = night.solar_midnight(np.array([59_146.3]), night.APACHE_POINT.longitude)
    sunset, sunrise = night.sunset_and_sunrise(midnight, night.APACHE_POINT)
    mjd = np.concatenate([sunset, (sunset + sunrise) / 2, sunrise, sunset - 0.01])
    tai = (mjd + night.TAI_MINUS_UT_DAYS) * night.SECONDS_PER_DAY
    fraction = night.fraction_of_night(tai, np.array(["apo25m"] * 4))
    np.testing.assert_allclose(fraction[:3], [0, 0.5, 1], atol=1e-7)
    assert -0.1 < fraction[3] < 0


def test_unknown_times_and_telescopes_have_no_fraction():
    tai = np.array([59_146.3 * 86_400, np.nan, 59_146.3 * 86_400])
    fraction = night.fraction_of_night(tai, np.array(["apo25m", "apo25m", ""]))
    assert np.isfinite(fraction).tolist() == [True, False, False]


def test_both_observatories_have_their_own_night():
    tai = np.full(2, 59_146.2 * 86_400)
    north, south = night.fraction_of_night(tai, np.array(["apo25m", "lco25m"]))
    assert south - north > 0.1


def test_a_night_is_computed_once_for_all_its_exposures(monkeypatch):
    sizes = []
    real = night.sunset_and_sunrise

    def noted(times, place):
        sizes.append(len(times))
        return real(times, place)

    monkeypatch.setattr(night, "sunset_and_sunrise", noted)
    tai = (59_146 + np.linspace(0.1, 0.45, 1000)) * 86_400
    fraction = night.fraction_of_night(tai, np.array(["apo25m"] * 1000))
    assert sizes == [1]
    assert (np.diff(fraction) > 0).all()
