"""Train the packaged classifier again: `python -m astra_assets.synthesis.train [--out FOLDER]`.

Simulated spectra in, `classifier.onnx` and `ORIGIN.md` out, in about four minutes on one core. Needs
scikit-learn and skl2onnx (the extra `dev`), which nothing else of the package does. No spectrum of a real
object is used.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import time
import warnings
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from astra_assets.pipelines import snow_white
from astra_assets.pipelines.snow_white.features import FEATURE_VERSION, extract, feature_names
from astra_assets.synthesis.simulate import TRAINING, ObservingConditions, simulate
from astra_assets.synthesis.templates import FURTHER_KINDS, KINDS

log = logging.getLogger(__name__)

SEED = 41_000
"""Seed of the training set; the demo survey and the tests use others."""
CLASSES = (*KINDS, *FURTHER_KINDS)
OBJECTS = {"DA": 1300, "STAR": 850, "SDB": 650, "DC": 450}
"""Simulated objects by kind; those that are not named get `OTHER_OBJECTS`."""
OTHER_OBJECTS = 330
OBSERVATIONS = 3
"""Observations of each object."""
OPSET = 17
"""Version of the ONNX operators: every onnxruntime since 1.13 knows it."""
PACKAGED = Path(snow_white.__file__).parent / "data"
"""Where the packaged classifier is."""
MEMBERS = 3
"""Networks whose probabilities are averaged."""

Vectors: TypeAlias = NDArray[np.float32]
Labels: TypeAlias = NDArray[np.str_]


def simulated(
    seed: int, share: float = 1.0, conditions: ObservingConditions = TRAINING
) -> tuple[Vectors, Labels]:
    """Feature vectors (n, features) and kinds (n) of simulated objects, each observed `OBSERVATIONS` times in a row.

    `share` scales the number of objects of each kind; at least two are made.
    """
    vectors, labels = [], []
    for number, kind in enumerate(CLASSES):
        rng = np.random.default_rng([seed, number])
        objects = max(2, round(share * OBJECTS.get(kind, OTHER_OBJECTS)))
        for _ in range(objects):
            vectors += [extract(spectrum) for spectrum in simulate(kind, rng, OBSERVATIONS, conditions)]
        labels += [kind] * (objects * OBSERVATIONS)
    return np.array(vectors, dtype=np.float32), np.array(labels)


def fitted(vectors: Vectors, labels: Labels, *, members: int = MEMBERS, rounds: int = 28) -> Any:
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
                MLPClassifier((96, 48), alpha=0.3, batch_size=min(256, len(labels)), max_iter=rounds,
                              n_iter_no_change=rounds, learning_rate_init=1.5e-3, random_state=SEED + number),
            ),
        )
        for number in range(members)
    ]  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a fixed number of rounds is the regularisation
        return VotingClassifier(networks, voting="soft", flatten_transform=False).fit(vectors, labels)


def exported(model: Any) -> bytes:
    """The classifier as an ONNX model that names its classes and the version of its features in its metadata.

    (he classifier as an ONNX model that names its classes and the version of its features in its metadata.
    """
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    inputs = [("features", FloatTensorType([None, len(feature_names())]))]
    graph = to_onnx(model, initial_types=inputs, options={id(model): {"zipmap": False}}, target_opset=OPSET)
    for key, value in (
        ("classes", json.dumps([str(name) for name in model.classes_])),
        ("feature_version", FEATURE_VERSION),
    ):
        graph.metadata_props.add(key=key, value=value)
    return bytes(graph.SerializeToString())


def measured(model: Any, seed: int = SEED + 1, share: float = 0.25) -> tuple[float, float, float]:
    """Accuracy over all kinds.

    Precision and recall of DA (p >= 0.5), on objects that the training did not see, S/N 8 to 60.
    """
    vectors, labels = simulated(seed, share, ObservingConditions(snr=(8.0, 60.0)))
    probabilities = model.predict_proba(vectors)
    best = model.classes_[probabilities.argmax(axis=1)]
    called, true = probabilities[:, list(model.classes_).index("DA")] >= 0.5, labels == "DA"
    both = float((called & true).sum())
    return float((best == labels).mean()), both / max(float(called.sum()), 1.0), both / float(true.sum())


def train(
    folder: Path, *, share: float = 1.0, seed: int = SEED, members: int = MEMBERS, rounds: int = 28
) -> Path:
    """Make a training set, train, test, and write `classifier.onnx` and `ORIGIN.md` into `folder`.

    Returns the path of the model. `share` scales the training set.
    """
    began = time.perf_counter()
    vectors, labels = simulated(seed, share)
    model = fitted(vectors, labels, members=members, rounds=rounds)
    scores = measured(model, share=min(0.25, share))
    seconds = time.perf_counter() - began
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "classifier.onnx"
    _write(path, exported(model))
    _write(folder / "ORIGIN.md", origin(len(labels), seed, scores).encode())
    log.info("%s written after %.0f s: accuracy %.3f, DA precision %.3f, recall %.3f", path, seconds, *scores)
    return path


def origin(spectra: int, seed: int, scores: tuple[float, float, float]) -> str:
    """The text next to the model: what it is made of and how good it is."""
    accuracy, precision, recall = scores
    return f"""# classifier.onnx

Classes: {", ".join(sorted(CLASSES))}.
Features: version {FEATURE_VERSION}, {len(feature_names())} numbers (`snow_white/features.py`).

Made by `python -m astra_assets.synthesis.train` with seed {seed} from {spectra} simulated spectra
(`synthesis/simulate.py`, `synthesis/templates.py`); no observed spectrum was used. {MEMBERS} neural networks
(scikit-learn `MLPClassifier`, layers of 96 and 48) on standardised features, their probabilities averaged.

On simulated spectra that it was not trained on, S/N 8 to 60 per pixel, with masked pixels and wrong errors:
{accuracy:.1%} of all classes right; DA (probability at least 0.5) with precision {precision:.1%} and recall
{recall:.1%}.

Limits: mixed types (DAB, DBZ, DAO, ...) get the class of their strongest lines; DA below 6000 K and faint cool
DA fade into DC; of helium-poor subdwarfs and DA of logg 7 some are taken for each other below S/N 15; quasars
and galaxies are mixed up now and then. At S/N 4 to 8 three or four spectra in a hundred get a wrong class.

Licence: that of this package.
"""


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".partial-{os.getpid()}-{path.name}")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train SnowWhite's classifier on simulated spectra.")
    parser.add_argument("--out", type=Path, default=PACKAGED, help="folder of the model")
    parser.add_argument(
        "--share", type=float, default=1.0, help="size of the training set; 1 is the packaged one"
    )
    parser.add_argument("--seed", type=int, default=SEED)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    train(arguments.out, share=arguments.share, seed=arguments.seed)


if __name__ == "__main__":
    main()
