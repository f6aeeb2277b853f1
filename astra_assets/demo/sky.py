"""Fields and the nights in which they are observed: where, when, under which conditions.

Exposures are taken in the dark hours, with the field above the horizon, from one of the two observatories.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from astra_assets.astronomy.constants import SECONDS_PER_DAY, TAI_MINUS_UTC
from astra_assets.astronomy.ephemeris import Direction, Ephemeris, Floats, separation
from astra_assets.astronomy.observatories import APACHE_POINT, LAS_CAMPANAS, Observatory

EPHEMERIS = Ephemeris(obliquity=23.437, obliquity_rate=0.0, sidereal=280.46062, sidereal_rate=360.98564737)
"""Rounded numbers, which the bytes of a seed depend on: better ones would choose other nights."""
NIGHTS_PER_FIELD = 12
EXPOSURE = 900.0
"""Seconds of one exposure of the BOSS spectrographs."""
READOUT = 66.0
"""Seconds between two exposures."""
DARK = -14.0
"""Degrees; exposures are taken while the Sun is lower."""
LOWEST = 30.0
"""Degrees; fields are observed while they are higher."""
FIELD_RADIUS = 1.0
"""Degrees; half of a field's diameter."""
PATTERN = (("APO", "LCO"), ("APO",), ("LCO",), ("APO",), ("APO",), ("LCO",), ("APO",), ("LCO",))
"""Which observatories look at a patch of the sky; repeated over the patches."""
PLATE_PERIOD = 3
"""Each so many patches of APO were observed with plug plates, the others with robots."""


@dataclass(frozen=True)
class Site:
    """An observatory, and how the demo survey uses it.

    `pressure` is the mean one in inch of mercury, `declinations` (degrees) what is observed from there.
    """

    observatory: Observatory
    pressure: float
    spectrograph: str
    declinations: tuple[float, float]
    first_robot_mjd: int

    @property
    def code(self) -> str:
        """APO or LCO."""
        return self.observatory.code

    @property
    def telescope(self) -> str:
        """The telescope's name in the database: apo25m or lco25m."""
        return f"{self.code.lower()}25m"


SITES = {
    "APO": Site(APACHE_POINT, 21.6, "1", (-14.0, 72.0), 59630),
    "LCO": Site(LAS_CAMPANAS, 22.6, "2", (-78.0, 17.0), 59830),
}
BOTH_DECLINATIONS = (-12.0, 15.0)
"""Degrees; what both observatories reach."""
PLATE_MJDS = (59150, 59390)
"""When plug plates were used in SDSS-V."""
LAST_MJD = 60520


@dataclass(frozen=True)
class Plate:
    """A plug plate: its number, the cartridge that held it, the plugging, and the slit head."""

    number: int
    cartridge: int
    mapping: int
    slit: int


@dataclass(frozen=True)
class Night:
    """All exposures of a field in one night; times in seconds of MJD (TAI), angles in degrees.

    `moon_distance` and `moon_phase` have one value per exposure. Wind and gusts are in mph, temperatures in
    Celsius, pressure in inch of mercury, seeing in arcsec (20, 50 and 80 percent), `velocity` (km/s) is the
    barycentric correction.
    """

    mjd: int
    tai_beg: float
    tai_end: float
    n_exp: int
    altitude: float
    azimuth: float
    airmass: float
    seeing: tuple[float, float, float]
    moon_distance: tuple[float, ...]
    moon_phase: tuple[float, ...]
    weather: dict[str, float]
    n_guide: int
    velocity: float

    @property
    def exptime(self) -> float:
        """Total exposure time in seconds."""
        return self.n_exp * EXPOSURE

    @property
    def middle(self) -> float:
        """MJD (TAI) of the middle of the exposures."""
        return (self.tai_beg + self.tai_end) / 2 / SECONDS_PER_DAY


@dataclass(frozen=True)
class SurveyField:
    """A pointing of one observatory and the nights it was observed in, by date."""

    fieldid: int
    site: Site
    ra: float
    dec: float
    nights: tuple[Night, ...]
    plate: Plate | None


@dataclass(frozen=True)
class Patch:
    """A part of the sky of one field's size, observed by one or both observatories."""

    ra: float
    dec: float
    fields: tuple[SurveyField, ...]

    def position(self, rng: np.random.Generator) -> tuple[float, float]:
        """A random place in it, right ascension and declination in degrees."""
        radius, angle = FIELD_RADIUS * np.sqrt(rng.uniform()), rng.uniform(0, 2 * np.pi)
        dec = self.dec + radius * np.cos(angle)
        return float((self.ra + radius * np.sin(angle) / np.cos(np.radians(dec))) % 360.0), float(dec)


def make_patch(number: int, rng: np.random.Generator) -> Patch:
    """The `number`-th patch of the survey, with its fields and nights."""
    codes = PATTERN[number % len(PATTERN)]
    low, high = BOTH_DECLINATIONS if len(codes) > 1 else SITES[codes[0]].declinations
    sines = np.sin(np.radians([low, high]))
    ra, dec = float(rng.uniform(0, 360)), float(np.degrees(np.arcsin(rng.uniform(*sines))))
    fields = []
    for code in codes:
        on_plate = code == "APO" and len(codes) == 1 and number % PLATE_PERIOD == 1
        place = Direction(np.array(ra), np.array(dec))
        fields.append(_make_field(number, SITES[code], place, rng, on_plate=on_plate))
    return Patch(ra, dec, tuple(fields))


