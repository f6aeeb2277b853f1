"""LineForest: strengths of lines that are known, no lines in noise, the same numbers every time."""

from __future__ import annotations

import numpy as np
import pytest

from astra_assets.models.boss import BossCombinedSpectrum, BossVisitSpectrum
from astra_assets.pipelines.base import Unusable, reference_of
from astra_assets.pipelines.line_forest import LINE_FOREST, LineForest, measure_lines
from astra_assets.pipelines.line_forest.lines import LINES, vacuum_wavelengths
from astra_assets.pipelines.line_forest.measure import measure
from astra_assets.registry.columns import own_columns
from astra_assets.spectra.base import Spectrum
from astra_assets.spectra.read import read_file

WAVELENGTH = np.power(10.0, 3.5523 + 1e-4 * np.arange(4648))
POSITION = {line.name: number for number, line in enumerate(LINES)}


def synthetic(
    lines: dict[str, float],
    width: float = 2.0,
    *,
    snr: float = 40.0,
    seed: int = 0,
    wavelength: np.ndarray = WAVELENGTH,
    shape: str = "gauss",
) -> Spectrum:
    """A falling continuum with lines of given equivalent widths [Angstrom] and standard deviation `width`."""
    continuum = 100 * (wavelength / 6000) ** -1.5
    flux = continuum.copy()
    for name, eqw in lines.items():
        x = wavelength - vacuum_wavelengths()[POSITION[name]]
        if shape == "gauss":
            profile = np.exp(-0.5 * (x / width) ** 2) / (width * np.sqrt(2 * np.pi))
        else:
            profile = np.maximum(1 - np.abs(x) / width, 0) / width
        flux -= continuum * eqw * profile
    error = continuum / snr
    noise = np.random.default_rng(seed).standard_normal(wavelength.size)
    return Spectrum(wavelength, flux + error * noise, error**-2, row={"spectrum_pk": 7})


def test_lines_are_those_of_astra_in_its_order():
    assert len(LINES) == 52
    assert [line.name for line in LINES[:2]] == ["h_alpha", "h_beta"]
    assert [line.name for line in LINES[-2:]] == ["o_iii_4363", "li_i"]
    air = {line.name: line.air for line in LINES}
    assert (air["pa_7"], air["ca_k_3933"], air["o_iii_5006"]) == (10049.4889, 3933.6614, 5006.843)
    assert vacuum_wavelengths()[0] == pytest.approx(6564.61, abs=0.03)
    assert LineForest.__table__.columns.keys()[10:16] == [
        *("eqw_h_alpha", "abs_h_alpha", "detection_stat_h_alpha", "detection_raw_h_alpha"),
        *("eqw_percentiles_h_alpha", "abs_percentiles_h_alpha"),
    ]


def test_it_runs_on_coadds_and_visits_in_this_process():
    assert {step.name: step.inputs for step in LINE_FOREST.steps} == {
        "star": BossCombinedSpectrum,
        "visit": BossVisitSpectrum,
    }
    assert all(step.function is measure_lines for step in LINE_FOREST.steps)
    assert reference_of(LINE_FOREST) == "astra_assets.pipelines.line_forest:LINE_FOREST"


@pytest.mark.parametrize(
    ("name", "eqw", "width", "shape"),
    [
        ("h_alpha", 3.0, 1.4, "gauss"),
        ("h_alpha", 20.0, 8.0, "gauss"),
        ("h_alpha", 40.0, 20.0, "gauss"),
        ("h_beta", -10.0, 3.3, "gauss"),
        ("h_8", 8.0, 5.0, "gauss"),
        ("h_12", 2.0, 1.5, "gauss"),
        ("pa_14", 2.0, 2.0, "gauss"),
        ("ca_ii_8542", 3.0, 2.0, "gauss"),
        ("ca_k_3933", 5.0, 3.0, "gauss"),
        ("he_i_5875", -1.5, 2.0, "gauss"),
        ("li_i", 0.6, 1.4, "gauss"),
        ("h_alpha", 5.0, 7.0, "triangle"),
    ],
)
def test_a_line_of_known_strength_is_recovered_within_its_errors(name, eqw, width, shape):
    at = POSITION[name]
    pulls, values = [], []
    for seed in range(6):
        found = measure(synthetic({name: eqw}, width, seed=seed, shape=shape), seed)
        assert found.stored[at]
        low, middle, high = found.eqw_percentiles[at]
        assert low <= middle <= high
        values.append(found.eqw[at])
        pulls.append((found.eqw[at] - eqw) / (0.5 * (high - low)))
        assert np.sign(found.eqw[at]) == np.sign(found.detection[at]) == np.sign(eqw)
        assert found.depth[at] > 0
        assert found.fraction[at] > 0.5
    assert np.abs(pulls).max() < 5
    assert abs(np.mean(pulls)) < 2
    assert abs(np.mean(values) / eqw - 1) < 0.12


def test_the_amplitude_is_that_of_the_profile():
    found = measure(synthetic({"h_beta": 6.0, "he_i_5875": -1.5}, 2.0, snr=100), 0)
    peak = 1 / (2.0 * np.sqrt(2 * np.pi))
    assert found.depth[POSITION["h_beta"]] == pytest.approx(6.0 * peak, rel=0.05)
    assert found.depth[POSITION["he_i_5875"]] == pytest.approx(1.5 * peak, rel=0.08)


