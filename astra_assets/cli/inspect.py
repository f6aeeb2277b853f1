"""Verbs that look: status, why, doctor, datamodel.

Belongs here: their arguments and what they print. Does not belong here: what is looked at (`work`, `explain`, `health`).
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import click

from astra_assets.cli.data import operations
from astra_assets.cli.show import print_table
from astra_assets.operations import OperationError


@click.command()
@click.option("--release", help="Release whose pipelines are listed.")
@click.option("--json", "as_json", is_flag=True, help="A JSON list instead of a table.")
def status(release: str | None, as_json: bool) -> None:
    """Account for every step: inputs = results + failed + skipped + backlog.

    The exit code is 0 when every account is complete, 1 when there is a backlog and 3 when one does not balance.
    """
    survey = operations()
    work = survey.work(survey.release(release))
    rows = [
        (account, work.engine.active(pipeline, step))
        for account, (pipeline, step) in work.accounts_of_steps()
    ]
    if as_json:
        content = [
            {
                **asdict(account),
                "balanced": account.balanced,
                "active_batch": batch.batch_id if batch else None,
            }
            for account, batch in rows
        ]
        click.echo(json.dumps(content, indent=1))
    else:
        columns = ["step", "inputs", "results", "failed", "skipped", "backlog", "active batch", "reasons"]
        print_table(
            columns,
            [
                [
                    f"{account.pipeline} {account.step}",
                    *(f"{n:,}" for n in (account.inputs, account.results, account.failed, account.skipped)),
                    f"{account.backlog:,}" + ("" if account.balanced else " DOES NOT BALANCE"),
                    batch.batch_id if batch else "-",
                    ", ".join(f"{code}: {count:,}" for code, count in account.by_code.items()),
                ]
                for account, batch in rows
            ],
            numbers={1, 2, 3, 4, 5},
        )
    if not all(account.balanced for account, _ in rows):
        sys.exit(3)
    if any(account.backlog for account, _ in rows):
        sys.exit(1)


@click.command()
@click.argument("what")
def why(what: str) -> None:
    """Explain WHAT: a batch id, a spectrum_pk, an sdss_id, or all failures and skips of a pipeline."""
    from astra_assets.explain import explain
    from astra_assets.pipelines import PIPELINES

    survey = operations()
    survey.need_tables()
    names = {pipeline.key: pipeline.name for pipeline in PIPELINES} | {
        each.name: each.name for each in PIPELINES
    }
    found = explain(survey.database, names.get(what, what), list(names.values()))
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
    """List everything that is wrong with settings, folders, database and programs at once."""
    from astra_assets.health import examine

    survey = operations()
    worst = 0
    for found in examine(survey.settings, survey.database):
        click.secho(f"{found.mark} {found.text}", fg=found.colour)
        worst = max(worst, found.weight)
    sys.exit(1 if worst > 1 else 0)


@click.command()
@click.argument("tables", nargs=-1)
def datamodel(tables: tuple[str, ...]) -> None:
    """Describe TABLES (all by default) as Markdown: columns, types, units, UCDs, fill values, flags."""
    from astra_assets.models.describe import describe
    from astra_assets.operations import all_tables

    known = all_tables()
    unknown = [name for name in tables if name not in known]
    if unknown:
        raise OperationError(f"no table {', '.join(unknown)}; there are: {', '.join(known)}")
    click.echo("\n".join(describe(known[name]) for name in tables or known))
