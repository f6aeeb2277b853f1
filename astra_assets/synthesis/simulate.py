"""Simulated observations that the classifier is trained on and tested with.

Templates become `Spectrum` objects with all the defects that must not matter: noise, velocities, masked pixels, missing
ends, errors that are wrong, telluric bands, interstellar lines, low resolution.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from astra_assets.astronomy.constants import SPEED_OF_LIGHT
from astra_assets.spectra.base import Spectrum
from astra_assets.spectra.grid import BOSS_GRID
from astra_assets.synthesis.faults import FAULTS, masked_between, spikes
from astra_assets.synthesis.observing import convolved, record
from astra_assets.synthesis.opacity import FloatArray, gaussian, smoothed
from astra_assets.synthesis.templates import Template, draw

COVERAGES = ((3600.0, 10300.0), (3650.0, 10400.0), (3820.0, 9200.0), (3500.0, 9200.0))
"""First and last wavelength [Angstrom] of BOSS visits, their coadds, SDSS-I, and older spectra."""
_TELLURIC = (
    (6872.0, 6925.0, 0.15),
    (7170.0, 7330.0, 0.08),
    (7594.0, 7690.0, 0.40),
    (8140.0, 8340.0, 0.08),
    (8940.0, 9200.0, 0.15),
)


@dataclass(frozen=True)
class ObservingConditions:
    """What observations are drawn from: a range of S/N per pixel (log-uniform), with defects or without."""

    snr: tuple[float, float] = (2.5, 120.0)
    defects: bool = True
    """The usual defects of every spectrum, and in half of the spectra one or two of `faults.FAULTS`."""


TRAINING = ObservingConditions()
"""What the packaged classifier is trained on: fainter and brighter than a survey, with all defects."""


def simulate(
    kind: str, rng: np.random.Generator, number: int, conditions: ObservingConditions = TRAINING
) -> Iterator[Spectrum]:
    """A random object of a kind, observed `number` times; only the object is the same."""
    template = draw(kind, rng)
    sharp = convolved(template.flux, template.wavelength)
    for _ in range(number):
        yield _observation(template, sharp, rng, conditions)


def _observation(
    template: Template, sharp: FloatArray, rng: np.random.Generator, conditions: ObservingConditions
) -> Spectrum:
    lowest, highest = np.log(conditions.snr)
    snr = float(np.exp(rng.uniform(lowest, highest)))
    v_rad = float(rng.normal(0.0, 60.0) if rng.random() < 0.6 else rng.uniform(-500.0, 500.0))
    first, last = COVERAGES[int(rng.choice(len(COVERAGES), p=(0.45, 0.3, 0.2, 0.05)))]
    wavelength = BOSS_GRID.wavelength[(BOSS_GRID.wavelength > first) & (BOSS_GRID.wavelength < last)]
    if conditions.defects:
        sharp = _on_the_way(template, sharp, rng)
    flux, ivar = record(
        template.wavelength, sharp, rng, wavelength=wavelength, snr=snr, v_rad=v_rad,
        calibration_error=float(rng.choice([0.02, 0.05, 0.12])),
    )  # fmt: skip
    if conditions.defects:
        flux, ivar = _spoiled(wavelength, flux, ivar, rng)
    spectrum = Spectrum(wavelength=wavelength, flux=flux, ivar=ivar)
    return _with_faults(spectrum, rng) if conditions.defects else spectrum


_FAULTS = (
    (0.14, "lost_line"),
    (0.07, "ends_early"),
    (0.05, "begins_late"),
    (0.05, "scattered_gaps"),
    (0.10, "spikes"),
    (0.15, "sky_residuals"),
    (0.05, "over_subtracted"),
    (0.04, "errors_half"),
    (0.04, "errors_double"),
    (0.04, "step_between_arms"),
    (0.04, "miscalibrated"),
)
"""Faults that training goes through, each with its own chance."""
_LINES_TO_LOSE = (
    6564.6,
    6564.6,
    4862.7,
    4341.7,
    4102.9,
    3960.0,
    5877.0,
    4472.7,
    4687.0,
    3934.8,
    5170.0,
    8190.0,
)


def _with_faults(spectrum: Spectrum, rng: np.random.Generator) -> Spectrum:
    """The spectrum with those of `_FAULTS` that chance gives it, but never without most of the lines."""
    for chance, name in _FAULTS:
        if rng.random() > chance:
            continue
        if name == "lost_line":
            for line in rng.choice(_LINES_TO_LOSE, size=int(rng.integers(1, 3)), replace=False):
                half = float(rng.uniform(15.0, 130.0))
                spectrum = masked_between(float(line) - half, float(line) + half)(spectrum, rng)
        elif name == "ends_early":
            spectrum = masked_between(float(rng.uniform(5700.0, 7500.0)), np.inf)(spectrum, rng)
        elif name == "begins_late":
            if spectrum.ivar[spectrum.wavelength > 6500.0].any():
                spectrum = masked_between(0.0, float(rng.uniform(3900.0, 4700.0)))(spectrum, rng)
        elif name == "spikes":
            spectrum = spikes(int(rng.integers(5, 80)))(spectrum, rng)
        else:
            spectrum = FAULTS[name](spectrum, rng)
    return spectrum


def _on_the_way(template: Template, sharp: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Lower resolution, telluric bands that were not removed, interstellar Ca II and Na I."""
    wavelength = template.wavelength
    if rng.random() < 0.15:
        sharp = smoothed(sharp, float(rng.uniform(50.0, 260.0)))
    if rng.random() < 0.15:
        factor = rng.uniform(0.2, 1.5)
        for first, last, depth in _TELLURIC:
            sharp = sharp * np.where(
                (wavelength > first) & (wavelength < last), 1 - min(factor * depth, 0.9), 1.0
            )
    if rng.random() < 0.10:
        depth = rng.uniform(0.02, 0.25)
        for centre, share in ((3934.8, 1.0), (3969.6, 0.5), (5891.6, 0.7), (5897.6, 0.5)):
            sharp = sharp * (1 - depth * share * gaussian(centre, centre * 75.0 / SPEED_OF_LIGHT))
    return sharp


