"""Pixels of APOGEE spectra: what the three detectors record in a visit, visits at rest, and coadds.

Visits are put on the common grid by linear interpolation, in place of the reduction's sinc functions: it costs a tenth,
and with five pixels in a resolution element it makes lines shallower by 2 percent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astra_assets.astronomy.constants import SPEED_OF_LIGHT
from astra_assets.astronomy.ephemeris import Floats
from astra_assets.demo.apogee.visits import StarVisit, flag
from astra_assets.spectra.grid import APOGEE_GRID
from astra_assets.synthesis.h_band import GRID

PIXELS = 4096
"""Pixels of a chip where exposures were dithered; half as many where not."""
WAVELENGTHS = (
    (1.50578e-11, -2.77826e-6, -0.117752, 16725.159),
    (1.50578e-11, -2.58026e-6, -0.141239, 16156.935),
    (1.50578e-11, -2.38127e-6, -0.163095, 15485.965),
)
"""Angstrom; cubic polynomials in pixels from 2048 of the red, green and blue chip, fitted to a public apVisit file of DR13
(plate 9518, MJD 57729, fibre 104)."""
BITS = {"BADPIX": 0, "NOSKY": 7, "PERSIST_HIGH": 9, "SIG_SKYLINE": 12, "SIG_TELLURIC": 13}
"""Bits of the masks that are used (APOGEE_PIXMASK, www.sdss4.org/dr17/algorithms/bitmasks)."""
VEGA_H = 1.133e7
"""F_lambda of H = 0 in 1e-17 erg s-1 cm-2 A-1 (Cohen, Wheaton & Megeath 2003, AJ 126, 1090)."""
NO_ERROR = 1e10
"""Error of a pixel that says nothing, as in the reduction's files."""

BAD_SHARE, EDGE = 0.004, 6
PERSISTENT = 0.75
"""Part of the blue chip that remembers earlier light where a visit has that flag."""
STRONG = 60.0
"""Sky lines stronger than this are flagged."""
SKY_SIGMA = 0.30
"""Angstrom; width of a line of the night sky, which is that of the line spread function."""
RESIDUAL = 0.004
"""Part of the sky that is left or taken too much, pixel by pixel, in units of its lines."""
TELLURIC_PERIOD = 3.6
"""Angstrom; spacing of the lines of carbon dioxide."""
LOW_SNR = 5.0
"""S/N below which the reduction sets its flag."""

SKY_LINES = (
    (15187.1, 319), (15241.0, 995), (15287.8, 401), (15332.4, 686), (15395.3, 319), (15432.2, 398), (15501.0, 61),
    (15509.8, 137), (15517.9, 45), (15539.7, 191), (15546.1, 179), (15570.2, 116), (15597.6, 398), (15631.4, 247),
    (15655.4, 552), (15702.5, 188), (15869.3, 91), (15972.6, 312), (16030.8, 963), (16079.8, 444), (16128.6, 719),
    (16194.6, 357), (16235.4, 449), (16317.2, 172), (16341.9, 68), (16350.7, 246), (16360.4, 50), (16388.5, 195),
    (16414.7, 129), (16475.6, 89), (16479.1, 204), (16502.4, 528), (16553.8, 202), (16689.2, 93), (16692.4, 1387),
    (16708.9, 293), (16732.5, 97), (16840.5, 230), (16903.7, 866),
)  # fmt: skip
"""OH lines of the night sky in vacuum (Rousselot et al. 2000, A&A 354, 1134), with their strength in units of the sky between
them in a public spectrum of DR13 (plate 9518, MJD 57729, fibre 104)."""

TELLURIC = ((15705.0, 15811.0), (16005.0, 16145.0))
"""Angstrom; bands of carbon dioxide, whose lines stand 3 to 5 Angstrom apart (Rothman et al. 2013, JQSRT 130, 4)."""

Images = NDArray[np.float32]
Masks = NDArray[np.int16]


