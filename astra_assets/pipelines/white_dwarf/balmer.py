"""The fit of Balmer lines: temperature, gravity and velocity of a DA white dwarf from one spectrum.

Numbers in, numbers out: shared by SnowWhite (coadds) and Corv (visits), whose tables, flags and noise models
are their own. How a model is compared with pixels is in `comparison.py`. The best model is found by
Levenberg-Marquardt steps from two starts, because Balmer lines are strongest near 13,000 K and equally strong
at some temperature on either side. Which of the two is better is not left to the lines alone, whose models are
no better than 1 % (`misfit.py`): the slope of the continuum (`continuum.py`) and what Gaia says of colour and
magnitude (`gaia.py`) have a say. Where all together do not exclude the second one, it is told.

Pixels that no model explains count less: those beyond 5 sigma not at all, others by Huber's weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astra_assets.pipelines.white_dwarf.balmer_lines import BALMER, BalmerLine
from astra_assets.pipelines.white_dwarf.comparison import Comparison, compare
from astra_assets.pipelines.white_dwarf.continuum import slope_misfit
from astra_assets.pipelines.white_dwarf.gaia import Gaia
from astra_assets.pipelines.white_dwarf.grid import DAGrid, FloatArray
from astra_assets.pipelines.white_dwarf.instrument import VELOCITY_LIMIT
from astra_assets.pipelines.white_dwarf.misfit import is_bad, model_scale, robust_weights
from astra_assets.spectra.base import Spectrum

HOT_COLD = 13_000.0
"""Effective temperature [K] near which Balmer lines are strongest; one start is chosen on either side."""
LINES = BALMER[:6]
"""The lines fitted unless others are asked for, H-alpha to H8: the higher ones, which fade with pressure, hold logg."""
COARSE_TEFF = (6000.0, 8500.0, 13_000.0, 25_000.0, 60_000.0)
"""Temperatures [K] of the templates of the first velocity scan; their logg is the middle node."""
COARSE_STEP = 90.0
"""Step [km/s] of velocity scans over the whole range: little more than half of what BOSS resolves."""
OUTLIER = 5.0
"""Residuals [sigma] beyond which a pixel is taken for a cosmic ray or sky residue."""
MAX_OUTLIERS = 0.02
"""Share of the pixels that may be dropped as outliers; with more of them the model is wrong, and all stay."""
CLOSE = 11.83
"""Difference in chi2 that excludes a second minimum: 3 sigma for two parameters."""
HOPELESS = 1.0
"""Relative excess of chi2 over that of the best solution from which on another one is not looked at further."""
DIFFERENCES = np.array([0.003, 0.015, 5.0])
"""Steps in (ln teff, logg, v_rad [km/s]) of the Jacobian's finite differences."""
MAX_STEPS = 40
"""Levenberg-Marquardt steps after which a search has not converged."""


@dataclass(frozen=True)
class Solution:
    """One minimum of chi2: teff [K], logg [log cm s-2], v_rad [km/s]; did the search come to rest there."""

    teff: float
    logg: float
    v_rad: float
    chi2: float
    converged: bool = False

    @property
    def parameters(self) -> FloatArray:
        """(ln teff, logg, v_rad), what the search moves."""
        return np.array([np.log(self.teff), self.logg, self.v_rad])


@dataclass(frozen=True)
class BalmerFit:
    """The result of `fit_balmer`.

    Temperatures in K, gravities in log10(cm s-2), velocities in km/s. `v_rad` is in the frame of the
    wavelengths. Errors are one sigma, marginalised over the other parameters and the continuum, and
    multiplied by sqrt(rchi2) where rchi2 > 1; they are NaN where the data do not constrain a parameter.
    `initial_*` is where the search that led to the best minimum began. `other` is the minimum on the other
    side of `HOT_COLD` if lines, continuum and Gaia together do not exclude it (`CLOSE`). `by_gaia` says that
    without Gaia the answer would have been another, or not the only one. `bad` says that the best model is not
    a good one (`misfit.is_bad`).
    """

    teff: float
    e_teff: float
    logg: float
    e_logg: float
    v_rad: float
    e_v_rad: float
    chi2: float
    rchi2: float
    n_pixels: int
    lines: tuple[str, ...]
    initial_teff: float
    initial_logg: float
    initial_v_rad: float
    converged: bool
    teff_at_edge: bool
    logg_at_edge: bool
    other: Solution | None
    by_gaia: bool = False
    bad: bool = False


NOTHING_KNOWN = Gaia()


