"""One APOGEE star and its visits: where, when, through which fibre, and what goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from astra_assets.astronomy.constants import JD_OF_MJD, SECONDS_PER_DAY, TAI_MINUS_UTC
from astra_assets.astronomy.ephemeris import Direction
from astra_assets.astronomy.sky import galactic
from astra_assets.demo.population import UNKNOWN_ID, Target, choose_nights, current_catalogid
from astra_assets.demo.sky import (
    SITES,
    Night,
    Patch,
    SurveyField,
    plate_field,
)
from astra_assets.models.apogee import ApogeeVisitSpectrum
from astra_assets.models.base import bit
from astra_assets.synthesis.h_band import Atmosphere

APRED = {"sdss5": "1.5", "dr17": "dr17"}
"""The reduction of each release."""
SDSS4_MJDS = {"APO": (56_000, 58_900), "LCO": (57_850, 59_100)}
"""When SDSS-IV and its predecessor observed (the southern spectrograph came later)."""
SDSS4_PLATES = 8000
"""Number of the first plate."""
ONE_METRE, ONE_METRE_FIELD = "apo1m", "calibration"
"""The third telescope, which feeds one fibre, and a field as it names them."""
N_FIBERS = 300

SNR_AT_11_5, SNR_LIMITS, SNR_SPREAD = 60.0, (2.0, 260.0), 0.2
"""S/N per pixel of a visit to a star of H 11.5; limits; standard deviation of its logarithm from night to night."""
VELOCITY_FLOOR = 0.03
"""km/s; least error of a velocity."""

FAILED, MISSING, UNDITHERED = (29, 13), (83, 17), (23, 5)
"""Each so many visits, beginning with a certain one: no velocity and so no place in the coadd; no apVisit file; exposures at
one position only, and so half of the pixels."""
BITS = {
    "persist_high": (19, 7),
    "bright_neighbor": (31, 3),
    "very_bright_neighbor": (97, 41),
    "rv_suspect": (43, 20),
}
"""Flags that each so many visits have."""
FAST_ROTATION = 50.0
"""km/s; beyond it the reduction suspects broad lines."""


@dataclass(frozen=True, eq=False)
class Star:
    """A star with APOGEE spectra.

    `rank` counts the stars; `slot` is its place among those of its patch, of which no two share a fibre. `sdss4` is where
    SDSS-IV observed it, None where it did not; `in_sdss5` says whether SDSS-V does. `obj` is its name in all files.
    """

    rank: int
    target: Target
    atmosphere: Atmosphere
    h_mag: float
    obj: str
    slot: int
    sdss4: Patch | None
    in_sdss5: bool
    one_metre: bool

    def snr(self) -> float:
        """S/N per pixel of a usual visit: the star's photons, and beyond H 14 the sky's."""
        faint = np.sqrt(1.0 + 10.0 ** (0.4 * (self.h_mag - 14.0)))
        return float(SNR_AT_11_5 * 10.0 ** (-0.2 * (self.h_mag - 11.5)) / faint)


@dataclass(frozen=True, eq=False)
class StarVisit:
    """One star in one night.

    Velocities in km/s: `v_rad` is true, `measured` is what the reduction finds, with error `e_v_rad`; both barycentric.
    `number` counts the visits and decides what goes wrong. `snr` is what is asked of the pixels.
    """

    number: int
    star: Star
    release: str
    telescope: str
    field: str
    plate: str
    fiber: int
    night: Night
    catalogid: int
    sdss_id: int
    snr: float
    v_rad: float
    measured: float
    e_v_rad: float

    @cached_property
    def row(self) -> dict[str, Any]:
        """What paths are made of (`models.paths.ap_visit_path`), under the names of our tables."""
        return {
            "release": self.release,
            "apred": APRED[self.release],
            "telescope": self.telescope,
            "field": self.field,
            "plate": self.plate,
            "mjd": self.night.mjd,
            "fiber": self.fiber,
            "prefix": "as" if self.telescope.startswith("lco") else "ap",
            "reduction": self.star.obj if self.telescope == ONE_METRE else "",
            "obj": self.star.obj,
        }

    def happens(self, period: tuple[int, int]) -> bool:
        """Whether this visit is one of each so many, beginning with a certain one."""
        return self.number % period[0] == period[1]

    @property
    def failed(self) -> bool:
        """Whether the reduction finds no velocity; the visit is not in the coadd then."""
        return self.happens(FAILED)

    @property
    def has_file(self) -> bool:
        """Whether there is an apVisit file."""
        return not self.happens(MISSING)

    @property
    def dithered(self) -> bool:
        """Whether exposures were taken at two positions of the detectors."""
        return not self.happens(UNDITHERED)

    @property
    def flags(self) -> int:
        """The bits of STARFLAG that do not follow from the pixels."""
        names = [name for name, period in BITS.items() if self.happens(period)]
        names += ["rv_failure"] if self.failed else []
        names += ["suspect_broad_lines"] if self.star.atmosphere.v_sini > FAST_ROTATION else []
        return sum(flag(name) for name in names)

    @property
    def relative(self) -> float:
        """The true velocity in the observatory's frame."""
        return self.v_rad - self.night.velocity

    @property
    def measured_relative(self) -> float:
        """The measured velocity in the observatory's frame, by which the visit is shifted to rest."""
        return self.measured - self.night.velocity

    @property
    def jd(self) -> float:
        """Julian date (UTC) of the middle of the exposures."""
        return self.night.middle - TAI_MINUS_UTC / SECONDS_PER_DAY + JD_OF_MJD

    @property
    def date_obs(self) -> str:
        """The same as text."""
        milliseconds = round((self.jd - JD_OF_MJD) * SECONDS_PER_DAY * 1000.0)
        return str(np.datetime64("1858-11-17T00:00:00.000") + np.timedelta64(milliseconds, "ms"))


