"""HDUs of a few rows as bytes, made at once.

Here: putting header, rows and checksums together. Not here: what they hold (`mwm`, `mwm_header`). Summary
products of millions of rows are streamed by `fits.writer` instead; for the small files of a source most of
its time would go into rendering headers three times, and into tables without rows, which are the same for
every source.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pyarrow as pa

from astra_assets.fits.checksum import checksum_text, word_sum
from astra_assets.fits.formats import BadValueError, FitsColumn, record_dtype
from astra_assets.fits.header import BLOCK_BYTES, Card, column_cards, integrity_cards, render, table_cards

NO_CHECKSUM = "0" * 16
"""The value of CHECKSUM while the checksum is computed (FITS standard 4.0, appendix J)."""


def hdu(cards: Sequence[Card], created: datetime, data: bytes = b"") -> bytes:
    """An HDU with its checksums, filled up to whole blocks."""
    data += b"\0" * (-len(data) % BLOCK_BYTES)
    datasum = word_sum(data)
    header = render([*cards, *integrity_cards(NO_CHECKSUM, datasum, created)])
    text = checksum_text(word_sum(header), datasum)
    return header.replace(f"'{NO_CHECKSUM}'".encode(), f"'{text}'".encode(), 1) + data


def table_hdu(
    columns: Sequence[FitsColumn], values: Sequence[pa.Array], cards: Sequence[Card], created: datetime
) -> bytes:
    """A binary table with `cards` above its columns; `values` has one array for each column.

    Raises:
        BadValueError: a value does not fit its column; the message names the column.
    """
    rows = len(values[0])
    records = np.empty(rows, dtype=record_dtype(list(columns)))
    for column, array in zip(columns, values, strict=True):
        try:
            records[column.name] = column.convert(array)
        except BadValueError as error:
            raise BadValueError(error.row, f"column {column.name}: {error.reason}") from error
    mandatory = table_cards(records.dtype.itemsize, rows, len(columns))
    return hdu([*mandatory, *cards, *column_cards(columns)], created, records.tobytes())
