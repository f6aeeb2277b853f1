"""Spectra with known answers that the pipelines were neither trained nor made on: what validation runs through.

Truth is not what is fitted: DA are `synthesis.perturbed`, every velocity has the zero-point error of a visit,
flux calibrations are wrong, and half of the spectra have one of `synthesis.faults`. Gaia's numbers are made with
the relations of the demo survey and not with those of the prior.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from astra_assets.demo.kinds import EXTRAGALACTIC, absolute_magnitude, colour
from astra_assets.demo.photometry import g_magnitude
from astra_assets.spectra.base import Spectrum
from astra_assets.spectra.grid import BOSS_GRID
from astra_assets.synthesis.faults import FAULTS
from astra_assets.synthesis.observing import observe
from astra_assets.synthesis.opacity import normalised, reddened, wavelength_scale
from astra_assets.synthesis.perturbed import Perturbation, perturbed_da
from astra_assets.synthesis.templates import Template, draw

SHARES = {
    "DA": 0.56, "DB": 0.06, "DC": 0.06, "STAR": 0.10, "SDB": 0.04, "QSO": 0.04, "GALAXY": 0.03, "DA_MS": 0.04,
    "DAH": 0.02, "DZ": 0.02, "DQ": 0.02, "CV": 0.01,
}  # fmt: skip
"""Parts of the classes, near those of a sample that is chosen as white dwarfs (Gentile Fusillo et al. 2021)."""
FAULTLESS = 0.5
"""Part of the spectra without one of `FAULTS`."""
ZERO_POINT = 5.0
"""Error of the zero point of the wavelengths [km/s]."""
SNR = (2.0, 80.0)
"""Limits of the S/N per pixel, which is uniform in its logarithm."""
WITHOUT_GAIA = 0.1
"""Part of the sources without colours."""


@dataclass(frozen=True, eq=False)
class Observed:
    """A spectrum and what is true of it; numbers are None where they mean nothing or are not known.

    `kind` is one of SnowWhite's classes; `teff` in K, `logg` in log10(cm s-2), `v_rad` and its error `e_v_rad`
    in km/s; `fault` is one of `FAULTS`; `origin` says where it is from.
    """

    spectrum: Spectrum
    kind: str
    snr: float
    fault: str = "none"
    origin: str = "simulated"
    teff: float | None = None
    logg: float | None = None
    v_rad: float | None = None
    e_v_rad: float = 0.0


def draw_sample(number: int, seed: int) -> Iterator[Observed]:
    """So many spectra; each depends on the seed and its own number only."""
    kinds = np.array(list(SHARES))
    shares = np.array(list(SHARES.values()))
    for place in range(number):
        rng = np.random.default_rng([seed, place])
        yield _observed(str(rng.choice(kinds, p=shares / shares.sum())), rng)


def _observed(kind: str, rng: np.random.Generator) -> Observed:
    template = _template(kind, rng)
    snr = float(np.exp(rng.uniform(*np.log(SNR))))
    moves = kind not in EXTRAGALACTIC
    v_rad = float(rng.normal(30.0, 50.0)) if moves else 0.0
    wavelength = BOSS_GRID.wavelength
    shifted = v_rad + (float(rng.normal(0.0, ZERO_POINT)) if moves else 0.0)
    flux, ivar = observe(template, rng, wavelength=wavelength, snr=snr, v_rad=shifted)
    spectrum = Spectrum(wavelength, flux, ivar, row=_gaia(template, snr, rng))
    names = [name for name in FAULTS if name != "none"]
    fault = "none" if rng.random() < FAULTLESS else str(rng.choice(names))
    is_da = kind == "DA"
    return Observed(
        FAULTS[fault](spectrum, rng),
        kind,
        snr,
        fault,
        teff=template.teff if is_da else None,
        logg=template.logg if is_da else None,
        v_rad=v_rad if is_da else None,
    )


def _template(kind: str, rng: np.random.Generator) -> Template:
    """A template of `synthesis`, but for DA, which are perturbed."""
    if kind != "DA":
        return draw(kind, rng)
    teff = float(np.clip(np.exp(rng.normal(np.log(14_500.0), 0.45)), 6500.0, 80_000.0))
    logg = float(np.clip(rng.normal(8.02, 0.2), 7.1, 8.9))
    flux = reddened(perturbed_da(teff, logg, Perturbation.drawn(rng)), min(float(rng.exponential(0.03)), 0.3))
    return Template("DA", teff, logg, wavelength_scale(), normalised(flux))


def _gaia(template: Template, snr: float, rng: np.random.Generator) -> dict[str, float | None]:
    """The columns that Gaia gives a source, as a row has them."""
    if rng.random() < WITHOUT_GAIA:
        return {"g_mag": None, "bp_mag": None, "rp_mag": None, "plx": None, "e_plx": None, "snr": snr}
    g_mag = float(g_magnitude(np.array([snr]))[0]) + float(rng.normal(0.0, 0.15))
    bp_rp = colour(template.kind, template.teff, rng) + float(rng.normal(0.03, 0.03))
    error = 0.03 + 0.04 * 10.0 ** (0.2 * (g_mag - 17.0))
    parallax = 0.0
    if template.kind not in EXTRAGALACTIC:
        absolute = absolute_magnitude(template.kind, template.teff, template.logg, rng)
        parallax = float(1000.0 / 10.0 ** ((g_mag - absolute + 5.0) / 5.0))
    return {
        "g_mag": g_mag,
        "bp_mag": g_mag + 0.35 * bp_rp,
        "rp_mag": g_mag - 0.65 * bp_rp,
        "plx": parallax + float(rng.normal(0.0, error)),
        "e_plx": error,
        "snr": snr,
    }


def without_gaia(observed: Observed) -> Observed:
    """The same with nothing known but the spectrum."""
    return replace(observed, spectrum=replace(observed.spectrum, row={"snr": observed.snr}))
