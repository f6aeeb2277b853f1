"""Verbs that look: status, why, doctor, datamodel.

Belongs here: their arguments and what they print. Does not belong here: what is looked at (`work`, `explain`, `health`).
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from astra_assets.cli.data import operations, say
from astra_assets.cli.show import print_table
from astra_assets.operations.operations import OperationError

if TYPE_CHECKING:
    from astra_assets.operations.standing import Standing


@click.command()
@click.option("--release", help="Release whose pipelines are listed.")
@click.option("--json", "as_json", is_flag=True, help="A JSON list instead of a table.")
def status(release: str | None, as_json: bool) -> None:
    """Account for every step: inputs = results + failed + skipped + backlog, and how far its batch is.

    The exit code is 0 when every account is complete, 1 when there is a backlog or a batch that is not collected yet, or a
    program that [programs] names cannot run, 2 when that cannot be told (no tables yet, the database does not answer) and 3 when
    an account does not balance. A step whose program is not here and was never named does not count.
    """
    survey = operations()
    work = survey.work(survey.release(release))
    found = [work.standing(pipeline, step) for pipeline, step in work.steps()]
    if as_json:
        click.echo(json.dumps([standing_as_dict(standing) for standing in found], indent=1))
    else:
        columns = ["step", "inputs", "results", "failed", "skipped", "backlog", "active batch", "done", "tasks running", "jobs",
                   "reasons"]  # fmt: skip
        print_table(columns, [standing_row(standing) for standing in found], numbers={1, 2, 3, 4, 5, 7, 8})
        for standing in found:
            if standing.unavailable:
                say(
                    f"{standing.account.pipeline} {standing.account.step} cannot run here: {standing.unavailable}"
                )
    if not all(standing.account.balanced for standing in found):
        sys.exit(3)
    if any(standing.unfinished for standing in found):
        sys.exit(1)


def standing_row(standing: Standing) -> list[str]:
    """One line of the table of accounts."""
    account, progress = standing.account, standing.progress
    return [
        f"{account.pipeline} {account.step}",
        *(f"{n:,}" for n in (account.inputs, account.results, account.failed, account.skipped)),
        f"{account.backlog:,}" + ("" if account.balanced else " DOES NOT BALANCE"),
        standing.batch.batch_id if standing.batch else "-",
        f"{progress.finished:,}/{progress.inputs:,}" if progress else "-",
        f"{progress.running}/{progress.tasks}" if progress else "-",
        ", ".join(standing.jobs) or "-",
        "; ".join(
            f"{state} " + ", ".join(f"{code}: {count:,}" for code, count in sorted(codes.items()))
            for state, codes in (("failed", account.failed_by_code), ("skipped", account.skipped_by_code))
            if codes
        ),
    ]


def standing_as_dict(standing: Standing) -> dict[str, object]:
    """The same for programs."""
    progress = standing.progress
    return {
        **asdict(standing.account),
        "balanced": standing.account.balanced,
        "active_batch": standing.batch.batch_id if standing.batch else None,
        "progress": asdict(progress) if progress else None,
        "jobs": list(standing.jobs),
        "unavailable": standing.unavailable or None,
        "wanted": standing.wanted,
    }


@click.command()
@click.argument("what")
def why(what: str) -> None:
    """Explain WHAT: a batch id, a spectrum_pk, an sdss_id, or all failures and skips of a pipeline."""
    from astra_assets.operations.why import explain
    from astra_assets.pipelines import PIPELINES

    survey = operations()
    survey.need_tables()
    names = {pipeline.key: pipeline.name for pipeline in PIPELINES} | {
        each.name: each.name for each in PIPELINES
    }
    client = survey.work(survey.release()).slurm_client
    found = explain(survey.database, names.get(what, what), list(names.values()), client)
    if not found:
        raise OperationError(
            f"nothing is recorded about {what!r}: no batch, no skip and no failure; astra-assets status shows the accounts"
        )
    for finding in found:
        click.secho(finding.title, bold=True)
        for name, value in finding.facts.items():
            text = str(value)
            click.echo(f"  {name}: " + text.replace("\n", "\n    "))
        if finding.advice:
            click.echo(f"  next: {finding.advice}")


@click.command()
def doctor() -> None:
    """List everything that is wrong with settings, folders, database, cluster and programs at once."""
    from astra_assets.config.settings import usable_settings
    from astra_assets.operations.doctor import examine
    from astra_assets.operations.operations import Operations

    settings, problems = usable_settings()
    worst = 0
    for found in examine(settings, lambda: Operations(settings).database, problems):
        click.secho(f"{found.mark} {found.text}", fg=found.colour)
        worst = max(worst, found.weight)
    sys.exit(1 if worst > 1 else 0)


@click.command()
@click.argument("tables", nargs=-1)
def datamodel(tables: tuple[str, ...]) -> None:
    """Describe TABLES (all by default) as Markdown: columns, types, units, UCDs, fill values, flags."""
    from astra_assets.models.describe import describe
    from astra_assets.operations.operations import all_tables

    known = all_tables()
    unknown = [name for name in tables if name not in known]
    if unknown:
        raise OperationError(f"no table {', '.join(unknown)}; there are: {', '.join(known)}")
    click.echo("\n".join(describe(known[name]) for name in tables or known))
