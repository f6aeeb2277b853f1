"""Requirements that several pipelines have.

Those of one pipeline stand with it; what a requirement is, is in `base`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from astra_assets.pipelines.base import Columns, Requirement


def _has_sdss_id(columns: Columns) -> np.ndarray[Any, Any]:
    return np.asarray(np.isfinite(columns["sdss_id"].astype(np.float64)))


HAS_SDSS_ID = Requirement("no_sdss_id", "The source has no sdss_id.", ("sdss_id",), _has_sdss_id)
"""Of pipelines that make files of sources, which are named by it."""
