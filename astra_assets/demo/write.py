"""Write a planned survey: every spectrum, then the files that list them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from astra_assets.demo import photometry, pixels, spall
from astra_assets.demo.apogee.reduction import write_apogee
from astra_assets.demo.apogee.stars import ApogeeSurvey
from astra_assets.demo.catalog import catalog_hdus
from astra_assets.demo.layout import CATALOG, SPALL, TRUTH
from astra_assets.demo.population import PlannedSurvey, Visit
from astra_assets.demo.spall_columns import RUN2D
from astra_assets.demo.specfull import spec_full
from astra_assets.demo.streams import stream
from astra_assets.demo.tables import primary_hdu, table_hdu, write_fits
from astra_assets.demo.truth import truth_hdus
from astra_assets.files.paths import inside, spec_full_path

SAY_EVERY = 100


def write_survey(
    staging: Path, survey: PlannedSurvey, apogee: ApogeeSurvey, say: Callable[[str], None]
) -> tuple[int, int]:
    """Write all files of a survey below a folder.

    Returns the numbers of BOSS and of APOGEE visits of catalogued sources. `say` gets a line of text now and then.
    """
    columns = photometry.describe(survey)
    rows: list[dict[str, Any]] = []
    for visit in survey.visits:
        rows.append(_write_visit(staging, survey.seed, visit, columns))
        if len(rows) % SAY_EVERY == 0:
            say(f"{len(rows)} of {len(survey.visits)} spectra written")
    table = table_hdu(spall.stack(rows), name="SPALL", units=spall.UNITS)
    write_fits(inside(staging, SPALL), [primary_hdu(), table])
    written = write_apogee(staging, apogee, columns, say)
    listed = np.array([target.number for target in survey.catalogued])
    write_fits(staging / CATALOG, catalog_hdus(columns, listed))
    snr = [row["SN_MEDIAN_ALL"] for row in rows]
    write_fits(staging / TRUTH, truth_hdus(survey, snr, apogee.visits, written.snr))
    return (
        sum(visit.target.in_catalog for visit in survey.visits),
        sum(visit.star.target.in_catalog for visit in apogee.visits),
    )


def _write_visit(staging: Path, seed: int, visit: Visit, columns: photometry.Columns) -> dict[str, Any]:
    """The specFull file of one visit; returns its row of spAll."""
    level = photometry.flux_density(float(columns["g_mag"][visit.target.number]))
    seen = pixels.observe(visit, level, stream(seed, "pixels", visit.number))
    row = spall.row(seed, visit, seen, columns)
    relative = spec_full_path(RUN2D, visit.field.fieldid, visit.night.mjd, visit.catalogid, row["SPEC_FILE"])
    write_fits(inside(staging, relative), spec_full(seed, visit, seen, spall.stack([row])))
    return row
