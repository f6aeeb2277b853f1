"""The random streams of the demo survey: each thing that is drawn has one of its own.

So what one thing is does not depend on how many numbers another one took, and a new stream changes no old one.
"""

from __future__ import annotations

import numpy as np

STREAMS = {
    "survey": 0,
    "patch": 1,
    "source": 2,
    "visit": 3,
    "photometry": 4,
    "spall": 5,
    "header": 6,
    "pixels": 7,
    "apogee": 8,
}
"""First word after the seed."""


def stream(seed: int, name: str, *numbers: int) -> np.random.Generator:
    """The random stream of the thing of this name and these numbers."""
    return np.random.default_rng([seed, STREAMS[name], *numbers])
