"""SnowWhite and Corv on spectra with faults: no confident nonsense, no error, no long wait."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from astra_assets.models.base import bit
from astra_assets.pipelines.base import Unusable
from astra_assets.pipelines.corv import Corv, fit_visit
from astra_assets.pipelines.snow_white import SnowWhite, SnowWhiteModels, classify_star
from astra_assets.pipelines.snow_white.classifier import load_classifier
from astra_assets.pipelines.white_dwarf.grid import load_grid
from astra_assets.spectra.airvac import vacuum_to_air
from astra_assets.spectra.base import Spectrum
from astra_assets.spectra.grid import BOSS_GRID
from astra_assets.synthesis.faults import FAULTS
from astra_assets.synthesis.observing import observe
from astra_assets.synthesis.opacity import normalised, wavelength_scale
from astra_assets.synthesis.perturbed import Perturbation, perturbed_da
from astra_assets.synthesis.simulate import ObservingConditions, simulate
from astra_assets.synthesis.templates import Template, draw

WAVELENGTH = BOSS_GRID.wavelength
OPEN = bit(SnowWhite, "result_flags", "undecided") | bit(SnowWhite, "result_flags", "none_of_these")


@pytest.fixture(scope="module")
def models():
    return SnowWhiteModels(load_classifier(), load_grid())


def observed(template, snr, v_rad=30.0, seed=1):
    flux, ivar = observe(template, np.random.default_rng(seed), wavelength=WAVELENGTH, snr=snr, v_rad=v_rad)
    return Spectrum(WAVELENGTH, flux, ivar)


def white_dwarf(number, snr=25.0):
    rng = np.random.default_rng([77, number])
    teff, logg = float(np.exp(rng.uniform(np.log(8500), np.log(35_000)))), float(rng.normal(8.0, 0.15))
    flux = normalised(perturbed_da(teff, logg, Perturbation.drawn(rng)))
    return observed(Template("DA", teff, logg, wavelength_scale(), flux), snr, seed=number)


@pytest.mark.parametrize("fault", [name for name in FAULTS if name != "blue_arm_dead"])
def test_ten_of_twelve_white_dwarfs_stay_what_they_are_whatever_the_fault(models, fault):
    rows = [classify_star(FAULTS[fault](white_dwarf(n), np.random.default_rng(n)), models) for n in range(12)]
    right = [row.classification == "DA" for row in rows]
    still_open = [bool(row.result_flags & OPEN) for row in rows]
    assert sum(r or o for r, o in zip(right, still_open, strict=True)) == 12
    assert sum(right) >= 10


def test_a_spectrum_without_the_blue_arm_is_refused(models):
    with pytest.raises(Unusable) as raised:
        classify_star(FAULTS["blue_arm_dead"](white_dwarf(0), np.random.default_rng(0)), models)
    assert raised.value.code == "too_little_coverage"


def test_faint_white_dwarfs_are_found(models):
    found = [
        classify_star(white_dwarf(n, snr), models).classification for n in range(15) for snr in (3.5, 6.0)
    ]
    assert found.count("DA") >= 27


def test_stars_of_late_type_have_no_white_dwarf_beside_them(models):
    from astra_assets.synthesis import late_types

    rng = np.random.default_rng(4)
    wrong = 0
    for number in range(24):
        drawn = (late_types.draw_m_star, late_types.draw_l_dwarf, late_types.draw_carbon_star)[number % 3](
            rng
        )
        template = Template("STAR", drawn[0], drawn[1], wavelength_scale(), normalised(drawn[2]))
        wrong += classify_star(observed(template, 20.0, seed=number), models).classification != "STAR"
    assert wrong <= 1


BROKEN = {
    "nothing": (0.0, 1.0),
    "constant": (1.0, 1.0),
    "huge errors": (1.0, 1e-30),
    "tiny errors": (1.0, 1e30),
    "infinite ivar": (1.0, np.inf),
    "not a number": (np.nan, 1.0),
    "negative": (-1.0, 1.0),
    "negative ivar": (1.0, -1.0),
}


@pytest.mark.parametrize("kind", [*BROKEN, "no pixel", "one pixel", "nanometres", "steps", "alternating"])
@pytest.mark.filterwarnings("error")
def test_nothing_broken_raises_or_takes_long(models, kind):
    spectrum = white_dwarf(3)
    if kind in BROKEN:
        factor, ivar = BROKEN[kind]
        spectrum = replace(spectrum, flux=spectrum.flux * factor if kind != "constant" else np.ones_like(WAVELENGTH),
                           ivar=np.full_like(WAVELENGTH, ivar))  # fmt: skip
    elif kind in {"no pixel", "one pixel"}:
        number = ("no pixel", "one pixel").index(kind)
        spectrum = Spectrum(WAVELENGTH[:number], spectrum.flux[:number], spectrum.ivar[:number])
    elif kind == "nanometres":
        spectrum = replace(spectrum, wavelength=WAVELENGTH / 10)
    elif kind == "steps":
        spectrum = replace(
            spectrum, flux=np.where(WAVELENGTH < 5000, 1.0, 1e6), ivar=np.ones_like(WAVELENGTH)
        )
    else:
        spectrum = replace(spectrum, flux=spectrum.flux * np.where(np.arange(WAVELENGTH.size) % 2, 1, -1))
    began = time.process_time()
    answers = [_answer(classify_star, spectrum, models), _answer(fit_visit, spectrum, models.grid)]
    assert all(answers)
    assert time.process_time() - began < 2.0


def _answer(function, spectrum, resources):
    """Whether there is a row of finite numbers, or a code that says why there is none."""
    try:
        row = function(spectrum, resources)
    except Unusable as error:
        return error.code in {"no_flux", "too_little_coverage", "no_usable_lines"}
    return np.isfinite([value for value in vars(row).values() if isinstance(value, float)]).all()


def test_a_result_does_not_depend_on_what_came_before(models):
    first, second = white_dwarf(1), next(simulate("QSO", np.random.default_rng(1), 1, ObservingConditions()))
    alone = classify_star(first, models)
    classify_star(second, models)
    again = classify_star(first, models)
    assert (alone.p_da, alone.teff, alone.logg) == (again.p_da, again.teff, again.logg)


def test_a_magnetic_star_is_a_bad_fit():
    rng = np.random.default_rng(5)
    rows = [fit_visit(observed(draw("DAH", rng), 30.0, seed=n), load_grid()) for n in range(6)]
    assert sum(bool(row.result_flags & bit(Corv, "result_flags", "bad_fit")) for row in rows) >= 5


@pytest.mark.parametrize("snr", [10.0, 30.0, 80.0])
def test_a_normal_white_dwarf_is_no_bad_fit_although_models_are_not_exact(snr):
    rows = [fit_visit(white_dwarf(n, snr), load_grid()) for n in range(6)]
    assert not any(row.result_flags & bit(Corv, "result_flags", "bad_fit") for row in rows)


def test_a_velocity_is_never_better_than_the_zero_point():
    assert fit_visit(white_dwarf(2, 200.0), load_grid()).e_v_rad > 5.0


def test_air_wavelengths_are_flagged():
    spectrum = white_dwarf(2)
    in_air = replace(spectrum, wavelength=vacuum_to_air(WAVELENGTH))
    flag = bit(Corv, "result_flags", "air_wavelengths")
    assert not fit_visit(spectrum, load_grid()).result_flags & flag
    row = fit_visit(in_air, load_grid())
    assert row.result_flags & flag
    assert row.v_rad == pytest.approx(30.0 - 83.0, abs=20)


def test_gaia_chooses_between_hot_and_cold():
    flux = normalised(perturbed_da(11_500.0, 7.9, Perturbation()))
    spectrum = observed(Template("DA", 11_500.0, 7.9, wavelength_scale(), flux), 6.0, seed=2)
    spectrum = replace(spectrum, ivar=np.where(WAVELENGTH > 5000, 0.0, spectrum.ivar))
    chose, open_ = (bit(Corv, "result_flags", name) for name in ("gaia_chose", "hot_or_cold"))
    alone = fit_visit(spectrum, load_grid())
    assert alone.result_flags & open_
    cold = {"g_mag": 17.0, "bp_mag": 17.02, "rp_mag": 17.0, "plx": 8.7, "e_plx": 0.1}
    helped = fit_visit(replace(spectrum, row=cold), load_grid())
    assert helped.teff < 13_000
    assert helped.result_flags & chose
    assert not helped.result_flags & open_
