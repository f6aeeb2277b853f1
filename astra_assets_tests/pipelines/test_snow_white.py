"""SnowWhite: its table, how classes are named, and the way from a spectrum to a row."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import insert, select

from astra_assets.models.base import bit
from astra_assets.models.boss import BossCombinedSpectrum
from astra_assets.models.cartons import cartons, pack
from astra_assets.pipelines import pipeline
from astra_assets.pipelines.base import Unusable, WorkContext
from astra_assets.pipelines.snow_white import SNOW_WHITE, SnowWhite, classify_star, load_models
from astra_assets.pipelines.snow_white.classifier import ClassifierError
from astra_assets.pipelines.snow_white.table import NO_COLUMN, PROBABILITIES, column_of, named, published
from astra_assets.pipelines.white_dwarf.errors import total_logg, total_teff
from astra_assets.pipelines.white_dwarf.grid import load_grid
from astra_assets.registry.columns import info, own_columns
from astra_assets.spectra.base import Roots, Spectrum
from astra_assets.spectra.grid import BOSS_GRID
from astra_assets.synthesis.observing import observe
from astra_assets.synthesis.simulate import ObservingConditions, simulate
from astra_assets.synthesis.templates import Template


def context(**settings):
    return WorkContext(Roots(Path(), Path()), "0.8.1", datetime(2026, 1, 1), settings)  # noqa: DTZ001 - naive UTC


@pytest.fixture(scope="module")
def resources():
    return load_models(context())


def white_dwarf(teff=13000.0, logg=8.0, snr=40.0):
    grid = load_grid()
    flux = grid.flux(teff, logg)
    template = Template("DA", teff, logg, grid.wavelength, flux / np.median(flux))
    wavelength = BOSS_GRID.wavelength[(BOSS_GRID.wavelength > 3650) & (BOSS_GRID.wavelength < 10300)]
    rng = np.random.default_rng(9)
    flux, ivar = observe(template, rng, wavelength=wavelength, snr=snr, v_rad=30.0)
    return Spectrum(wavelength=wavelength, flux=flux, ivar=ivar)


def quasar():
    rng = np.random.default_rng(2)
    return next(simulate("QSO", rng, 1, ObservingConditions(snr=(40.0, 40.0), defects=False)))


class TestTable:
    def test_columns_are_those_of_astra_in_order(self):
        names = [column.key for column in own_columns(SnowWhite)]
        assert names[0] == "classification"
        assert names[1:28] == list(PROBABILITIES)
        assert names[28:] == [
            "teff",
            "e_teff",
            "logg",
            "e_logg",
            "v_rel",
            "raw_e_teff",
            "raw_e_logg",
            "result_flags",
        ]
        assert len(PROBABILITIES) == 27
        assert {"p_da", "p_da_ms", "p_hotdq", "p_mwd", "p_dzba"} <= set(PROBABILITIES)

    def test_bits_of_the_flags_are_those_of_astra(self):
        names = (
            "low_snr",
            "unconverged",
            "teff_grid_edge_bad",
            "logg_grid_edge_bad",
            "no_flux",
            "not_mwm_wd",
        )
        assert [bit(SnowWhite, "result_flags", name) for name in names] == [1, 2, 4, 8, 16, 32]

    def test_headings_and_units_are_declared(self):
        columns = {column.key: info(column) for column in own_columns(SnowWhite)}
        assert columns["p_cv"].category == "Classification Probabilities"
        assert columns["teff"].category == "Stellar Parameters"
        assert columns["teff"].definition.unit == "K"
        assert columns["raw_e_logg"].category == "Formal uncertainties"
        assert columns["result_flags"].category == "Metadata"

    def test_a_row_can_be_stored_and_read(self, database, resources):
        row = classify_star(white_dwarf(), resources)
        values = {c.key: getattr(row, c.key) for c in own_columns(SnowWhite)}
        with database.begin() as connection:
            (pk,) = database.reserve_spectrum_pks(connection, 1)
            connection.execute(insert(SnowWhite), [{"spectrum_pk": int(pk), "v_astra": 8001, **values}])
            stored = connection.execute(select(SnowWhite.__table__)).mappings().one()
        assert stored["classification"] == "DA"
        assert stored["v_astra_major_minor"] == 8
        assert stored["p_da"] == pytest.approx(row.p_da)
        assert stored["teff"] == pytest.approx(row.teff)


NO_GAIA = 1 << 6
"""The flag `missing_bp_rp_mag`: nothing but a spectrum is known."""


class TestNames:
    @pytest.mark.parametrize(
        ("probabilities", "name"),
        [
            ({"DA": 0.5, "DB": 0.5}, "DA"),
            ({"DA": 0.97, "DAH": 0.03}, "DA"),
            ({"DA": 0.45, "DAH": 0.30, "DB": 0.25}, "DA/DAH"),
            ({"DA": 0.45, "DAH": 0.27, "DB": 0.20, "DC": 0.08}, "DA:"),
            ({"QSO": 0.4, "DC": 0.1, "DZ": 0.1, "DQ": 0.1, "DB": 0.1, "CV": 0.1, "DO": 0.1}, "QSO:"),
            ({"STAR": 1.0}, "STAR"),
        ],
    )
    def test_a_class_is_certain_doubtful_or_one_of_two(self, probabilities, name):
        assert named(probabilities) == name

    def test_columns_of_classes_are_found_whatever_their_case(self):
        assert column_of("DA_MS") == "p_da_ms"
        assert column_of("hotDQ") == "p_hotdq"
        assert column_of("QSO") is None
        with pytest.raises(KeyError):
            column_of("NOVA")

    def test_classes_that_were_not_trained_are_null_and_others_have_no_column(self):
        values = published({"DA": 0.6, "QSO": 0.3, "CV": 0.1})
        assert set(values) == set(PROBABILITIES)
        assert values["p_da"] == 0.6
        assert values["p_dabz"] is None
        assert {name for name, value in values.items() if value is not None} == {"p_da", "p_cv"}


class TestStar:
    def test_a_da_is_classified_and_fitted(self, resources):
        spectrum = white_dwarf()
        row = classify_star(spectrum, resources)
        assert row.classification == "DA"
        assert row.p_da > 0.9
        model = np.interp(spectrum.wavelength, BOSS_GRID.wavelength, row.model_flux)
        residual = (spectrum.flux - model) * np.sqrt(spectrum.ivar)
        assert np.nanstd(residual[spectrum.ivar > 0]) == pytest.approx(1, abs=0.15)
        assert row.teff == pytest.approx(13000, rel=0.05)
        assert row.logg == pytest.approx(8.0, abs=0.15)
        assert row.e_teff == pytest.approx(total_teff(row.teff, row.raw_e_teff))
        assert row.e_logg == pytest.approx(total_logg(row.raw_e_logg))
        assert row.result_flags == NO_GAIA

    def test_a_quasar_gets_its_class_and_no_fit(self, resources):
        row = classify_star(quasar(), resources)
        assert row.classification == "QSO"
        assert row.model_flux is None
        assert sum(getattr(row, name) or 0.0 for name in PROBABILITIES) < 0.5
        assert row.teff is None
        assert row.logg is None
        assert row.result_flags == NO_GAIA

    def test_a_noisy_da_is_flagged(self, resources):
        row = classify_star(white_dwarf(snr=6.0), resources)
        assert row.classification == "DA"
        assert row.result_flags & bit(SnowWhite, "result_flags", "low_snr")

    def test_every_probability_of_a_trained_class_is_filled(self, resources):
        row = classify_star(white_dwarf(), resources)
        filled = {name for name in PROBABILITIES if isinstance(getattr(row, name), float)}
        trained = {f"p_{name.lower()}" for name in resources.classifier.classes if name not in NO_COLUMN}
        assert filled == trained
        assert row.p_dabz is None

    def test_magnitudes_of_gaia_leave_nothing_to_say(self, resources):
        known = {"g_mag": 17.0, "bp_mag": 17.0, "rp_mag": 17.06, "plx": 7.9, "e_plx": 0.1}
        row = classify_star(replace(white_dwarf(), row=known), resources)
        assert row.classification == "DA"
        assert not row.result_flags & NO_GAIA

    def test_a_spectrum_like_none_is_told_and_not_named(self, resources):
        spectrum = white_dwarf()
        upside_down = replace(spectrum, flux=-spectrum.flux)
        row = classify_star(upside_down, resources)
        assert row.classification == "UNKNOWN"
        assert row.result_flags & bit(SnowWhite, "result_flags", "none_of_these")

    def test_noise_is_never_given_a_certain_class(self, resources):
        spectrum = white_dwarf()
        noise = np.random.default_rng(1).normal(size=spectrum.flux.size)
        row = classify_star(replace(spectrum, flux=noise, ivar=np.ones_like(noise)), resources)
        assert row.result_flags & bit(SnowWhite, "result_flags", "undecided")
        assert row.classification not in resources.classifier.classes or row.classification == "UNKNOWN"

    def test_a_spectrum_without_flux_is_unusable(self, resources):
        spectrum = white_dwarf()
        with pytest.raises(Unusable) as error:
            classify_star(
                Spectrum(spectrum.wavelength, spectrum.flux, np.zeros_like(spectrum.ivar)), resources
            )
        assert error.value.code == "no_flux"

    def test_a_spectrum_of_sdss_i_on_its_own_is_classified(self, resources):
        spectrum = white_dwarf()
        inside = (spectrum.wavelength > 3820) & (spectrum.wavelength < 9200)
        pixels = (getattr(spectrum, name)[inside] for name in ("wavelength", "flux", "ivar"))
        assert classify_star(Spectrum(*pixels), resources).classification == "DA"


class TestDeclaration:
    def test_it_is_registered_with_the_names_of_astra(self):
        assert pipeline("snow_white") is SNOW_WHITE
        assert (SNOW_WHITE.name, SNOW_WHITE.key, SNOW_WHITE.group, SNOW_WHITE.product) == (
            "SnowWhite", "snow_white", "SnowWhite", "SnowWhite",
        )  # fmt: skip
        assert [step.name for step in SNOW_WHITE.steps] == ["star_filter", "star", "astra_star"]
        assert all(step.inputs is BossCombinedSpectrum for step in SNOW_WHITE.steps[:2])
        assert SNOW_WHITE.filters_before(SNOW_WHITE.step("star")) == (SNOW_WHITE.step("star_filter"),)

    def test_the_filter_keeps_sources_of_the_program_mwm_wd(self):
        (requirement,) = SNOW_WHITE.step("star_filter").requires
        label = next(carton.label for carton in cartons() if carton.program == "mwm_wd")
        other = next(carton.label for carton in cartons() if carton.program == "mwm_yso")
        bits = np.array([pack([label]), pack([other]), pack([label, other]), b"", None], dtype=object)
        assert requirement.code == "not_mwm_wd"
        assert requirement.test({"sdss5_target_flags": bits}).tolist() == [True, False, True, False, False]

    def test_the_setting_names_another_classifier(self, tmp_path):
        with pytest.raises(ClassifierError, match=r"mine\.onnx: there is no such file"):
            load_models(context(snow_white_classifier=str(tmp_path / "mine.onnx")))
