"""Bytes of FITS HDUs from NumPy records and images, without anything that changes from run to run."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astra_assets.files.atomic import atomic_write
from astra_assets.fits.header import BLOCK_BYTES, Card, primary_cards, render, table_cards

NOTE = "Synthetic: made by astra_assets demo, not an observation"
"""COMMENT in every file of the demo."""
LETTERS = {"f4": "E", "f8": "D", "i2": "I", "i4": "J", "i8": "K", "u1": "B"}
"""FITS format by NumPy type; u1 with `logical` in its metadata is L."""


BITPIX = {"u1": 8, "i2": 16, "i4": 32, "i8": 64, "f4": -32, "f8": -64}
"""FITS type of the pixels of an image by NumPy type."""


@dataclass(frozen=True)
class EmptyCard(Card):
    """A card whose value is an empty text, as the reduction writes where it knows nothing."""

    def render(self) -> bytes:
        """The card's 80 bytes."""
        return f"{self.keyword:8}= {chr(39) * 2:20} / {self.comment}"[:80].ljust(80).encode("ascii")


def records(columns: Mapping[str, Any], formats: Mapping[str, str]) -> NDArray[Any]:
    """Columns of equal length as big-endian FITS records.

    `formats` gives a TFORM by name: a letter of B, I, J, K, E, D, L, with a count for arrays; `A` takes the
    width of the longest text.
    """
    fields, arrays = [], []
    for name, form in formats.items():
        array = np.asarray(columns[name])
        letter = form[-1]
        if letter == "A":
            array = array.astype("S")
            fields.append((name, f"S{max(array.dtype.itemsize, 1)}"))
        else:
            code = {"L": "u1", "B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}[letter]
            if letter == "L":
                array = np.where(array, ord("T"), ord("F"))
            fields.append((name, code, array.shape[1:]))  # type: ignore[arg-type]
        arrays.append(array)
    table = np.zeros(len(arrays[0]), dtype=np.dtype(fields))
    for (name, *_), array in zip(fields, arrays, strict=True):
        table[name] = array
    return table


def table_hdu(
    data: NDArray[Any],
    *,
    name: str = "",
    units: Mapping[str, str] | None = None,
    logicals: Sequence[str] = (),
    cards: Sequence[Card] = (),
) -> bytes:
    """The bytes of a binary-table HDU; `logicals` are the columns of type u1 that hold T and F."""
    listed = tuple(sorted((units or {}).items()))
    header = _table_header(
        data.dtype, len(data), name=name, units=listed, logicals=tuple(logicals), extra=tuple(cards)
    )
    content = data.tobytes()
    return header + content + bytes(-len(content) % BLOCK_BYTES)


@lru_cache(maxsize=64)
def _table_header(
    dtype: np.dtype[Any],
    rows: int,
    *,
    name: str,
    units: tuple[tuple[str, str], ...],
    logicals: tuple[str, ...],
    extra: tuple[Card, ...],
) -> bytes:
    names = dtype.names or ()
    cards = table_cards(dtype.itemsize, rows, len(names))
    by_name = dict(units)
    for number, column in enumerate(names, start=1):
        base, shape = dtype[column].base, dtype[column].shape
        letter = "A" if base.kind == "S" else LETTERS[base.str[1:]]
        letter = "L" if column in logicals else letter
        count = base.itemsize if base.kind == "S" else int(np.prod(shape, dtype=int))
        array = bool(shape)
        cards.append(Card(f"TTYPE{number}", column))
        cards.append(Card(f"TFORM{number}", f"{count}{letter}" if array or letter == "A" else letter))
        if array:
            cards.append(Card(f"TDIM{number}", f"({count})"))
        if column in by_name:
            cards.append(Card(f"TUNIT{number}", by_name[column]))
    if name:
        cards.append(Card("EXTNAME", name, "extension name"))
    return render([*cards, *extra])


def image_hdu(image: NDArray[Any] | None, cards: Sequence[Card] = ()) -> bytes:
    """The bytes of an image HDU, numbers big-endian; of one without data for None."""
    shape = () if image is None else image.shape
    header = [
        Card("XTENSION", "IMAGE", "IMAGE extension"),
        Card(
            "BITPIX", -32 if image is None else BITPIX[image.dtype.str[1:]], "Number of bits per data pixel"
        ),
        Card("NAXIS", len(shape), "Number of data axes"),
        *(Card(f"NAXIS{axis}", size) for axis, size in enumerate(reversed(shape), 1)),
        Card("PCOUNT", 0, "No Group Parameters"),
        Card("GCOUNT", 1, "One Data Group"),
    ]
    content = b"" if image is None else image.astype(image.dtype.newbyteorder(">")).tobytes()
    return render([*header, *cards]) + content + bytes(-len(content) % BLOCK_BYTES)


def primary_hdu(cards: Sequence[Card] = ()) -> bytes:
    """A primary HDU without data, with a comment that says that the file is synthetic."""
    return render([*primary_cards(), *cards, Card("COMMENT", NOTE)])


def write_fits(path: Path, hdus: Iterable[bytes]) -> int:
    """Write a file whole or not at all, gzipped where the name says so; return its size in bytes."""
    content = b"".join(hdus)
    if path.suffix == ".gz":
        packed = io.BytesIO()
        with gzip.GzipFile(filename="", mode="wb", fileobj=packed, compresslevel=6, mtime=0) as stream:
            stream.write(content)
        content = packed.getvalue()
    with atomic_write(path, sync=False) as partial:
        partial.write_bytes(content)
    return len(content)
