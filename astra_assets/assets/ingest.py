"""The tables that ingestion fills: sources and reduced spectra.

Belongs here: Dagster's view of `init` and `migrate`. Does not belong here: reading summary files (`ingest`).
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg
from pydantic import Field

from astra_assets.assets.metadata import OWNERS, table_metadata
from astra_assets.models.boss import BossVisitSpectrum
from astra_assets.models.source import Source
from astra_assets.resources import Survey, plainly

GROUP = "Initialisation"
SOURCE = dg.AssetKey("source")
BOSS_VISITS = dg.AssetKey("boss_visit_spectrum")
TABLE_KEYS = (SOURCE, BOSS_VISITS)


class MigrateOptions(dg.Config):
    """Launchpad options of ingestion."""

    limit: int | None = Field(default=None, ge=1, description="At most this many rows.")


@dg.multi_asset(
    name="migrate",
    group_name=GROUP,
    specs=[
        dg.AssetSpec(
            SOURCE,
            description="Astronomical objects: identifiers, cartons, astrometry and photometry from the catalogue files.",
            kinds={"table"},
            code_version="1",
            owners=OWNERS,
            metadata=table_metadata(Source),
        ),
        dg.AssetSpec(
            BOSS_VISITS,
            deps=[SOURCE],
            description="One object in one BOSS night: rows of spAll, linked to sources, with the header keys of specFull.",
            kinds={"table"},
            code_version="1",
            owners=OWNERS,
            metadata=table_metadata(BossVisitSpectrum),
        ),
    ],
)
def ingested_tables(
    context: dg.AssetExecutionContext, config: MigrateOptions, survey: Survey
) -> Iterator[dg.MaterializeResult[None]]:
    """Create missing tables, then bring in new and changed spectra and sources; unchanged rows are not touched."""
    with plainly():
        operations, release = survey.of_run(context.run)
        created = operations.init(context.log.info)
        report = operations.migrate(release, limit=config.limit, say=context.log.info)
        shared: dict[str, Any] = {
            "summary": dg.MetadataValue.md(f"```\n{report.table()}\n```"),
            "tables created": len(created),
        }
        for key, model in ((SOURCE, Source), (BOSS_VISITS, BossVisitSpectrum)):
            rows = operations.row_count(model)
            yield dg.MaterializeResult(asset_key=key, metadata={**shared, "dagster/row_count": rows})
