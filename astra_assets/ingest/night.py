"""When a spectrum was exposed within the night: between sunset and sunrise at the observatory.

Own low-precision ephemeris of the Sun, so that no table of the Earth's rotation has to be fetched. Arrays in,
arrays out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SECONDS_PER_DAY = 86_400.0
J2000 = 51_544.5
"""MJD of the epoch J2000.0."""

TAI_MINUS_UT_DAYS = 37 / SECONDS_PER_DAY
"""TAI - UTC since 2017-01-01 (IERS Bulletin C 52).

One second less in the years before changes a fraction of the night by 3e-5.
"""


@dataclass(frozen=True)
class Observatory:
    """A place on Earth.

    Attributes:
        longitude: degrees, east is positive.
        latitude: degrees.
    """

    longitude: float
    latitude: float


APACHE_POINT = Observatory(-105.8203, 32.7803)
"""Sloan Foundation 2.5 m telescope (Gunn et al. 2006, AJ 131, 2332)."""

LAS_CAMPANAS = Observatory(-70.6926, -29.0146)
"""Du Pont 2.5 m telescope (Bowen & Vaughan 1973, Appl. Opt. 12, 1430)."""

OBSERVATORIES = {"apo25m": APACHE_POINT, "apo1m": APACHE_POINT, "lco25m": LAS_CAMPANAS}
"""The observatory of each telescope."""


def sun_position(mjd: Floats) -> tuple[Floats, Floats]:
    """Right ascension and declination of the Sun in radians at universal times (MJD).

    Good to 0.01 degree from 1950 to 2050.

    Low-precision formulas of the Astronomical Almanac (US Naval Observatory, section C, "Low precision
    formulas for the Sun").
    """
    days = mjd - J2000
    anomaly = np.radians(357.528 + 0.9856003 * days)
    longitude = np.radians(280.460 + 0.9856474 * days + 1.915 * np.sin(anomaly) + 0.020 * np.sin(2 * anomaly))
    obliquity = np.radians(23.439 - 4e-7 * days)
    ascension = np.arctan2(np.cos(obliquity) * np.sin(longitude), np.cos(longitude))
    return ascension, np.arcsin(np.sin(obliquity) * np.sin(longitude))


def hour_angle(mjd: Floats, ascension: Floats, longitude: float) -> Floats:
    """Hour angle in radians, -pi to pi, of a right ascension at a longitude east (degrees).

    Sidereal time as in Meeus, eq. 12.4.
    """
    sidereal = np.radians(280.46061837 + 360.98564736629 * (mjd - J2000) + longitude)
    return np.remainder(sidereal - ascension + np.pi, 2 * np.pi) - np.pi


def sunset_and_sunrise(midnight: Floats, place: Observatory) -> tuple[Floats, Floats]:
    """Universal times (MJD) of the sunset before and the sunrise after the given times near midnight.

    The altitude of the Sun's centre is 0 then, without refraction. NaN where the Sun does not set.
    """
    latitude = np.radians(place.latitude)
    found: list[Floats] = []
    for side in (1.0, -1.0):
        moment = midnight - side * 0.25
        for _ in range(4):
            ascension, declination = sun_position(moment)
            with np.errstate(invalid="ignore"):
                half_day = np.arccos(-np.tan(latitude) * np.tan(declination))
            off = hour_angle(moment, ascension, place.longitude) - side * half_day
            moment = moment - (np.remainder(off + np.pi, 2 * np.pi) - np.pi) / (2 * np.pi)
        found.append(moment)
    return found[0], found[1]


def solar_midnight(mjd: Floats, longitude: float) -> Floats:
    """The mean midnight (universal time, MJD) nearest to each time at a longitude east (degrees)."""
    return np.round(mjd + longitude / 360) - longitude / 360


def fraction_of_night(tai: Floats, telescope: NDArray[np.str_]) -> Floats:
    """Times as a fraction of the time from sunset to sunrise; below 0 or above 1 in daylight.

    Args:
        tai: times in TAI seconds (MJD times 86,400), as BOSS headers have them.
        telescope: name of the telescope of each time.

    Returns:
        The fractions; NaN where the time is not finite or the telescope is not known.
    """
    result = np.full(len(tai), np.nan)
    mjd = tai / SECONDS_PER_DAY - TAI_MINUS_UT_DAYS
    for name in np.unique(telescope):
        place = OBSERVATORIES.get(str(name))
        if place is None:
            continue
        chosen = np.flatnonzero((telescope == name) & np.isfinite(mjd))
        nights, which = np.unique(solar_midnight(mjd[chosen], place.longitude), return_inverse=True)
        sunset, sunrise = sunset_and_sunrise(nights, place)
        result[chosen] = (mjd[chosen] - sunset[which]) / (sunrise - sunset)[which]
    return result
