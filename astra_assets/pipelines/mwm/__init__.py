"""The pipeline that makes the mwmVisit and mwmStar files of each source, and the rows of the spectra in them.

The declaration: which sources get files, and when they are made again. `gather` asks the database for the spectra of
the sources while a batch is planned; `source_files` makes the files, on workers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, literal, or_, select

from astra_assets.models.apogee import (
    ApogeeCoaddedSpectrumInApStar,
    ApogeeCombinedSpectrum,
    ApogeeRestFrameVisitSpectrum,
    ApogeeVisitSpectrum,
    ApogeeVisitSpectrumInApStar,
)
from astra_assets.models.base import Base, table_of
from astra_assets.models.boss import BossCombinedSpectrum, BossRestFrameVisitSpectrum, BossVisitSpectrum
from astra_assets.models.cartons import stellar_like
from astra_assets.models.mwm import MWMSpectrumProductStatus
from astra_assets.models.source import Source
from astra_assets.pipelines.base import Columns, Pipeline, Requirement, Step
from astra_assets.pipelines.mwm.gather import gather, spectra_read
from astra_assets.pipelines.mwm.source_files import make_files
from astra_assets.pipelines.requirements import HAS_SDSS_ID
from astra_assets.spectra.mwm_header import SOURCE_COLUMNS


def _is_stellar_like(columns: Columns) -> np.ndarray[Any, Any]:
    return stellar_like(columns["sdss5_target_flags"], columns["sdss4_apogee_id"])


def _of_source(model: type[Base], *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether the source has such a spectrum."""
    spectra = table_of(model)
    found = select(literal(1)).where(spectra.c.source_pk == Source.c.pk, *conditions)
    return found.correlate(table_of(Source)).exists()


REDUCED = (
    BossVisitSpectrum,
    ApogeeCoaddedSpectrumInApStar,
    ApogeeVisitSpectrum,
    ApogeeVisitSpectrumInApStar,
)
"""The spectra that files are made from."""


def _spectrum_newer_than(since: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether a spectrum of the source was added, linked or changed after `since`."""
    return or_(*(_of_source(model, model.c.modified > since) for model in REDUCED))


HAS_SPECTRA = or_(_of_source(BossVisitSpectrum), _of_source(ApogeeCoaddedSpectrumInApStar))
"""Whether the source has a BOSS visit, or an APOGEE coadd, without which its APOGEE visits are not shown."""

MWM = Pipeline(
    name="MWM",
    key="mwm",
    group="SpectrumProducts",
    table=MWMSpectrumProductStatus,
    code_version="2",
    steps=(
        Step(
            "star",
            inputs=Source,
            function=make_files,
            requires=(
                HAS_SDSS_ID,
                Requirement(
                    "not_stellar_like",
                    "The source is in no carton of the Milky Way Mapper or of a like program.",
                    ("sdss5_target_flags", "sdss4_apogee_id"),
                    _is_stellar_like,
                ),
            ),
            columns={name: Source.c[name] for name in ("sdss5_target_flags", *SOURCE_COLUMNS)},
            gather=gather,
            spectra=spectra_read,
            tables=(
                BossCombinedSpectrum,
                BossRestFrameVisitSpectrum,
                ApogeeCombinedSpectrum,
                ApogeeRestFrameVisitSpectrum,
            ),
            stale=_spectrum_newer_than,
            eligible=HAS_SPECTRA,
        ),
    ),
)
