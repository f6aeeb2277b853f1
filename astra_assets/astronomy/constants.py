"""Constants of physics and of time that several modules use.

Literals, because importing `scipy.constants` or astropy takes longer than a command that has nothing to do; a test
compares them with both. A number that only one module uses is defined there.
"""

from __future__ import annotations

from typing import Final

SPEED_OF_LIGHT: Final = 299_792.458
"""km/s, exact (SI; `scipy.constants.c`)."""
SPEED_OF_LIGHT_SI: Final = 299_792_458.0
"""m/s, exact (SI; `scipy.constants.c`)."""
FWHM_PER_SIGMA: Final = 2.3548200450309493
"""Full width at half maximum of a Gaussian divided by its standard deviation, sqrt(8 ln 2)."""

SECONDS_PER_DAY: Final = 86_400.0
"""SI seconds of a day of TAI, exact (`scipy.constants.day`)."""
JD_OF_MJD: Final = 2_400_000.5
"""Julian date at Modified Julian Date 0, exact by definition (IAU 1973; `astropy.time`)."""
MJD_J2000: Final = 51_544.5
"""Modified Julian Date of the epoch J2000.0, 2000 January 1, noon, exact by definition (`erfa.DJM00`)."""
UNIX_EPOCH_MJD: Final = 40_587.0
"""Modified Julian Date of 1970 January 1, exact."""
TAI_MINUS_UTC: Final = 37.0
"""Seconds, since 2017 January 1 (IERS Bulletin C 52); one second less in the year and a half before."""
