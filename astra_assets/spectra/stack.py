"""Stack the visits of one source and telescope in the rest frame: which ones, with which velocity, and the sum.

The rules are Astra's. A visit is in the stack if its S/N is above 3, no redshift warning is set, and its
XCSAO velocity is trusted (R above 6) or the source is in program mwm_wd: R is poor for white dwarfs, whose
XCSAO velocity is still used to shift them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from astra_assets.spectra.base import BitPixels, FloatPixels, Spectrum, mean_snr
from astra_assets.spectra.grid import BOSS_GRID
from astra_assets.spectra.resample import GridSpectrum, resample
from astra_assets.spectra.velocity import rest_wavelength

MIN_SNR = 3.0
"""Visits at or below this S/N are not stacked."""

MIN_RXC = 6.0
"""XCSAO velocities at or below this cross-correlation R (Tonry & Davis 1979) are not trusted."""

BLUE_LIMIT = 3650.0
"""Angstrom; coadds have no flux below, where BOSS has next to none."""

XCSAO_PARAMETERS = ("teff", "logg", "fe_h")

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RestFrameVisit:
    """One visit on the common grid."""

    row: Row
    in_stack: bool
    pixels: GridSpectrum


@dataclass(frozen=True, slots=True)
class Coadd:
    """The sum of the stacked visits, shape (4648,); flux NaN and ivar 0 where nothing contributes."""

    flux: FloatPixels
    ivar: FloatPixels
    pixel_flags: BitPixels

    @property
    def snr(self) -> float:
        """Mean of flux * sqrt(ivar) over pixels with ivar > 0."""
        return mean_snr(self.flux, self.ivar)


def in_stack(row: Row, white_dwarf: bool) -> bool:
    """Whether a visit is good enough to be stacked."""
    good_snr = _number(row["snr"]) > MIN_SNR
    good_velocity = white_dwarf or _number(row["xcsao_rxc"]) > MIN_RXC
    return bool(good_snr and good_velocity and (row["zwarning_flags"] or 0) <= 0)


def has_good_velocity(row: Row) -> bool:
    """Whether a visit's XCSAO velocity counts for the velocity of its source."""
    return bool(np.isfinite(_number(row["xcsao_v_rad"])) and _number(row["xcsao_rxc"]) > MIN_RXC)


def to_rest_frame(spectrum: Spectrum, *, white_dwarf: bool) -> RestFrameVisit:
    """A visit on the common BOSS grid; visits that are not stacked stay in the observed frame.

    `spectrum.row` needs the columns snr, xcsao_v_rad, xcsao_rxc and zwarning_flags.
    """
    stacked = in_stack(spectrum.row, white_dwarf)
    velocity = _number(spectrum.row["xcsao_v_rad"])
    shift = velocity if stacked and np.isfinite(velocity) else 0.0
    pixels = resample(spectrum, rest_wavelength(spectrum.wavelength, shift), BOSS_GRID)
    return RestFrameVisit(row=spectrum.row, in_stack=stacked, pixels=pixels)


def coadd(visits: Sequence[RestFrameVisit]) -> Coadd | None:
    """The ivar-weighted mean of the visits in the stack, or None if there is none."""
    stacked = [visit.pixels for visit in visits if visit.in_stack]
    if not stacked:
        return None
    ivar = np.sum([pixels.ivar for pixels in stacked], axis=0)
    weighted = np.sum([pixels.flux * pixels.ivar for pixels in stacked], axis=0)
    ivar[BOSS_GRID.wavelength < BLUE_LIMIT] = 0.0
    flux = np.divide(weighted, ivar, out=np.full_like(ivar, np.nan), where=ivar > 0)
    return Coadd(flux, ivar, np.bitwise_or.reduce([pixels.pixel_flags for pixels in stacked], axis=0))


def summarise(visits: Sequence[RestFrameVisit]) -> dict[str, Any]:
    """The columns of a coadd's row that follow from the rows of its visits, in order of time.

    Means are weighted by inverse variance, over the visits with a trusted velocity (v_rad) or in the stack
    (xcsao_*). What has no value is None. Velocities in km/s, teff in K, logg and fe_h in dex.
    """
    rows = [visit.row for visit in visits]
    stacked = [visit.row for visit in visits if visit.in_stack]
    velocities = [row for row in rows if has_good_velocity(row)]
    v_rad, e_v_rad = _weighted_mean(velocities, "xcsao_v_rad", "xcsao_e_v_rad")
    columns: dict[str, Any] = {
        "min_mjd": min(row["mjd"] for row in rows),
        "max_mjd": max(row["mjd"] for row in rows),
        "n_visits": len(rows),
        "n_good_visits": len(stacked),
        "n_good_rvs": len(velocities),
        "v_rad": v_rad,
        "e_v_rad": e_v_rad,
        "std_v_rad": _statistic(np.std, velocities, "xcsao_v_rad"),
        "median_e_v_rad": _statistic(np.median, velocities, "xcsao_e_v_rad"),
        "xcsao_meanrxc": _statistic(np.mean, stacked, "xcsao_rxc"),
    }
    for name in XCSAO_PARAMETERS:
        mean, error = _weighted_mean(stacked, f"xcsao_{name}", f"xcsao_e_{name}")
        columns |= {f"xcsao_{name}": mean, f"xcsao_e_{name}": error}
    for name in ("zwarning_flags", "gri_gaia_transform_flags"):
        columns[name] = int(np.bitwise_or.reduce([row[name] or 0 for row in stacked])) if stacked else 0
    return columns


def _weighted_mean(rows: Sequence[Row], name: str, error_name: str) -> tuple[float | None, float | None]:
    """Mean with weights 1 / error^2, and its error; values without a positive error do not count."""
    values, errors = _values(rows, name), _values(rows, error_name)
    usable = np.isfinite(values) & np.isfinite(errors) & (errors > 0)
    if not usable.any():
        return _statistic(np.mean, rows, name), None
    weights = errors[usable] ** -2
    return float(np.average(values[usable], weights=weights)), float(weights.sum() ** -0.5)


def _values(rows: Sequence[Row], name: str) -> FloatPixels:
    return np.array([_number(row[name]) for row in rows], dtype=np.float64)


def _statistic(function: Callable[[FloatPixels], Any], rows: Sequence[Row], name: str) -> float | None:
    """A statistic of the finite values of a column; None where there is none."""
    values = _values(rows, name)
    finite = values[np.isfinite(values)]
    return float(function(finite)) if finite.size else None


def _number(value: float | None) -> float:
    """A column's value, NaN for NULL."""
    return float("nan") if value is None else float(value)
