"""`astra-assets status`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from astra_assets.cli.show import print_table, say
from astra_assets.compute.account import KEPT
from astra_assets.operations.deployment import Deployment

if TYPE_CHECKING:
    from astra_assets.compute.account import Account
    from astra_assets.operations.status import StepStatus


@click.command()
@click.option("--release", help="Release whose pipelines are listed.")
@click.option("--json", "as_json", is_flag=True, help="A JSON list instead of a table.")
def status(release: str | None, as_json: bool) -> None:
    """Account for every step: inputs = results + failed + skipped + backlog, and how far its batch is.

    The exit code is 0 when every account is complete, 1 when there is a backlog or a batch that is not collected yet, or a
    program that [programs] names cannot run, 2 when that cannot be told (no tables yet, the database does not answer) and 3 when
    an account does not balance. A step whose program is not here and was never named does not count.
    """
    from astra_assets.operations.status import status
    from astra_assets.operations.step_runner import StepRunner

    deployment = Deployment.load()
    found = status(StepRunner(deployment, deployment.release(release)))
    if as_json:
        click.echo(json.dumps([as_dict(step) for step in found], indent=1))
    else:
        columns = ["step", "inputs", "results", "failed", "skipped", "backlog", "active batch", "done", "tasks running", "jobs",
                   "reasons"]  # fmt: skip
        print_table(columns, [row(step) for step in found], numbers={1, 2, 3, 4, 5, 7, 8})
        for step in found:
            if step.unavailable:
                say(f"{step.account.pipeline} {step.account.step} cannot run here: {step.unavailable}")
    if not all(step.account.balanced for step in found):
        sys.exit(3)
    if any(step.unfinished for step in found):
        sys.exit(1)


def row(step: StepStatus) -> list[str]:
    """One line of the table of accounts."""
    account, progress = step.account, step.progress
    return [
        f"{account.pipeline} {account.step}",
        *(f"{n:,}" for n in (account.inputs, account.results, account.failed, account.skipped)),
        f"{account.backlog:,}" + ("" if account.balanced else " DOES NOT BALANCE"),
        step.batch.batch_id if step.batch else "-",
        f"{progress.finished:,}/{progress.inputs:,}" if progress else "-",
        f"{progress.running}/{progress.tasks}" if progress else "-",
        ", ".join(step.jobs) or "-",
        reasons(account),
    ]


def reasons(account: Account) -> str:
    """Why inputs have no result, and how many of those that failed keep an older one."""
    failed = f"failed {KEPT.format(account.kept)}" if account.kept else "failed"
    return "; ".join(
        f"{state} " + ", ".join(f"{code}: {count:,}" for code, count in sorted(codes.items()))
        for state, codes in ((failed, account.failed_by_code), ("skipped", account.skipped_by_code))
        if codes
    )


def as_dict(step: StepStatus) -> dict[str, object]:
    """The same for programs."""
    progress = step.progress
    return {
        **asdict(step.account),
        "balanced": step.account.balanced,
        "active_batch": step.batch.batch_id if step.batch else None,
        "progress": asdict(progress) if progress else None,
        "jobs": list(step.jobs),
        "unavailable": step.unavailable or None,
        "wanted": step.wanted,
    }
