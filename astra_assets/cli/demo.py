"""`astra-assets demo`."""

from __future__ import annotations

import click

from astra_assets.cli.show import say
from astra_assets.operations.deployment import Deployment


@click.command()
@click.option(
    "--sources",
    type=click.IntRange(min=24),
    help="Objects made for BOSS; stars with APOGEE spectra come in addition.",
)
@click.option("--seed", type=int, help="The same seed makes the same files.")
def demo(sources: int | None, seed: int | None) -> None:
    """Make a small synthetic survey in the real file formats below $ASTRA_HOME/demo."""
    from astra_assets.operations.demo import demo

    click.echo(demo(Deployment.load(), sources=sources, seed=seed, say=say))
