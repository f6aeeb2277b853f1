"""Asset checks: what must hold before anything may follow.

Belongs here: Dagster's view of the verification of a file and of the account of a pipeline. Does not belong here:
the verification itself (`products.verify`), the account itself (`compute.account`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

if TYPE_CHECKING:
    from astra_assets.compute import Account
    from astra_assets.declared import DeclaredProduct
    from astra_assets.products.create import CreateReport

FILE = "file_is_sound"
ACCOUNT = "every_input_is_accounted_for"


def check_specs(declared: DeclaredProduct, key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """The checks of a product; both are blocking, since a check that does not block leaves a run green."""
    specs = [
        dg.AssetCheckSpec(
            FILE,
            asset=key,
            blocking=True,
            description="Rows as the query counts them, checksums, formats, units, unique keys, at most 999 columns.",
        )
    ]
    if declared.steps():
        specs.append(
            dg.AssetCheckSpec(
                ACCOUNT,
                asset=key,
                blocking=True,
                description="Inputs = results + failed + skipped, and no backlog: the product may be released.",
            )
        )
    return specs


def file_check(report: CreateReport, key: dg.AssetKey) -> dg.AssetCheckResult:
    """The file was read back and is right: `create` puts no other file in its place."""
    return dg.AssetCheckResult(
        check_name=FILE,
        asset_key=key,
        passed=True,
        metadata={
            "rows": " + ".join(str(count) for count in report.rows),
            "sha256": report.sha256,
            "written": report.written,
            "reason": report.reason,
        },
    )


def account_check(
    accounts: Sequence[Account], run_config: Mapping[str, Any], key: dg.AssetKey
) -> dg.AssetCheckResult:
    """Whether every input of the steps that a product shows is accounted for.

    A run that was restricted on purpose leaves a backlog on purpose: then the check fails with a warning, and the run is
    green all the same.
    """
    unbalanced = [account for account in accounts if not account.balanced]
    backlog = sum(account.backlog for account in accounts)
    wanted = not unbalanced and is_restricted(run_config)
    return dg.AssetCheckResult(
        check_name=ACCOUNT,
        asset_key=key,
        passed=not unbalanced and not backlog,
        severity=dg.AssetCheckSeverity.WARN if wanted else dg.AssetCheckSeverity.ERROR,
        description=account_text(unbalanced, backlog),
        metadata={f"{account.pipeline} {account.step}": str(account) for account in accounts},
    )


def account_text(unbalanced: Sequence[Account], backlog: int) -> str:
    """What is wrong with an account and what to do, or that nothing is."""
    if unbalanced:
        return "inputs are lost or counted twice: " + "; ".join(str(account) for account in unbalanced)
    if backlog:
        return f"{backlog:,} inputs have no result and no reason yet: run the step again without a limit"
    return "inputs = results + failed + skipped"


def is_restricted(run_config: Mapping[str, Any]) -> bool:
    """True when the run was asked to leave inputs out (`limit` or `sdss_ids` of any step)."""
    configs = [op.get("config") or {} for op in (run_config.get("ops") or {}).values()]
    return any(config.get("limit") is not None or config.get("sdss_ids") for config in configs)