def _make_field(
    number: int, site: Site, place: Direction, rng: np.random.Generator, *, on_plate: bool
) -> SurveyField:
    if on_plate:
        return plate_field(15000 + 7 * number, site, place, PLATE_MJDS, rng)
    fieldid = 100000 + 13 * number + (500 if site.code == "LCO" else 0)
    nights = _make_nights(site, place, (site.first_robot_mjd, LAST_MJD), rng)
    return SurveyField(fieldid, site, float(place.ra), float(place.dec), nights, None)


def plate_field(
    number: int, site: Site, place: Direction, span: tuple[int, int], rng: np.random.Generator
) -> SurveyField:
    """A field that is observed with a plug plate of this number, in nights between two MJDs."""
    cartridge = int(rng.integers(1, 10))
    plate = Plate(number, cartridge, int(rng.integers(1, 4)), cartridge)
    nights = _make_nights(site, place, span, rng)
    return SurveyField(number, site, float(place.ra), float(place.dec), nights, plate)


def _make_nights(
    site: Site, target: Direction, span: tuple[int, int], rng: np.random.Generator
) -> tuple[Night, ...]:
    """Nights of different dates in which the field is up while it is dark."""
    size = 6000
    mjd = rng.integers(*span, size=size)
    middle = mjd - site.observatory.longitude / 360.0 + rng.uniform(-0.17, 0.17, size)
    n_exp = rng.choice([2, 3, 4, 5, 6, 8], size=size, p=[0.15, 0.25, 0.3, 0.15, 0.1, 0.05])
    half = (n_exp * (EXPOSURE + READOUT) - READOUT) / 2 / SECONDS_PER_DAY
    usable = np.ones(size, dtype=bool)
    for moment in (middle - half, middle + half):
        altitude, _ = EPHEMERIS.horizontal(moment, target, site.observatory)
        sun, _ = EPHEMERIS.horizontal(moment, EPHEMERIS.sun(moment), site.observatory)
        usable &= (altitude > LOWEST) & (sun < DARK)
    moon_altitude, _ = EPHEMERIS.horizontal(middle, EPHEMERIS.moon(middle), site.observatory)
    usable &= (moon_altitude < 0) | (separation(EPHEMERIS.moon(middle), target) > 30.0)
    chosen = np.flatnonzero(usable)
    _, first = np.unique(mjd[chosen], return_index=True)
    several = rng.permutation(chosen[first])[:NIGHTS_PER_FIELD]
    several = several[np.argsort(mjd[several])]
    return tuple(
        _make_night(site, target, (int(mjd[i]), float(middle[i]), int(n_exp[i])), rng) for i in several
    )


def _make_night(
    site: Site, target: Direction, date: tuple[int, float, int], rng: np.random.Generator
) -> Night:
    """One night; `date` is its number, the MJD (UTC) of its middle, and the number of exposures."""
    mjd, middle, n_exp = date
    moment = np.array(middle)
    altitude, azimuth = EPHEMERIS.horizontal(moment, target, site.observatory)
    length = n_exp * (EXPOSURE + READOUT) - READOUT
    begin = round(middle * SECONDS_PER_DAY + TAI_MINUS_UTC - length / 2, 2)
    starts = begin - TAI_MINUS_UTC + (EXPOSURE + READOUT) * np.arange(n_exp, dtype=np.float64)
    exposures = (starts + EXPOSURE / 2) / SECONDS_PER_DAY
    airmass = float(1.0 / np.sin(np.radians(altitude)))
    seeing = float(np.clip(rng.lognormal(np.log(1.3), 0.18), 0.8, 2.8)) * airmass**0.6
    return Night(
        mjd=mjd,
        tai_beg=begin,
        tai_end=round(begin + length, 2),
        n_exp=n_exp,
        altitude=float(altitude),
        azimuth=float(azimuth),
        airmass=airmass,
        seeing=(0.88 * seeing, seeing, 1.17 * seeing),
        moon_distance=_rounded(separation(EPHEMERIS.moon(exposures), target)),
        moon_phase=_rounded(EPHEMERIS.moon_phase(exposures)),
        weather=_weather(site, rng),
        n_guide=int(length // 35),
        velocity=float(EPHEMERIS.barycentric_correction(moment, target)),
    )


def _rounded(values: Floats) -> tuple[float, ...]:
    return tuple(round(float(value), 3) for value in values)


def _weather(site: Site, rng: np.random.Generator) -> dict[str, float]:
    """Header key to value, as the telescope's weather station reports."""
    temperature = rng.normal(9.0, 6.0)
    humidity = float(np.clip(rng.normal(38.0, 16.0), 5.0, 84.0))
    wind, direction = rng.gamma(4.0, 2.6), rng.uniform(0, 360)
    values = {
        "AIRTEMP": temperature,
        # Magnus' rule of thumb: a degree lower for each 5 percent of humidity below 100.
        "DEWPOINT": temperature - (100.0 - humidity) / 5.0,
        "DUSTA": rng.lognormal(9.0, 0.5),
        "DUSTB": rng.lognormal(6.6, 0.6),
        "GUSTD": (direction + rng.normal(0, 15)) % 360.0,
        "GUSTS": wind * rng.uniform(1.15, 1.6),
        "HUMIDITY": humidity,
        "PRESSURE": rng.normal(site.pressure, 0.06),
        "WINDD": direction,
        "WINDS": wind,
    }
    return {key: round(float(value), 4) for key, value in values.items()}