def flag(name: str) -> int:
    """The bit of STARFLAG of a name."""
    return bit(ApogeeVisitSpectrum, "spectrum_flags", name)


def sdss4_patch(rank: int, patch: Patch, rng: np.random.Generator) -> Patch:
    """A plate of SDSS-IV at the place of a patch of SDSS-V, for the `rank`-th star."""
    site = patch.fields[0].site
    place = Direction(np.array(patch.ra), np.array(patch.dec))
    span = SDSS4_MJDS[site.code]
    return Patch(patch.ra, patch.dec, (plate_field(SDSS4_PLATES + rank, site, place, span, rng),))


def field_name(patch: Patch) -> str:
    """SDSS-IV's name of a field, its Galactic longitude and latitude: 120-08."""
    longitude, latitude = galactic(np.array([patch.ra]), np.array([patch.dec]))
    return f"{longitude[0]:03.0f}{latitude[0]:+03.0f}"


def star_visits(star: Star, number: int, rng: np.random.Generator, *, first: int) -> Iterator[StarVisit]:
    """The visits of a star, `number` in each survey that observed it, counted from `first`."""
    surveys: list[tuple[str, Patch]] = [] if star.sdss4 is None else [("dr17", star.sdss4)]
    surveys += [("sdss5", star.target.patch)] if star.in_sdss5 else []
    for release, patch in surveys:
        for pointing, night in choose_nights(patch, number, rng):
            yield _visit(star, release, pointing, night, rng, number=first)
            first += 1


def _visit(
    star: Star, release: str, pointing: SurveyField, night: Night, rng: np.random.Generator, *, number: int
) -> StarVisit:
    snr = float(np.clip(star.snr() * np.exp(rng.normal(0, SNR_SPREAD)), *SNR_LIMITS))
    # Broad lines are harder to measure, and hot stars have few others.
    broad = 1.0 + star.atmosphere.v_sini / 15.0 + max(star.atmosphere.teff - 7000.0, 0.0) / 200.0
    error = float(np.hypot(VELOCITY_FLOOR, 3.0 / snr * broad))
    true = star.target.velocity(night.middle)
    one_metre = release == "dr17" and star.one_metre
    plate = str(pointing.plate.number if pointing.plate else night.mjd % 20_000)
    catalogid = current_catalogid(star.target, pointing, night, rng)
    is_named = star.target.in_catalog and number % 9
    return StarVisit(
        number=number,
        star=star,
        release=release,
        telescope=ONE_METRE if one_metre else pointing.site.telescope,
        field=_field(star, release, pointing, one_metre=one_metre),
        plate="" if one_metre else plate,
        fiber=-1 if one_metre else 1 + (7 * star.slot + night.mjd) % N_FIBERS,
        night=night,
        catalogid=catalogid,
        sdss_id=star.target.sdss_id if is_named else UNKNOWN_ID,
        snr=snr,
        v_rad=true,
        measured=true + float(rng.normal(0, error)),
        e_v_rad=error,
    )


def _field(star: Star, release: str, pointing: SurveyField, *, one_metre: bool) -> str:
    if one_metre:
        return ONE_METRE_FIELD
    return str(pointing.fieldid) if release == "sdss5" or star.sdss4 is None else field_name(star.sdss4)


def can_be_one_metre(patch: Patch) -> bool:
    """Whether the 1 m telescope, which is at Apache Point, sees the patch."""
    return patch.fields[0].site is SITES["APO"]
