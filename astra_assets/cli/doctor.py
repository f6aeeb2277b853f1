"""`astra-assets doctor`."""

from __future__ import annotations

import sys

import click


@click.command()
def doctor() -> None:
    """List everything that is wrong with settings, folders, database, cluster and programs at once."""
    from astra_assets.config.settings import usable_settings
    from astra_assets.operations.deployment import Deployment
    from astra_assets.operations.doctor import doctor

    settings, problems = usable_settings()
    worst = 0
    for found in doctor(Deployment(settings), problems):
        click.secho(f"{found.mark} {found.text}", fg=found.colour)
        worst = max(worst, found.weight)
    sys.exit(1 if worst > 1 else 0)
