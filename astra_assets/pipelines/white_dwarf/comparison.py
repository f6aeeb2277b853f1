"""The pixels of a spectrum around Balmer lines, and how far models are from them.

In each line's window the data are compared with a model times a straight line, which stands for flux
calibration, reddening and distance, plus a narrow core of small, unknown depth. These three are linear
parameters and are solved for at every step (variable projection, Golub & Pereyra 1973): data and model are
normalised by the same linear operator, with all pixels of the window, and what is not known of continuum and
core is part of every error. Searching the best model is in `balmer.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from astra_assets.pipelines.white_dwarf.balmer_lines import BalmerLine
from astra_assets.pipelines.white_dwarf.grid import DAGrid, FloatArray
from astra_assets.pipelines.white_dwarf.instrument import (
    STEP,
    IntArray,
    boss_width,
    cubic,
    doppler,
    measured_width,
    smoothed_window,
)
from astra_assets.spectra.base import Spectrum
from astra_assets.spectra.good_pixels import good_pixels
from astra_assets.spectra.velocity import pixel_velocity

MIN_PIXELS = 15
"""Good pixels that a window must have, besides half of all its pixels."""
CENTRE = 10.0
"""Angstrom on either side of a line's centre, half of whose pixels must be good."""
CORE_ERROR = 0.1
"""How far the depth of a model's core may be off (sigma, in units of the window's mean flux).

Cores form so high that hydrodynamical (3D) models make them too deep below about 14,000 K (Tremblay et al.
2013, A&A 559, A104, section 4); taken at face value they pull a fit across to the hot side.
"""
CORE_WIDTH = 60.0
"""Intrinsic width of that core [km/s, Gaussian sigma], to which the instrument's is added."""


