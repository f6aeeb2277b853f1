"""From the outputs of networks to an answer: calibrated probabilities, and whether the spectrum is like any seen.

Networks that were trained until they separate their training set are surer than they are right. One number, the
temperature, corrects that (Guo et al. 2017, "On Calibration of Modern Neural Networks"); it is found on
simulated spectra that the networks did not see. And whatever they are given, their probabilities sum to one:
whether a spectrum resembles any class at all is told by its distance from the classes in the space of the
features (Mahalanobis distance in principal components; Lee et al. 2018, "A Simple Unified Framework for
Detecting Out-of-Distribution Samples"). Numbers only; they become part of the ONNX graph in training.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

CLIP = 6.0
"""Standardised features are limited to this many standard deviations before distances are taken."""
COMPONENTS = 48
"""Principal components in which distances are taken; the rest counts with one common variance."""
RIDGE = 0.05
"""Share of the mean variance that is added to each component's variance within a class."""


@dataclass(frozen=True, eq=False)
class Novelty:
    """Where the classes lie: what the distance of a feature vector from the nearest class is computed with.

    `mean`, `scale` (f) standardise features; `axes` (f, k) are the principal axes; `centres` (c, k) and
    `whitening` (c, k, k) describe the classes; `residual` is the mean square of what the axes leave over.
    """

    mean: FloatArray
    scale: FloatArray
    axes: FloatArray
    centres: FloatArray
    whitening: FloatArray
    residual: float

    def distance(self, features: FloatArray) -> FloatArray:
        """Distances (n) of feature vectors (n, f), about 1 for members of a class."""
        standard = np.clip((features - self.mean) / self.scale, -CLIP, CLIP)
        scores = standard @ self.axes
        count = self.axes.shape[1]
        away = np.einsum("nck,ckj->ncj", scores[:, np.newaxis, :] - self.centres, self.whitening)
        nearest = np.min(np.sum(away**2, axis=2), axis=1) / count
        rest = (np.sum(standard**2, axis=1) - np.sum(scores**2, axis=1)) / self.residual
        return np.asarray(np.sqrt(0.5 * (nearest + np.maximum(rest, 0.0))))


def fitted_novelty(features: FloatArray, labels: NDArray[np.str_], classes: list[str]) -> Novelty:
    """The distance that belongs to a training set: features (n, f), labels (n), of `classes`."""
    mean, scale = features.mean(axis=0), features.std(axis=0) + 1e-3
    standard = np.clip((features - mean) / scale, -CLIP, CLIP)
    _, axes = np.linalg.eigh(standard.T @ standard)
    axes = axes[:, -COMPONENTS:]
    scores = standard @ axes
    common = float(np.mean(np.var(scores, axis=0)))
    centres, whitening = [], []
    for name in classes:
        own = scores[labels == name]
        covariance = np.cov(own.T) + RIDGE * common * np.eye(COMPONENTS)
        values, vectors = np.linalg.eigh(covariance)
        centres.append(own.mean(axis=0))
        whitening.append(vectors / np.sqrt(values))
    residual = float(np.mean(np.sum(standard**2, axis=1) - np.sum(scores**2, axis=1)))
    return Novelty(mean, scale, axes, np.array(centres), np.array(whitening), residual)


def tempered(probabilities: FloatArray, temperature: float) -> FloatArray:
    """Probabilities (n, c) with their logarithms divided by a temperature, above 1 for less certain ones."""
    powers = np.maximum(probabilities, 1e-12) ** (1.0 / temperature)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def fitted_temperature(probabilities: FloatArray, right: NDArray[np.intp]) -> float:
    """The temperature at which the right classes (n), as column numbers, are most probable."""
    candidates = np.exp(np.linspace(np.log(0.5), np.log(4.0), 85))
    rows = np.arange(len(right))
    loss = [
        -float(np.mean(np.log(np.maximum(tempered(probabilities, one)[rows, right], 1e-12))))
        for one in candidates
    ]
    return float(candidates[int(np.argmin(loss))])
