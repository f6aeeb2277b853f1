"""Summary products as assets: a FITS file each, and what stands beside it.

Belongs here: the factory that turns the declaration of a product into an asset with its checks. Does not belong here:
which rows and columns it has, and how it is written (`products`).
"""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
from pydantic import Field

from astra_assets.assets.ingest import BOSS_VISITS, SOURCE
from astra_assets.assets.metadata import OWNERS, column_schema, product_metadata
from astra_assets.assets.pipelines import MWM_KEYS, step_keys
from astra_assets.checks import (
    account_check,
    check_specs,
    content_checks,
    drift_check,
    failed_check,
    left_out_checks,
)
from astra_assets.declared import DeclaredProduct
from astra_assets.executors import HEAVY
from astra_assets.products.findings import VerificationError
from astra_assets.resources import Survey, plainly
from astra_assets.work import Work

GROUP = "SummarySpectrumProducts"
SURVEY_WIDE = {
    "mwmTargets": (SOURCE, BOSS_VISITS),
    "mwmAllVisit": (SOURCE, BOSS_VISITS),
    "mwmAllStar": (SOURCE, MWM_KEYS["boss_combined_spectrum"]),
}
"""What the products that belong to no pipeline show."""


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
        kinds={"fits", "parquet"},
        owners=OWNERS,
        code_version="1",
        metadata={"dagster/column_schema": column_schema(declared.columns())},
        check_specs=check_specs(declared, key),
        op_tags=HEAVY,
        output_required=False,  # left out where it would have no rows, since the program that makes them is not here
    )
    def product(
        context: dg.AssetExecutionContext, config: ProductOptions, survey: Survey
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:  # type: ignore[type-arg]
        with plainly():
            operations, release = survey.of_run(context.run)
            reason = operations.left_out(declared, release)
            if reason is not None:
                yield from _left_out(context, declared, key, reason)
                return
            products = operations.products
            try:
                report = products.create(
                    declared.name, release, run_id=context.run.run_id, say=context.log.info, **config.asked
                )
            except VerificationError as error:
                yield failed_check(error, key)
                raise
            checks = [*content_checks(report, key), drift_check(report, key)]
            if declared.steps():
                checks.append(_account(operations.work(release), declared, context.run.run_config, key))
            shown = product_metadata(
                report,
                products.picture(declared, report, release.v_astra),
                products.preview(declared, report),
            )
            yield dg.MaterializeResult(metadata=shown, check_results=checks)

    return product


def _left_out(
    context: dg.AssetExecutionContext, declared: DeclaredProduct, key: dg.AssetKey, reason: str
) -> Iterator[dg.AssetCheckResult]:
    """Say why a product is not written: nothing is materialised, and nothing has failed."""
    context.log.info(reason)
    context.log_event(dg.AssetObservation(key, metadata={"left out": reason}))
    yield from left_out_checks(declared, key, reason)


def _account(
    work: Work, declared: DeclaredProduct, run_config: Mapping[str, Any], key: dg.AssetKey
) -> dg.AssetCheckResult:
    accounts = [work.engine.account(pipeline, step) for pipeline, step in declared.steps()]
    missing = [work.unavailable(pipeline, step) for pipeline, step in declared.steps()]
    return account_check(accounts, run_config, key, [reason for reason in missing if reason is not None])
