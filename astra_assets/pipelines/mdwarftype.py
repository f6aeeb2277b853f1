"""MDwarfType: spectral types of M dwarfs from BOSS spectra, by comparison with templates.

The result table, its flags and the declaration. The comparison is an external program.
"""

from __future__ import annotations

from sqlalchemy.orm import Mapped

from astra_assets.models.base import PipelineResult
from astra_assets.models.boss import BossCombinedSpectrum, BossVisitSpectrum
from astra_assets.pipelines.base import Pipeline, Step
from astra_assets.pipelines.external import ASTRA, files_program
from astra_assets.pipelines.options import SlurmOptions
from astra_assets.pipelines.rules import Row, raised
from astra_assets.registry.columns import column, flags, known
from astra_assets.registry.flags import ANY
from astra_assets.registry.glossary.spectra import FLUX_UNIT

EARLIEST = "K5.0"
"""The earliest template: what fits it best is no M dwarf."""


class MDwarfType(PipelineResult):
    """Spectral types of M dwarfs: the template that fits a BOSS spectrum best."""

    spectral_type: Mapped[str | None] = column(
        None, "Spectral type of the best template", ucd="src.spType", category="M Dwarf Type"
    )
    sub_type: Mapped[float | None] = column(
        None, "Metallicity class of the best template", ucd="src.spType;phys.abund.Z"
    )
    rchi2: Mapped[float | None] = known("rchi2")
    continuum: Mapped[float | None] = column(
        FLUX_UNIT, "Mean flux between 7495 and 7505 Angstrom", ucd="phot.flux.density;spect.continuum"
    )
    result_flags: Mapped[int] = flags(
        suspicious=f"The best template is {EARLIEST}, the earliest one",
        exception="The spectrum could not be compared with the templates",
        bad=ANY,
    )


def derive(row: Row) -> dict[str, int]:
    """The flags that follow from the type."""
    kind = row.get("spectral_type")
    return raised(MDwarfType, row, {"suspicious": kind == EARLIEST, "exception": not kind})


PROGRAM = files_program(
    "astra-mdwarftype",
    install=f"The comparison is part of Astra ({ASTRA}, astra.pipelines.mdwarftype) and needs its templates.",
)
CPUS = SlurmOptions(procs=16, mem="0", time="48:00:00")

MDWARFTYPE = Pipeline(
    name="MDwarfType",
    key="mdwarftype",
    table=MDwarfType,
    steps=(
        Step("star", inputs=BossCombinedSpectrum, program=PROGRAM, slurm=CPUS),
        Step("visit", inputs=BossVisitSpectrum, program=PROGRAM, slurm=CPUS),
    ),
    derive=derive,
)
