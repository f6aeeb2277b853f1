"""LineForest: strengths of 52 optical lines in BOSS coadds and visits, by our own measurement.

The declaration, the result table and the way from a spectrum to a row. The lines are in `lines.py`, the method and
its limits in `measure.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy.orm import MappedColumn

from astra_assets.models.base import PipelineResult
from astra_assets.models.boss import BossCombinedSpectrum, BossVisitSpectrum
from astra_assets.pipelines.base import Pipeline, Step, Unusable, WorkContext
from astra_assets.pipelines.line_forest.lines import LINES, Line
from astra_assets.pipelines.options import SlurmOptions
from astra_assets.registry.columns import column
from astra_assets.registry.kinds import Kind
from astra_assets.spectra.base import Spectrum

__all__ = ["LINE_FOREST", "LineForest", "measure_lines"]


WIDTH = "spect.line.eqWidth"
DEPTH = "spect.line.intensity"

COLUMNS: tuple[tuple[str, str | None, str, str, Kind], ...] = (
    ("eqw", "Angstrom", "Equivalent width of {}, negative in emission", WIDTH, Kind.float32),
    ("abs", None, "Amplitude of {} in units of the continuum, positive", DEPTH, Kind.float32),
    (
        "detection_stat",
        None,
        "Detection of {}: 1 absorption, 0 none, -1 emission",
        "stat.likelihood",
        Kind.float32,
    ),
    (
        "detection_raw",
        None,
        "Fraction of noise draws in which {} is detected",
        "stat.probability",
        Kind.float32,
    ),
    (
        "eqw_percentiles",
        "Angstrom",
        "Equivalent width of {}: percentiles 16, 50, 84",
        f"stat.value;{WIDTH}",
        Kind.floats,
    ),
    ("abs_percentiles", None, "Amplitude of {}: percentiles 16, 50, 84", f"stat.value;{DEPTH}", Kind.floats),
)
"""What there is of each line: beginning of the name, unit, description, UCD and kind."""


def line_columns(line: Line) -> Iterator[tuple[str, MappedColumn[object]]]:
    """The six columns of a line, under a heading of its own."""
    title: str | None = f"{line.label} ({line.air:g} Angstrom in air)"
    for start, unit, text, ucd, kind in COLUMNS:
        yield (
            f"{start}_{line.name}",
            column(unit, text.format(line.label), ucd=ucd, kind=kind, category=title),
        )
        title = None


class LineForest(PipelineResult):
    """Strengths of 52 optical lines in BOSS spectra; NULL where a line is not detected or not covered.

    No velocity is taken out: coadds are at rest, visits are measured as observed, so lines of a fast star move
    out of their windows.
    """

    # The namespace of a class body may be written to; naming 312 columns one by one would say no more.
    locals().update(pair for line in LINES for pair in line_columns(line))


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