def fit_balmer(
    spectrum: Spectrum, grid: DAGrid, *, lines: Sequence[BalmerLine] = LINES, gaia: Gaia = NOTHING_KNOWN
) -> BalmerFit:
    """Fit a DA spectrum.

    Pixels with ivar 0 are not used; the flux may be in any unit. Without `wresl` BOSS's resolution is taken.
    `gaia` helps to choose between a hot and a cold solution, and to nothing else.

    Raises:
        NoUsableLinesError: fewer than two lines are covered by good pixels.
    """
    data = compare(spectrum, grid, lines)
    starts = _starts(data)
    found = [_descend(data, start) for start in starts]
    outliers = _outliers(data, _deepest(found))
    if outliers.any():
        data = data.without(outliers)
        found = [_descend(data, solution) for solution in found]
    hopeless = _deepest(found).chi2 * (1.0 + HOPELESS)
    found = [one if one.chi2 > hopeless else _in_deepest_velocity(data, one) for one in found]
    residual = data.residual(_deepest(found).parameters)[: len(data.root)]
    level, bad = data.core, is_bad(residual, data.core)
    weights = robust_weights(residual)
    if (weights < 1.0).any():
        data = data.weighted(weights)
        found = [one if one.chi2 > hopeless else _descend(data, one) for one in found]
    scale = max(1.0, _deepest(found).chi2 / data.freedom) * model_scale(level)
    cost = np.array([one.chi2 / scale + slope_misfit(spectrum, grid, one.teff, one.logg) for one in found])
    informed = cost + np.array([gaia.misfit(one.teff, one.logg) for one in found])
    best, other = _chosen(found, informed)
    alone, other_alone = _chosen(found, cost)
    return _result(
        data,
        found[best],
        starts[best],
        found[other] if other is not None else None,
        by_gaia=best != alone or (other is None) != (other_alone is None),
        bad=bad,
    )


def _chosen(found: Sequence[Solution], cost: FloatArray) -> tuple[int, int | None]:
    """The best solution, and the best one on the other side of `HOT_COLD` if it is not excluded."""
    best = int(np.argmin(cost))
    others = [
        number
        for number, one in enumerate(found)
        if cost[number] - cost[best] < CLOSE and (one.teff > HOT_COLD) != (found[best].teff > HOT_COLD)
    ]
    return best, min(others, key=lambda number: float(cost[number])) if others else None


def _deepest(solutions: Sequence[Solution]) -> Solution:
    return min(solutions, key=lambda solution: solution.chi2)


def _result(
    data: Comparison, best: Solution, start: Solution, other: Solution | None, *, by_gaia: bool, bad: bool
) -> BalmerFit:
    rchi2 = best.chi2 / data.freedom
    scale = max(1.0, rchi2)
    covariance, curvature = _covariance(data, best)
    e_ln_teff, e_logg, e_conditional = np.sqrt(np.diag(covariance) * scale)
    v_rad, ratio = _velocity(data, best, curvature)
    e_v_rad = float(e_conditional * ratio)
    low_teff, high_teff = data.grid.teff_range
    low_logg, high_logg = data.grid.logg_range
    return BalmerFit(
        teff=best.teff,
        e_teff=float(best.teff * e_ln_teff),
        logg=best.logg,
        e_logg=float(e_logg),
        v_rad=v_rad,
        e_v_rad=e_v_rad,
        chi2=best.chi2,
        rchi2=rchi2,
        n_pixels=len(data.root),
        lines=tuple(line.name for line in data.lines),
        initial_teff=start.teff,
        initial_logg=start.logg,
        initial_v_rad=start.v_rad,
        converged=best.converged and bool(np.isfinite(e_v_rad)) and abs(best.v_rad) < VELOCITY_LIMIT,
        teff_at_edge=not low_teff * 1.005 < best.teff < high_teff * 0.995,
        logg_at_edge=not low_logg + 0.01 < best.logg < high_logg - 0.01,
        other=other,
        by_gaia=by_gaia,
        bad=bad,
    )


