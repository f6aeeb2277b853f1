"""`astra-assets init`."""

from __future__ import annotations

import click

from astra_assets.cli.show import say
from astra_assets.operations.deployment import Deployment


@click.command()
def init() -> None:
    """Create the tables that are missing; never touches those that exist."""
    from astra_assets.operations.init import init

    created = init(Deployment.load(), say)
    click.echo(f"{len(created)} tables created" + (": " + ", ".join(created) if created else ""))
