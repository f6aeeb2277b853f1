"""`freeze`: make the files of a release's version read-only."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Literal

from sqlalchemy import select

from astra_assets import pipelines
from astra_assets.compute.outcomes import drop_kept
from astra_assets.config.declared import all_products, further_products
from astra_assets.models.compute import ComputeBatch, ComputeOutcome
from astra_assets.operations.deployment import Deployment, OperationError, Say, git_revision
from astra_assets.operations.source_files import makes_source_files
from astra_assets.operations.verify import verify
from astra_assets.registry.version import major_minor

if TYPE_CHECKING:
    from astra_assets.config.releases import Release
    from astra_assets.products.release.freezing import FreezeReport

Older = Literal["refuse", "keep", "drop"]
"""What becomes of older results that were kept next to a failure."""


def freeze(
    deployment: Deployment,
    release: Release,
    *,
    summary_only: bool = False,
    incomplete: bool = False,
    older: Older = "refuse",
    say: Say,
) -> FreezeReport:
    """Make the files of a release's version read-only and write down their checksums.

    Args:
        deployment: where the files are.
        release: its version is frozen.
        summary_only: leave the per-source files out.
        incomplete: freeze also when inputs have no result and no reason yet.
        older: what becomes of older results that were kept next to a failure that says nothing about the object: `keep`
            freezes them, `drop` deletes them, after which products must be made again, `refuse` stops.
        say: where progress is reported.

    Raises:
        OperationError: older results are kept, or were dropped just now; steps are not complete, files are not sound,
            or a batch that writes per-source files is active.
        FreezeError: there is nothing to freeze.
    """
    from astra_assets.products.release.freezing import freeze_version

    # A database of another Astra has no accounts.
    if older != "keep" and (not incomplete or deployment.database.look().has(ComputeOutcome)):
        _need_none_older(deployment, release, drop=older == "drop")
    if not incomplete:
        _need_complete(deployment, release)
    found = [each for each in verify(deployment, release, summary_only=True, say=say) if each.problems]
    if found:
        told = "\n  ".join(text for each in found for text in each.problems)
        raise OperationError(
            f"{release.v_astra} is not frozen, since files are not sound:\n  {told}\n"
            "type astra-assets create all, and freeze again"
        )
    if not summary_only:
        _need_no_batch(deployment, release)
    with ExitStack() as stack:
        for name in sorted(all_products() | further_products()):
            stack.enter_context(deployment.alone(f"create-{name}", say))
        return freeze_version(
            deployment.settings.products_root,
            release.v_astra,
            release=release.name,
            git_revision=git_revision() or "",
            parts=("summary",) if summary_only else ("summary", "spectra"),
            say=say,
        )


def _need_none_older(deployment: Deployment, release: Release, *, drop: bool) -> None:
    """Check that no input has failed for a passing reason next to an older result.

    Args:
        deployment: where the results are.
        release: its steps are looked at.
        drop: delete these results. Products still show them, so that this stops, too.

    Raises:
        OperationError: there are such results, or there were until now.
    """
    from astra_assets.operations.step_runner import StepRunner

    runner = StepRunner(deployment, release)
    accounts = [(pipeline, step, runner.engine.account(pipeline, step)) for pipeline, step in runner.steps()]
    kept = [each for each in accounts if each[2].kept]
    if not kept:
        return
    told = "\n  " + "\n  ".join(str(account) for _, _, account in kept) + "\n"
    if not drop:
        raise OperationError(
            f"inputs failed although nothing is known against their older results:{told}mend the cause (astra-assets why "
            "tells it) and run these steps again with --retry-failed, or pass --keep-older to freeze the older results, or "
            "--drop-older to delete them"
        )
    several = [f"{pipeline.name} {step.name}" for pipeline, step, _ in kept if step.tables]
    if several:
        raise OperationError(
            f"older results of {', '.join(several)} are not dropped, since files of sources were made with them:{told}nothing "
            "was deleted; mend the cause and run these steps again with --retry-failed, or pass --keep-older"
        )
    dropped = [
        f"{pipeline.name} {step.name}: {drop_kept(deployment.database, runner.engine.inputs(pipeline, step)):,}"
        for pipeline, step, _ in kept
    ]
    with_files = {
        pipeline.key
        for pipeline, _, _ in kept
        if any(makes_source_files(pipeline, each) for each in pipeline.steps)
    }
    remake = [f"astra-assets run {key} --force" for key in sorted(with_files)]
    raise OperationError(
        f"older results were deleted ({'; '.join(dropped)}), and files still show them: type "
        f"{', '.join([*remake, 'astra-assets create all'])}, and freeze again"
    )


def _need_complete(deployment: Deployment, release: Release) -> None:
    """Check that every input of every step has a result or a reason, and that none is lost."""
    from astra_assets.operations.step_runner import StepRunner

    runner = StepRunner(deployment, release)
    accounts = [runner.engine.account(pipeline, step) for pipeline, step in runner.steps()]
    open_accounts = [str(account) for account in accounts if not account.complete]
    if open_accounts:
        raise OperationError(
            "the release is not complete:\n  " + "\n  ".join(open_accounts) + "\n"
            "run these steps again, or pass --incomplete"
        )


def _need_no_batch(deployment: Deployment, release: Release) -> None:
    """Check that no active batch writes per-source files of the version."""
    table = ComputeBatch.c
    query = select(table.batch_id, table.pipeline, table.step).where(
        table.state == "active", table.v_astra_major_minor == major_minor(release.v_astra)
    )
    writers = {
        (each.name, step.name): each.key
        for each in pipelines.PIPELINES
        for step in each.steps
        if makes_source_files(each, step)
    }
    if not deployment.database.look().has(ComputeBatch):
        return
    with deployment.database.connect() as connection:
        active = connection.execute(query).all()
    for batch_id, *step in active:
        if tuple(step) in writers:
            raise OperationError(
                f"batch {batch_id} is writing per-source files: let it end (astra-assets run {writers[tuple(step)]}) or "
                f"cancel it (astra-assets cancel {batch_id}), and freeze again; --summary-only leaves them out"
            )
