"""Opening the images of a FITS file that hold pixels, and refusing what is not whole.

Here: several image HDUs at once, with every way a file can be broken turned into a `SpectrumError`. Not here:
what the images mean (`apogee`), binary tables (`tables`).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from astra_assets.spectra.base import SpectrumError
from astra_assets.spectra.tables import check_file


@dataclass(frozen=True)
class Images:
    """Some images of one file.

    Attributes:
        path: the file.
        header: of the primary HDU.
        arrays: the images by the number of their HDU, each of shape (rows, pixels), numbers as in the file.
    """

    path: Path
    header: Mapping[str, Any]
    arrays: Mapping[int, npt.NDArray[Any]]


def read_images(path: Path | str, numbers: Sequence[int]) -> Images:
    """The images in HDUs `numbers`, all of one shape; an image of one dimension has one row.

    Raises `SpectrumError` missing_file or unreadable_file.
    """
    # astropy costs 0.3 s to import; whoever only plans work never reads a pixel.
    from astropy.io import fits

    path = Path(path)
    check_file(path)
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
    return Images(path, header, {number: image for number, image in found.items() if image is not None})


def _image(hdu: Any) -> npt.NDArray[Any] | None:
    data = getattr(hdu, "data", None)
    if not isinstance(data, np.ndarray) or data.dtype.kind not in "fiu" or data.ndim not in (1, 2):
        return None
    return np.atleast_2d(data)
