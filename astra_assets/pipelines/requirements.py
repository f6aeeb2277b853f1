"""Requirements that several pipelines share; those of one pipeline stand next to its declaration."""

from __future__ import annotations

from typing import Any

import numpy as np

from astra_assets.models.cartons import in_program
from astra_assets.pipelines.base import Columns, Requirement

WHITE_DWARFS = "mwm_wd"
"""The program of white dwarfs."""


def _has_sdss_id(columns: Columns) -> np.ndarray[Any, Any]:
    return np.asarray(np.isfinite(columns["sdss_id"].astype(np.float64)))


def _is_white_dwarf(columns: Columns) -> np.ndarray[Any, Any]:
    return in_program(columns["sdss5_target_flags"], WHITE_DWARFS)


HAS_SDSS_ID = Requirement("no_sdss_id", "The source has no sdss_id.", ("sdss_id",), _has_sdss_id)
"""For pipelines that make files of sources, which are named by it."""

IN_MWM_WD = Requirement(
    "not_mwm_wd",
    "the source is in no carton of the program mwm_wd",
    ("sdss5_target_flags",),
    _is_white_dwarf,
)
"""For pipelines of white dwarfs."""
