"""The result table of LineForest: six columns for each line, in Astra's order.

Columns only; the lines are in `lines.py`, their measurement is in `measure.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy.orm import MappedColumn

from astra_assets.models.base import PipelineResult
from astra_assets.pipelines.line_forest.lines import LINES, Line
from astra_assets.registry.columns import column
from astra_assets.registry.kinds import Kind

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
