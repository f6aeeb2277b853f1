"""`astra-assets datamodel`."""

from __future__ import annotations

import click


@click.command()
@click.argument("tables", nargs=-1)
def datamodel(tables: tuple[str, ...]) -> None:
    """Describe TABLES (all by default) as Markdown: columns, types, units, UCDs, fill values, flags."""
    from astra_assets.operations.datamodel import datamodel

    click.echo(datamodel(tables))
