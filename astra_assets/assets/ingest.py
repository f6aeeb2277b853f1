"""The tables that ingestion fills: sources and reduced spectra.

Belongs here: Dagster's view of `init` and `migrate`. Does not belong here: reading summary files (`ingest`).
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg
from pydantic import Field

from astra_assets.assets.metadata import OWNERS, table_metadata
from astra_assets.models.apogee import (
    ApogeeCoaddedSpectrumInApStar,
    ApogeeVisitSpectrum,
    ApogeeVisitSpectrumInApStar,
)
from astra_assets.models.base import Base, table_of
from astra_assets.models.boss import BossVisitSpectrum
from astra_assets.models.source import Source
from astra_assets.releases import Release
from astra_assets.resources import Survey, plainly

GROUP = "Initialisation"
SOURCE = dg.AssetKey("source")
TABLES: tuple[tuple[type[Base], tuple[type[Base], ...], str], ...] = (
    (
        Source,
        (),
        "Astronomical objects: identifiers, cartons, astrometry and photometry from the catalogue files.",
    ),
    (
        BossVisitSpectrum,
        (Source,),
        "One object in one BOSS night: rows of spAll, linked to sources, with the header keys of specFull.",
    ),
    (
        ApogeeVisitSpectrum,
        (Source,),
        "One object in one APOGEE night: rows of allVisit, linked to sources, with header keys of apVisit.",
    ),
    (
        ApogeeCoaddedSpectrumInApStar,
        (Source,),
        "One object with one telescope, as APOGEE's reduction adds up its visits: rows of allStar, linked to sources.",
    ),
    (
        ApogeeVisitSpectrumInApStar,
        (ApogeeVisitSpectrum, ApogeeCoaddedSpectrumInApStar),
        "The visits inside apStar files, from their headers: resampled, in the rest frame.",
    ),
)
"""The tables that ingestion fills, those that they are linked to, and what they hold."""


def table_key(model: type[Base]) -> dg.AssetKey:
    """The asset of a table is called like the table."""
    return dg.AssetKey(table_of(model).name)


BOSS_VISITS = table_key(BossVisitSpectrum)
APOGEE_VISITS = table_key(ApogeeVisitSpectrum)
APOGEE_COADDS = table_key(ApogeeCoaddedSpectrumInApStar)
APOGEE_VISITS_IN_COADDS = table_key(ApogeeVisitSpectrumInApStar)


APOGEE_KEYS = (APOGEE_VISITS, APOGEE_COADDS, APOGEE_VISITS_IN_COADDS)
"""The tables that APOGEE's reductions fill."""


def table_keys(release: Release) -> tuple[dg.AssetKey, ...]:
    """The tables that a release fills: sources, and the spectra of the reductions that it is made from."""
    boss = (BOSS_VISITS,) if release.run2d else ()
    return (SOURCE, *boss, *(APOGEE_KEYS if release.apred else ()))


class MigrateOptions(dg.Config):
    """Launchpad options of ingestion."""

    limit: int | None = Field(default=None, ge=1, description="At most this many rows.")


@dg.multi_asset(
    name="migrate",
    group_name=GROUP,
    can_subset=True,
    specs=[
        dg.AssetSpec(
            table_key(model),
            skippable=True,
            deps=[table_key(parent) for parent in parents],
            description=description,
            kinds={"table"},
            code_version="1",
            owners=OWNERS,
            metadata=table_metadata(model),
        )
        for model, parents, description in TABLES
    ],
)
def ingested_tables(
    context: dg.AssetExecutionContext, config: MigrateOptions, survey: Survey
) -> Iterator[dg.MaterializeResult[None]]:
    """Create missing tables, then bring in new and changed spectra and sources; unchanged rows are not touched.

    Tables of another Astra are left to its own ingestion.
    """
    with plainly():
        operations, release = survey.of_run(context.run)
        created = operations.init(context.log.info)
        if operations.database.foreign:
            summary = (
                "Nothing was ingested: the tables belong to another Astra, whose own migrate fills them."
            )
            context.log.info(summary)
        else:
            report = operations.migrate(release, limit=config.limit, say=context.log.info)
            summary = f"```\n{report.table()}\n```"
        shared: dict[str, Any] = {"summary": dg.MetadataValue.md(summary), "tables created": len(created)}
        models = {table_of(model).name: model for model, _, _ in TABLES}
        for key in context.selected_asset_keys:
            rows = operations.row_count(models[key.path[-1]])
            yield dg.MaterializeResult(asset_key=key, metadata={**shared, "dagster/row_count": rows})
