"""apVisit and apStar files with pixels, made from arrays. (Summary files and headers: `ingest.apogee_samples`.)"""

from __future__ import annotations

import numpy as np
from astropy.io import fits

from astra_assets.spectra.grid import APOGEE_GRID


def write_images(path, images, **header):
    path.parent.mkdir(parents=True, exist_ok=True)
    primary = fits.PrimaryHDU()
    primary.header.update(header)
    fits.HDUList([primary, *map(fits.ImageHDU, images)]).writeto(path)
    return path


def ap_star(path, n_rows, *, flux=None, error=None, **header):
    shape = (n_rows, APOGEE_GRID.n_pixels) if n_rows > 1 else (APOGEE_GRID.n_pixels,)
    rows = np.arange(n_rows, dtype=np.float32)[:, None] + 1
    flux = np.broadcast_to(rows, (n_rows, APOGEE_GRID.n_pixels)).reshape(shape) if flux is None else flux
    error = np.full(shape, 0.5, dtype=np.float32) if error is None else error
    return write_images(path, [flux.astype(np.float32), error, np.full(shape, 4, dtype=np.int64)], **header)


def ap_visit(path, *, wavelength=None, n_pixels=2048, flux=None, mask=None):
    """Three chips, red first, pixels from red to blue, as the reduction writes them."""
    ascending = np.linspace(15_100, 17_000, 3 * n_pixels).reshape(3, n_pixels)
    wavelength = ascending[::-1, ::-1] if wavelength is None else wavelength
    flux = (wavelength / 1000 if flux is None else flux(wavelength)).astype(np.float32)
    error = np.full(flux.shape, 0.1, dtype=np.float32)
    error[0, 0] = np.inf
    mask = np.zeros(flux.shape, np.int16) if mask is None else mask
    return write_images(path, [flux, error, mask, wavelength])
