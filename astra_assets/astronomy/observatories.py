"""The two observatories of SDSS and their telescopes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Observatory:
    """A place on Earth.

    Attributes:
        code: abbreviation in the files of the reductions.
        longitude: degrees, positive to the east.
        latitude: degrees.
    """

    code: str
    longitude: float
    latitude: float


APACHE_POINT = Observatory("APO", -105.8203, 32.7803)
"""Sloan Foundation 2.5 m telescope (Gunn et al. 2006, AJ 131, 2332)."""

LAS_CAMPANAS = Observatory("LCO", -70.6926, -29.0146)
"""Du Pont 2.5 m telescope (Bowen & Vaughan 1973, Appl. Opt. 12, 1430)."""

OBSERVATORIES: Mapping[str, Observatory] = {
    "apo25m": APACHE_POINT,
    "apo1m": APACHE_POINT,
    "lco25m": LAS_CAMPANAS,
}
"""The observatory of each telescope."""
