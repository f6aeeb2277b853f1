"""Where Sun, Moon and stars are, well enough to schedule a night.

Belongs here: short closed formulas, vectorised over time. They are good to a few arc minutes (Moon: half a
degree), which decides whether it is dark and gives plausible header values; nothing that is measured depends
on them. Does not belong here: anything about fields or exposures (`sky`).

Formulas: Astronomical Almanac, section C (low-precision Sun) and D (low-precision Moon, largest terms).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MJD_J2000 = 51544.5
"""Modified Julian date of 2000 January 1, noon."""
EARTH_SPEED = 29.78
"""km/s, mean speed of the Earth around the Sun."""
OBLIQUITY = np.radians(23.437)
"""Tilt of the Earth's axis."""


class Direction(NamedTuple):
    """Right ascension and declination in degrees."""

    ra: Floats
    dec: Floats


def _equatorial(longitude: Floats, latitude: Floats) -> Direction:
    """Ecliptic longitude and latitude (degrees) to right ascension and declination."""
    lon, lat = np.radians(longitude), np.radians(latitude)
    x = np.cos(lat) * np.cos(lon)
    y = np.cos(lat) * np.sin(lon) * np.cos(OBLIQUITY) - np.sin(lat) * np.sin(OBLIQUITY)
    z = np.cos(lat) * np.sin(lon) * np.sin(OBLIQUITY) + np.sin(lat) * np.cos(OBLIQUITY)
    return Direction(np.degrees(np.arctan2(y, x)) % 360.0, np.degrees(np.arcsin(np.clip(z, -1.0, 1.0))))


def sun_longitude(mjd: Floats) -> Floats:
    """Ecliptic longitude of the Sun in degrees, good to 0.01 degree."""
    days = np.asarray(mjd) - MJD_J2000
    anomaly = np.radians(357.528 + 0.9856003 * days)
    return np.asarray(280.460 + 0.9856474 * days + 1.915 * np.sin(anomaly) + 0.020 * np.sin(2 * anomaly))


def sun(mjd: Floats) -> Direction:
    """Where the Sun is."""
    longitude = sun_longitude(mjd)
    return _equatorial(longitude, np.zeros_like(longitude))


def moon(mjd: Floats) -> Direction:
    """Where the Moon is, seen from the Earth's centre; good to about half a degree and its parallax."""
    days = np.asarray(mjd) - MJD_J2000
    longitude = 218.32 + 13.176396 * days + 6.29 * np.sin(np.radians(134.9 + 13.064993 * days))
    latitude = 5.13 * np.sin(np.radians(93.3 + 13.229350 * days))
    return _equatorial(longitude, latitude)


def moon_phase(mjd: Floats) -> Floats:
    """Illuminated fraction of the Moon, 0 (new) to 1 (full)."""
    one, other = sun(mjd), moon(mjd)
    return np.asarray((1.0 - np.cos(np.radians(separation(one, other)))) / 2.0)


def separation(one: Direction, other: Direction) -> Floats:
    """Angle between two directions in degrees."""
    d1, d2 = np.radians(one.dec), np.radians(other.dec)
    cosine = np.sin(d1) * np.sin(d2) + np.cos(d1) * np.cos(d2) * np.cos(np.radians(one.ra - other.ra))
    return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


def hour_angle(mjd: Floats, ra: Floats | float, longitude: float) -> Floats:
    """Hour angle in degrees, -180 to 180, of right ascension `ra` at an east `longitude`, both in degrees."""
    sidereal = 280.46062 + 360.98564737 * (np.asarray(mjd) - MJD_J2000) + longitude
    return np.asarray((sidereal - ra + 180.0) % 360.0 - 180.0)


def horizontal(mjd: Floats, target: Direction, longitude: float, latitude: float) -> tuple[Floats, Floats]:
    """Altitude and azimuth (from north through east) in degrees.

    East `longitude` and `latitude` in degrees.
    """
    angle = np.radians(hour_angle(mjd, target.ra, longitude))
    dec, lat = np.radians(target.dec), np.radians(latitude)
    sine = np.sin(dec) * np.sin(lat) + np.cos(dec) * np.cos(lat) * np.cos(angle)
    east = -np.cos(dec) * np.sin(angle)
    north = np.sin(dec) * np.cos(lat) - np.cos(dec) * np.sin(lat) * np.cos(angle)
    return np.degrees(np.arcsin(np.clip(sine, -1.0, 1.0))), np.degrees(np.arctan2(east, north)) % 360.0


def barycentric_correction(mjd: Floats, target: Direction) -> Floats:
    """Velocity in km/s that is added to an observed one, for a circular orbit of the Earth (good to 1 km/s).

    The Earth moves towards the ecliptic longitude that is 90 degrees behind the Sun's.
    """
    apex = _equatorial(sun_longitude(mjd) - 90.0, np.zeros_like(np.asarray(mjd, dtype=np.float64)))
    return np.asarray(EARTH_SPEED * np.cos(np.radians(separation(apex, target))))
