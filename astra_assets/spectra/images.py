"""Opening the images of a FITS file that hold pixels, and refusing what is not whole.

Here: several image HDUs at once, with every way a file can be broken turned into a `SpectrumError`. Not here:
what the images mean (`apogee`), binary tables (`tables`).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from astra_assets.spectra.base import SpectrumError
from astra_assets.spectra.tables import BLOCK_BYTES, check_file

CARD_BYTES = 80
HEADER_BYTES = 4 * BLOCK_BYTES
"""Bytes of a header that are read at a time."""

END = b"END".ljust(CARD_BYTES)

FORMATS: Mapping[int, str] = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
"""NumPy types of the pixels by BITPIX (FITS standard 4.0, table 8)."""

Chooser = Callable[[Mapping[str, Any], int], int]
"""Which row is wanted, by the primary header and the number of rows; may raise SpectrumError."""


@dataclass(frozen=True)
class Images:
    """Some images of one file.

    Attributes:
        path: the file.
        header: of the primary HDU.
        arrays: the images by the number of their HDU, each of shape (rows, pixels), numbers as in the file; of shape
            (pixels,) where one row was chosen.
    """

    path: Path
    header: Mapping[str, Any]
    arrays: Mapping[int, npt.NDArray[Any]]


@dataclass(frozen=True)
class _Place:
    """Where the pixels of an image are in a file."""

    start: int
    shape: tuple[int, int]
    dtype: np.dtype[Any]

    def read(self, stream: BinaryIO, row: int | None) -> npt.NDArray[Any]:
        """The image, or one row of it. Raises EOFError where the file ends before."""
        rows, pixels = self.shape
        line = pixels * self.dtype.itemsize
        stream.seek(self.start + (0 if row is None else row * line))
        wanted = line if row is not None else rows * line
        found = stream.read(wanted)
        if len(found) != wanted:
            raise EOFError
        values = np.frombuffer(found, self.dtype)
        return values if row is not None else values.reshape(self.shape)


def read_images(path: Path | str, numbers: Sequence[int], choose: Chooser | None = None) -> Images:
    """The images in HDUs `numbers`, all of one shape; an image of one dimension has one row.

    With `choose` only one row of each is read. Raises `SpectrumError` missing_file or unreadable_file.
    """
    path = Path(path)
    check_file(path)
    return _read_plain(path, numbers, choose) or _read_any(path, numbers, choose)


def _read_plain(path: Path, numbers: Sequence[int], choose: Chooser | None) -> Images | None:
    """The images of a file as the APOGEE reduction writes it, three times as fast as with astropy.

    None for everything else, be it damaged or only unusual (scaled, compressed, images in other places).
    """
    try:
        with path.open("rb", buffering=0) as stream:
            header, places = _places(stream, numbers)
            shapes = {place.shape for place in places.values()}
            if len(shapes) != 1:
                return None
            row = None if choose is None else choose(header, next(iter(shapes))[0])
            return Images(path, header, {number: place.read(stream, row) for number, place in places.items()})
    except (OSError, EOFError, ValueError, LookupError):
        return None


def _places(stream: BinaryIO, numbers: Sequence[int]) -> tuple[dict[str, Any], dict[int, _Place]]:
    """The primary header, and where the images are. Raises ValueError, EOFError or KeyError where it is unusual."""
    primary: dict[str, Any] = {}
    places: dict[int, _Place] = {}
    start = 0
    for number in range(max(numbers) + 1):
        cards, start = _read_cards(stream, start)
        header = {key: _value(field) for key, field in cards.items()}
        axes = [int(header[f"NAXIS{axis}"]) for axis in range(1, int(header["NAXIS"]) + 1)]
        dtype = np.dtype(FORMATS[int(header["BITPIX"])])
        if number == 0:
            primary = header
        elif header["XTENSION"] != "IMAGE" or header.get("PCOUNT", 0) != 0:
            raise ValueError("no plain image")
        if number in numbers:
            if len(axes) not in (1, 2) or {"BZERO", "BSCALE"} & header.keys():
                raise ValueError("no plain image")
            places[number] = _Place(start, (axes[1] if len(axes) == 2 else 1, axes[0]), dtype)
        size = math.prod(axes) * dtype.itemsize if axes else 0
        start += math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES
    return primary, places


def _read_cards(stream: BinaryIO, start: int) -> tuple[dict[str, bytes], int]:
    """The value field of each key of the header at `start`, and where its data start."""
    stream.seek(start)
    text = b""
    while True:
        more = stream.read(HEADER_BYTES)
        if not more or (not text and not more.startswith((b"SIMPLE  =", b"XTENSION="))):
            raise EOFError
        text += more
        end = text.find(END)
        while end >= 0 and end % CARD_BYTES:
            end = text.find(END, end + 1)
        if end >= 0:
            break
    cards = {
        text[at : at + 8].rstrip().decode("ascii"): text[at + 10 : at + CARD_BYTES]
        for at in range(0, end, CARD_BYTES)
        if text[at + 8 : at + 10] == b"= "
    }
    return cards, start + math.ceil((end + CARD_BYTES) / BLOCK_BYTES) * BLOCK_BYTES


def _value(field: bytes) -> str | int:
    """The value of a card: text between quotes, a whole number, or what else stands there."""
    text = field.decode("latin-1").strip()
    if text.startswith("'"):
        return text[1:].partition("'")[0].rstrip()
    text = text.partition("/")[0].strip()
    try:
        return int(text)
    except ValueError:
        return text


def _read_any(path: Path, numbers: Sequence[int], choose: Chooser | None) -> Images:
    """The images of any FITS file."""
    # astropy costs 0.3 s to import; whoever only plans work never reads a pixel.
    from astropy.io import fits

    try:
        with warnings.catch_warnings():
            # A file cut short is judged by whether these HDUs can be read.
            warnings.simplefilter("ignore")
            with fits.open(path, memmap=False, lazy_load_hdus=True, disable_image_compression=True) as hdus:
                header = hdus[0].header
                found = {number: _image(hdus[number]) for number in numbers}
    except IndexError:
        raise SpectrumError(
            "unreadable_file", f"{path}: has not all of the HDUs {', '.join(map(str, numbers))}"
        ) from None
    except Exception as error:  # astropy raises about every built-in error on a broken file
        raise SpectrumError("unreadable_file", f"{path}: not a whole FITS file: {error}") from error
    shapes = {number: None if image is None else image.shape for number, image in found.items()}
    if None in shapes.values() or len(set(shapes.values())) != 1:
        text = ", ".join(
            f"HDU {number}: {shape or 'no image of numbers'}" for number, shape in shapes.items()
        )
        raise SpectrumError("unreadable_file", f"{path}: expected images of one shape, found {text}")
    images = {number: image for number, image in found.items() if image is not None}
    if choose is None:
        return Images(path, header, images)
    row = choose(header, next(iter(images.values())).shape[0])
    return Images(path, header, {number: image[row] for number, image in images.items()})


def _image(hdu: Any) -> npt.NDArray[Any] | None:
    data = getattr(hdu, "data", None)
    if not isinstance(data, np.ndarray) or data.dtype.kind not in "fiu" or data.ndim not in (1, 2):
        return None
    return np.atleast_2d(data)