@dataclass(frozen=True)
class VisitPixels:
    """One visit as recorded, arrays of shape (3, pixels), chips and pixels from red to blue.

    `wavelength` (Angstrom, vacuum, of the observatory), `flux` and `error` (1e-17 erg s-1 cm-2 A-1), `mask`; `snr` is the median
    over the green chip, `flags` the bits of STARFLAG.
    """

    wavelength: Floats
    flux: Images
    error: Images
    mask: Masks
    snr: float
    flags: int


@dataclass(frozen=True)
class StarPixels:
    """The images of an apStar file, each of shape (rows, 8575): two coadds and the visits, or one visit alone."""

    flux: Images
    error: Images
    mask: NDArray[np.int64]
    snr: float


def observe(visit: StarVisit, rest: Images, level: float, rng: np.random.Generator) -> VisitPixels:
    """The recorded spectrum of a visit; `rest` is the star's on `synthesis.GRID`, `level` its flux where that is 1."""
    step = 1 if visit.dithered else 2
    wavelength = _wavelengths(step, float(rng.uniform(-1.0, 1.0)))
    sky, telluric = (
        np.interp(wavelength.ravel(), GRID.wavelength, values).reshape(wavelength.shape) for values in _sky()
    )
    shifted = np.log10(wavelength / (1.0 + visit.relative / SPEED_OF_LIGHT))
    flux = level * np.interp(shifted.ravel(), GRID.log_wavelength, rest).reshape(wavelength.shape)
    # Noise of the star's own light and of the sky's, which between its lines is as strong at S/N 15.
    background = np.clip(15.0 / visit.snr, 0.05, 4.0)
    variance = flux / level + background * (1.0 + sky / 10.0)
    error = level / visit.snr * np.sqrt(variance / (1.0 + background)) * (1.0 + 2.0 * telluric)
    noise = rng.standard_normal((2, *wavelength.shape))
    flux = flux + error * noise[0] + level / visit.snr * RESIDUAL * sky * noise[1]
    # A residual of the sky is an error too.
    error = np.hypot(error, level / visit.snr * RESIDUAL * sky)
    mask = np.where(sky > STRONG, 1 << BITS["SIG_SKYLINE"], 0)
    mask |= np.where(telluric > 0.5, 1 << BITS["SIG_TELLURIC"], 0)
    _spoil(visit, flux, error, mask, rng)
    snr = _median_snr(flux[1], error[1])
    low = flag("low_snr") if snr < LOW_SNR else 0
    return VisitPixels(
        wavelength,
        flux.astype(np.float32),
        error.astype(np.float32),
        mask.astype(np.int16),
        snr,
        visit.flags | low,
    )


def _wavelengths(step: int, shift: float) -> Floats:
    """Of the three chips; `shift` in pixels."""
    pixel = np.arange(0, PIXELS, step) + 0.5 * (step - 1) + shift - PIXELS / 2
    return np.stack([np.polyval(coefficients, pixel) for coefficients in WAVELENGTHS])


@cache
def _sky() -> tuple[Floats, Floats]:
    """On the fine grid: the lines of the night sky in units of the sky between them, and the depth of telluric lines (0 to 1)."""
    wavelength = GRID.wavelength
    lines, telluric = np.zeros_like(wavelength), np.zeros_like(wavelength)
    for centre, strength in SKY_LINES:
        near = slice(*np.searchsorted(wavelength, [centre - 3.0, centre + 3.0]))
        lines[near] += strength * np.exp(-0.5 * ((wavelength[near] - centre) / SKY_SIGMA) ** 2)
    for low, high in TELLURIC:
        near = slice(*np.searchsorted(wavelength, [low, high]))
        telluric[near] = np.cos(np.pi * (wavelength[near] - low) / TELLURIC_PERIOD) ** 4
    return lines, telluric


