"""The source catalogue, in the layout of a public mwmTargets file of DR20.

As in the public files positions are single precision, NULL is NaN, -1, 0 or the empty text, and there is no
row key. Derived columns are left to be filled on ingestion: visit counts everywhere, sky pixels in some rows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from astra_assets.demo.photometry import Columns
from astra_assets.demo.tables import primary_hdu, records, table_hdu
from astra_assets.fits.header import Card
from astra_assets.models.base import layout
from astra_assets.models.source import Source
from astra_assets.registry.kinds import Definition, Kind

V_ASTRA = Card("V_ASTRA", "0.8.1", "Astra version")
LETTERS = {
    Kind.text: "A",
    Kind.boolean: "L",
    Kind.int32: "J",
    Kind.int64: "K",
    Kind.bits: "K",
    Kind.float32: "E",
    Kind.float64: "E",
    Kind.datetime: "A",
    Kind.bytes: "B",
}
"""FITS format of a kind of column in the public files."""
DATE = "2026-01-15T00:00:00.000000"
"""What the demo says when its rows were made; fixed, so that files do not depend on the day."""
WITHOUT_PIXEL = 11
"""Each so many rows lack the sky pixel and the Galactic coordinates."""


def catalog_hdus(columns: Columns, rows: NDArray[np.int64]) -> list[bytes]:
    """The HDUs of the catalogue with the chosen rows of `columns`."""
    values: Columns = {}
    formats: dict[str, str] = {}
    for entry in layout(Source):
        if entry.name == "pk":
            continue
        formats[entry.name] = LETTERS[entry.definition.kind]
        given = columns.get(entry.name)
        values[entry.name] = _unknown(entry.definition, len(rows)) if given is None else given[rows]
    for name in ("healpix", "l", "b"):
        values[name] = values[name].copy()
        values[name][::WITHOUT_PIXEL] = -1 if name == "healpix" else np.nan
    logicals = [name for name, form in formats.items() if form == "L"]
    return [primary_hdu([V_ASTRA]), table_hdu(records(values, formats), logicals=logicals, cards=(V_ASTRA,))]


def _unknown(definition: Definition, size: int) -> NDArray[np.generic]:
    """A column of which nothing is known."""
    if definition.kind is Kind.datetime:
        return np.full(size, DATE)
    return np.full(size, definition.null_value)