def _starts(data: Comparison) -> list[Solution]:
    """The best node of the grid on either side of `HOT_COLD`, at the velocity of the best template."""
    grid = data.grid
    nodes = [int(np.argmin(np.abs(grid.teff - teff))) for teff in COARSE_TEFF]
    v_rad = _scan(data, data.log_flux[nodes, len(grid.logg) // 2])
    chi2 = data.chi2(data.log_flux, v_rad)
    starts = []
    for side in (grid.teff <= HOT_COLD, grid.teff > HOT_COLD):
        there = np.where(side[:, np.newaxis], chi2, np.inf)
        if np.isfinite(there).any():
            teff, logg = np.unravel_index(int(np.argmin(there)), there.shape)
            starts.append(
                Solution(float(grid.teff[teff]), float(grid.logg[logg]), v_rad, float(there[teff, logg]))
            )
    return starts


def _scan(data: Comparison, log_flux: NDArray[np.float32]) -> float:
    """The velocity [km/s], within `VELOCITY_LIMIT`, at which one of the models (k, m) fits best."""
    velocities = np.arange(-VELOCITY_LIMIT, VELOCITY_LIMIT + 1, COARSE_STEP)
    chi2 = [float(np.min(data.chi2(log_flux, float(v_rad)))) for v_rad in velocities]
    return float(velocities[int(np.argmin(chi2))])


def _limits(grid: DAGrid) -> tuple[FloatArray, FloatArray]:
    """Lowest and highest (ln teff, logg, v_rad)."""
    return (
        np.array([np.log(grid.teff_range[0]), grid.logg_range[0], -VELOCITY_LIMIT]),
        np.array([np.log(grid.teff_range[1]), grid.logg_range[1], VELOCITY_LIMIT]),
    )


def _jacobian(data: Comparison, parameters: FloatArray, residual: FloatArray) -> FloatArray:
    """Derivatives (n, 3) of the residuals by finite differences, taken inwards at the limits of the grid."""
    highest = _limits(data.grid)[1]
    columns = []
    for number in (2, 0, 1):  # the velocity first: it needs no other model
        step = DIFFERENCES[number]
        signed = step if parameters[number] + step <= highest[number] else -step
        shifted = parameters.copy()
        shifted[number] += signed
        columns.append((data.residual(shifted) - residual) / signed)
    return np.stack([columns[1], columns[2], columns[0]], axis=1)


def _descend(data: Comparison, start: Solution) -> Solution:
    """Levenberg-Marquardt within the limits of the grid, until a step gains less than 1e-3 in chi2."""
    lowest, highest = _limits(data.grid)
    parameters = start.parameters
    residual = data.residual(parameters)
    chi2 = float(residual @ residual)
    damping, converged = 1e-2, False
    jacobian = _jacobian(data, parameters, residual)
    for _ in range(MAX_STEPS):
        normal, gradient = jacobian.T @ jacobian, jacobian.T @ residual
        # a parameter that is pushed against its limit takes no part in the step
        blocked = ((parameters <= lowest) & (gradient > 0)) | ((parameters >= highest) & (gradient < 0))
        free = ~blocked
        damped = normal + damping * np.diag(np.diag(normal)) + 1e-12 * np.eye(3)
        step = np.zeros(3)
        step[free] = -np.linalg.solve(damped[np.ix_(free, free)], gradient[free])
        step = np.clip(step, [-0.3, -0.5, -300.0], [0.3, 0.5, 300.0])
        moved = np.clip(parameters + step, lowest, highest)
        residual_there = data.residual(moved)
        gain = chi2 - float(residual_there @ residual_there)
        if gain >= 0:
            parameters, residual, chi2 = moved, residual_there, chi2 - gain
            damping /= 10
            if gain < 1e-3:
                converged = True
                break
            jacobian = _jacobian(data, parameters, residual)
        else:
            damping *= 10
            if damping > 1e6:
                converged = True
                break
    return Solution(
        float(np.clip(np.exp(parameters[0]), *data.grid.teff_range)),
        float(parameters[1]),
        float(parameters[2]),
        chi2,
        converged,
    )


def _outliers(data: Comparison, solution: Solution) -> NDArray[np.bool_]:
    """Pixels farther from the model than `OUTLIER` errors, scaled by sqrt(rchi2) > 1; none if many."""
    limit = OUTLIER * np.sqrt(max(1.0, solution.chi2 / data.freedom))
    far = np.abs(data.residual(solution.parameters)[: len(data.root)]) > limit
    return far if far.mean() <= MAX_OUTLIERS else np.zeros_like(far)


def _in_deepest_velocity(data: Comparison, solution: Solution) -> Solution:
    """The solution, or a better one at another velocity that chi2 of its own model prefers."""
    v_rad = _scan(data, data.model(solution.parameters))
    if abs(v_rad - solution.v_rad) <= 2 * COARSE_STEP:
        return solution
    return _deepest([solution, _descend(data, Solution(solution.teff, solution.logg, v_rad, np.inf))])


def _covariance(data: Comparison, solution: Solution) -> tuple[FloatArray, FloatArray]:
    """Covariance of (ln teff, logg, v_rad), NaN where not defined; half the second derivatives of chi2."""
    parameters = solution.parameters
    jacobian = _jacobian(data, parameters, data.residual(parameters))
    curvature = jacobian.T @ jacobian
    units = np.sqrt(np.diag(curvature))
    if not np.all(units > 0):
        return np.full((3, 3), np.nan), curvature
    scaled = curvature / np.outer(units, units)
    if np.linalg.cond(scaled) > 1e10:
        return np.full((3, 3), np.nan), curvature
    return np.linalg.inv(scaled) / np.outer(units, units), curvature


def _velocity(data: Comparison, solution: Solution, curvature: FloatArray) -> tuple[float, float]:
    """Vertex [km/s] of a parabola through chi2 against velocity, and its width over the expected one.

    The scan reaches 3 sigma to either side, and at least 15 km/s. NaN as second number when chi2 has no
    minimum there.
    """
    expected = 1 / np.sqrt(curvature[2, 2]) if curvature[2, 2] > 0 else VELOCITY_LIMIT
    reach = float(np.clip(3 * expected, 15.0, 300.0))
    offsets = np.linspace(-reach, reach, 13)
    parameters = solution.parameters
    chi2 = []
    for offset in offsets:
        residual = data.residual(parameters + np.array([0.0, 0.0, offset]))
        chi2.append(float(residual @ residual))
    quadratic, linear, _ = np.polyfit(offsets / reach, np.array(chi2) - min(chi2), 2)
    if quadratic <= 0 or abs(linear) > 2 * quadratic:
        return solution.v_rad, float("nan")
    vertex = solution.v_rad - reach * linear / (2 * quadratic)
    return float(vertex), float(reach / np.sqrt(quadratic) / expected)
