"""Summary products as assets: one FITS file each.

Belongs here: the factory that turns the declaration of a product into an asset with its checks. Does not belong here:
which rows and columns it has, and how it is written (`products`).
"""

import dagster as dg
from pydantic import Field

from astra_assets.assets.ingest import BOSS_VISITS, SOURCE
from astra_assets.assets.metadata import OWNERS, column_schema, product_metadata
from astra_assets.assets.pipelines import MWM_KEYS, step_keys
from astra_assets.checks import account_check, check_specs, file_check
from astra_assets.declared import DeclaredProduct
from astra_assets.resources import Survey, plainly

GROUP = "SummarySpectrumProducts"
SURVEY_WIDE = {
    "mwmTargets": (SOURCE, BOSS_VISITS),
    "mwmAllVisit": (SOURCE, BOSS_VISITS),
    "mwmAllStar": (SOURCE, MWM_KEYS["boss_combined_spectrum"]),
}
"""What the products that belong to no pipeline show."""


class ProductOptions(dg.Config):
    """Launchpad options of a product."""

    limit: int | None = Field(default=None, ge=1, description="At most this many rows.")


def upstream_of(declared: DeclaredProduct) -> tuple[dg.AssetKey, ...]:
    """The tables whose rows a product shows."""
    if declared.pipeline is None:
        return SURVEY_WIDE[declared.name]
    return tuple(key for pipeline, step in declared.steps() for key in step_keys(pipeline, step).values())


def product_asset(declared: DeclaredProduct) -> dg.AssetsDefinition:
    """The asset of one product."""
    key = dg.AssetKey(declared.name)

    @dg.asset(
        key=key,
        deps=upstream_of(declared),
        group_name=declared.pipeline.group if declared.pipeline else GROUP,
        description=declared.description,
        kinds={"fits"},
        owners=OWNERS,
        code_version="1",
        metadata={"dagster/column_schema": column_schema(declared.columns())},
        check_specs=check_specs(declared, key),
    )
    def product(
        context: dg.AssetExecutionContext, config: ProductOptions, survey: Survey
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]
        with plainly():
            operations, release = survey.of_run(context.run)
            report = operations.create(
                declared.name, release, limit=config.limit, run_id=context.run.run_id, say=context.log.info
            )
            checks = [file_check(report, key)]
            if declared.steps():
                engine = operations.work(release).engine
                accounts = [engine.account(pipeline, step) for pipeline, step in declared.steps()]
                checks.append(account_check(accounts, context.run.run_config, key))
            return dg.MaterializeResult(
                metadata=product_metadata(report, operations.picture(declared, report)), check_results=checks
            )

    return product
