"""Other coordinates of positions on the sky: HEALPix pixels, and Galactic longitude and latitude.

Arrays in, arrays out. A position that is not finite has none (-1 or NaN).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NSIDE = 128
"""Resolution of `healpix` in all tables: 196,608 pixels of 27.5 arcmin, in RING order."""

PIXELS = 12 * NSIDE**2


def valid_position(ra: Floats, dec: Floats) -> NDArray[np.bool_]:
    """True where right ascension and declination (degrees) are a place on the sky."""
    return np.isfinite(ra) & np.isfinite(dec) & (np.abs(dec) <= 90)


def healpix(ra: Floats, dec: Floats) -> NDArray[np.int64]:
    """HEALPix pixel (nside 128, RING; Gorski et al. 2005, ApJ 622, 759) of ICRS positions in degrees.

    -1 where there is no position.
    """
    from astropy import units
    from astropy_healpix import lonlat_to_healpix

    valid = valid_position(ra, dec)
    pixels = np.full(len(ra), -1, dtype=np.int64)
    if valid.any():
        lon, lat = units.Quantity(ra[valid], "deg"), units.Quantity(dec[valid], "deg")
        pixels[valid] = lonlat_to_healpix(lon, lat, NSIDE, order="ring")
    return pixels


def galactic(ra: Floats, dec: Floats) -> tuple[Floats, Floats]:
    """Galactic longitude and latitude in degrees of ICRS positions in degrees.

    NaN where there is no position.
    """
    from astropy.coordinates import SkyCoord

    valid = valid_position(ra, dec)
    longitude, latitude = np.full(len(ra), np.nan), np.full(len(ra), np.nan)
    if valid.any():
        place = SkyCoord(ra[valid], dec[valid], unit="deg", frame="icrs").galactic
        longitude[valid], latitude[valid] = place.l.deg, place.b.deg
    return longitude, latitude