def _spoiled(
    wavelength: FloatArray, flux: FloatArray, ivar: FloatArray, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Masked pixels, sky lines, cosmic rays, a step between the arms, errors wrong by some ten per cent."""
    flux, ivar = flux.copy(), ivar.copy()
    if rng.random() < 0.2:
        flux *= np.where(wavelength > rng.uniform(5900.0, 6200.0), 1 + rng.normal(0.0, 0.04), 1.0)
    for _ in range(rng.poisson(1.5)):
        start = int(rng.integers(wavelength.size))
        ivar[start : start + int(rng.integers(2, 60))] = 0.0
    ivar[rng.random(wavelength.size) < rng.choice([0.0, 0.01, 0.05])] = 0.0
    for line in (5578.5, 5891.6, 6301.7, 6365.5):
        if rng.random() < 0.4:
            near = np.abs(wavelength - line) < 4.0
            flux[near] += rng.normal(0.0, 6.0, int(near.sum())) / np.sqrt(
                np.maximum(ivar[near], ivar.max() * 1e-3)
            )
    red = wavelength > 7200.0
    if rng.random() < 0.3:
        spikes = red & (rng.random(wavelength.size) < 0.02)
        flux[spikes] += rng.normal(0.0, 5.0, int(spikes.sum())) / np.sqrt(
            np.maximum(ivar[spikes], ivar.max() * 1e-3)
        )
    for _ in range(rng.poisson(0.5)):
        flux[int(rng.integers(wavelength.size))] *= rng.uniform(1.2, 3.0)
    ivar *= np.exp(rng.normal(0.0, 0.25))
    if rng.random() < 0.08:  # a text file without errors: 2 % assumed
        ivar = np.where(ivar > 0, 1.0 / np.maximum(0.02 * np.abs(flux), 1e-6) ** 2, 0.0)
    return flux, ivar
