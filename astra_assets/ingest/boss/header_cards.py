"""The primary header of a specFull file: its observing conditions, read from the first bytes of the file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from astra_assets.fits.read_header import read_headers
from astra_assets.ingest.header_files import held_number
from astra_assets.models.base import table_of
from astra_assets.models.boss import BossVisitSpectrum
from astra_assets.registry import limits
from astra_assets.registry.columns import definition

KEYS: Mapping[str, str] = {
    "PLATEID": "plateid",
    "CARTID": "cartid",
    "MAPID": "mapid",
    "SLITID": "slitid",
    "PSFSKY": "psfsky",
    "PREJECT": "preject",
    "NSTD": "n_std",
    "NGAL": "n_gal",
    "LOWREJ": "lowrej",
    "HIGHREJ": "highrej",
    "SCATPOLY": "scatpoly",
    "PROFTYPE": "proftype",
    "NFITPOLY": "nfitpoly",
    "SKYCHI2": "skychi2",
    "SCHI2MIN": "schi2min",
    "SCHI2MAX": "schi2max",
    "ALT": "alt",
    "AZ": "az",
    "AIRMASS": "airmass",
    "AIRTEMP": "airtemp",
    "DEWPOINT": "dewpoint",
    "HUMIDITY": "humidity",
    "PRESSURE": "pressure",
    "DUSTA": "dust_a",
    "DUSTB": "dust_b",
    "GUSTD": "gust_direction",
    "GUSTS": "gust_speed",
    "WINDD": "wind_direction",
    "WINDS": "wind_speed",
    "NGUIDE": "n_guide",
    "TAI-BEG": "tai_beg",
    "TAI-END": "tai_end",
}
"""Header keys and the columns of boss_visit_spectrum that they fill, in the units of the header."""

WHEN_ABSENT: Mapping[str, int] = {"n_guide": -1, "n_std": -1}
"""What a key becomes that a header does not have, as in Astra.

So n_guide is NULL only where no header was read.
"""

INTEGERS = frozenset(column for column in KEYS.values() if definition(column).kind in limits.INTEGERS)
"""Columns of whole numbers."""

Number = int | float | None


def read_header(path: Path) -> dict[str, Number]:
    """The columns that the primary header of a file fills; None where it has no such key, or no number.

    Raises:
        FitsReadError: the file is missing (`missing_file`) or has no complete FITS header (`unreadable_file`).
    """
    values: dict[str, Number] = dict.fromkeys(KEYS.values())
    values.update(WHEN_ABSENT)
    fields = read_headers(path)[0].fields
    for key, column in KEYS.items():
        if key in fields:
            number = held_number(column, fields[key], table_of(BossVisitSpectrum))
            values[column] = WHEN_ABSENT.get(column) if number is None else number
    return values
