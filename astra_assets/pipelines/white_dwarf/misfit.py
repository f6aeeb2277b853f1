"""How far a best model is from the data when noise is taken away: what tells a bad fit, and what a model is worth.

A reduced chi2 says little: errors of a survey are wrong by tens of per cent, and at S/N 100 no model has a
reduced chi2 of 1. What counts is by how much of the flux the model is wrong, and whether that is beyond noise as
the pixels themselves show it.
"""

from __future__ import annotations

import numpy as np

from astra_assets.pipelines.white_dwarf.grid import FloatArray

LAG = 4
"""Pixels apart of which differences are taken to measure noise: resampling correlates close neighbours."""
BAD_FRACTION = 0.04
"""Rms misfit, in units of the flux, from which on a fit is bad: models of DA are right to 1 or 2 per cent."""
BAD_EXCESS = 1.4
"""Variance of the residuals over that of the noise which a bad fit must exceed as well."""
MODEL_ERROR = 0.01
"""Relative error of the flux of models within a line."""
CORRELATED_PIXELS = 12.0
"""Pixels over which a model is wrong in the same way: a quarter of a line."""


def noise_variance(residual: FloatArray) -> float:
    """Variance of noise in residuals (n), from differences of pixels `LAG` apart; 1 where there are too few."""
    if residual.size < 10 * LAG:
        return 1.0
    differences = residual[LAG:] - residual[:-LAG]
    return float((1.4826 * np.median(np.abs(differences - np.median(differences)))) ** 2 / 2.0)


def is_bad(residual: FloatArray, level: FloatArray) -> bool:
    """Whether residuals (n), over their errors, are those of a bad fit; `level` (n) is flux over error."""
    noise = noise_variance(residual)
    if float(np.mean(residual**2)) <= BAD_EXCESS * noise:
        return False
    relative = 1.0 / np.maximum(level, 1e-3) ** 2
    misfit = float(np.mean(residual**2 * relative) - noise * np.mean(relative))
    return misfit > BAD_FRACTION**2


def model_scale(level: FloatArray) -> float:
    """By how much differences in chi2 between models must be lowered, since the models themselves are not exact.

    1 at low S/N; the variance of errors of models of `MODEL_ERROR`, correlated over `CORRELATED_PIXELS`, over
    that of noise is added.
    """
    return 1.0 + MODEL_ERROR**2 * CORRELATED_PIXELS * float(np.median(level**2))


def robust_weights(residual: FloatArray, limit: float = 3.0) -> FloatArray:
    """Huber's weights (n): 1 within `limit` of the scatter of the residuals, then falling with their size."""
    scatter = max(1.0, 1.4826 * float(np.median(np.abs(residual))))
    return np.asarray(np.minimum(1.0, limit * scatter / np.maximum(np.abs(residual), 1e-12)))
