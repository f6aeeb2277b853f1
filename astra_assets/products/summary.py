"""Which summary products there are, and from which tables each HDU of them comes.

Declarations only. Their rows and columns in a database are in `rows.py`, their files in `bundle.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from astra_assets.models.apogee import (
    ApogeeCoaddedSpectrumInApStar,
    ApogeeVisitSpectrum,
    ApogeeVisitSpectrumInApStar,
)
from astra_assets.models.base import Base, PipelineResult, layout
from astra_assets.models.boss import BossCombinedSpectrum, BossVisitSpectrum
from astra_assets.models.source import Source
from astra_assets.registry.columns import info
from astra_assets.registry.flags import Flag
from astra_assets.registry.kinds import Kind

Level = Literal["star", "visit"]


@dataclass(frozen=True)
class SummaryTable:
    """One table HDU: the models whose fields it shows, in the order of its columns.

    `spectrum` is None in a table of sources. `reduction` is the table of the visits as the reduction pipeline
    made them, for spectra that were made from those.
    """

    description: str
    instrument: str | None = None
    spectrum: type[Base] | None = None
    reduction: type[Base] | None = None

    @property
    def key(self) -> str:
        """The column that identifies a row, and by which rows are ordered."""
        return "sdss_id" if self.spectrum is None else "spectrum_pk"


@dataclass(frozen=True)
class SummaryProduct:
    """A summary file: its name, its table HDUs in order, and what selects its rows.

    `stellar_like` keeps the sources of the Milky Way Mapper that have visits. With a `result` table, rows are
    the results of the current minor version, and `pipeline` is the name that files give. `coadds_of_version`
    keeps only coadds of the current minor version.
    """

    name: str
    description: str
    tables: tuple[SummaryTable, ...]
    stellar_like: bool = False
    coadds_of_version: bool = False
    pipeline: str | None = None
    result: type[PipelineResult] | None = None

    def models(self, table: SummaryTable) -> tuple[type[Base], ...]:
        """Return the models of a table, in the order of their columns in the file."""
        found = (Source, table.reduction, table.spectrum, self.result)
        return tuple(model for model in found if model is not None)


MWM_TARGETS = SummaryProduct(
    "mwmTargets",
    "All Milky Way Mapper sources with at least one visit",
    (SummaryTable("Sources"),),
    stellar_like=True,
)

MWM_ALL_VISIT = SummaryProduct(
    "mwmAllVisit",
    "All visits of Milky Way Mapper sources",
    (
        SummaryTable("BOSS visits", "BOSS", BossVisitSpectrum),
        SummaryTable("APOGEE visits", "APOGEE", ApogeeVisitSpectrum),
    ),
    stellar_like=True,
)

MWM_ALL_STAR = SummaryProduct(
    "mwmAllStar",
    "All coadds of Milky Way Mapper sources",
    (
        SummaryTable("BOSS coadds", "BOSS", BossCombinedSpectrum),
        SummaryTable("APOGEE coadds", "APOGEE", ApogeeCoaddedSpectrumInApStar),
    ),
    stellar_like=True,
    coadds_of_version=True,
)

MWM_PRODUCTS = (MWM_TARGETS, MWM_ALL_VISIT, MWM_ALL_STAR)
"""The products that belong to no pipeline."""

_RESULT_TABLES: dict[Level, tuple[SummaryTable, ...]] = {
    "star": (
        SummaryTable("BOSS results", "BOSS", BossCombinedSpectrum),
        SummaryTable("APOGEE results", "APOGEE", ApogeeCoaddedSpectrumInApStar),
    ),
    "visit": (
        SummaryTable("BOSS results", "BOSS", BossVisitSpectrum),
        SummaryTable("APOGEE results", "APOGEE", ApogeeVisitSpectrumInApStar, ApogeeVisitSpectrum),
    ),
}


def pipeline_product(
    pipeline: str, result: type[PipelineResult], level: Level, *, suffix: str | None = None
) -> SummaryProduct:
    """The product of a pipeline's results on coadds ("star") or on visits.

    `pipeline` is its name, `suffix` the end of the product's name where it is another (`APOGEENet` of
    `ApogeeNet`). Both HDUs are there always; that of an instrument the pipeline does not use has no rows.
    """
    name = f"astraAll{level.capitalize()}{suffix or pipeline}"
    spectra = "coadds" if level == "star" else "visits"
    return SummaryProduct(
        name, f"Results of {pipeline} on {spectra}", _RESULT_TABLES[level], pipeline=pipeline, result=result
    )


def flags_of(product: SummaryProduct) -> dict[str, tuple[Flag, ...]]:
    """Return the named bits of each flag column of a product, by the name of the column in its files."""
    found: dict[str, tuple[Flag, ...]] = {}
    for table in product.tables:
        for model in product.models(table):
            for entry in layout(model):
                if entry.column is not None and entry.definition.kind is Kind.bits:
                    about = info(entry.column)
                    found[about.summary_name] = found.get(about.summary_name) or about.flags
    return found


def level_of(model: type[Base]) -> Level:
    """The level of a pipeline that reads such spectra.

    Raises ValueError when no summary shows them.
    """
    for level, tables in _RESULT_TABLES.items():
        if model in {table.spectrum for table in tables}:
            return level
    raise ValueError(f"no summary product shows results on {model.__name__}")
