"""Writing astraStar and astraVisit files: one source, the results of one pipeline on its coadds or visits.

Here: the columns of such files, and which spectra each kind shows. Not here: the layout of a file of a source
(`mwm`), which sources get files and where rows and pixels come from (`pipelines.astra_files`).

A row has the columns of its spectrum, then those of the pipeline; of a name that both have the pipeline's
counts, and stands where the pipeline has it (in summary files it is the other way round). Arrays of pixels are
on the grid that the header tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Literal

from astra_assets.models.apogee import ApogeeCoaddedSpectrumInApStar, ApogeeVisitSpectrumInApStar
from astra_assets.models.base import Base, PipelineResult
from astra_assets.models.boss import BossCombinedSpectrum, BossVisitSpectrum
from astra_assets.registry.columns import LAST_COLUMNS
from astra_assets.spectra.mwm import FileColumn, FileTable, file_columns

FileKind = Literal["star", "visit"]

SPECTRA: Mapping[FileKind, Mapping[str, type[Base]]] = {
    "star": {"BOSS": BossCombinedSpectrum, "APOGEE": ApogeeCoaddedSpectrumInApStar},
    "visit": {"BOSS": BossVisitSpectrum, "APOGEE": ApogeeVisitSpectrumInApStar},
}
"""The spectra whose results a kind of file shows, by instrument."""

DROPPED = ("pk", "sdss5_target_flags", "source_pk", "wresl", "flux", "ivar", "pixel_flags")
"""Columns that no such file has: what is in mwmStar and mwmVisit files, and keys of the database."""

LAST = (*(name for name in LAST_COLUMNS if name not in DROPPED), "task_pk")
"""The columns at the end of a row, which say how the result was made."""


@cache
def astra_table(kind: FileKind, instrument: str, result: type[PipelineResult]) -> FileTable:
    """The columns of a file of results on spectra of an instrument."""
    dropped = {*DROPPED, "wavelength"} if kind == "visit" else set(DROPPED)
    of_spectrum = [column for column in file_columns(SPECTRA[kind][instrument]) if not column.hidden]
    of_result = {column.key: column for column in file_columns(result)}
    own = [column for key, column in of_result.items() if key not in LAST]
    last_wins: dict[str, FileColumn] = {}
    for column in (*of_spectrum, *own, *(of_result[key] for key in LAST)):
        if column.key not in dropped:
            last_wins.pop(column.key, None)
            last_wins[column.key] = column
    return FileTable(tuple(last_wins.values()))
