"""LineForest: strengths of 52 optical lines in BOSS coadds and visits, by our own measurement.

The declaration and the way from a spectrum to a row. The lines are in `lines.py`, the columns in `table.py`, the
method and its limits in `measure.py`.
"""

from __future__ import annotations

from astra_assets.models.boss import BossCombinedSpectrum, BossVisitSpectrum
from astra_assets.pipelines.base import Pipeline, Step, Unusable, WorkContext
from astra_assets.pipelines.line_forest.lines import LINES
from astra_assets.pipelines.line_forest.table import LineForest
from astra_assets.pipelines.options import SlurmOptions
from astra_assets.spectra.base import Spectrum

__all__ = ["LINE_FOREST", "LineForest", "measure_lines"]


def measure_lines(spectrum: Spectrum, context: WorkContext) -> LineForest:  # noqa: ARG001 - nothing is loaded
    """Measure all lines of a spectrum; columns of lines that are not detected stay NULL.

    The noise draws follow from the key of the spectrum, so that measuring it again gives the same row.

    Raises:
        Unusable: no line has enough good pixels (`no_line_covered`).
    """
    from astra_assets.pipelines.line_forest.measure import measure

    found = measure(spectrum, seed=int(spectrum.row.get("spectrum_pk") or 0))
    if not found.covered.any():
        raise Unusable("no_line_covered", "no line of the list has enough good pixels around it")
    row = LineForest()
    for i, line in enumerate(LINES):
        if found.stored[i]:
            setattr(row, f"eqw_{line.name}", float(found.eqw[i]))
            setattr(row, f"abs_{line.name}", float(found.depth[i]))
            setattr(row, f"detection_stat_{line.name}", float(found.detection[i]))
            setattr(row, f"detection_raw_{line.name}", float(found.fraction[i]))
            setattr(row, f"eqw_percentiles_{line.name}", found.eqw_percentiles[i].tolist())
            setattr(row, f"abs_percentiles_{line.name}", found.depth_percentiles[i].tolist())
    return row


MANY_PROCESSES = SlurmOptions(procs=8, time="48:00:00")

LINE_FOREST = Pipeline(
    name="LineForest",
    table=LineForest,
    steps=(
        Step("star", inputs=BossCombinedSpectrum, function=measure_lines, slurm=MANY_PROCESSES),
        Step("visit", inputs=BossVisitSpectrum, function=measure_lines, slurm=MANY_PROCESSES),
    ),
    code_version="1",
)
