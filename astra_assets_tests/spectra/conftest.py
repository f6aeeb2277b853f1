"""Spectrum files as the reduction writes them, made from arrays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits


def native_wavelength(n_pixels: int = 4600, start: float = 3.5529) -> np.ndarray:
    """A grid as specFull files have it: the step of the common grid, not its start, single precision."""
    return 10.0 ** (start + 1e-4 * np.arange(n_pixels)).astype(np.float32).astype(np.float64)


@pytest.fixture
def wavelength() -> np.ndarray:
    return native_wavelength()


@pytest.fixture
def spec_full(tmp_path: Path) -> Callable[..., Path]:
    """Write a specFull file; columns may be left out, renamed or replaced."""

    def write(name: str = "spec-015000-59146-4375924413.fits", **columns: np.ndarray | None) -> Path:
        loglam = np.log10(native_wavelength()).astype(np.float32)
        n_pixels = len(next((value for value in columns.values() if value is not None), loglam))
        given = {
            "FLUX": np.ones(n_pixels, dtype=np.float32),
            "LOGLAM": loglam[:n_pixels],
            "IVAR": np.full(n_pixels, 4.0, dtype=np.float32),
            "AND_MASK": np.zeros(n_pixels, dtype=np.int32),
            "OR_MASK": np.zeros(n_pixels, dtype=np.int32),
            "WRESL": np.full(n_pixels, 1.2, dtype=np.float32),
        } | columns
        formats = {"f": "E", "i": "J", "U": "8A"}
        table = fits.BinTableHDU.from_columns(
            [
                fits.Column(column, formats[np.asarray(value).dtype.kind], array=value)
                for column, value in given.items()
                if value is not None
            ],
            name="COADD",
        )
        path = tmp_path / name
        fits.HDUList([fits.PrimaryHDU(), table, fits.BinTableHDU(name="SPALL")]).writeto(path)
        return path

    return write
