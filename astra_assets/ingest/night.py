"""The fraction of the night at which a spectrum was exposed: from sunset to sunrise at its observatory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from astra_assets.astronomy.constants import SECONDS_PER_DAY, TAI_MINUS_UTC
from astra_assets.astronomy.ephemeris import EPHEMERIS, Floats
from astra_assets.astronomy.observatories import OBSERVATORIES

TAI_MINUS_UT_DAYS = TAI_MINUS_UTC / SECONDS_PER_DAY
"""One second less in the years before 2017 changes a fraction of the night by 3e-5."""


def solar_midnight(mjd: Floats, longitude: float) -> Floats:
    """The mean midnight (universal time, MJD) nearest to each time at an east longitude in degrees."""
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
        sunset, sunrise = EPHEMERIS.sunset_and_sunrise(nights, place)
        result[chosen] = (mjd[chosen] - sunset[which]) / (sunrise - sunset)[which]
    return result
