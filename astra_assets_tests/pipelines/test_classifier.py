"""Features of spectra, and loading, refusing and asking classifiers."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import time

import numpy as np
import pytest
from onnx import TensorProto, helper

from astra_assets.astronomy.constants import SPEED_OF_LIGHT
from astra_assets.pipelines.base import Unusable
from astra_assets.pipelines.snow_white import features
from astra_assets.pipelines.snow_white.classifier import ClassifierError, load_classifier
from astra_assets.pipelines.snow_white.features import FEATURE_VERSION, extract, feature_names
from astra_assets.pipelines.snow_white.table import NO_COLUMN, PROBABILITIES
from astra_assets.spectra.base import Spectrum
from astra_assets.synthesis import train
from astra_assets.synthesis.simulate import ObservingConditions, simulate

SEED = 20_261_123
"""No seed of the training set or the demo survey."""


def simulated(kind, number=1, snr=30.0, seed=SEED, defects=False):
    rng = np.random.default_rng([seed, *kind.encode()])
    return list(simulate(kind, rng, number, ObservingConditions(snr=(snr, snr), defects=defects)))


def changed(spectrum, **pixels):
    return Spectrum(
        **{"wavelength": spectrum.wavelength, "flux": spectrum.flux, "ivar": spectrum.ivar} | pixels
    )


@pytest.fixture(scope="module")
def classifier():
    return load_classifier()


@pytest.fixture(scope="module")
def da():
    return simulated("DA", snr=40.0)[0]


class TestFeatures:
    def test_there_is_one_finite_number_for_each_name(self, da):
        names = feature_names()
        vector = extract(da)
        assert vector.shape == (len(names),)
        assert len(set(names)) == len(names)
        assert vector.dtype == np.float32
        assert np.isfinite(vector).all()

    def test_units_of_the_flux_do_not_matter(self, da):
        scaled = changed(da, flux=da.flux * 3e-16, ivar=da.ivar / 3e-16**2)
        assert extract(scaled) == pytest.approx(extract(da), abs=2e-4)

    def test_hydrogen_lines_of_a_white_dwarf_are_measured(self, da):
        measured = dict(zip(feature_names(), extract(da), strict=True))
        assert measured["h_beta_significance"] > 2.5  # arcsinh(width / error / 3): more than 18 sigma
        assert abs(measured["he_i_5876_significance"]) < 1.6

    def test_an_equivalent_width_is_that_of_the_line_that_was_put_in(self):
        wavelength = np.arange(3700.0, 9200.0, 1.0)
        line = 1.0 - 0.6 * np.exp(-0.5 * ((wavelength - 4862.7) / 8.0) ** 2)
        ivar = np.full_like(wavelength, 50.0**2)
        window = next(w for w in features.WINDOWS if w.name == "h_beta")
        found = features.measure(wavelength, line, ivar, np.gradient(wavelength), window)
        assert found is not None
        width, error, depth, _ = found
        assert width == pytest.approx(0.6 * 8.0 * np.sqrt(2 * np.pi), rel=0.01)
        assert 0.1 < error < 0.4
        assert depth == pytest.approx(0.6, rel=0.1)

    def test_errors_of_equivalent_widths_are_those_of_repeated_noise(self):
        rng = np.random.default_rng(3)
        wavelength = np.arange(3700.0, 9200.0, 1.0)
        step, ivar = np.gradient(wavelength), np.full_like(wavelength, 20.0**2)
        window = next(w for w in features.WINDOWS if w.name == "h_gamma")
        results = [
            features.measure(wavelength, 1 + rng.normal(0, 0.05, wavelength.size), ivar, step, window)
            for _ in range(300)
        ]
        pulls = [width / error for width, error, _, _ in results]
        assert np.std(pulls) == pytest.approx(1.0, abs=0.15)

    def test_noise_alone_looks_like_continuum(self):
        wavelength = np.geomspace(3700.0, 9200.0, 3900)
        flux = 1 + np.random.default_rng(4).normal(0, 0.7, wavelength.size)
        pixels = extract(Spectrum(wavelength, flux, np.full_like(flux, 0.7**-2)))[: features.N_PIXELS]
        assert np.abs(pixels).max() < 0.25

    def test_wavelengths_that_are_missing_count_as_continuum(self, da):
        kept = (da.wavelength > 3900) & (da.wavelength < 6900)
        vector = extract(Spectrum(da.wavelength[kept], da.flux[kept], da.ivar[kept]))
        measured = dict(zip(feature_names(), vector, strict=True))
        assert measured["na_i_8190_width"] == measured["h_10_depth"] == 0.0
        assert measured["h_beta_significance"] > 2.5

    def test_masked_pixels_do_not_count(self, da):
        wrong = da.flux.copy()
        masked = np.random.default_rng(5).random(wrong.size) < 0.1
        wrong[masked] = 1e4
        ivar = np.where(masked, 0.0, da.ivar)
        assert extract(changed(da, flux=wrong, ivar=ivar)) == pytest.approx(
            extract(changed(da, ivar=ivar)), abs=1e-6
        )

    @pytest.mark.parametrize(
        ("pixels", "code"),
        [
            ({"ivar": 0.0}, "no_flux"),
            ({"flux": 0.0}, "no_flux"),
            ({"wavelength": 0.1}, "no_flux"),  # nanometres
        ],
    )
    def test_a_spectrum_without_light_is_unusable(self, da, pixels, code):
        ((name, factor),) = pixels.items()
        with pytest.raises(Unusable) as error:
            extract(changed(da, **{name: getattr(da, name) * factor}))
        assert error.value.code == code

    def test_a_spectrum_of_the_red_alone_is_unusable(self, da):
        red = da.wavelength > 6500
        with pytest.raises(Unusable, match="3850 to 7000 Angstrom has data") as error:
            extract(Spectrum(da.wavelength[red], da.flux[red], da.ivar[red]))
        assert error.value.code == "too_little_coverage"

    def test_negative_and_tiny_fluxes_give_finite_numbers(self, da):
        noise = np.random.default_rng(6).normal(0, 1.0, da.flux.size)
        assert np.isfinite(extract(changed(da, flux=noise, ivar=np.ones_like(noise)))).all()
        assert np.isfinite(extract(changed(da, flux=-np.abs(da.flux)))).all()
        assert np.isfinite(extract(changed(da, flux=da.flux * 1e-20, ivar=da.ivar * 1e40))).all()


class TestPackagedClassifier:
    def test_its_probabilities_sum_to_one_over_known_classes(self, classifier, da):
        probabilities = classifier.probabilities(extract(da))
        assert set(probabilities) == set(train.CLASSES)
        assert sum(probabilities.values()) == pytest.approx(1.0, abs=1e-4)

    @pytest.mark.parametrize("kind", train.CLASSES)
    def test_it_knows_clear_examples_of_each_kind(self, classifier, kind):
        spectra = [simulated(kind, seed=seed)[0] for seed in range(12)]
        found = [classifier.probabilities(extract(spectrum)) for spectrum in spectra]
        assert np.mean([max(p, key=p.__getitem__) == kind for p in found]) >= 10 / 12

    @pytest.mark.parametrize("v_rad", [-400.0, 400.0])
    def test_velocities_do_not_change_the_class(self, classifier, v_rad):
        for spectrum in (s for seed in range(6) for s in simulated("DA", snr=25.0, seed=seed)):
            moved = changed(spectrum, wavelength=spectrum.wavelength * (1 + v_rad / SPEED_OF_LIGHT))
            assert classifier.probabilities(extract(moved))["DA"] > 0.5

    def test_da_are_found_with_precision_and_recall(self, classifier):
        """At S/N 8 to 60, with masked pixels, wrong errors, sky lines, and seeds that nothing was trained with."""
        true = called = both = 0
        for kind in train.CLASSES:
            rng = np.random.default_rng([SEED, *kind.encode()])
            for _ in range(45 if kind == "DA" else 9):
                for spectrum in simulate(kind, rng, 2, ObservingConditions(snr=(8.0, 60.0))):
                    is_called = classifier.probabilities(extract(spectrum))["DA"] >= 0.5
                    true += kind == "DA"
                    called += is_called
                    both += is_called and kind == "DA"
        assert both / called >= 0.95
        assert both / true >= 0.95

    def test_one_spectrum_takes_less_than_20_ms(self, classifier, da):
        times = []
        for _ in range(15):
            began = time.process_time()
            classifier.probabilities(extract(da))
            times.append(time.process_time() - began)
        assert np.median(times) < 0.020

    def test_it_is_small_and_says_where_it_is_from(self, classifier):
        from pathlib import Path

        path = Path(classifier.source)
        assert path.stat().st_size < 3e6
        origin = (path.parent / "ORIGIN.md").read_text()
        assert f"seed {train.SEED}" in origin
        assert "no observed spectrum was used" in origin


def written(
    path, *, classes=("DA", "STAR"), version=FEATURE_VERSION, width=None, output="probabilities", outputs=None
):
    """An ONNX file that gives the first class the probability 0.9."""
    width = len(feature_names()) if width is None else width
    count = outputs or (len(classes) if isinstance(classes, tuple) else 2)
    rest = 0.1 / max(count - 1, 1)
    bias = helper.make_tensor("bias", TensorProto.FLOAT, [count], [0.9, *[rest] * (count - 1)])
    weight = helper.make_tensor("weight", TensorProto.FLOAT, [width, count], np.zeros(width * count).tolist())
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["features", "weight", "bias"], [output])],
        "classifier",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", width])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["n", count])],
        [weight, bias],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    said = {
        "classes": classes if isinstance(classes, str) else json.dumps(classes),
        "feature_version": version,
    }
    helper.set_model_props(model, {key: value for key, value in said.items() if value is not None})
    path.write_bytes(model.SerializeToString())
    return path


class TestForeignClassifiers:
    def test_an_onnx_file_that_names_classes_and_features_is_used(self, tmp_path, da):
        classifier = load_classifier(
            written(tmp_path / "theirs.onnx", classes=("DA", "DABZ", "hotDQ", "QSO"))
        )
        assert classifier.classes == ("DA", "DABZ", "hotDQ", "QSO")
        assert classifier.probabilities(extract(da))["DA"] == pytest.approx(0.9)

    def test_all_classes_that_have_a_column_may_be_named(self, tmp_path):
        names = tuple(p.removeprefix("p_").upper() for p in PROBABILITIES) + NO_COLUMN
        assert len(load_classifier(written(tmp_path / "all.onnx", classes=names)).classes) == 32

    @pytest.mark.parametrize(
        ("wrong", "told"),
        [
            ({"version": "0"}, f"expected metadata feature_version '{FEATURE_VERSION}', found '0'"),
            ({"version": None}, "found None"),
            ({"classes": ("DA", "NOVA")}, "found class 'NOVA', expected only: cv, da, "),
            ({"classes": "DA, DB"}, "expected metadata `classes`, a JSON list"),
            ({"classes": ("DA", "DA")}, "a JSON list of different class names"),
            ({"width": 12}, rf"expected one input of shape \(n, {len(feature_names())}\), found .*12"),
            ({"output": "scores"}, "expected an output 'probabilities'"),
            ({"outputs": 5}, r"of shape \(n, 2\), one for each class, found .*5"),
        ],
    )
    def test_a_mismatch_is_refused_naming_file_expected_and_found(self, tmp_path, wrong, told):
        path = written(tmp_path / "theirs.onnx", **wrong)
        with pytest.raises(ClassifierError, match=told) as error:
            load_classifier(path)
        assert str(path) in str(error.value)

    def test_a_pickle_is_refused_and_not_executed(self, tmp_path):
        class Harmful:
            def __reduce__(self):
                return (exec, (f"open({str(tmp_path / 'harm')!r}, 'w')",))

        for name in ("forest.pkl", "forest.joblib", "disguised.onnx"):
            (tmp_path / name).write_bytes(pickle.dumps(Harmful()))
            with pytest.raises(ClassifierError, match=r"expected (\.onnx|an ONNX model)"):
                load_classifier(tmp_path / name)
        assert not (tmp_path / "harm").exists()

    def test_a_missing_or_empty_file_is_named(self, tmp_path):
        with pytest.raises(ClassifierError, match=r"nowhere\.onnx: there is no such file"):
            load_classifier(tmp_path / "nowhere.onnx")
        (tmp_path / "empty.onnx").touch()
        with pytest.raises(ClassifierError, match=r"empty\.onnx"):
            load_classifier(tmp_path / "empty.onnx")


class TestTraining:
    def test_a_tiny_training_run_writes_a_classifier_that_loads(self, tmp_path, da):
        pytest.importorskip("skl2onnx", reason="training needs the extra `dev`")
        path = train.train(tmp_path / "made", share=0.002, seed=7, members=1, rounds=3)
        assert sorted(p.name for p in path.parent.iterdir()) == ["ORIGIN.md", "classifier.onnx"]
        classifier = load_classifier(path)
        assert set(classifier.classes) == set(train.CLASSES)
        assert sum(classifier.probabilities(extract(da)).values()) == pytest.approx(1.0, abs=1e-4)
        assert "with seed 7 from 99 simulated spectra" in (path.parent / "ORIGIN.md").read_text()

    def test_asking_a_classifier_needs_no_training_library(self):
        code = (
            "import sys; from astra_assets.pipelines.snow_white.classifier import load_classifier; load_classifier(); "
            "sys.exit(any(m in sys.modules for m in ('sklearn', 'skl2onnx', 'onnx')))"
        )
        assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
