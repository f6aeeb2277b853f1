"""`astra-assets products`."""

from __future__ import annotations

import json

import click

from astra_assets.cli.show import print_table
from astra_assets.operations.deployment import Deployment


@click.command()
@click.option("--release", help="Release whose products are listed.")
@click.option("--json", "as_json", is_flag=True, help="A JSON list instead of a table.")
def products(release: str | None, as_json: bool) -> None:
    """List the products with their rows, sizes and paths."""
    from astra_assets.operations.products import products

    deployment = Deployment.load()
    rows = products(deployment, deployment.release(release))
    if as_json:
        click.echo(json.dumps([row.as_dict() for row in rows], indent=1))
        return
    print_table(
        ["product", "rows", "size", "path"],
        [[row.name, row.rows_text, row.size_text, row.path] for row in rows],
        numbers={1, 2},
    )
