"""Loading a classifier and asking it: ONNX files only, the packaged one or one that was trained elsewhere.

ONNX holds a graph of arithmetic and no code, so that a file from elsewhere is safe to load; pickles run
whatever their maker put into them and are refused. A file must say in its metadata which classes it knows
and which version of the features it was trained on. Features are in `features.py`, training in `train.py`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astra_assets.errors import ExpectedError
from astra_assets.pipelines.snow_white.features import FEATURE_VERSION, feature_names
from astra_assets.pipelines.snow_white.table import NO_COLUMN, PROBABILITIES, column_of

SETTING = "snow_white_classifier"
"""Key of the settings that names the ONNX file of a classifier to use instead of the packaged one."""
PROBABILITY_OUTPUT = "probabilities"
"""Name of the output tensor with one probability per class, shape (n, classes)."""
DISTANCE_OUTPUT = "distance"
"""Name of the output tensor with the distance from the nearest class, shape (n,); a model may be without it."""
_UNSAFE = {".pkl", ".pickle", ".joblib", ".npy", ".pt", ".dill"}
_REPAIR = "Export the classifier to ONNX (astra_assets.synthesis.train shows how), or unset the setting."


class ClassifierError(ExpectedError, ValueError):
    """A file that cannot serve as classifier; the message names it, what was expected and what was found."""


@dataclass(frozen=True)
class Answer:
    """What a classifier says of one spectrum.

    `novelty` is the distance from the nearest class over its limit: above 1 the spectrum is like none that the
    classifier was trained on. It is 0 where the classifier has no distance.
    """

    probabilities: dict[str, float]
    novelty: float


@dataclass(frozen=True, eq=False)
class Classifier:
    """A loaded classifier.

    `classes` are in the order of the probabilities; `source` says where it is from; `distance_limit` is None
    where the model gives no distances.
    """

    session: Any
    classes: tuple[str, ...]
    source: str
    distance_limit: float | None = None

    def answer(self, features: NDArray[np.float32]) -> Answer:
        """Probabilities and novelty of one feature vector (`features.extract`)."""
        inputs = {self.session.get_inputs()[0].name: features[np.newaxis].astype(np.float32)}
        if self.distance_limit is None:
            (values,) = self.session.run([PROBABILITY_OUTPUT], inputs)
            novelty = 0.0
        else:
            values, distances = self.session.run([PROBABILITY_OUTPUT, DISTANCE_OUTPUT], inputs)
            novelty = float(distances[0]) / self.distance_limit
        found = {name: float(value) for name, value in zip(self.classes, values[0], strict=True)}
        return Answer(found, novelty)

    def probabilities(self, features: NDArray[np.float32]) -> dict[str, float]:
        """Probability by class of one feature vector."""
        return self.answer(features).probabilities


def load_classifier(path: str | Path | None = None) -> Classifier:
    """Load an ONNX classifier, the packaged one unless a path is given.

    Raises:
        ClassifierError: there is no such file, it is no ONNX model, or its classes or features are not
        those of this version.
    """
    if path is None:
        with as_file(files("astra_assets.pipelines.snow_white") / "data" / "classifier.onnx") as packaged:
            return _checked(packaged, str(packaged))
    given = Path(path).expanduser()
    if given.suffix.lower() in _UNSAFE:
        raise ClassifierError(
            f"{given}: found a {given.suffix} file, expected .onnx; loading a pickle would run "
            f"code from it. {_REPAIR}"
        )
    if not given.is_file():
        raise ClassifierError(f"{given}: there is no such file, expected an ONNX classifier. {_REPAIR}")
    return _checked(given, str(given))


def _checked(path: Path, source: str) -> Classifier:
    session = _session(path, source)
    said = session.get_modelmeta().custom_metadata_map
    version = said.get("feature_version")
    if version != FEATURE_VERSION:
        raise ClassifierError(
            f"{source}: expected metadata feature_version {FEATURE_VERSION!r}, found {version!r}. "
            "Train it on the features of this version."
        )
    classes = _classes(said.get("classes"), source)
    width = len(feature_names())
    found = [tensor.shape for tensor in session.get_inputs()]
    if len(found) != 1 or len(found[0]) != 2 or found[0][1] != width:
        raise ClassifierError(f"{source}: expected one input of shape (n, {width}), found {found}. {_REPAIR}")
    outputs = {tensor.name: tensor.shape for tensor in session.get_outputs()}
    shape = outputs.get(PROBABILITY_OUTPUT)
    if shape is None or len(shape) != 2 or (isinstance(shape[1], int) and shape[1] != len(classes)):
        raise ClassifierError(
            f"{source}: expected an output {PROBABILITY_OUTPUT!r} of shape (n, {len(classes)}), one for each "
            f"class, found {outputs}. {_REPAIR}"
        )
    return Classifier(
        session, classes, source, _limit(said.get("distance_limit"), DISTANCE_OUTPUT in outputs, source)
    )


def _limit(text: str | None, has_distance: bool, source: str) -> float | None:
    """The limit of the distance, None for a model without distances."""
    if text is None and not has_distance:
        return None
    try:
        limit = float(text or "nan")
    except ValueError:
        limit = float("nan")
    if not (has_distance and limit > 0):
        raise ClassifierError(
            f"{source}: expected an output {DISTANCE_OUTPUT!r} and metadata distance_limit, a positive number, "
            f"found {'an' if has_distance else 'no'} output and {text!r}. {_REPAIR}"
        )
    return limit


def _session(path: Path, source: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only
    try:
        return onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ClassifierError(
            f"{source}: expected an ONNX model, found something else: {error}. {_REPAIR}"
        ) from error


def _classes(text: str | None, source: str) -> tuple[str, ...]:
    """The classes named in the metadata, each of which must have a column or be one of `NO_COLUMN`."""
    try:
        names: Sequence[Any] = json.loads(text or "null")
    except json.JSONDecodeError:
        names = ()
    if not isinstance(names, list) or len(names) < 2 or len(set(map(str, names))) != len(names):
        raise ClassifierError(
            f"{source}: expected metadata `classes`, a JSON list of different class names, "
            f"found {text!r}. {_REPAIR}"
        )
    for name in names:
        try:
            column_of(str(name))
        except KeyError:
            known = ", ".join((*(p.removeprefix("p_") for p in PROBABILITIES), *NO_COLUMN))
            raise ClassifierError(
                f"{source}: found class {name!r}, expected only: {known}. {_REPAIR}"
            ) from None
    return tuple(map(str, names))
