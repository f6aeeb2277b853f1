"""Where the parts of a demo survey are, relative to its folder, which serves as SAS_BASE_DIR."""

from __future__ import annotations

from astra_assets.demo.spall_columns import RUN2D
from astra_assets.files.paths import apogee_redux, spall_path

SPALL = spall_path(RUN2D)
CATALOG = "catalogs/mwmTargets-demo.fits"
TRUTH = "truth.fits"
DR17 = apogee_redux("dr17").split("/", 1)[0]
"""Top folder of the reduction of SDSS-IV."""
PARTS = (SPALL.split("/", 1)[0], DR17, CATALOG.split("/", 1)[0], TRUTH)
"""Files and folders directly below the demo's own, besides the manifest."""
