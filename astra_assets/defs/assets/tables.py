"""The tables that ingestion fills, and which asset stands for a table."""

from __future__ import annotations

from astra_assets.defs.assets.outline import APOGEE, BOSS, KeyPath
from astra_assets.models.apogee import (
    ApogeeCoaddedSpectrumInApStar,
    ApogeeVisitSpectrum,
    ApogeeVisitSpectrumInApStar,
)
from astra_assets.models.base import Base, table_of
from astra_assets.models.boss import BossVisitSpectrum
from astra_assets.models.source import Source

TABLES: tuple[tuple[type[Base], tuple[type[Base], ...], str, str], ...] = (
    (
        Source,
        (),
        "",
        "Astronomical objects: identifiers, cartons, astrometry and photometry from the catalogue files.",
    ),
    (
        BossVisitSpectrum,
        (Source,),
        BOSS,
        "One object in one BOSS night: rows of spAll, linked to sources, with the header keys of specFull.",
    ),
    (
        ApogeeVisitSpectrum,
        (Source,),
        APOGEE,
        "One object in one APOGEE night: rows of allVisit, linked to sources, with header keys of apVisit.",
    ),
    (
        ApogeeCoaddedSpectrumInApStar,
        (Source,),
        APOGEE,
        "One object with one telescope, as APOGEE's reduction adds up its visits: rows of allStar, linked to sources.",
    ),
    (
        ApogeeVisitSpectrumInApStar,
        (ApogeeVisitSpectrum, ApogeeCoaddedSpectrumInApStar),
        APOGEE,
        "The visits inside apStar files, from their headers: resampled, in the rest frame.",
    ),
)
"""The tables that ingestion fills, those that they are linked to, whose reductions fill them, and what they hold."""


def table_key(model: type[Base]) -> KeyPath:
    """The asset of a table is called like the table."""
    return (table_of(model).name,)


INGESTED: dict[type[Base], tuple[KeyPath, ...]] = {
    **{model: (table_key(model),) for model, *_ in TABLES},
    # What is made of a source is made of its spectra.
    Source: (table_key(Source), table_key(BossVisitSpectrum), table_key(ApogeeVisitSpectrumInApStar)),
}
"""The assets whose rows a step over this model reads."""


def made_by(model: type[Base]) -> tuple[KeyPath, ...]:
    """The assets whose rows a step over this model reads: what ingestion fills, or what another step makes."""
    return INGESTED.get(model) or (table_key(model),)
