"""`astra-assets why`."""

from __future__ import annotations

import click

from astra_assets.operations.deployment import Deployment


@click.command()
@click.argument("what")
def why(what: str) -> None:
    """Explain WHAT: a batch id, a spectrum_pk, an sdss_id, or all failures and skips of a pipeline."""
    from astra_assets.operations.why import why

    for answer in why(Deployment.load(), what):
        click.secho(answer.title, bold=True)
        for name, value in answer.facts.items():
            text = str(value)
            click.echo(f"  {name}: " + text.replace("\n", "\n    "))
        if answer.advice:
            click.echo(f"  next: {answer.advice}")
