"""Approximate positions of the Sun, the Moon and the stars, and the times of sunset and sunrise.

Closed formulas, vectorised over time, which need no table of the Earth's rotation. Times are MJD in UT1; UTC, less
than a second off, serves as well. Sources: Astronomical Almanac, section C ("Low precision formulas for the Sun") and
section D (Moon, largest terms); Meeus, Astronomical Algorithms, equation 12.4 (sidereal time).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from astra_assets.astronomy.constants import MJD_J2000
from astra_assets.astronomy.observatories import Observatory

Floats = NDArray[np.float64]

EARTH_SPEED = 29.78
"""km/s, mean speed of the Earth around the Sun."""


class Direction(NamedTuple):
    """Right ascension and declination in degrees."""

    ra: Floats
    dec: Floats


def separation(one: Direction, other: Direction) -> Floats:
    """Angle between two directions in degrees."""
    d1, d2 = np.radians(one.dec), np.radians(other.dec)
    cosine = np.sin(d1) * np.sin(d2) + np.cos(d1) * np.cos(d2) * np.cos(np.radians(one.ra - other.ra))
    return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


def sun_longitude(mjd: Floats) -> Floats:
    """Ecliptic longitude of the Sun in degrees, good to 0.01 degree from 1950 to 2050."""
    days = np.asarray(mjd) - MJD_J2000
    anomaly = np.radians(357.528 + 0.9856003 * days)
    return np.asarray(280.460 + 0.9856474 * days + 1.915 * np.sin(anomaly) + 0.020 * np.sin(2 * anomaly))


@dataclass(frozen=True)
class Ephemeris:
    """The formulas, with the numbers that describe the Earth's axis and rotation.

    Attributes:
        obliquity: tilt of the axis at J2000.0 in degrees.
        obliquity_rate: its change in degrees per day.
        sidereal: sidereal time at Greenwich at J2000.0 in degrees.
        sidereal_rate: its change in degrees per day.
    """

    obliquity: float = 23.439
    obliquity_rate: float = -4e-7
    sidereal: float = 280.46061837
    sidereal_rate: float = 360.98564736629

    def sidereal_time(self, mjd: Floats, longitude: float) -> Floats:
        """Local sidereal time in degrees, not reduced to a turn, at an east `longitude` in degrees."""
        return np.asarray(self.sidereal + self.sidereal_rate * (np.asarray(mjd) - MJD_J2000) + longitude)

    def hour_angle(self, mjd: Floats, ra: Floats | float, longitude: float) -> Floats:
        """Hour angle in degrees, -180 to 180, of right ascension `ra` at an east `longitude`, both in degrees."""
        return np.asarray((self.sidereal_time(mjd, longitude) - ra + 180.0) % 360.0 - 180.0)

    def horizontal(self, mjd: Floats, target: Direction, place: Observatory) -> tuple[Floats, Floats]:
        """Altitude and azimuth (from north through east) in degrees, without refraction.

        `target` is for the equinox of date; precession moves positions of J2000.0 by 0.014 degree per year.
        """
        angle = np.radians(self.hour_angle(mjd, target.ra, place.longitude))
        dec, lat = np.radians(target.dec), np.radians(place.latitude)
        sine = np.sin(dec) * np.sin(lat) + np.cos(dec) * np.cos(lat) * np.cos(angle)
        east = -np.cos(dec) * np.sin(angle)
        north = np.sin(dec) * np.cos(lat) - np.cos(dec) * np.sin(lat) * np.cos(angle)
        return np.degrees(np.arcsin(np.clip(sine, -1.0, 1.0))), np.degrees(np.arctan2(east, north)) % 360.0

    def sun(self, mjd: Floats) -> Direction:
        """Apparent position of the Sun of date, good to 0.02 degree from 1950 to 2050."""
        longitude = sun_longitude(mjd)
        return self._direction(mjd, longitude, np.zeros_like(longitude))

    def moon(self, mjd: Floats) -> Direction:
        """Position of the Moon seen from the Earth's centre, good to 3 degrees (0.8 in the median)."""
        days = np.asarray(mjd) - MJD_J2000
        longitude = 218.32 + 13.176396 * days + 6.29 * np.sin(np.radians(134.9 + 13.064993 * days))
        latitude = 5.13 * np.sin(np.radians(93.3 + 13.229350 * days))
        return self._direction(mjd, longitude, latitude)

    def moon_phase(self, mjd: Floats) -> Floats:
        """Illuminated fraction of the Moon, 0 (new) to 1 (full), good to 0.02."""
        angle = separation(self.sun(mjd), self.moon(mjd))
        return np.asarray((1.0 - np.cos(np.radians(angle))) / 2.0)

    def barycentric_correction(self, mjd: Floats, target: Direction) -> Floats:
        """Velocity in km/s to add to an observed one, for a circular orbit of the Earth (good to 1 km/s).

        The Earth moves towards the ecliptic longitude that is 90 degrees behind the Sun's.
        """
        longitude = sun_longitude(mjd) - 90.0
        apex = self._direction(mjd, longitude, np.zeros_like(longitude))
        return np.asarray(EARTH_SPEED * np.cos(np.radians(separation(apex, target))))

    def sunset_and_sunrise(self, midnight: Floats, place: Observatory) -> tuple[Floats, Floats]:
        """Times (MJD) of the sunset before and the sunrise after each time near midnight.

        The altitude of the Sun's centre is 0 then, without refraction. NaN where the Sun does not set.
        """
        latitude = np.radians(place.latitude)
        found: list[Floats] = []
        for side in (1.0, -1.0):
            moment = midnight - side * 0.25
            for _ in range(4):
                longitude = sun_longitude(moment)
                ascension, declination = self._equatorial(moment, longitude, np.zeros_like(longitude))
                with np.errstate(invalid="ignore"):
                    half_day = np.arccos(-np.tan(latitude) * np.tan(declination))
                angle = np.radians(self.sidereal_time(moment, place.longitude)) - ascension
                moment = moment - _turned(_turned(angle) - side * half_day) / (2 * np.pi)
            found.append(moment)
        return found[0], found[1]

    def _direction(self, mjd: Floats, longitude: Floats, latitude: Floats) -> Direction:
        ascension, declination = self._equatorial(mjd, longitude, latitude)
        return Direction(np.degrees(ascension) % 360.0, np.degrees(declination))

    def _equatorial(self, mjd: Floats, longitude: Floats, latitude: Floats) -> tuple[Floats, Floats]:
        """Right ascension and declination in radians of an ecliptic longitude and latitude in degrees."""
        obliquity = np.radians(self.obliquity + self.obliquity_rate * (np.asarray(mjd) - MJD_J2000))
        lon, lat = np.radians(longitude), np.radians(latitude)
        x = np.cos(lat) * np.cos(lon)
        y = np.cos(lat) * np.sin(lon) * np.cos(obliquity) - np.sin(lat) * np.sin(obliquity)
        z = np.cos(lat) * np.sin(lon) * np.sin(obliquity) + np.sin(lat) * np.cos(obliquity)
        return np.arctan2(y, x), np.arcsin(np.clip(z, -1.0, 1.0))


def _turned(angle: Floats) -> Floats:
    """Angles in radians between -pi and pi."""
    return np.remainder(angle + np.pi, 2 * np.pi) - np.pi


EPHEMERIS = Ephemeris()
"""With the mean obliquity and sidereal time of the sources above."""