def _spoil(
    visit: StarVisit, flux: Floats, error: Floats, mask: NDArray[np.int64], rng: np.random.Generator
) -> None:
    """Bad pixels, the ends of the chips and, where a visit has it, persistence; arrays are changed in place."""
    bad = rng.uniform(size=flux.shape) < BAD_SHARE
    flux[bad] *= rng.uniform(-0.5, 2.5, int(bad.sum()))
    mask[bad] |= 1 << BITS["BADPIX"]
    mask[:, :EDGE] |= 1 << BITS["BADPIX"] | 1 << BITS["NOSKY"]
    mask[:, -EDGE:] |= 1 << BITS["BADPIX"] | 1 << BITS["NOSKY"]
    error[mask & 1 << BITS["BADPIX"] > 0] = NO_ERROR
    if visit.flags & flag("persist_high"):
        held = slice(0, int(PERSISTENT * flux.shape[1]))
        mask[2, held] |= 1 << BITS["PERSIST_HIGH"]
        error[2, held] *= 1.5


def _median_snr(flux: NDArray[Any], error: NDArray[Any]) -> float:
    good = (error > 0) & (error < NO_ERROR / 2)
    return float(np.median(flux[good] / error[good])) if good.any() else 0.0


def combine(visits: Sequence[StarVisit], pixels: Sequence[VisitPixels]) -> StarPixels:
    """The images of the apStar file of a star's visits with one telescope.

    Each visit is shifted to rest by its measured velocity. The first coadd weights pixels by their errors, the second whole
    visits; masks are joined by OR in the first, by AND in the second.
    """
    rows = [_at_rest(each, visit.measured_relative) for visit, each in zip(visits, pixels, strict=True)]
    flux, error = np.stack([row[0] for row in rows]), np.stack([row[1] for row in rows])
    mask = np.stack([row[2] for row in rows])
    if len(rows) > 1:
        each = 1.0 / error**2
        whole = np.where(error < NO_ERROR / 2, np.median(each, axis=1, keepdims=True), 1.0 / NO_ERROR**2)
        coadds = [_average(flux, error, weights) for weights in (each, whole)]
        flux = np.stack([*(coadd[0] for coadd in coadds), *flux])
        error = np.stack([*(coadd[1] for coadd in coadds), *error])
        mask = np.stack([np.bitwise_or.reduce(mask), np.bitwise_and.reduce(mask), *mask])
    snr = _median_snr(flux[0], error[0])
    return StarPixels(flux.astype(np.float32), error.astype(np.float32), mask, snr)


def _average(flux: Floats, error: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """The weighted mean of rows, and its error."""
    total = np.sum(weights, axis=0)
    found = np.sqrt(np.sum((weights * error) ** 2, axis=0)) / total
    found[found > 0.01 * NO_ERROR] = NO_ERROR
    return np.sum(weights * flux, axis=0) / total, found


def _at_rest(pixels: VisitPixels, velocity: float) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Flux, error and mask of a visit on the common grid, shifted by a velocity in km/s; nothing between the chips."""
    size = APOGEE_GRID.n_pixels
    flux, error = np.zeros(size), np.full(size, NO_ERROR)
    mask = np.full(size, 1 << BITS["BADPIX"], dtype=np.int64)
    for chip in range(len(WAVELENGTHS)):
        rest = pixels.wavelength[chip, ::-1] / (1.0 + velocity / SPEED_OF_LIGHT)
        part = slice(*np.searchsorted(APOGEE_GRID.wavelength, [rest[0], rest[-1]]))
        place = np.interp(APOGEE_GRID.wavelength[part], rest, np.arange(len(rest)))
        left = np.minimum(place.astype(np.int64), len(rest) - 2)
        share = place - left
        values, errors, bits = (
            image[chip, ::-1] for image in (pixels.flux, pixels.error, pixels.mask.astype(np.int64))
        )
        flux[part] = (1.0 - share) * values[left] + share * values[left + 1]
        error[part] = np.hypot(
            (1.0 - share) * errors[left].astype(np.float64), share * errors[left + 1].astype(np.float64)
        )
        mask[part] = bits[left] | bits[left + 1]
    # A pixel half of which says nothing says nothing.
    error[error > 0.01 * NO_ERROR] = NO_ERROR
    return flux, error, mask