class NoUsableLinesError(ValueError):
    """Fewer than two of the lines are covered by good pixels."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """The pixels of one spectrum that take part, and the models that they are compared with.

    Arrays of pixels (n) run over all windows, one behind the other. `lines` are the lines used; `root` is
    sqrt(ivar), `values` flux times root, `position` where a pixel lies in the models at zero velocity and
    `distance` how far from the line's centre, both in steps of the models; `ramp` is -1 to 1 along a window,
    `core` the weight of the window's mean flux, `core_width` the sigma of a core in steps, `window` the
    window's number, `first` (lines) each window's first pixel. `log_flux` (teff, logg, m) holds the models'
    windows; `latest` keeps the model that was asked for last.
    """

    grid: DAGrid
    lines: tuple[BalmerLine, ...]
    root: FloatArray
    values: FloatArray
    position: FloatArray
    distance: FloatArray
    ramp: FloatArray
    core: FloatArray
    core_width: FloatArray
    window: IntArray
    first: IntArray
    log_flux: NDArray[np.float32]
    latest: dict[tuple[float, float], NDArray[np.float32]] = field(default_factory=dict)

    @property
    def freedom(self) -> int:
        """Degrees of freedom: pixels less two per window less three."""
        return max(1, len(self.root) - 2 * len(self.lines) - 3)

    def without(self, rejected: NDArray[np.bool_]) -> Comparison:
        """The same with fewer pixels."""
        kept = ~rejected
        window = self.window[kept]
        return replace(
            self,
            root=self.root[kept],
            values=self.values[kept],
            position=self.position[kept],
            distance=self.distance[kept],
            ramp=self.ramp[kept],
            core=self.core[kept],
            core_width=self.core_width[kept],
            window=window,
            first=np.searchsorted(window, np.arange(len(self.lines))),
        )

    def weighted(self, weights: FloatArray) -> Comparison:
        """The same with the ivar of each pixel (n) times a weight."""
        root = np.sqrt(weights)
        return replace(self, root=self.root * root, values=self.values * root, core=self.core * root)

    def observed(self, log_flux: NDArray[np.float32], v_rad: float) -> FloatArray:
        """Models (..., m) as weighted flux at the pixels (..., n), not normalised; v_rad in km/s."""
        return self.root * cubic(np.exp(log_flux), self.position - doppler(v_rad) / STEP)

    def misfit(self, log_flux: NDArray[np.float32], v_rad: float) -> FloatArray:
        """Residuals (..., n + lines) of models (..., m) at v_rad [km/s], with the best continuum and core.

        The last ones are the cores' depths over `CORE_ERROR`: chi2 is the sum of all squares.
        """
        level = self.observed(log_flux, v_rad)
        away = (self.distance - doppler(v_rad) / STEP) / self.core_width
        core = self.core * np.exp(-0.5 * away**2)
        amounts = self._amounts(level, core)
        continuum = amounts[..., self.window, 0] + amounts[..., self.window, 1] * self.ramp
        residual = self.values - level * continuum - core * amounts[..., self.window, 2]
        return np.concatenate([residual, amounts[..., 2] / CORE_ERROR], axis=-1)

    def _amounts(self, level: FloatArray, core: FloatArray) -> FloatArray:
        """The best amounts (..., lines, 3) of a model (..., n), of it times the ramp, and of the core, per window.

        The normal equations of all windows are summed up in one go.
        """
        weighted = level * level
        products = np.stack(
            [
                weighted,
                weighted * self.ramp,
                weighted * self.ramp**2,
                level * core,
                level * (core * self.ramp),
                level * self.values,
                level * (self.values * self.ramp),
            ]
        )
        sums = np.add.reduceat(products, self.first, axis=-1)
        alone = np.add.reduceat(np.stack([core * core, core * self.values]), self.first, axis=-1)
        normal = np.empty((*sums.shape[1:], 3, 3))
        normal[..., 0, 0], normal[..., 0, 1], normal[..., 1, 1] = sums[0], sums[1], sums[2]
        normal[..., 0, 2], normal[..., 1, 2], normal[..., 2, 2] = sums[3], sums[4], alone[0] + CORE_ERROR**-2
        normal[..., 1, 0], normal[..., 2, 0], normal[..., 2, 1] = sums[1], sums[3], sums[4]
        right = np.empty((*sums.shape[1:], 3, 1))
        right[..., 0, 0], right[..., 1, 0], right[..., 2, 0] = sums[5], sums[6], alone[1]
        return np.asarray(np.linalg.solve(normal, right)[..., 0])

    def chi2(self, log_flux: NDArray[np.float32], v_rad: float) -> FloatArray:
        """The chi2 (...) of models (..., m) at v_rad [km/s]."""
        residual = self.misfit(log_flux, v_rad)
        return np.asarray(np.einsum("...i,...i->...", residual, residual))

    def residual(self, parameters: FloatArray) -> FloatArray:
        """The `misfit` (n + lines) at (ln teff, logg, v_rad [km/s])."""
        return self.misfit(self.model(parameters), float(parameters[2]))

    def model(self, parameters: FloatArray) -> NDArray[np.float32]:
        """The log flux (m) at (ln teff, logg, ...), at rest."""
        wanted = (float(parameters[0]), float(parameters[1]))
        if wanted not in self.latest:
            self.latest.clear()  # velocities change more often than models
            self.latest[wanted] = self._interpolated(parameters)
        return self.latest[wanted]

    def _interpolated(self, parameters: FloatArray) -> NDArray[np.float32]:
        teff = float(np.clip(np.exp(parameters[0]), *self.grid.teff_range))
        first, weights = self.grid.weights(teff, float(parameters[1]))
        nodes = self.log_flux[first : first + weights.shape[0]]
        return np.tensordot(weights.astype(np.float32), nodes, axes=2)


def compare(spectrum: Spectrum, grid: DAGrid, lines: Sequence[BalmerLine]) -> Comparison:
    """Choose the pixels of a spectrum around the lines; raises NoUsableLinesError."""
    wavelength, flux, ivar, wresl = spectrum.wavelength, spectrum.flux, spectrum.ivar, spectrum.wresl
    good = good_pixels(flux, ivar)
    used, pixels, models, positions, widths = [], [], [], [], []
    offset = 0
    for line in lines:
        inside = np.abs(wavelength - line.centre) <= line.half_width
        chosen = np.flatnonzero(inside & good)
        if not _covered(wavelength[chosen], flux[chosen], wavelength[inside], line):
            continue
        window = smoothed_window(grid, line)
        width = (
            boss_width(line.centre)
            if wresl is None
            else measured_width(float(np.median(wresl[chosen])), line.centre)
        )
        used.append(line)
        pixels.append(chosen)
        models.append(window.at_width(width))
        widths.append(np.hypot(width, CORE_WIDTH) / pixel_velocity(STEP))
        positions.append(offset + (np.log10(wavelength[chosen]) - window.start) / STEP)
        offset += models[-1].shape[-1]
    if len(used) < 2:
        names = ", ".join(line.name for line in lines)
        raise NoUsableLinesError(
            f"two Balmer lines of {names} with good pixels are needed, {len(used)} found; "
            f"{int(good.sum())} of {len(good)} pixels have finite flux and ivar > 0"
        )
    number = np.repeat(np.arange(len(used)), [len(chosen) for chosen in pixels])
    index = np.concatenate(pixels)
    root = np.sqrt(ivar[index])
    centre = np.array([line.centre for line in used])[number]
    mean = np.array([np.average(flux[chosen], weights=ivar[chosen]) for chosen in pixels])
    return Comparison(
        grid=grid,
        lines=tuple(used),
        root=root,
        values=flux[index] * root,
        position=np.concatenate(positions),
        distance=np.log10(wavelength[index] / centre) / STEP,
        ramp=(wavelength[index] - centre) / np.array([line.half_width for line in used])[number],
        core=mean[number] * root,
        core_width=np.array(widths)[number],
        window=number,
        first=np.searchsorted(number, np.arange(len(used))),
        log_flux=np.concatenate(models, axis=-1),
    )


def _covered(wavelength: FloatArray, flux: FloatArray, inside: FloatArray, line: BalmerLine) -> bool:
    """Whether the good pixels of a window show its line: enough, in the core and next to it, not negative."""
    core = np.abs(wavelength - line.centre) <= CENTRE
    core_pixels = int(np.sum(np.abs(inside - line.centre) <= CENTRE))
    sides = min(np.sum(wavelength < line.centre - CENTRE), np.sum(wavelength > line.centre + CENTRE))
    return bool(
        len(wavelength) >= max(MIN_PIXELS, len(inside) / 2)
        and core_pixels > 0
        and core.sum() >= core_pixels / 2
        and sides >= 3
        and np.median(flux) > 0
    )