def test_neighbours_do_not_change_a_line():
    emission = {"h_alpha": -20.0, "n_ii_6583": -6.0, "n_ii_6548": -2.0}
    found = measure(synthetic(emission, 1.6, snr=60), 0)
    for name, eqw in emission.items():
        assert found.eqw[POSITION[name]] == pytest.approx(eqw, rel=0.08)


def test_noise_is_taken_for_a_line_less_than_once_in_ten_thousand():
    found = [measure(synthetic({}, snr=15, seed=seed), seed) for seed in range(40)]
    assert all(each.covered.all() for each in found)
    assert sum(int(each.stored.sum()) for each in found) == 0


def test_the_same_spectrum_gives_the_same_row_and_another_key_other_draws():
    spectrum = synthetic({"h_alpha": 3.0}, snr=20)
    values = [measure_lines(spectrum, None) for _ in range(2)]
    for column in own_columns(LineForest):
        assert getattr(values[0], column.key) == getattr(values[1], column.key)
    other = measure(spectrum, 8).eqw_percentiles[0]
    assert other.tolist() != values[0].eqw_percentiles_h_alpha
    assert values[0].eqw_h_alpha == pytest.approx(measure(spectrum, 8).eqw[0])


def test_what_is_not_covered_or_not_detected_stays_null():
    blue = WAVELENGTH[WAVELENGTH < 6600]
    row = measure_lines(synthetic({"h_beta": 4.0}, wavelength=blue), None)
    assert row.eqw_h_beta == pytest.approx(4.0, rel=0.1)
    assert (row.eqw_li_i, row.detection_raw_li_i, row.eqw_percentiles_li_i) == (None, None, None)
    assert row.eqw_h_gamma is None
    covered = measure(synthetic({}, wavelength=blue), 0).covered
    assert covered[POSITION["h_beta"]]
    assert not covered[[POSITION[name] for name in ("li_i", "pa_7", "ca_ii_8542", "s_ii_6716")]].any()


def test_a_line_at_the_end_of_the_spectrum_or_on_bad_pixels_is_not_measured():
    centre = vacuum_wavelengths()[POSITION["h_beta"]]
    edge = synthetic({"h_beta": 6.0}, wavelength=WAVELENGTH[centre - 3 < WAVELENGTH])
    assert not measure(edge, 0).covered[POSITION["h_beta"]]
    holed = synthetic({"h_beta": 6.0})
    holed.ivar[np.abs(WAVELENGTH - centre) < 10] = 0
    assert not measure(holed, 0).stored[POSITION["h_beta"]]


def test_a_bad_pixel_in_a_line_is_filled_in_from_the_profile():
    centre = vacuum_wavelengths()[POSITION["h_beta"]]
    spectrum = synthetic({"h_beta": 6.0}, 3.0, snr=80)
    bad = np.abs(WAVELENGTH - centre - 2) < 1
    spectrum.flux[bad], spectrum.ivar[bad] = 0.0, 0.0
    assert measure(spectrum, 0).eqw[POSITION["h_beta"]] == pytest.approx(6.0, rel=0.04)


def test_structure_that_no_line_explains_is_no_detection():
    wiggles = synthetic({}, snr=200)
    flux = wiggles.flux * (1 + 0.03 * np.sin(WAVELENGTH / 3.0))
    assert measure(Spectrum(WAVELENGTH, flux, wiggles.ivar), 0).stored.sum() == 0


def test_a_spectrum_without_any_line_is_unusable():
    short = synthetic({}, wavelength=WAVELENGTH[2000:2060])
    with pytest.raises(Unusable) as raised:
        measure_lines(short, None)
    assert raised.value.code == "no_line_covered"


def test_a_spectrum_whose_continuum_is_noise_has_no_lines():
    rng = np.random.default_rng(3)
    nothing = Spectrum(WAVELENGTH, rng.standard_normal(4648), np.ones(4648))
    assert measure(nothing, 0).stored.sum() == 0


def test_a_real_white_dwarf_has_the_balmer_series_in_absorption(real_spectra):
    found = measure(read_file(real_spectra / "boss_wd" / "spec-4455-55539-0692.fits"), 1)
    names = ["h_alpha", "h_beta", "h_gamma", "h_delta", "h_epsilon", "h_8", "h_9"]
    eqw = [found.eqw[POSITION[name]] for name in names]
    assert all(found.stored[POSITION[name]] for name in names)
    assert 20 < eqw[0] < 36
    assert all(30 < each < 50 for each in eqw[1:3])
    assert eqw[2] > eqw[3] > eqw[4] > eqw[5] > eqw[6] > 0
    others = set(np.flatnonzero(found.stored)) - {POSITION[name] for name in names}
    assert others <= {POSITION["ca_h_3968"]}, "Ca H cannot be told from H epsilon, nothing else is there"


def test_a_real_solar_type_star_has_its_strong_lines(real_spectra):
    found = measure(read_file(real_spectra / "boss_other" / "spec-3586-55181-0500.fits"), 1)
    for name, low, high in (
        ("h_alpha", 1.0, 3.5),
        ("ca_ii_8542", 2.0, 4.0),
        ("ca_ii_8662", 1.3, 3.3),
        ("ca_ii_8498", 0.8, 1.8),
        ("ca_k_3933", 5.0, 14.0),
    ):
        assert low < found.eqw[POSITION[name]] < high
    assert not found.stored[
        [POSITION[name] for name in ("li_i", "o_iii_4959", "n_ii_6583", "he_ii_4685")]
    ].any()
