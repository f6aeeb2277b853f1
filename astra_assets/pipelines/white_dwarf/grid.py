"""Model spectra of hydrogen-atmosphere (DA) white dwarfs: load the packaged grid, interpolate in it.

Only surface fluxes at rest and at the grid's own resolution: instrument, velocity and normalisation are in
`balmer.py`, and the conversion from the published text files in `convert.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline, PchipInterpolator

from astra_assets.pipelines.white_dwarf.balmer_lines import BALMER

LOG_STEP = 2.5e-5
"""Step of `DAGrid.wavelength` in log10(wavelength): a quarter of a BOSS pixel, 17.3 km/s."""
WAVELENGTH_RANGE = (3500.0, 10500.0)
"""Vacuum wavelengths [Angstrom] that a loaded grid covers."""
CORE_WIDTH = 0.3
"""Scale [Angstrom] of a Balmer core in the coordinate that models are resampled in; see `_stretched`."""

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class DAGrid:
    """Surface fluxes on nodes of effective temperature and surface gravity.

    `wavelength` [vacuum Angstrom] (n) ascends in equal steps of `LOG_STEP` in log10; `teff` [K] (t) and
    `logg` [log cm s-2] (g) are the nodes, ascending; `log_flux` (t, g, n) is the natural logarithm of
    F_lambda [erg s-1 cm-2 Angstrom-1] at the stellar surface, so that its integral over all wavelengths is
    sigma * teff**4. Interpolation is local cubic in log teff and a cubic spline in logg, both of log flux:
    continuous with its first derivative, exact on the nodes.
    """

    wavelength: FloatArray
    teff: FloatArray
    logg: FloatArray
    log_flux: NDArray[np.float32]

    @property
    def teff_range(self) -> tuple[float, float]:
        """Lowest and highest effective temperature [K]."""
        return float(self.teff[0]), float(self.teff[-1])

    @property
    def logg_range(self) -> tuple[float, float]:
        """Lowest and highest surface gravity [log cm s-2]."""
        return float(self.logg[0]), float(self.logg[-1])

    def flux(self, teff: float, logg: float) -> FloatArray:
        """F_lambda [erg s-1 cm-2 Angstrom-1] at the stellar surface on `wavelength`.

        Raises ValueError when teff [K] or logg lies outside the grid.
        """
        return np.exp(self.interpolate(teff, logg))

    def interpolate(self, teff: float, logg: float, pixels: slice = slice(None)) -> FloatArray:
        """The natural logarithm of `flux`, in the given slice of pixels only.

        Raises ValueError when teff [K] or logg lies outside the grid.
        """
        first, weights = self.weights(teff, logg)
        nodes = self.log_flux[first : first + weights.shape[0], :, pixels]
        return np.tensordot(weights.astype(np.float32), nodes, axes=2).astype(np.float64)

    def weights(self, teff: float, logg: float) -> tuple[int, FloatArray]:
        """The nodes that an interpolated model is the sum of: the first in teff, and weights (teff, logg).

        Raises ValueError when teff [K] or logg lies outside the grid.
        """
        for name, value, (lowest, highest) in (
            ("teff", teff, self.teff_range),
            ("logg", logg, self.logg_range),
        ):
            if not lowest <= value <= highest:
                raise ValueError(
                    f"{name} = {value:g} is outside the DA grid, which goes from {lowest:g} to {highest:g}"
                )
        first, in_teff = _local_cubic(np.log(self.teff), float(np.log(teff)))
        in_logg = np.asarray(_gravity_spline(tuple(self.logg.tolist()))(logg), dtype=np.float64)
        return first, np.outer(in_teff, in_logg)


@cache
def load_grid() -> DAGrid:
    """The Warwick DA grid (Tremblay et al. 2013, 2015), once per process; see `data/ORIGIN.md`.

    The published wavelengths are unevenly spaced and sparse outside of lines (1.5 A at H-gamma and
    bluewards); here log flux is put on an even grid by monotone cubic interpolation.
    """
    resource = files("astra_assets.pipelines.white_dwarf") / "data" / "warwick_da.npz"
    with as_file(resource) as path, np.load(path, allow_pickle=False) as stored:
        knots, teff, logg = stored["wavelength"], stored["teff"], stored["logg"]
        log_flux = stored["log_flux"]
    start, end = np.log10(WAVELENGTH_RANGE)
    wavelength = 10.0 ** (start + LOG_STEP * np.arange(int((end - start) / LOG_STEP) + 1))
    smooth = PchipInterpolator(_stretched(knots), log_flux, axis=-1)
    even = np.ascontiguousarray(smooth(_stretched(wavelength)), dtype=np.float32)
    for array in (wavelength, teff, logg, even):
        array.setflags(write=False)
    return DAGrid(wavelength=wavelength, teff=teff, logg=logg, log_flux=even)


def _stretched(wavelength: FloatArray) -> FloatArray:
    """A monotone coordinate in which Balmer cores are smooth although the published points are not close.

    Between such points a profile is nearly a cusp in wavelength but smooth in asinh(distance / core width).
    Tried by thinning H-beta to the 1.5 A of H-gamma: at R = 2000 the core is then wrong by up to 0.5 % of the
    continuum, against 3 % in wavelength.
    """
    distance = (wavelength[:, np.newaxis] - np.array([line.centre for line in BALMER])) / CORE_WIDTH
    return np.asarray(np.arcsinh(distance).sum(axis=1))


def _local_cubic(nodes: FloatArray, value: float) -> tuple[int, FloatArray]:
    """First node and weights of the cubic Hermite interpolation with slopes from parabolas through nodes."""
    interval = int(np.clip(np.searchsorted(nodes, value, side="right") - 1, 0, len(nodes) - 2))
    first, last = max(interval - 1, 0), min(interval + 2, len(nodes) - 1)
    width = nodes[interval + 1] - nodes[interval]
    t = (value - nodes[interval]) / width
    weights = np.zeros(last - first + 1)
    weights[interval - first] = (1 + 2 * t) * (1 - t) ** 2
    weights[interval + 1 - first] = t * t * (3 - 2 * t)
    slopes = ((interval, t * (1 - t) ** 2), (interval + 1, t * t * (t - 1)))
    for node, weight in slopes:
        at, slope = _slope(nodes, node)
        weights[at - first : at - first + len(slope)] += width * weight * slope
    return first, weights


def _slope(nodes: FloatArray, node: int) -> tuple[int, FloatArray]:
    """First node and weights of the derivative at a node: of a parabola, at the ends of a straight line."""
    if node == 0 or node == len(nodes) - 1:
        start = min(node, len(nodes) - 2)
        return start, np.array([-1.0, 1.0]) / (nodes[start + 1] - nodes[start])
    left, right = nodes[node] - nodes[node - 1], nodes[node + 1] - nodes[node]
    before, after = -right / (left * (left + right)), left / (right * (left + right))
    return node - 1, np.array([before, -before - after, after])


@cache
def _gravity_spline(nodes: tuple[float, ...]) -> CubicSpline[np.float64]:
    """The cubic spline of logg as weights of the nodes: it is linear in the values that it interpolates."""
    return CubicSpline(np.array(nodes), np.eye(len(nodes)), bc_type="natural")
