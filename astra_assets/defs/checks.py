"""Asset checks: what must hold before anything may follow.

They show what `products` found in files, what moved since the version before, and the accounts of steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from astra_assets.products.findings import FILE, FILLED, KEYS, POSITIONS, TWIN, Finding

if TYPE_CHECKING:
    from astra_assets.compute import Account
    from astra_assets.products.findings import VerificationError
    from astra_assets.products.make import CreateReport

ACCOUNT = "every_input_is_accounted_for"
DRIFT = "little_moved_since_the_version_before"

CONTENT = {
    FILE: "Rows as the query counts them, checksums, formats, units, descriptions, at most 999 columns.",
    KEYS: "Every spectrum_pk (of sources: sdss_id) occurs once.",
    TWIN: "The Parquet files have the rows of the FITS file, value by value.",
    POSITIONS: "Right ascensions are 0 to 360 deg, declinations -90 to 90 deg.",
    FILLED: "No column is without any value that had some in the version before.",
}
"""What is looked at before files get their names, by check."""


def check_specs(key: dg.AssetKey, *, has_steps: bool) -> list[dg.AssetCheckSpec]:
    """The checks of a product; all are blocking, since a check that does not block leaves a run green.

    What moved since the version before is only a warning. `has_steps` says that steps of ours make what it shows.
    """
    told = _descriptions(has_steps=has_steps)
    return [
        dg.AssetCheckSpec(name, asset=key, blocking=True, description=text) for name, text in told.items()
    ]


def _descriptions(*, has_steps: bool) -> dict[str, str]:
    """What is looked at, by the name of the check."""
    told = CONTENT | {
        DRIFT: "Rows, medians, missing values and flags against the version before; only warns."
    }
    if has_steps:
        told[ACCOUNT] = "Inputs = results + failed + skipped, and no backlog: the product may be released."
    return told


def left_out_checks(key: dg.AssetKey, reason: str, *, has_steps: bool) -> Iterator[dg.AssetCheckResult]:
    """The checks of a product that is not written on purpose: there is nothing that could be wrong."""
    for name in _descriptions(has_steps=has_steps):
        yield dg.AssetCheckResult(
            check_name=name,
            asset_key=key,
            passed=True,
            description=f"nothing to look at: {reason}",
            metadata={"written": False},
        )


def content_checks(report: CreateReport, key: dg.AssetKey) -> list[dg.AssetCheckResult]:
    """What was found before the files got their names: `create` puts no others in their place."""
    found = {finding.check: finding for finding in report.findings}
    return [_content_check(found.get(name) or Finding(name, NOT_LOOKED_AT), report, key) for name in CONTENT]


def _content_check(finding: Finding, report: CreateReport, key: dg.AssetKey) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=finding.check,
        asset_key=key,
        passed=finding.passed,
        severity=dg.AssetCheckSeverity.ERROR if finding.passed else dg.AssetCheckSeverity.WARN,
        description=finding.text,
        metadata={
            **finding.facts,
            "written": report.written,
            "reason": report.reason,
            **({} if report.limit is None else {"sample": report.limit}),
        },
    )


NOT_LOOKED_AT = "nothing that this check looks at was made anew"


def failed_check(error: VerificationError, key: dg.AssetKey) -> dg.AssetCheckResult:
    """The check that kept files from getting their names."""
    return dg.AssetCheckResult(
        check_name=error.check,
        asset_key=key,
        passed=False,
        severity=dg.AssetCheckSeverity.ERROR,
        description=str(error),
        metadata={"found": str(error), "written": False},
    )


def drift_check(report: CreateReport, key: dg.AssetKey) -> dg.AssetCheckResult:
    """What moved since the version before: a warning, since a person has to judge it."""
    from astra_assets.products.compare.diff_report import summary_lines, warning_lines

    diff = report.diff
    if diff is None:
        return dg.AssetCheckResult(
            check_name=DRIFT,
            asset_key=key,
            passed=True,
            description=f"there is nothing to compare with: {'left alone, ' if not report.written else ''}{report.reason}",
        )
    warnings = diff.warnings
    return dg.AssetCheckResult(
        check_name=DRIFT,
        asset_key=key,
        passed=not warnings,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(warnings[:3]) + (f" and {len(warnings) - 3} more" if len(warnings) > 3 else "")
        if warnings
        else "nothing moved much",
        metadata={
            "rows": dg.MetadataValue.md("\n".join(summary_lines(diff))),
            "to be looked at": dg.MetadataValue.md("\n".join(warning_lines(warnings))),
            "compared with": str(diff.old),
        },
    )


def account_check(
    accounts: Sequence[Account],
    run_config: Mapping[str, Any],
    key: dg.AssetKey,
    unavailable: Sequence[str] = (),
) -> dg.AssetCheckResult:
    """Whether every input of the steps that a product shows is accounted for.

    A run that was restricted on purpose leaves a backlog on purpose, and one without the program of a step (`unavailable`
    tells why) cannot help it: then the check fails with a warning, and the run is green all the same.
    """
    unbalanced = [account for account in accounts if not account.balanced]
    backlog = sum(account.backlog for account in accounts)
    wanted = not unbalanced and (is_restricted(run_config) or bool(unavailable))
    return dg.AssetCheckResult(
        check_name=ACCOUNT,
        asset_key=key,
        passed=not unbalanced and not backlog,
        severity=dg.AssetCheckSeverity.WARN if wanted else dg.AssetCheckSeverity.ERROR,
        description=" ".join([account_text(unbalanced, backlog), *unavailable]),
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
