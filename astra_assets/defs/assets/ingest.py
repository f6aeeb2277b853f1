"""The assets of the tables that ingestion fills: sources and reduced spectra."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
from pydantic import Field

from astra_assets.defs.assets.metadata import OWNERS, table_schema
from astra_assets.defs.assets.outline import TableOutline
from astra_assets.defs.resources import DeploymentResource, plainly

GROUP = "Initialisation"


class MigrateOptions(dg.Config):
    """Launchpad options of ingestion."""

    limit: int | None = Field(default=None, ge=1, description="At most this many rows.")


def ingested_tables(tables: tuple[TableOutline, ...]) -> dg.AssetsDefinition:
    """The assets of the tables that ingestion fills, all of them by one op."""

    @dg.multi_asset(
        name="migrate",
        group_name=GROUP,
        can_subset=True,
        specs=[
            dg.AssetSpec(
                table.name,
                skippable=True,
                deps=[dg.AssetKey(parent) for parent in table.parents],
                description=table.description,
                kinds={"table"},
                code_version="1",
                owners=OWNERS,
                metadata={
                    "dagster/table_name": table.name,
                    "dagster/column_schema": table_schema(table.columns),
                },
            )
            for table in tables
        ],
    )
    def migrate(
        context: dg.AssetExecutionContext, config: MigrateOptions, survey: DeploymentResource
    ) -> Iterator[dg.MaterializeResult[None]]:
        """Create missing tables, then bring in new and changed spectra and sources; unchanged rows are not touched.

        Tables of another Astra are left to its own ingestion.
        """
        with plainly(context):
            from astra_assets.operations.init import init
            from astra_assets.operations.migrate import migrate
            from astra_assets.operations.tables import row_count

            deployment, release = survey.of_run(context.run)
            created = init(deployment, context.log.info)
            if deployment.database.foreign:
                summary = (
                    "Nothing was ingested: the tables belong to another Astra, whose own migrate fills them."
                )
                context.log.info(summary)
            else:
                report = migrate(deployment, release, limit=config.limit, say=context.log.info)
                summary = f"```\n{report.table()}\n```"
            shared: dict[str, Any] = {"summary": dg.MetadataValue.md(summary), "tables created": len(created)}
            selected = {key.path[-1]: key for key in context.selected_asset_keys}
            for table in tables:  # in this order: Dagster wants what is read before what reads it
                if table.name in selected:
                    told = {**shared, "dagster/row_count": row_count(deployment, table.name)}
                    yield dg.MaterializeResult(asset_key=selected[table.name], metadata=told)

    return migrate
