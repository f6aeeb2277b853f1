"""Which pixels of a spectrum carry information."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from astra_assets.spectra.base import FloatPixels


def good_pixels(flux: FloatPixels, ivar: FloatPixels) -> npt.NDArray[np.bool_]:
    """True where the flux is finite and its inverse variance finite and positive."""
    return np.asarray(np.isfinite(flux) & np.isfinite(ivar) & (ivar > 0))
