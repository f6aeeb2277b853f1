"""Pixels of one BOSS visit: what the spectrograph would have recorded of a template.

`synthesis.observing` gives Doppler shift, resolution, photon noise and calibration; flux scale, sky lines, fringes, bad
pixels and masks are added here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from astra_assets.astronomy.constants import FWHM_PER_SIGMA
from astra_assets.astronomy.ephemeris import Floats
from astra_assets.demo.population import Visit
from astra_assets.spectra.airvac import air_to_vacuum
from astra_assets.spectra.grid import BOSS_GRID
from astra_assets.synthesis import observing

MASK_BITS = {
    "NEARBADPIXEL": 16,
    "FULLREJECT": 18,
    "PARTIALREJECT": 19,
    "BRIGHTSKY": 23,
    "NODATA": 24,
    "COMBINEREJ": 25,
}
"""Bits of AND_MASK and OR_MASK that are used (SPPIXMASK, www.sdss.org/dr17/algorithms/bitmasks)."""

TRIMMED = (24, 40)
"""At most so many pixels of the common grid are missing at the blue and the red end."""
BAD_SHARE = 0.003
COSMIC_SHARE = 0.35
"""Part of the visits with a cosmic ray that survived."""
DEAD_SHARE = 0.06
"""Part of the visits with a range without data."""
DICHROIC = 6000.0
"""Angstrom; where the light is split between the blue and the red camera."""
FRINGES_BEYOND = 8000.0

# Strongest lines of the night sky in air, Angstrom (Osterbrock et al. 1996, PASP 108, 277), with their
# strength in units of the sky's continuum: oxygen and sodium, then the hydroxyl bands.
SKY_LINES = (
    (4358.3, 1.5), (5460.7, 2.0), (5577.34, 25.0), (5889.95, 5.0), (5895.92, 3.0), (6300.30, 8.0),
    (6363.78, 3.0), (6863.96, 1.5), (6923.22, 1.7), (7276.41, 3.0), (7316.28, 4.0), (7340.89, 4.0),
    (7571.75, 2.0), (7750.64, 5.0), (7794.11, 5.0), (7821.50, 4.0), (7913.71, 6.0), (7964.65, 6.0),
    (7993.33, 5.0), (8344.60, 7.0), (8399.17, 8.0), (8430.17, 7.0), (8465.36, 6.0), (8504.63, 3.0),
    (8778.33, 6.0), (8827.10, 9.0), (8885.85, 10.0), (8919.64, 9.0), (8943.40, 5.0), (8958.08, 6.0),
    (9001.35, 4.0), (9313.04, 6.0), (9337.85, 8.0), (9375.96, 9.0), (9419.73, 7.0), (9439.66, 8.0),
    (9476.86, 6.0), (9502.82, 6.0), (9552.55, 5.0), (9567.09, 4.0), (9719.84, 6.0), (9791.35, 7.0),
    (9872.14, 7.0), (9914.66, 6.0), (10013.99, 6.0), (10082.46, 5.0), (10124.01, 7.0), (10171.65, 5.0),
)  # fmt: skip
STRONG = 4.0
"""Sky lines stronger than this leave residuals."""


@dataclass(frozen=True)
class Pixels:
    """The table of one coadded spectrum and what spAll says about it.

    `snr` is the median of flux times the square root of ivar over the pixels with data, `bands` the same for
    u, g, r, i, z.
    """

    table: NDArray[Any]
    snr: float
    bands: tuple[float, ...]
    and_mask: int
    or_mask: int
    wavelengths: tuple[float, float]


COADD = np.dtype(
    [
        ("FLUX", ">f4"),
        ("LOGLAM", ">f4"),
        ("IVAR", ">f4"),
        ("AND_MASK", ">i4"),
        ("OR_MASK", ">i4"),
        ("WDISP", ">f4"),
        ("SKY", ">f4"),
        ("MODEL", ">f4"),
        ("WRESL", ">f4"),
    ]
)
"""Columns of the coadded spectrum in the order of the files of DR20."""

BANDS = ((3055.0, 4030.0), (3800.0, 5490.0), (5415.0, 6990.0), (6770.0, 8325.0), (7985.0, 10360.0))
"""Ranges of the SDSS filters u, g, r, i, z in Angstrom."""


@cache
def _instrument() -> tuple[Floats, Floats, Floats]:
    """For each pixel of the grid.

    Resolution (FWHM, Angstrom), sky in units of its continuum, extra noise (factor >= 1).
    """
    wavelength = BOSS_GRID.wavelength
    fwhm = observing.boss_fwhm(wavelength)
    sky = 1.0 + 0.5 * np.clip((wavelength - 8000.0) / 2400.0, 0.0, None)
    lines = np.zeros_like(wavelength)
    places = air_to_vacuum(np.array([place for place, _ in SKY_LINES]))
    for place, (_, strength) in zip(places, SKY_LINES, strict=True):
        near = slice(*np.searchsorted(wavelength, [place - 20.0, place + 20.0]))
        sigma = np.interp(place, wavelength, fwhm) / FWHM_PER_SIGMA
        lines[near] += strength * np.exp(-0.5 * ((wavelength[near] - place) / sigma) ** 2)
    # Photon noise of the sky grows with the root of its brightness; half of the noise next to the lines is the
    # sky's.
    noise = np.sqrt(1.0 + 0.5 * lines)
    return fwhm, sky + lines, noise


def observe(visit: Visit, level: float, rng: np.random.Generator) -> Pixels:
    """The recorded spectrum of a visit; `level` is the flux near 5500 Angstrom in 1e-17 erg s-1 cm-2 A-1.

    MODEL, where the reduction has its best redshift model, is the flux smoothed over 15 pixels.
    """
    first, cut = rng.integers(0, TRIMMED[0] + 1), rng.integers(0, TRIMMED[1] + 1)
    part = slice(int(first), BOSS_GRID.n_pixels - int(cut))
    wavelength = BOSS_GRID.wavelength[part]
    flux, ivar = observing.observe(
        visit.target.template, rng, wavelength=wavelength, snr=visit.snr, v_rad=visit.v_rad
    )
    table = np.zeros(len(wavelength), dtype=COADD)
    fwhm, sky, extra = (values[part] for values in _instrument())
    flux, ivar = _add_noise(flux, ivar, extra, wavelength, rng)
    response = level * _response(wavelength, rng)
    flux, ivar = flux * response, ivar / response**2
    sky_level = level / visit.snr * rng.uniform(4.0, 9.0)
    masks = _masks(flux, ivar, sky, wavelength, rng)
    table["FLUX"], table["IVAR"], table["LOGLAM"] = flux, ivar, BOSS_GRID.log_wavelength[part]
    table["AND_MASK"], table["OR_MASK"] = masks
    table["WRESL"], table["WDISP"] = (
        fwhm,
        fwhm / FWHM_PER_SIGMA / (wavelength * np.log(10.0) * BOSS_GRID.cdelt),
    )
    table["SKY"] = sky_level * sky * rng.normal(1.0, 0.02)
    table["MODEL"] = uniform_filter1d(flux, 15, mode="nearest")
    return _summary(table, wavelength)


def _add_noise(
    flux: Floats, ivar: Floats, extra: Floats, wavelength: Floats, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """More noise where the sky is bright, and where the thinned red detectors fringe."""
    fringes = 0.25 * np.clip((wavelength - FRINGES_BEYOND) / 2000.0, 0.0, 1.0)
    factor = np.hypot(extra, fringes)
    sigma = np.divide(1.0, np.sqrt(ivar), out=np.zeros_like(ivar), where=ivar > 0)
    added = sigma * np.sqrt(np.clip(factor**2 - 1.0, 0.0, None))
    return flux + added * rng.normal(size=len(flux)), ivar / factor**2


def _response(wavelength: Floats, rng: np.random.Generator) -> Floats:
    """Light lost outside of the fibre, and a small smooth step where the cameras meet."""
    step = 0.01 * rng.normal() * np.tanh((wavelength - DICHROIC) / 80.0)
    return np.asarray((1.0 + step) * np.exp(0.05 * rng.normal()))


def _masks(
    flux: Floats, ivar: Floats, sky: Floats, wavelength: Floats, rng: np.random.Generator
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """AND_MASK and OR_MASK; flux and ivar of bad pixels are changed in place."""
    size = len(flux)
    always, once = np.zeros(size, dtype=np.int32), np.zeros(size, dtype=np.int32)
    once[sky > STRONG] |= 1 << MASK_BITS["BRIGHTSKY"]
    oxygen = np.abs(wavelength - 5578.9) < 3.0
    if rng.uniform() < 0.5 and oxygen.any():
        ivar[oxygen] = 0.0
        always[oxygen] |= 1 << MASK_BITS["FULLREJECT"]
    bad = rng.choice(size, size=rng.poisson(BAD_SHARE * size), replace=False)
    flux[bad], ivar[bad] = 0.0, 0.0
    always[bad] |= 1 << MASK_BITS["FULLREJECT"] | 1 << MASK_BITS["NODATA"]
    beside = np.clip(np.concatenate([bad - 1, bad + 1]), 0, size - 1)
    once[beside] |= 1 << MASK_BITS["NEARBADPIXEL"]
    partly = rng.choice(size, size=rng.poisson(4 * BAD_SHARE * size), replace=False)
    once[partly] |= 1 << MASK_BITS["PARTIALREJECT"]
    if rng.uniform() < COSMIC_SHARE:
        _hit(flux, ivar, once, rng)
    if rng.uniform() < DEAD_SHARE:
        start = int(rng.integers(0, size - 300))
        dead = slice(start, start + int(rng.integers(60, 250)))
        flux[dead], ivar[dead] = 0.0, 0.0
        always[dead] |= 1 << MASK_BITS["NODATA"]
    return always, once | always


def _hit(flux: Floats, ivar: Floats, once: NDArray[np.int32], rng: np.random.Generator) -> None:
    """A few cosmic rays of some pixels each: found and rejected, but for the faint wing of one in ten."""
    for _ in range(int(rng.integers(1, 4))):
        place = int(rng.integers(10, len(flux) - 10))
        pixels = np.arange(place, place + int(rng.integers(2, 5)))
        typical = np.sqrt(1.0 / np.median(ivar[ivar > 0]))
        flux[pixels] += typical * rng.uniform(15.0, 200.0, len(pixels))
        once[pixels] |= 1 << MASK_BITS["COMBINEREJ"]
        ivar[pixels] = 0.0
        if rng.uniform() < 0.1:
            flux[place - 1] += 5.0 * typical


def _summary(table: NDArray[Any], wavelength: Floats) -> Pixels:
    good = table["IVAR"] > 0
    ratio = table["FLUX"].astype(np.float64) * np.sqrt(table["IVAR"].astype(np.float64))

    def median(chosen: NDArray[np.bool_]) -> float:
        return float(np.median(ratio[chosen])) if chosen.any() else 0.0

    bands = tuple(median(good & (wavelength > low) & (wavelength < high)) for low, high in BANDS)
    return Pixels(
        table=table,
        snr=median(good),
        bands=bands,
        and_mask=int(np.bitwise_or.reduce(table["AND_MASK"])),
        or_mask=int(np.bitwise_or.reduce(table["OR_MASK"])),
        wavelengths=(float(wavelength[0]), float(wavelength[-1])),
    )
