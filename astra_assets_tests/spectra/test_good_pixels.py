"""A pixel is good if its flux and its error say something."""

from __future__ import annotations

import numpy as np

from astra_assets.spectra.good_pixels import good_pixels


def test_only_finite_flux_with_a_finite_positive_inverse_variance_is_good():
    flux = np.array([1.0, -1.0, 0.0, np.nan, np.inf, 1.0, 1.0, 1.0, 1.0])
    ivar = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 0.0, -1.0, np.nan, np.inf])
    assert good_pixels(flux, ivar).tolist() == [True] * 3 + [False] * 6
