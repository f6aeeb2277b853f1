"""Reading APOGEE spectra: apVisit (and asVisit) files of one visit, apStar (and asStar) files of one star.

Here: which pixels of a file belong to a row of the database. Not here: which file a row names (`files.paths`), other
frames or grids (`resample`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from astra_assets.fits.read_images import Images, read_images
from astra_assets.spectra.base import BitPixels, FloatPixels, Spectrum, SpectrumError
from astra_assets.spectra.file_errors import as_spectrum_errors
from astra_assets.spectra.grid import APOGEE_GRID

FLUX, ERROR, MASK, WAVELENGTH = 1, 2, 3, 4
"""HDUs of both kinds of file; apStar files have no wavelengths, their grid is in the header."""

N_CHIPS = 3
"""Detectors, side by side along the wavelength; their images are red, green, blue."""

DITHERED_PIXELS = 4096
"""Pixels of a detector after two dithered exposures were interleaved; undithered ones have half as many."""

N_RES = (3.5, 4.25, 5.0)
"""Pixels per resolution element of dithered visits, blue chip first.

The reduction's own (5, 4.25, 3.5), NRES in the header of apStar files, is in the order of its images, red first.
"""

NYQUIST = 2.0
"""The fewest pixels per resolution element with which a kernel can bridge from one pixel to the next."""

LARGEST_IVAR = float(np.finfo(np.float32).max)

N_COADDS = 2
"""Coadds that come before the visits in an apStar file of several visits."""


def read_ap_visit(path: Path | str, row: Mapping[str, Any] | None = None) -> Spectrum:
    """One visit from an apVisit file: observed frame, vacuum, the three chips one after the other, blue first.

    Pixels: 3 x 4096, or 3 x 2048 where the exposures were not dithered.
    Raises `SpectrumError` missing_file, unreadable_file or no_flux.
    """
    with as_spectrum_errors():
        images = read_images(path, (FLUX, ERROR, MASK, WAVELENGTH))
    shape = images.arrays[FLUX].shape
    if len(shape) != 2 or shape[0] != N_CHIPS:
        raise SpectrumError("unreadable_file", f"{path}: images of shape {shape}, expected {N_CHIPS} chips")
    # Chips and pixels run from red to blue in the file.
    turned = {number: image[::-1, ::-1].ravel() for number, image in images.arrays.items()}
    wavelength = turned[WAVELENGTH].astype(np.float64)
    if not np.all(np.diff(wavelength) > 0) or not wavelength[0] > 0:
        raise SpectrumError(
            "unreadable_file", f"{path}: the wavelengths do not ascend from pixel to pixel and chip to chip"
        )
    return _spectrum(images, wavelength, turned, row)


def chip_n_res(n_pixels: int) -> tuple[float, ...]:
    """Pixels per resolution element of each chip, blue first, of a visit with `n_pixels` in all three."""
    sampling = n_pixels / (N_CHIPS * DITHERED_PIXELS)
    return tuple(max(n_res * sampling, NYQUIST) for n_res in N_RES)


@dataclass(frozen=True)
class ApStar:
    """An apStar file in memory, read once for all of its spectra."""

    images: Images

    def spectrum(self, row: Mapping[str, Any] | None = None, *, visit: str = "") -> Spectrum:
        """The coadd, or a visit, as `read_ap_star` gives it. Raises `SpectrumError` no_flux or wrong_row."""
        images = self.images
        place = visit_place(images.header, len(images.arrays[FLUX]), visit, images.path) if visit else 0
        pixels = {number: image[place] for number, image in images.arrays.items()}
        return _spectrum(images, APOGEE_GRID.wavelength, pixels, row)


def open_ap_star(path: Path | str) -> ApStar:
    """All spectra of an apStar file. Raises `SpectrumError` missing_file or unreadable_file."""
    with as_spectrum_errors():
        images = read_images(path, (FLUX, ERROR, MASK))
    _check_grid(path, images.arrays[FLUX].shape[1])
    return ApStar(images)


def read_ap_star(path: Path | str, row: Mapping[str, Any] | None = None, *, visit: str = "") -> Spectrum:
    """One spectrum from an apStar file: rest frame, vacuum, on the common APOGEE grid of 8575 pixels.

    The coadd whose visits are weighted pixel by pixel, or the `visit` that was made from the apVisit file of
    this base name. Raises `SpectrumError` missing_file, unreadable_file, no_flux or wrong_row.
    """

    def place(header: Mapping[str, Any], n_rows: int) -> int:
        return visit_place(header, n_rows, visit, path) if visit else 0

    with as_spectrum_errors():
        images = read_images(path, (FLUX, ERROR, MASK), place)
    _check_grid(path, len(images.arrays[FLUX]))
    return _spectrum(images, APOGEE_GRID.wavelength, images.arrays, row)


def _check_grid(path: Path | str, n_pixels: int) -> None:
    if n_pixels != APOGEE_GRID.n_pixels:
        raise SpectrumError(
            "unreadable_file", f"{path}: {n_pixels} pixels, expected the {APOGEE_GRID.n_pixels} of the grid"
        )


def visit_place(header: Mapping[str, Any], n_rows: int, visit: str, path: Path | str) -> int:
    """The row of a visit in the images of an apStar file with `n_rows` rows.

    `visit` is the base name of its apVisit file, which the header lists as SFILE1, SFILE2 and so on. With
    more than two rows the first two are coadds. Raises `SpectrumError` wrong_row or unreadable_file.
    """
    number = next((n for n in range(1, n_rows + 1) if file_name(header, n) == visit), None)
    if number is None:
        listed = ", ".join(filter(None, (file_name(header, n) for n in range(1, n_rows + 1)))) or "none"
        raise SpectrumError("wrong_row", f"{path}: has no visit {visit}; it has {listed}")
    place = number - 1 + (N_COADDS if n_rows > N_COADDS else 0)
    if place >= n_rows:
        raise SpectrumError(
            "unreadable_file", f"{path}: visit {number} of its header is not among the {n_rows} rows"
        )
    return place


def file_name(header: Mapping[str, Any], number: int) -> str:
    """Base name of the apVisit file of a visit (from 1) according to the header of an apStar file."""
    return str(header.get(f"SFILE{number}", "")).strip()


def _spectrum(
    images: Images,
    wavelength: FloatPixels,
    pixels: Mapping[int, npt.NDArray[Any]],
    row: Mapping[str, Any] | None,
) -> Spectrum:
    """A spectrum with finite numbers only; ivar is error**-2."""
    flux, error = (pixels[number].astype(np.float64) for number in (FLUX, ERROR))
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        # In a tenth of the time of error**-2.0.
        ivar = 1.0 / (error * error)
    # An error so small that its ivar does not fit single precision, in which files have it, is none.
    usable = np.isfinite(flux) & (ivar > 0) & (ivar <= LARGEST_IVAR)
    if not usable.any():
        raise SpectrumError(
            "no_flux",
            f"{images.path}: none of {len(flux)} pixels is usable, expected finite flux and a finite error",
        )
    mask = pixels[MASK]
    # Bit 15 of an image of 16 bits is its sign; as a number of 64 bits it would set all bits above.
    flags: BitPixels = mask.astype(f"u{mask.dtype.itemsize}", casting="unsafe").astype(np.int64)
    return Spectrum(
        wavelength=wavelength,
        flux=np.where(np.isfinite(flux), flux, 0.0),
        ivar=np.where(usable, ivar, 0.0),
        pixel_flags=flags,
        row={} if row is None else row,
    )
