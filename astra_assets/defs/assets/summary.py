"""Summary products as assets: a FITS file each, what stands next to it, and its checks."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from astra_assets.defs.assets.metadata import OWNERS, product_metadata, table_schema
from astra_assets.defs.assets.outline import ProductOutline
from astra_assets.defs.checks import (
    account_check,
    check_specs,
    content_checks,
    drift_check,
    failed_check,
    left_out_checks,
)
from astra_assets.defs.executors import HEAVY
from astra_assets.defs.resources import DeploymentResource, plainly
from astra_assets.errors import PassingError
from astra_assets.products.findings import VerificationError

if TYPE_CHECKING:
    from astra_assets.config.declared import DeclaredProduct
    from astra_assets.operations.step_runner import StepRunner


class ProductOptions(dg.Config):
    """Launchpad options of a product: those of `astra-assets create`."""

    limit: int | None = Field(
        default=None, ge=1, description="A sample of at most this many rows, as a file of its own."
    )
    overwrite: bool = Field(default=False, description="Write also when nothing has changed.")
    plain: bool = Field(default=False, description="Also a copy without gzip, kept up to date from then on.")
    tiles: bool = Field(
        default=False,
        description="Also a copy with tile-compressed tables (.fits.fz), kept up to date from then on.",
    )
    accept_empty: list[str] = Field(
        default=[], description="Columns that may have lost all their values since the version before."
    )

    @property
    def asked(self) -> dict[str, Any]:
        """The same as arguments of `create`."""
        formats = [name for name in ("plain", "tiles") if getattr(self, name)]
        same = {name: getattr(self, name) for name in ("overwrite", "limit", "accept_empty")}
        return {**same, "formats": formats}


@cache
def options_schema() -> Any:
    """The schema of the options of all products: Dagster takes its time to find it out."""
    return ProductOptions.to_config_schema()


def product_asset(product: ProductOutline) -> dg.AssetsDefinition:
    """The asset of one product."""

    @dg.asset(
        key=product.name,
        deps=[dg.AssetKey(path) for path in product.upstream],
        group_name=product.group,
        description=product.description,
        kinds={"fits", "parquet"},
        owners=OWNERS,
        code_version="1",
        metadata={"dagster/column_schema": table_schema(product.columns)},
        check_specs=check_specs(dg.AssetKey(product.name), has_steps=product.has_steps),
        config_schema=options_schema(),
        op_tags=HEAVY,
        output_required=False,  # left out where it would have no rows, since the program that makes them is not here
    )
    def write(
        context: dg.AssetExecutionContext, survey: DeploymentResource
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:  # type: ignore[type-arg]
        with plainly(context):
            config = ProductOptions(**context.op_execution_context.op_config)
            yield from written_or_left_out(product, config, context, survey)

    return write


def written_or_left_out(
    product: ProductOutline,
    config: ProductOptions,
    context: dg.AssetExecutionContext,
    survey: DeploymentResource,
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:  # type: ignore[type-arg]
    """Write a product, or say why it is left out: without the program that makes its rows it would have none."""
    from astra_assets.config.declared import declared_product
    from astra_assets.operations.create import create, left_out
    from astra_assets.operations.picture import picture
    from astra_assets.operations.step_runner import StepRunner
    from astra_assets.products.show.preview import preview

    key = context.asset_key
    deployment, release = survey.of_run(context.run)
    declared = declared_product(product.name)
    reason = left_out(deployment, declared, release)
    if reason is not None:
        context.log.info(reason)
        context.log_event(dg.AssetObservation(key, metadata={"left out": reason}))
        yield from left_out_checks(key, reason, has_steps=product.has_steps)
        return
    try:
        report = create(
            deployment,
            declared.name,
            release,
            run_id=context.run.run_id,
            say=context.log.info,
            **config.asked,
        )
    except VerificationError as error:
        yield failed_check(error, key)
        raise
    checks = [*content_checks(report, key), drift_check(report, key)]
    if product.has_steps:
        checks.append(_account(StepRunner(deployment, release), declared, context.run.run_config, key))
    try:
        drawn = picture(deployment, declared, report, release.v_astra)
    except PassingError as error:
        # The files have their names: the step, tried again, would find nothing that they differ from.
        context.log.warning("there is no picture: %s", error)
        drawn = None
    parquet = [path for path in report.files if path.suffix == ".parquet"]
    shown = product_metadata(report, drawn, preview(declared.product, parquet))
    yield dg.MaterializeResult(metadata=shown, check_results=checks)


def _account(
    runner: "StepRunner", declared: "DeclaredProduct", run_config: Mapping[str, Any], key: dg.AssetKey
) -> dg.AssetCheckResult:
    accounts = [runner.engine.account(pipeline, step) for pipeline, step in declared.steps()]
    missing = [runner.left_out(pipeline, step) for pipeline, step in declared.steps()]
    return account_check(accounts, run_config, key, [reason for reason in missing if reason is not None])
