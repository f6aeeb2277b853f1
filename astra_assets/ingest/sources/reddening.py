"""E(B-V) of a source: one value for each method that can be had, and the one that is adopted.

The coefficients and the order are those of Astra. Three methods follow from columns of the source: the extinction of
Zhang, Green & Rix (2023, MNRAS 524, 1855), and the Rayleigh-Jeans colour excess RJCE (Majewski, Zasowski & Nidever 2011,
ApJ 739, 25) with GLIMPSE 4.5 micron or WISE W2. Those of dust maps are taken as they are in the row: from a catalogue, or
(SFD; Schlegel, Finkbeiner & Davis 1998, ApJ 500, 525) from the map.

Where the method that is due is not at hand, nothing is adopted: a value of the next method would look like the others
and mean something else, the whole line of sight for a star in front of most of it, or the colour of a star that is no
giant.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, and_, not_, or_

from astra_assets.models.base import bit, table_of
from astra_assets.models.source import Source

Floats = NDArray[np.float64]

SOURCES = table_of(Source)

ZHANG_SCALE = 0.829
"""E(B-V) for each unit of the extinction parameter E of Zhang, Green & Rix."""

SFD_SCALE = 0.884
"""The recalibration of SFD by Schlafly & Finkbeiner (2011, ApJ 737, 103), as Astra rounds it."""

SFD_FLOOR, SFD_RELATIVE_ERROR = 0.01, 0.1
"""Error of E(B-V) from SFD: in mag, and as a share of the value, added in quadrature."""

RJCE_SCALE, RJCE_INTRINSIC = 2.61, 0.08
"""E(B-V) for each mag of colour excess; the colour H - [4.5] or H - W2 of a star without dust."""

MAX_ZHANG_QUALITY = 8
"""Fits with zgr_quality_flags below this are usable."""

NEAREST, FARTHEST = 69.0, 1250.0
"""Distances in pc between which the map of Edenhofer et al. (2023) is; nearer than it E(B-V) is an upper limit."""

HIGH_LATITUDE = 30.0
"""Galactic latitude in deg from which on nearly all dust of a line of sight is in front of a star."""

NO_MAGNITUDE = 90.0
"""GLIMPSE says 99.999 where it has no magnitude."""

METHODS = ("zhang_2023", "edenhofer_2023", "sfd", "rjce_glimpse", "rjce_allwise")
"""Methods that may be adopted, by their names in columns and flags."""

FLAGS = {name: bit(Source, "ebv_flags", name) for name in (*METHODS, "upper_limit")}

INPUTS: Mapping[str, tuple[str, ...]] = {
    "ebv_zhang_2023": ("zgr_e",),
    "e_ebv_zhang_2023": ("zgr_e", "zgr_e_e"),
    "ebv_rjce_glimpse": ("h_mag", "mag4_5"),
    "e_ebv_rjce_glimpse": ("h_mag", "mag4_5", "e_h_mag", "d4_5m"),
    "ebv_rjce_allwise": ("h_mag", "w2_mag"),
    "e_ebv_rjce_allwise": ("h_mag", "w2_mag", "e_h_mag", "e_w2_mag"),
}
"""The columns of methods that follow from others of the same row, and from which."""

CHOSEN = ("ebv", "e_ebv", "ebv_flags")
"""What is adopted."""

CHOICE_INPUTS = (
    *("zgr_e", "zgr_quality_flags", "r_med_geo"),
    *(f"{error}ebv_{method}" for method in METHODS for error in ("", "e_")),
)
"""Columns beside the Galactic latitude that decide what is adopted, or that it is taken from."""


def zhang(inputs: Mapping[str, Floats]) -> tuple[Floats, Floats]:
    """E(B-V) and its error (mag) of Zhang, Green & Rix; NaN where the catalogue has none."""
    return ZHANG_SCALE * inputs["zgr_e"], ZHANG_SCALE * inputs["zgr_e_e"]


def rjce(h: Floats, e_h: Floats, mid_infrared: Floats, e_mid_infrared: Floats) -> tuple[Floats, Floats]:
    """E(B-V) and its error (mag) from the magnitudes H and [4.5] or W2, with their errors.

    Noise and stars that are no giants make it negative here and there; it is left so, since means of it are right then.
    """
    value = RJCE_SCALE * (h - mid_infrared - RJCE_INTRINSIC)
    error = RJCE_SCALE * np.hypot(e_h, e_mid_infrared)
    usable = mid_infrared < NO_MAGNITUDE
    return np.where(usable, value, np.nan), np.where(usable, error, np.nan)


def sfd(map_value: Floats) -> tuple[Floats, Floats]:
    """E(B-V) and its error (mag) from the value of the SFD map."""
    value = SFD_SCALE * map_value
    return value, np.hypot(SFD_FLOOR, SFD_RELATIVE_ERROR * value)


def methods(inputs: Mapping[str, Floats]) -> dict[str, Floats]:
    """The columns in `INPUTS` from arrays of those that they follow from; NaN where one is missing."""
    h, e_h = inputs["h_mag"], inputs["e_h_mag"]
    made = {
        "zhang_2023": zhang(inputs),
        "rjce_glimpse": rjce(h, e_h, inputs["mag4_5"], inputs["d4_5m"]),
        "rjce_allwise": rjce(h, e_h, inputs["w2_mag"], inputs["e_w2_mag"]),
    }
    values = {f"ebv_{name}": value for name, (value, _) in made.items()}
    return values | {f"e_ebv_{name}": error for name, (_, error) in made.items()}


def choose(known: Mapping[str, Floats], b: Floats) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """The adopted E(B-V), its error (mag) and the flags that say where it is from.

    `known` has the columns `CHOICE_INPUTS`, `b` is the Galactic latitude in deg. In order:

    1. Zhang, Green & Rix, where they have a usable fit;
    2. Edenhofer et al. below 1250 pc, an upper limit where the star is nearer than their map begins;
    3. SFD above 30 deg of latitude;
    4. RJCE with GLIMPSE, else with W2;
    5. SFD as an upper limit.

    NaN, NaN and -1 where the method that is due has no value.
    """
    distance = known["r_med_geo"]
    rules = (
        (
            np.isfinite(known["zgr_e"]) & ~(known["zgr_quality_flags"] >= MAX_ZHANG_QUALITY),
            "zhang_2023",
            False,
        ),
        (distance <= NEAREST, "edenhofer_2023", True),
        (distance < FARTHEST, "edenhofer_2023", False),
        (np.abs(b) > HIGH_LATITUDE, "sfd", False),
        (np.isfinite(known["ebv_rjce_glimpse"]), "rjce_glimpse", False),
        (np.isfinite(known["ebv_rjce_allwise"]), "rjce_allwise", False),
        (np.ones(len(b), dtype=bool), "sfd", True),
    )
    ebv, e_ebv = np.full(len(b), np.nan), np.full(len(b), np.nan)
    flags = np.full(len(b), -1, dtype=np.int64)
    left = np.ones(len(b), dtype=bool)
    for due, method, limit in rules:
        here = left & due & np.isfinite(known[f"ebv_{method}"])
        ebv[here], e_ebv[here] = known[f"ebv_{method}"][here], known[f"e_ebv_{method}"][here]
        flags[here] = FLAGS[method] | (FLAGS["upper_limit"] if limit else 0)
        left &= ~due
    return ebv, e_ebv, flags


def missing_map(method: str) -> ColumnElement[bool]:
    """Condition that a source has no E(B-V) for want of `edenhofer_2023` or `sfd`; never NULL."""
    due = {"edenhofer_2023": _NEAR, "sfd": and_(not_(_NEAR), or_(_HIGH, not_(_HAS_RJCE)))}[method]
    return and_(not_(_HAS_ZHANG), due, not_(_has(f"ebv_{method}")))


def has_choice() -> ColumnElement[bool]:
    """Condition that `choose` gives a value for a source; never NULL."""
    return not_(or_(missing_map("edenhofer_2023"), missing_map("sfd")))


def _has(name: str) -> ColumnElement[bool]:
    return SOURCES.c[name].is_not(None)


_QUALITY = SOURCES.c.zgr_quality_flags
_HAS_ZHANG = and_(_has("zgr_e"), or_(_QUALITY.is_(None), _QUALITY < MAX_ZHANG_QUALITY))
_NEAR = and_(_has("r_med_geo"), SOURCES.c.r_med_geo < FARTHEST)
_HIGH = and_(_has("b"), or_(SOURCES.c.b > HIGH_LATITUDE, SOURCES.c.b < -HIGH_LATITUDE))
_HAS_RJCE = or_(_has("ebv_rjce_glimpse"), _has("ebv_rjce_allwise"))
