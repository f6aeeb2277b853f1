"""Faults that spectra of a survey have, each as a function of a spectrum: for training, validation and tests.

A fault changes pixels only; what it does depends on the random generator that it is given and on nothing else.
Masked pixels have ivar 0, and so have those of a dead arm; spikes and residuals keep the ivar that the
reduction believes in, which is what makes them dangerous.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

from astra_assets.spectra.base import Spectrum
from astra_assets.synthesis.opacity import FloatArray

Fault: TypeAlias = Callable[[Spectrum, np.random.Generator], Spectrum]

ARMS_MEET = 6000.0
"""Wavelength [Angstrom] at which the blue and the red arm of BOSS meet."""
SKY_LINES = (5578.9, 5891.6, 6302.0, 6365.5, 7278.3, 7342.9, 7752.8, 7796.6, 7823.5, 7915.7, 7966.8, 8346.9,
             8401.5, 8432.5, 8467.7, 8507.2, 8780.5, 8829.7, 8888.3, 8922.1, 8960.6)  # fmt: skip
"""The strongest night-sky lines, vacuum [Angstrom] (Osterbrock et al. 1996, PASP 108, 277)."""


def masked(spectrum: Spectrum, lost: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Spectrum:
    """The spectrum with flux and ivar 0 in some pixels."""
    return replace(spectrum, flux=np.where(lost, 0.0, spectrum.flux), ivar=np.where(lost, 0.0, spectrum.ivar))


def masked_between(first: float, last: float) -> Fault:
    """A fault: no data between two wavelengths [Angstrom]."""

    def fault(spectrum: Spectrum, rng: np.random.Generator) -> Spectrum:  # noqa: ARG001 - nothing random
        return masked(spectrum, (spectrum.wavelength >= first) & (spectrum.wavelength <= last))

    return fault


def spikes(number: int) -> Fault:
    """A fault: cosmic rays on so many places, 1 to 3 pixels wide, 8 to 200 times the noise or the flux high."""

    def fault(spectrum: Spectrum, rng: np.random.Generator) -> Spectrum:
        flux = spectrum.flux.copy()
        good = np.flatnonzero(spectrum.ivar > 0)
        noise = float(np.median(spectrum.ivar[good])) ** -0.5
        level = float(np.median(np.abs(flux[good])))
        for start in rng.choice(good, size=number, replace=False):
            height = float(np.exp(rng.uniform(np.log(8.0), np.log(200.0)))) * noise
            if rng.random() < 0.3:
                height = float(rng.uniform(0.5, 10.0)) * level
            width = int(rng.choice([1, 2, 3], p=[0.6, 0.3, 0.1]))
            flux[start : start + width] += height * rng.uniform(0.6, 1.0, len(flux[start : start + width]))
        return replace(spectrum, flux=flux)

    return fault


def sky_residuals(spectrum: Spectrum, rng: np.random.Generator) -> Spectrum:
    """Lines of the night sky that were subtracted too little or too much, by up to 40 times the noise."""
    flux = spectrum.flux.copy()
    sigma = np.where(spectrum.ivar > 0, np.maximum(spectrum.ivar, 1e-30) ** -0.5, 0.0)
    for line in SKY_LINES:
        amount = rng.normal(0.0, 10.0) if line > 7000 else rng.normal(0.0, 15.0)
        shape = np.exp(-0.5 * ((spectrum.wavelength - line) / 1.3) ** 2)
        flux += float(np.clip(amount, -40.0, 40.0)) * shape * sigma
    return replace(spectrum, flux=flux)


def over_subtracted(spectrum: Spectrum, rng: np.random.Generator) -> Spectrum:
    """Too much sky subtracted: 10 to 60 % of the median flux is missing everywhere, so that the faint end is negative."""
    good = spectrum.ivar > 0
    missing = rng.uniform(0.1, 0.6) * float(np.median(spectrum.flux[good]))
    return replace(spectrum, flux=np.where(good, spectrum.flux - missing, spectrum.flux))


def errors_times(factor: float) -> Fault:
    """A fault: the errors that ivar claims are so many times what they should be."""

    def fault(spectrum: Spectrum, rng: np.random.Generator) -> Spectrum:  # noqa: ARG001 - nothing random
        return replace(spectrum, ivar=spectrum.ivar / factor**2)

    return fault


def step_between_arms(spectrum: Spectrum, rng: np.random.Generator) -> Spectrum:
    """The red arm is 15 % too high or too low."""
    factor = 1.0 + 0.15 * float(rng.choice([-1.0, 1.0]))
    red = spectrum.wavelength > ARMS_MEET
    return replace(
        spectrum,
        flux=np.where(red, spectrum.flux * factor, spectrum.flux),
        ivar=np.where(red, spectrum.ivar / factor**2, spectrum.ivar),
    )


def miscalibrated(spectrum: Spectrum, rng: np.random.Generator) -> Spectrum:
    """A flux calibration with smooth errors of some 15 %, as a fibre that is not centred on its star has."""
    from astra_assets.synthesis.observing import calibration

    factor: FloatArray = calibration(spectrum.wavelength, rng, 0.15)
    return replace(spectrum, flux=spectrum.flux * factor, ivar=spectrum.ivar / factor**2)


def scattered_gaps(spectrum: Spectrum, rng: np.random.Generator) -> Spectrum:
    """A fifth of the pixels masked, in pieces of 2 to 40 pixels."""
    lost = np.zeros(spectrum.flux.size, dtype=np.bool_)
    while lost.mean() < 0.2:
        start = int(rng.integers(lost.size))
        lost[start : start + int(rng.integers(2, 40))] = True
    return masked(spectrum, lost)


def unchanged(spectrum: Spectrum, rng: np.random.Generator) -> Spectrum:  # noqa: ARG001 - nothing random
    """No fault."""
    return spectrum


FAULTS: Mapping[str, Fault] = MappingProxyType(
    {
        "none": unchanged,
        "h_alpha_masked": masked_between(6464.0, 6665.0),
        "h_beta_masked": masked_between(4782.0, 4943.0),
        "red_arm_dead": masked_between(ARMS_MEET, np.inf),
        "ends_at_6350": masked_between(6350.0, np.inf),
        "begins_at_4500": masked_between(0.0, 4500.0),
        "blue_arm_dead": masked_between(0.0, ARMS_MEET),
        "scattered_gaps": scattered_gaps,
        "spikes_20": spikes(20),
        "spikes_60": spikes(60),
        "sky_residuals": sky_residuals,
        "over_subtracted": over_subtracted,
        "errors_half": errors_times(0.5),
        "errors_double": errors_times(2.0),
        "step_between_arms": step_between_arms,
        "miscalibrated": miscalibrated,
    }
)
"""The faults that validation goes through, by name."""
