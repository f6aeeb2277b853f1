"""Train the packaged classifier again: `python -m astra_assets.synthesis.train [--out FOLDER]`.

Simulated spectra in, `classifier.onnx` and `ORIGIN.md` out, in about ten minutes on two cores. Needs
scikit-learn and skl2onnx (the extra `dev`), which nothing else of the package does. No spectrum of a real
object is used.

Three sets are drawn with seeds of their own: networks learn from the first, the temperature of the
probabilities and the limit of the distance are taken from the second, and the numbers in `ORIGIN.md` are
measured on the third.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from astra_assets.files.atomic import atomic_write
from astra_assets.pipelines import snow_white
from astra_assets.pipelines.base import Unusable
from astra_assets.pipelines.snow_white.calibration import (
    CLIP,
    Novelty,
    fitted_novelty,
    fitted_temperature,
    tempered,
)
from astra_assets.pipelines.snow_white.classifier import DISTANCE_OUTPUT, PROBABILITY_OUTPUT
from astra_assets.pipelines.snow_white.features import FEATURE_VERSION, extract, feature_names
from astra_assets.synthesis.simulate import TRAINING, ObservingConditions, simulate
from astra_assets.synthesis.templates import FURTHER_KINDS, KINDS

log = logging.getLogger(__name__)

SEED = 41_000
"""Seed of the training set; the demo survey and the tests use others."""
CLASSES = (*KINDS, *FURTHER_KINDS)
OBJECTS = {
    "DA": 2600,
    "STAR": 1900,
    "SDB": 800,
    "DC": 600,
    "QSO": 600,
    "DA_MS": 500,
    "GALAXY": 500,
    "UNKNOWN": 600,
}
"""Simulated objects by kind; those that are not named get `OTHER_OBJECTS`."""
OTHER_OBJECTS = 400
OBSERVATIONS = 3
"""Observations of each object."""
OPSET = 17
"""Version of the ONNX operators: every onnxruntime since 1.13 knows it."""
PACKAGED = Path(snow_white.__file__).parent / "data"
"""Where the packaged classifier is."""
MEMBERS = 3
"""Networks whose probabilities are averaged."""
ROUNDS = 26
"""Times that a network sees the training set: a fixed number, which is part of the regularisation."""
FAMILIAR = 0.9995
"""Share of simulated spectra of known kinds that must lie within the limit of the distance."""

Vectors: TypeAlias = NDArray[np.float32]
Labels: TypeAlias = NDArray[np.str_]


def simulated(
    seed: int, share: float = 1.0, conditions: ObservingConditions = TRAINING, processes: int = 1
) -> tuple[Vectors, Labels]:
    """Feature vectors (n, features) and kinds (n) of simulated objects, each observed `OBSERVATIONS` times in a row.

    `share` scales the number of objects of each kind; at least two are made. The result does not depend on
    the number of processes. Observations that the features refuse are left out.
    """
    tasks = [(kind, number, seed, share, conditions) for number, kind in enumerate(CLASSES)]
    if processes > 1:
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            sets = list(pool.map(_simulated_kind, tasks))
    else:
        sets = [_simulated_kind(task) for task in tasks]
    labels = [kind for kind, vectors in zip(CLASSES, sets, strict=True) for _ in vectors]
    return np.concatenate(sets), np.array(labels)


def _simulated_kind(task: tuple[str, int, int, float, ObservingConditions]) -> Vectors:
    kind, number, seed, share, conditions = task
    rng = np.random.default_rng([seed, number])
    vectors = []
    for _ in range(max(2, round(share * OBJECTS.get(kind, OTHER_OBJECTS)))):
        for spectrum in simulate(kind, rng, OBSERVATIONS, conditions):
            try:
                vectors.append(extract(spectrum))
            except Unusable:
                continue
    return np.array(vectors, dtype=np.float32)


def fitted(
    vectors: Vectors, labels: Labels, *, members: int = MEMBERS, rounds: int = ROUNDS, jobs: int = 1
) -> Any:
    """The classifier: the mean of some small neural networks on standardised features."""
    from sklearn.ensemble import VotingClassifier
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    networks = [
        (
            f"network_{number}",
            make_pipeline(
                StandardScaler(),
                MLPClassifier((128, 64), alpha=1.0, batch_size=min(256, len(labels)), max_iter=rounds,
                              n_iter_no_change=rounds, learning_rate_init=1.0e-3, random_state=SEED + number),
            ),
        )
        for number in range(members)
    ]  # fmt: skip
    voting = VotingClassifier(networks, voting="soft", flatten_transform=False, n_jobs=jobs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return voting.fit(vectors, labels)


def exported(
    model: Any, temperature: float = 1.0, novelty: Novelty | None = None, limit: float = np.inf
) -> bytes:
    """The classifier as an ONNX model that names its classes and the version of its features in its metadata.

    Probabilities have the temperature in them; with `novelty` the graph also gives the distance from the
    nearest class, whose `limit` is in the metadata.
    """
    from onnx import helper
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    inputs = [("features", FloatTensorType([None, len(feature_names())]))]
    proto = to_onnx(model, initial_types=inputs, options={id(model): {"zipmap": False}}, target_opset=OPSET)
    graph = proto.graph
    for node in graph.node:
        node.output[:] = ["raw" if name == PROBABILITY_OUTPUT else name for name in node.output]
    _add(
        graph,
        {"power": np.float32(1.0 / temperature), "least": np.float32(1e-12), "over_classes": np.array([1])},
    )
    graph.node.extend(
        [
            helper.make_node("Max", ["raw", "least"], ["positive"]),
            helper.make_node("Pow", ["positive", "power"], ["powers"]),
            helper.make_node("ReduceSum", ["powers", "over_classes"], ["total"], keepdims=1),
            helper.make_node("Div", ["powers", "total"], [PROBABILITY_OUTPUT]),
        ]
    )
    said = {"classes": json.dumps([str(name) for name in model.classes_]), "feature_version": FEATURE_VERSION}
    if novelty is not None:
        _add_distance(graph, novelty)
        said["distance_limit"] = repr(float(limit))
    for key, value in said.items():
        proto.metadata_props.add(key=key, value=value)
    return bytes(proto.SerializeToString())


def _add(graph: Any, constants: dict[str, Any]) -> None:
    from onnx import numpy_helper

    for name, value in constants.items():
        graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))


def _add_distance(graph: Any, novelty: Novelty) -> None:
    """Append `Novelty.distance` to a graph, as the output `DISTANCE_OUTPUT` of shape (n)."""
    from onnx import TensorProto, helper

    classes, count = novelty.centres.shape
    single = np.float32
    whitened = np.einsum("ck,ckj->cj", novelty.centres, novelty.whitening).reshape(-1)
    _add(
        graph,
        {
            "n_mean": novelty.mean.astype(single),
            "n_scale": novelty.scale.astype(single),
            "n_low": single(-CLIP),
            "n_high": single(CLIP),
            "n_axes": novelty.axes.astype(single),
            "n_whitening": novelty.whitening.transpose(1, 0, 2)
            .reshape(count, classes * count)
            .astype(single),
            "n_centres": whitened.astype(single),
            "n_shape": np.array([-1, classes, count]),
            "n_last": np.array([2]),
            "n_second": np.array([1]),
            "n_count": single(count),
            "n_residual": single(novelty.residual),
            "n_zero": single(0.0),
            "n_half": single(0.5),
        },
    )
    node = helper.make_node
    graph.node.extend(
        [
            node("Sub", ["features", "n_mean"], ["n_centred"]),
            node("Div", ["n_centred", "n_scale"], ["n_scaled"]),
            node("Clip", ["n_scaled", "n_low", "n_high"], ["n_standard"]),
            node("MatMul", ["n_standard", "n_axes"], ["n_scores"]),
            node("MatMul", ["n_scores", "n_whitening"], ["n_whitened"]),
            node("Sub", ["n_whitened", "n_centres"], ["n_away"]),
            node("Mul", ["n_away", "n_away"], ["n_squares"]),
            node("Reshape", ["n_squares", "n_shape"], ["n_by_class"]),
            node("ReduceSum", ["n_by_class", "n_last"], ["n_sums"], keepdims=0),
            node("ReduceMin", ["n_sums"], ["n_least"], axes=[1], keepdims=0),
            node("Div", ["n_least", "n_count"], ["n_nearest"]),
            node("ReduceSumSquare", ["n_standard"], ["n_all"], axes=[1], keepdims=0),
            node("ReduceSumSquare", ["n_scores"], ["n_inside"], axes=[1], keepdims=0),
            node("Sub", ["n_all", "n_inside"], ["n_left"]),
            node("Max", ["n_left", "n_zero"], ["n_rest"]),
            node("Div", ["n_rest", "n_residual"], ["n_outside"]),
            node("Add", ["n_nearest", "n_outside"], ["n_sum"]),
            node("Mul", ["n_sum", "n_half"], ["n_mean_square"]),
            node("Sqrt", ["n_mean_square"], [DISTANCE_OUTPUT]),
        ]
    )
    graph.output.append(helper.make_tensor_value_info(DISTANCE_OUTPUT, TensorProto.FLOAT, [None]))


def measured(
    model: Any, temperature: float = 1.0, seed: int = SEED + 1, share: float = 0.25, processes: int = 1
) -> tuple[float, float, float]:
    """Accuracy over all kinds.

    Precision and recall of DA (p >= 0.5), on objects that the training did not see, S/N 8 to 60.
    """
    vectors, labels = simulated(seed, share, ObservingConditions(snr=(8.0, 60.0)), processes)
    probabilities = tempered(model.predict_proba(vectors), temperature)
    best = model.classes_[probabilities.argmax(axis=1)]
    called, true = probabilities[:, list(model.classes_).index("DA")] >= 0.5, labels == "DA"
    both = float((called & true).sum())
    return float((best == labels).mean()), both / max(float(called.sum()), 1.0), both / float(true.sum())


def train(
    folder: Path,
    *,
    share: float = 1.0,
    seed: int = SEED,
    members: int = MEMBERS,
    rounds: int = ROUNDS,
    processes: int = 1,
) -> Path:
    """Make a training set, train, calibrate, test, and write `classifier.onnx` and `ORIGIN.md` into `folder`.

    Returns the path of the model. `share` scales the training set.
    """
    began = time.perf_counter()
    vectors, labels = simulated(seed, share, processes=processes)
    log.info("%d spectra simulated after %.0f s", len(labels), time.perf_counter() - began)
    model = fitted(vectors, labels, members=members, rounds=rounds, jobs=processes)
    log.info("trained after %.0f s", time.perf_counter() - began)
    familiar = [str(name) for name in model.classes_ if name != "UNKNOWN"]
    novelty = fitted_novelty(vectors.astype(np.float64), labels, familiar)
    others, kinds = simulated(seed + 2, min(0.2, share), processes=processes)
    right = np.searchsorted(model.classes_, kinds)
    temperature = fitted_temperature(model.predict_proba(others), right)
    distances = novelty.distance(others[kinds != "UNKNOWN"].astype(np.float64))
    limit = float(np.quantile(distances, FAMILIAR))
    scores = measured(model, temperature, seed + 1, min(0.25, share), processes)
    seconds = time.perf_counter() - began
    path = folder / "classifier.onnx"
    with atomic_write(path) as partial:
        partial.write_bytes(exported(model, temperature, novelty, limit))
    with atomic_write(folder / "ORIGIN.md") as partial:
        partial.write_bytes(origin(len(labels), seed, scores, temperature, limit).encode())
    log.info("%s written after %.0f s: accuracy %.3f, DA precision %.3f, recall %.3f, temperature %.2f, limit %.2f",
             path, seconds, *scores, temperature, limit)  # fmt: skip
    return path


def origin(
    spectra: int, seed: int, scores: tuple[float, float, float], temperature: float, limit: float
) -> str:
    """The text next to the model: what it is made of and how good it is."""
    accuracy, precision, recall = scores
    return f"""# classifier.onnx

