"""The 52 lines that LineForest measures, in the order of its table: names and air wavelengths as Astra has them.

Numbers only. How a line is measured is in `measure.py`, the columns are in `table.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

from astra_assets.spectra.airvac import air_to_vacuum
from astra_assets.spectra.base import FloatPixels

Width = Literal["wide", "narrow"]
"""Lines of hydrogen and the H and K lines of calcium may have wings of a hundred Angstrom, others do not."""


@dataclass(frozen=True)
class Line:
    """One line: name of its columns, what people call it, air wavelength [Angstrom] and how wide it may be."""

    name: str
    label: str
    air: float
    width: Width


def _hydrogen(series: str, letter: str, wide: str, narrow: str = "") -> tuple[Line, ...]:
    lines = []
    for width, text in (("wide", wide), ("narrow", narrow)):
        for item in text.split():
            level, _, air = item.partition(":")
            kind: Width = "wide" if width == "wide" else "narrow"
            lines.append(Line(f"{series}_{level}", f"{letter}-{level}", float(air), kind))
    return tuple(lines)


def _metals(width: Width, **air: float) -> tuple[Line, ...]:
    return tuple(Line(name, _label(name), wavelength, width) for name, wavelength in air.items())


def _label(name: str) -> str:
    """`ca_ii_8662` -> `Ca II 8662`."""
    element, *rest = name.split("_")
    return " ".join((element.capitalize(), *(part.upper() for part in rest)))


LINES: tuple[Line, ...] = (
    *_hydrogen(
        "h",
        "H",
        "alpha:6562.8 beta:4861.3 gamma:4340.5 delta:4101.7 epsilon:3970.1 8:3889.064 9:3835.391 10:3797.904 "
        "11:3770.637",
        "12:3750.158 13:3734.369 14:3721.945 15:3711.977 16:3703.859 17:3697.157",
    ),
    *_hydrogen(
        "pa",
        "Pa",
        "7:10049.4889 8:9546.0808 9:9229.12 10:9014.909 11:8862.782 12:8750.472 13:8665.019 14:8598.392 "
        "15:8545.383 16:8502.483 17:8467.254",
    ),
    *_metals("narrow", ca_ii_8662=8662.14, ca_ii_8542=8542.089, ca_ii_8498=8498.018),
    *_metals("wide", ca_k_3933=3933.6614, ca_h_3968=3968.4673),
    *_metals(
        "narrow",
        he_i_6678=6678.151,
        he_i_5875=5875.621,
        he_i_5015=5015.678,
        he_i_4471=4471.479,
        he_ii_4685=4685.7,
        n_ii_6583=6583.45,
        n_ii_6548=6548.05,
        s_ii_6716=6716.44,
        s_ii_6730=6730.816,
        fe_ii_5018=5018.434,
        fe_ii_5169=5169.03,
        fe_ii_5197=5197.577,
        fe_ii_6432=6432.68,
        o_i_5577=5577.339,
        o_i_6300=6300.304,
        o_i_6363=6363.777,
        o_ii_3727=3727.42,
        o_iii_4959=4958.911,
        o_iii_5006=5006.843,
        o_iii_4363=4363.85,
        li_i=6707.76,
    ),
)
"""In the order of the columns."""


@cache
def vacuum_wavelengths() -> FloatPixels:
    """Vacuum wavelengths [Angstrom] of `LINES`, in the same order; shape (52,)."""
    return air_to_vacuum(np.array([line.air for line in LINES]))
