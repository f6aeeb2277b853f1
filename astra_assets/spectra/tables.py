"""Opening the table of a FITS file that holds pixels, and refusing what is not whole.

Here: one HDU and its columns, with every way a file can be broken turned into a `SpectrumError`. Not here:
what the columns mean (`read`).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from astra_assets.spectra.base import BitPixels, FloatPixels, SpectrumError

# Every FITS file is made of blocks of this many bytes (FITS standard 4.0, section 3.1).
BLOCK_BYTES = 2880


def check_file(path: Path) -> None:
    """Refuse a file that is missing, empty, or visibly cut short; costs one stat call."""
    try:
        status = path.stat()
    except FileNotFoundError:
        raise SpectrumError("missing_file", f"{path}: there is no such file") from None
    except OSError as error:
        raise SpectrumError("unreadable_file", f"{path}: cannot be opened: {error.strerror}") from error
    if path.is_dir():
        raise SpectrumError("unreadable_file", f"{path}: is a folder, expected a spectrum file")
    if status.st_size == 0:
        raise SpectrumError("unreadable_file", f"{path}: the file is empty")
    if path.suffix != ".gz" and path.suffix.startswith(".fit") and status.st_size % BLOCK_BYTES:
        raise SpectrumError(
            "unreadable_file",
            f"{path}: {status.st_size} bytes is not a multiple of {BLOCK_BYTES}: cut short or not FITS",
        )


class PixelTable:
    """One binary table of a FITS file; columns are found whatever the case of their names."""

    def __init__(self, path: Path, number: int, header: Mapping[str, Any], data: Any) -> None:
        self.path = path
        self.number = number
        self.header = header
        self._data = data
        self._names = {name.lower(): name for name in data.dtype.names or ()}

    def __len__(self) -> int:
        return len(self._data)

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def numbers(self, name: str) -> FloatPixels:
        """A column as native float64. Raises `SpectrumError` missing_column."""
        return self._column(name).astype(np.float64)

    def bits(self, name: str) -> BitPixels:
        """A column as int64 bit fields; NaN becomes 0. Raises `SpectrumError` missing_column."""
        values = self._column(name)
        if values.dtype.kind == "f":
            values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
        return values.astype(np.int64)

    def _column(self, name: str) -> npt.NDArray[Any]:
        if name not in self._names:
            found = ", ".join(self._names.values()) or "none"
            raise SpectrumError(
                "missing_column",
                f"{self.path}: HDU {self.number} has no column {name}; its columns are: {found}",
            )
        values = np.asarray(self._data[self._names[name]])
        if values.dtype.kind not in "fiub":
            raise SpectrumError(
                "missing_column",
                f"{self.path}: column {name} of HDU {self.number} holds {values.dtype}, expected numbers",
            )
        return values


def read_table(path: Path, number: int) -> PixelTable:
    """HDU `number` (0 is the primary) of a FITS file as a table; nothing else of the file is read.

    Raises `SpectrumError` missing_file or unreadable_file.
    """
    # astropy costs 0.3 s to import; whoever only plans work never reads a pixel.
    from astropy.io import fits

    check_file(path)
    try:
        with warnings.catch_warnings():
            # A file cut short is judged by whether this HDU can be read.
            warnings.simplefilter("ignore")
            with fits.open(path, memmap=False, lazy_load_hdus=True, disable_image_compression=True) as hdus:
                hdu = hdus[number]
                data = hdu.data if isinstance(hdu, fits.BinTableHDU) else None
    except IndexError:
        raise SpectrumError("unreadable_file", f"{path}: no HDU {number}, expected a binary table") from None
    except Exception as error:  # astropy raises about every built-in error on a broken file
        raise SpectrumError("unreadable_file", f"{path}: not a whole FITS file: {error}") from error
    if data is None:
        found = type(hdu).__name__
        raise SpectrumError("unreadable_file", f"{path}: HDU {number} is {found}, expected a binary table")
    return PixelTable(path, number, hdu.header, data)
