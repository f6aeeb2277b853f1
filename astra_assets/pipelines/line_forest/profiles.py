"""Fits of profiles of many widths to all lines of a spectrum and to its noise draws.

Windows around lines, and weighted least squares for many lines at once. The formulas are those of `measure.py`, which
chooses among the widths and says what is a detection.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from astra_assets.pipelines.line_forest.lines import LINES, Line, Width, vacuum_wavelengths
from astra_assets.spectra.base import Spectrum

Array = npt.NDArray[Any]

WIDTHS: dict[Width, tuple[float, ...]] = {
    "narrow": (1.2, 1.5, 1.9, 2.4, 3.0, 3.8, 4.8, 6.0),
    "wide": (1.2, 1.5, 1.9, 2.4, 3.0, 3.8, 4.8, 6.0, 7.5, 9.5, 12.0, 15.0, 19.0, 24.0, 30.0),
}
"""Standard deviations [Angstrom] that are tried; the first is about the resolution of BOSS."""
REACH: dict[Width, float] = {"narrow": 40.0, "wide": 120.0}
"""Half-width [Angstrom] of the widest window."""
MIN_REACH = 12.0
"""Half-width [Angstrom] of the window that a line has among the closest of its series."""
NEIGHBOUR = 0.8
"""A window ends at this fraction of the way to the second line of the same series."""
CORE = 3.0
"""A line is integrated out to this many standard deviations; the continuum lies beyond,"""
CORE_MIN: dict[Width, float] = {"narrow": 0.0, "wide": 6.0}
"""but at least as far as this [Angstrom]: the wings of strong lines are not Gaussian."""
BLENDED = 5.0
"""Lines closer together than this [Angstrom] are one line to us."""
MASKED = 6.0
"""Beyond the core, pixels within this distance [Angstrom] of another line are left out,"""
MASKED_SHARE = 0.3
"""but no more than this fraction of the way to it."""
MIN_COVERAGE = 0.6
"""Fraction of good pixels that a window and the core of its line need."""
MIN_SIDE = 2
"""Good pixels that the continuum needs on either side of a line."""
MIN_CONTINUUM = 3.0
"""Significance of the continuum at the line below which ratios to it mean nothing."""
RIDGE = 1e-9
"""Added to the diagonal of normal matrices, whose diagonal is 1, so that none is singular."""


@dataclass(frozen=True)
class Group:
    """Lines that are measured together.

    Attributes:
        members: their positions in `LINES`.
        centres: vacuum wavelengths [Angstrom].
        reach: half-widths of their widest windows [Angstrom].
        others: (lines, n) centres of other lines nearby, NaN for none.
        widths: standard deviations that are tried [Angstrom].
        core: least half-width of what belongs to the line [Angstrom].
    """

    members: Array
    centres: Array
    reach: Array
    others: Array
    widths: tuple[float, ...]
    core: float


@cache
def groups() -> tuple[Group, ...]:
    """The narrow lines and the wide ones."""
    centres = vacuum_wavelengths()
    found = []
    for kind, widths in WIDTHS.items():
        members = np.array([i for i, line in enumerate(LINES) if line.width == kind])
        reach = np.array([_reach(LINES[i], float(centres[i])) for i in members])
        near = [_others(float(centres[i]), float(r)) for i, r in zip(members, reach, strict=True)]
        others = np.full((len(members), max(map(len, near))), np.nan)
        for row, values in zip(others, near, strict=True):
            row[: len(values)] = values
        found.append(Group(members, centres[members], reach, others, widths, CORE_MIN[kind]))
    return tuple(found)


def _reach(line: Line, centre: float) -> float:
    """Half-width of the widest window: it contains the nearest line of the series, not those behind it."""
    series = line.name.split("_")[0]
    if series not in ("h", "pa"):
        return REACH[line.width]
    same = sorted(
        abs(float(other) - centre)
        for each, other in zip(LINES, vacuum_wavelengths(), strict=True)
        if each.name.split("_")[0] == series and each is not line
    )
    return min(REACH[line.width], max(MIN_REACH, NEIGHBOUR * same[1]))


def _others(centre: float, reach: float) -> list[float]:
    distance = np.abs(vacuum_wavelengths() - centre)
    return list(vacuum_wavelengths()[(distance > BLENDED) & (distance < reach + MASKED)])


@dataclass(frozen=True)
class Fits:
    """Fits of all widths to a group of lines: (widths, lines, 1 + draws), the spectrum itself first.

    `usable` has the shape (widths, lines). `score` decides which width is best, `t` is the significance of the
    line, positive in absorption; both are 0 where a fit is not usable or its continuum not positive.
    """

    usable: Array
    score: Array
    t: Array
    eqw: Array
    depth: Array

    @cached_property
    def best(self) -> Array:
        """Best width of each line, for the spectrum itself; shape (lines,)."""
        return np.asarray(self.score[:, :, 0].argmax(axis=0))

    @cached_property
    def best_of_draws(self) -> Array:
        """The same for each draw; shape (lines, draws)."""
        return np.asarray(self.score[:, :, 1:].argmax(axis=0))


def fit_group(group: Group, spectrum: Spectrum, noise: Array) -> Fits:
    """Fit every width to every line of a group; `noise` has the shape (pixels, draws), 0 on bad pixels."""
    windows = _windows(group, spectrum, noise)
    parts = list(_fit_widths(group, windows, (spectrum.wavelength[0], spectrum.wavelength[-1])))
    return Fits(*(np.stack(each) for each in zip(*parts, strict=True)))


@dataclass(frozen=True)
class Windows:
    """Pixels around the lines of a group: (lines, pixels), noise (lines, pixels, draws).

    `x` is the distance to the centre and `dx` the size of a pixel [Angstrom]; `ivar` is 0 where a pixel is bad
    or outside; `masked`: another line is near.
    """

    x: Array
    dx: Array
    flux: Array
    ivar: Array
    inside: Array
    masked: Array
    noise: Array


def _windows(group: Group, spectrum: Spectrum, noise: Array) -> Windows:
    wavelength = spectrum.wavelength
    first = np.searchsorted(wavelength, group.centres - group.reach)
    last = np.searchsorted(wavelength, group.centres + group.reach)
    pixels = first[:, None] + np.arange(max(1, int((last - first).max())))
    inside = pixels < last[:, None]
    pixels = np.minimum(pixels, wavelength.size - 1)
    x = wavelength[pixels] - group.centres[:, None]
    distance = group.others - group.centres[:, None]
    room = np.minimum(MASKED, MASKED_SHARE * np.abs(distance))
    masked = (np.abs(x[:, :, None] - distance[:, None, :]) < room[:, None, :]).any(axis=2)
    ivar = np.where(inside, spectrum.ivar[pixels], 0.0)
    sizes = np.gradient(wavelength)[pixels]
    return Windows(x, sizes, spectrum.flux[pixels], ivar, inside, masked, noise[pixels])


def _fit_widths(group: Group, windows: Windows, ends: tuple[float, float]) -> Iterator[tuple[Array, ...]]:
    """For each width the fields of `Fits`, without their first axis."""
    distance = np.abs(windows.x)
    for width in group.widths:
        core = max(CORE * width, group.core)
        half = np.minimum(group.reach, 15.0 + 4 * width)
        window = windows.inside & (distance <= half[:, None]) & (~windows.masked | (distance <= core))
        usable = _usable(windows, window, width, core)
        usable &= (group.centres - half >= ends[0]) & (group.centres + half <= ends[1])
        columns = np.flatnonzero(window.any(axis=0))
        part = slice(columns[0], columns[-1] + 1) if columns.size else slice(0, 1)
        yield (usable, *_fit(windows, window & usable[:, None], width, core, part))


def _usable(windows: Windows, window: Array, width: float, core: float) -> Array:
    """Are there enough good pixels in the window, in the line and on both sides of it?"""
    good = window & (windows.ivar > 0)
    middle = window & (np.abs(windows.x) < 1.5 * width)
    enough = good.sum(axis=1) >= MIN_COVERAGE * np.maximum(window.sum(axis=1), 1)
    enough &= (good & middle).sum(axis=1) >= np.maximum(MIN_COVERAGE * middle.sum(axis=1), 1)
    for side in (windows.x < -core, windows.x > core):
        enough &= (good & side).sum(axis=1) >= MIN_SIDE
    return np.asarray(enough)


def _fit(
    windows: Windows, window: Array, width: float, core: float, part: slice
) -> tuple[Array, Array, Array, Array]:
    """The fit of one width: score, t, equivalent width and amplitude, each (lines, 1 + draws)."""
    x, flux, dx = windows.x[:, part], windows.flux[:, part], windows.dx[:, part]
    ivar = np.where(window[:, part], windows.ivar[:, part], 0.0)
    usable = np.asarray(window.any(axis=1))
    profile = np.exp(-0.5 * (x / width) ** 2)
    design = np.stack([np.ones_like(x), x / np.abs(x).max(axis=1, keepdims=True), -profile], axis=1)
    line = np.abs(x) <= core
    fit, errors = _least_squares(design, ivar, usable)
    edges, edge_errors = _least_squares(design[:, :2], np.where(line, 0.0, ivar), usable)
    seen = np.where(line & (ivar > 0), dx, 0.0)
    unseen = width * np.sqrt(2 * np.pi) - (seen * profile).sum(axis=1)
    under = (seen[:, None] * design[:, :2]).sum(axis=2)
    area = (under[:, None] @ edges)[:, 0] - seen + unseen[:, None] * fit[:, 2]
    functionals = np.stack([edges[:, 0], fit[:, 0], fit[:, 2], area], axis=1)
    own = functionals @ flux[:, :, None]
    drawn = functionals.astype(np.float32) @ windows.noise[:, part]
    continuum, level, amplitude, area = np.moveaxis(np.concatenate([own, own + drawn], axis=2), 1, 0)
    fine = usable[:, None] & (continuum > 0) & (own[:, 0] > MIN_CONTINUUM * edge_errors[:, :1])
    continuum = np.where(fine, continuum, 1.0)
    formal = np.where(fine, amplitude / errors[:, 2:], 0.0)
    unexplained = _unexplained(design, fit, flux, ivar)
    correlated = np.maximum(2.5 * width / np.median(dx, axis=1), 1)
    score = np.abs(formal) / np.sqrt(1 + unexplained)[:, None]
    t = formal / np.sqrt(1 + unexplained * correlated)[:, None]
    return score, t, area / continuum, np.abs(1 - (level - amplitude) / continuum)


def _unexplained(design: Array, solve: Array, flux: Array, ivar: Array) -> Array:
    """Reduced chi2 of the fit above 1, for each line: the variance, in units of the noise's, that is not explained."""
    residual = flux - (design * (solve @ flux[:, :, None])).sum(axis=1)
    freedom = np.maximum((ivar > 0).sum(axis=1) - design.shape[1], 1)
    return np.asarray(np.maximum((ivar * residual**2).sum(axis=1) / freedom - 1, 0))


def _least_squares(design: Array, weights: Array, usable: Array) -> tuple[Array, Array]:
    """The matrices (lines, parameters, pixels) that turn flux into parameters, and the errors of these.

    Lines that are not usable get zeros and errors of 1.
    """
    weighted = design * weights[:, None]
    normal = weighted @ design.transpose(0, 2, 1)
    normal[~usable] = np.eye(design.shape[1])
    size = np.sqrt(np.diagonal(normal, axis1=1, axis2=2))
    size = np.where(size > 0, size, 1.0)
    scale = size[:, :, None] * size[:, None]
    covariance = np.linalg.inv(normal / scale + RIDGE * np.eye(design.shape[1])) / scale
    return covariance @ weighted, np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
