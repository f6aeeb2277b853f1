"""Read images of FITS files: pixels as they are in the file, also single rows of them, and any image by astropy."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from astra_assets.fits.errors import FitsReadError
from astra_assets.fits.read_header import FitsHeader, HduReader, open_fits

FORMATS: Mapping[int, str] = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
"""NumPy types of the pixels by BITPIX (FITS standard 4.0, table 8)."""

MAX_BYTES = 256 << 20
"""A larger image is not read; the largest that are needed, halves of a dust map, have 64 MB."""

Chooser = Callable[[FitsHeader, int], int]
"""Which row is wanted, by the primary header and the number of rows; it may raise errors of its own."""


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
    header: FitsHeader
    arrays: Mapping[int, npt.NDArray[Any]]


@dataclass(frozen=True)
class _Image:
    """An image whose pixels come next in a file."""

    shape: tuple[int, int]
    dtype: np.dtype[Any]

    def read(self, hdus: HduReader, row: int | None) -> npt.NDArray[Any]:
        """Read the image, or one row of it. Raises FitsReadError where the file ends before."""
        rows, pixels = self.shape
        line = pixels * self.dtype.itemsize
        if row is not None:
            hdus.skip(row * line)
            return np.frombuffer(hdus.read(line), self.dtype)
        return np.frombuffer(hdus.read(rows * line), self.dtype).reshape(self.shape)


def read_images(path: Path | str, numbers: Sequence[int], choose: Chooser | None = None) -> Images:
    """Read the images in HDUs `numbers`, all of one shape; an image of one dimension has one row.

    With `choose` only one row of each is read.

    Raises:
        FitsReadError: there is no such file, it is not whole, or an HDU is no image of one or two dimensions.
    """
    path = Path(path)
    arrays: dict[int, npt.NDArray[Any]] = {}
    shapes: dict[int, tuple[int, int]] = {}
    row: int | None = None
    with open_fits(path) as hdus:
        primary = header = hdus.go_to(0)
        for number in range(max(numbers) + 1):
            header = header if number == 0 else _next(hdus, number, numbers)
            if number not in numbers:
                continue
            _check_size(header)
            image = _plain(header)
            if image is None:
                return _read_with_astropy(path, primary, numbers, choose)
            shapes[number] = image.shape
            _check_shapes(path, shapes)
            if choose is not None and row is None:
                row = choose(primary, image.shape[0])
            arrays[number] = image.read(hdus, row)
    return Images(path, primary, arrays)


def read_image(path: Path, number: int = 0) -> tuple[npt.NDArray[Any], Any]:
    """Read any image by astropy, scaled or compressed; returns the pixels and astropy's header.

    Raises:
        FitsReadError: there is no such file, it is not whole, or the HDU is no image.
    """
    from astropy.io import fits

    with open_fits(path) as hdus:
        claimed = hdus.go_to(number)
        _check_size(claimed)
        hdus.skip(claimed.data_bytes())
    try:
        with warnings.catch_warnings():
            # What it warns about is judged by whether the image can be read.
            warnings.simplefilter("ignore")
            with fits.open(path, memmap=False, lazy_load_hdus=True) as opened:
                data, header = opened[number].data, opened[number].header
    except Exception as error:  # astropy raises about every built-in error on a broken file
        raise FitsReadError(f"{path}: HDU {number} cannot be read: {error}") from error
    if not isinstance(data, np.ndarray) or data.dtype.kind not in "fiu":
        raise FitsReadError(f"{path}: HDU {number} is no image of numbers")
    return data, header


def _next(hdus: HduReader, number: int, numbers: Sequence[int]) -> FitsHeader:
    header = hdus.next_header()
    if header is None:
        wanted = ", ".join(map(str, numbers))
        raise FitsReadError(
            f"{hdus.stream.path}: has not all of the HDUs {wanted}: it ends after HDU {number - 1}"
        )
    return header


def _check_size(header: FitsHeader) -> None:
    """Raise FitsReadError where an image is larger than any that is read."""
    size = header.data_bytes()
    if header.get("ZIMAGE") is True:
        axes = range(1, header.integer("ZNAXIS", most=999) + 1)
        size = max(size, int(np.prod([float(header.integer(f"ZNAXIS{axis}")) for axis in axes])) * 8)
    if size > MAX_BYTES:
        raise FitsReadError(
            f"{header.where}: claims an image of {size:,} bytes, expected at most {MAX_BYTES >> 20} MB"
        )


def _plain(header: FitsHeader) -> _Image | None:
    """Where the pixels of an image stand as they are; None for everything else: scaled, compressed, or no image."""
    axes = header.axes()
    if header.number and header.text("XTENSION") != "IMAGE":
        return None
    if len(axes) not in (1, 2) or header.get("PCOUNT", 0) != 0 or {"BZERO", "BSCALE"} & header.keys():
        return None
    return _Image(
        (axes[1] if len(axes) == 2 else 1, axes[0]), np.dtype(FORMATS[header.integer("BITPIX", least=-64)])
    )


def _check_shapes(path: Path, shapes: Mapping[int, tuple[int, ...] | None]) -> None:
    if None in shapes.values() or len(set(shapes.values())) != 1:
        text = ", ".join(
            f"HDU {number}: {shape or 'no image of numbers'}" for number, shape in shapes.items()
        )
        raise FitsReadError(f"{path}: expected images of one shape, found {text}")


def _read_with_astropy(
    path: Path, primary: FitsHeader, numbers: Sequence[int], choose: Chooser | None
) -> Images:
    """Read images of which at least one is scaled or compressed."""
    images: dict[int, npt.NDArray[Any]] = {}
    for number in numbers:
        data, _ = read_image(path, number)
        images[number] = np.atleast_2d(data)
    _check_shapes(
        path, {number: image.shape if image.ndim == 2 else None for number, image in images.items()}
    )
    if choose is None:
        return Images(path, primary, images)
    row = choose(primary, next(iter(images.values())).shape[0])
    return Images(path, primary, {number: image[row] for number, image in images.items()})