Classes: {", ".join(sorted(CLASSES))}.
Features: version {FEATURE_VERSION}, {len(feature_names())} numbers (`snow_white/features.py`).

Made by `python -m astra_assets.synthesis.train` with seed {seed} from {spectra} simulated spectra
(`synthesis/simulate.py`, `synthesis/templates.py`, `synthesis/faults.py`); no observed spectrum was used.
{MEMBERS} neural networks (scikit-learn `MLPClassifier`, layers of 128 and 64) on standardised features, their
probabilities averaged and calibrated with a temperature of {temperature:.2f}
(`snow_white/calibration.py`). A spectrum farther than {limit:.2f} from all classes, or of the class UNKNOWN,
is "none of these".

On simulated spectra that it was not trained on, S/N 8 to 60 per pixel, with masked lines, dead arms, spikes,
residuals of the sky and wrong errors: {accuracy:.1%} of all classes right; DA (probability at least 0.5) with
precision {precision:.1%} and recall {recall:.1%}. How it does on spectra of other origin is in
`docs/validation.md`.

Limits: mixed types (DAB, DBZ, DAO, ...) get the class of their strongest lines; DA below 6000 K and faint cool
DA fade into DC; of helium-poor subdwarfs and DA of logg 7 some are taken for each other below S/N 15; quasars
and galaxies are mixed up now and then.

Licence: that of this package.
"""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train SnowWhite's classifier on simulated spectra.")
    parser.add_argument("--out", type=Path, default=PACKAGED, help="folder of the model")
    parser.add_argument(
        "--share", type=float, default=1.0, help="size of the training set; 1 is the packaged one"
    )
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument(
        "--processes", type=int, default=os.cpu_count() or 1, help="how many at the same time"
    )
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    train(arguments.out, share=arguments.share, seed=arguments.seed, processes=arguments.processes)


if __name__ == "__main__":
    main()
