"""What a spectrum is in memory, and what is said when one cannot be had.

Here: the `Spectrum` that every pipeline function receives, the folders that spectra are found in, and
`SpectrumError` with its codes. Not here: reading files (`read`), changing pixels (`resample`, `stack`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Code = Literal["missing_file", "unreadable_file", "missing_column", "no_flux", "outside_root", "wrong_row"]

FloatPixels = npt.NDArray[np.float64]
BitPixels = npt.NDArray[np.int64]


class SpectrumError(Exception):
    """A spectrum that cannot be used, and why.

    `code` is one of

    - `missing_file`: there is no such file;
    - `unreadable_file`: empty, cut short, or not a spectrum file;
    - `missing_column`: a column that holds the pixels is not there;
    - `no_flux`: no pixel has finite flux and positive inverse variance;
    - `outside_root`: the path leaves the folder it must lie in;
    - `wrong_row`: the file does not belong to the row, or the row lacks what its path is made of.

    The message names the file, what was expected and what was found.
    """

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(code, message)
        self.code: Code = code
        self.message = message

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True, slots=True)
class Roots:
    """The two folders below which all spectra are found."""

    sas_base_dir: Path
    """Root of the data-reduction pipelines' files, `$SAS_BASE_DIR`."""
    mwm_astra: Path
    """Root of the products made here, `$MWM_ASTRA`."""


@dataclass(frozen=True, slots=True)
class Spectrum:
    """One spectrum. A pixel that carries no information has `ivar` 0; all numbers are finite.

    All arrays have the same shape `(pixels,)`.
    """

    wavelength: FloatPixels
    """Vacuum wavelength in Angstrom, ascending."""
    flux: FloatPixels
    """F_lambda in 1e-17 erg s-1 cm-2 Angstrom-1 (a text file's own unit is kept)."""
    ivar: FloatPixels
    """Inverse variance of `flux`."""
    pixel_flags: BitPixels | None = None
    """Pixel bits of the reduction, or None where the file has none."""
    wresl: FloatPixels | None = None
    """Instrumental resolution in Angstrom, or None where the file has none."""
    row: Mapping[str, Any] = field(default_factory=dict)
    """The columns of the database row that came along; empty for a file read on its own."""

    def __post_init__(self) -> None:
        for name in ("flux", "ivar", "pixel_flags", "wresl"):
            pixels = getattr(self, name)
            if pixels is not None and pixels.shape != self.wavelength.shape:
                raise ValueError(f"{name} has shape {pixels.shape}, wavelength {self.wavelength.shape}")

    @property
    def snr(self) -> float:
        """Signal-to-noise ratio per pixel.

        The row's own `snr` where it has one, else the mean of flux * sqrt(ivar) over the pixels with
        ivar > 0, which is how Astra defines it for coadds.
        """
        known = self.row.get("snr")
        if known is not None and np.isfinite(known):
            return float(known)
        return mean_snr(self.flux, self.ivar)


def mean_snr(flux: FloatPixels, ivar: FloatPixels) -> float:
    """Mean of flux * sqrt(ivar) over pixels with ivar > 0; NaN where there is none."""
    good = ivar > 0
    return float(np.mean(flux[good] * np.sqrt(ivar[good]))) if good.any() else float("nan")
