"""How a spectrograph records a template: Doppler shift, resolution, pixels, throughput, noise, flux calibration.

Only what every observation has: masked pixels, sky-line residuals and absolute fluxes are added by whoever makes files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from astra_assets.astronomy.constants import FWHM_PER_SIGMA, SPEED_OF_LIGHT
from astra_assets.pipelines.white_dwarf.instrument import boss_width
from astra_assets.spectra.velocity import observed_wavelength
from astra_assets.synthesis.opacity import FloatArray, smoothed

if TYPE_CHECKING:
    from astra_assets.synthesis.templates import Template

SNR_RANGE = (4000.0, 8000.0)
"""`snr` is the median per pixel between these wavelengths [Angstrom]."""
CALIBRATION_ERROR = 0.05
"""Usual amplitude of the smooth error of the relative flux calibration of SDSS fibre spectra (Margala et
al. 2016, ApJ 831, 157)."""


def boss_fwhm(wavelength: FloatArray) -> FloatArray:
    """Instrumental resolution [Angstrom, full width at half maximum] that `observe` gives the spectra.

    This is what a BOSS file has in its column WRESL.
    """
    return np.asarray(wavelength * FWHM_PER_SIGMA * _sigma(wavelength) / SPEED_OF_LIGHT)


def _sigma(wavelength: FloatArray) -> FloatArray:
    """Gaussian sigma [km/s] of the instrument.

    The two arms are joined over 5900 to 6300 A, as in combined spectra.
    """
    knots = np.array([3500.0, 4500.0, 5900.0, 6300.0, 7500.0, 9000.0, 10500.0])
    return np.asarray(np.interp(wavelength, knots, [boss_width(knot) for knot in knots]))


def convolved(flux: FloatArray, wavelength: FloatArray) -> FloatArray:
    """Flux on the common scale at the resolution of BOSS.

    Between five widths the result is interpolated linearly in sigma^2.
    """
    sigma = _sigma(wavelength)
    widths = np.linspace(float(sigma.min()), float(sigma.max()), 5)
    planes = np.array([smoothed(flux, width) for width in widths])
    position = np.clip(np.interp(sigma**2, widths**2, np.arange(5.0)), 0.0, 3.999999)
    below = position.astype(np.intp)
    share = position - below
    pixels = np.arange(flux.size)
    return np.asarray((1 - share) * planes[below, pixels] + share * planes[below + 1, pixels])


def noise_shape(wavelength: FloatArray, flux: FloatArray) -> FloatArray:
    """Standard deviation per pixel in arbitrary units: photons of object and sky over the throughput of BOSS.

    Throughput falls to a quarter of its maximum at 3700 A and at 9800 A (after Smee et al. 2013, AJ 146,
    32); the sky, as bright as the object at 5500 A, rises by the OH lines to six times that at 9000 A.
    """
    throughput = np.interp(
        wavelength,
        [3500.0, 3700.0, 4200.0, 5000.0, 7500.0, 9000.0, 9800.0, 10500.0],
        [0.1, 0.25, 0.65, 0.9, 1.0, 0.6, 0.25, 0.1],
    )
    sky = np.interp(wavelength, [3500.0, 5500.0, 7000.0, 9000.0, 10500.0], [0.8, 1.0, 1.5, 6.0, 8.0])
    level = np.median(np.abs(flux[np.isfinite(flux)]))
    return np.asarray(np.sqrt((np.abs(flux) / level + sky) / throughput))


def calibration(wavelength: FloatArray, rng: np.random.Generator, amplitude: float) -> FloatArray:
    """A smooth factor about 1: a tilt and two slow waves, each of a random size of order `amplitude`."""
    phase = (np.log(wavelength) - np.log(5500.0)) / np.log(10000.0 / 3700.0)
    error = amplitude * rng.normal() * 2.0 * phase
    for periods in (1.0, 2.2):
        error = error + 0.5 * amplitude * rng.normal() * np.sin(2 * np.pi * (periods * phase + rng.random()))
    return np.asarray(np.exp(error))


def observe(template: Template, rng: np.random.Generator, *, wavelength: FloatArray, snr: float, v_rad: float,
            calibration_error: float = CALIBRATION_ERROR) -> tuple[FloatArray, FloatArray]:  # fmt: skip
    """Flux and inverse variance of a template as BOSS sees it, flux in units of the template's.

    Args:
        template: what is observed.
        rng: source of noise and calibration error.
        wavelength: vacuum wavelengths [Angstrom] of the pixels, shape (n,), in the frame in which the
        object moves with `v_rad`.
        snr: median signal-to-noise ratio per pixel over 4000 to 8000 A.
        v_rad: radial velocity [km/s], positive when receding.
        calibration_error: amplitude of the smooth error of the flux calibration; 0 leaves it out.

    Returns:
        flux and ivar, shape (n,). Pixels outside the template's wavelengths have both 0.
    """
    sharp = convolved(template.flux, template.wavelength)
    return record(
        template.wavelength, sharp, rng, wavelength=wavelength, snr=snr, v_rad=v_rad,
        calibration_error=calibration_error,
    )  # fmt: skip


def record(rest: FloatArray, sharp: FloatArray, rng: np.random.Generator, *, wavelength: FloatArray,
           snr: float, v_rad: float, calibration_error: float) -> tuple[FloatArray, FloatArray]:  # fmt: skip
    """The last part of `observe`, for a flux `sharp` at wavelengths `rest` that is convolved already."""
    moved = observed_wavelength(rest, v_rad)
    flux = np.interp(wavelength, moved, sharp)
    covered = (wavelength >= moved[0]) & (wavelength <= moved[-1])
    if calibration_error > 0:
        flux = flux * calibration(wavelength, rng, calibration_error)
    sigma = noise_shape(wavelength, flux)
    central = covered & (wavelength >= SNR_RANGE[0]) & (wavelength <= SNR_RANGE[1])
    central = central if central.any() else covered
    sigma *= float(np.median(flux[central] / sigma[central])) / snr
    noisy = flux + sigma * rng.standard_normal(wavelength.size)
    return np.where(covered, noisy, 0.0), np.where(covered, sigma**-2.0, 0.0)
