"""`freeze`: make the files of a release's version read-only."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from sqlalchemy import select

from astra_assets import pipelines
from astra_assets.config.declared import all_products, further_products
from astra_assets.models.compute import ComputeBatch
from astra_assets.operations.deployment import Deployment, OperationError, Say, git_revision
from astra_assets.operations.source_files import makes_source_files
from astra_assets.operations.verify import verify
from astra_assets.registry.version import major_minor

if TYPE_CHECKING:
    from astra_assets.config.releases import Release
    from astra_assets.products.release.freezing import FreezeReport


def freeze(
    deployment: Deployment,
    release: Release,
    *,
    summary_only: bool = False,
    incomplete: bool = False,
    say: Say,
) -> FreezeReport:
    """Make the files of a release's version read-only and write down their checksums.

    Args:
        deployment: where the files are.
        release: its version is frozen.
        summary_only: leave the per-source files out.
        incomplete: freeze also when inputs have no result and no reason yet.
        say: where progress is reported.

    Raises:
        OperationError: steps are not complete, files are not sound, or a batch that writes per-source files is active.
        FreezeError: there is nothing to freeze.
    """
    from astra_assets.products.release.freezing import freeze_version

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
