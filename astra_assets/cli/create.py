"""`astra-assets create`."""

from __future__ import annotations

import click

from astra_assets.cli.show import say
from astra_assets.operations.deployment import Deployment


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="PRODUCT...")
@click.option("--overwrite/--no-overwrite", default=False, help="Write also what has not changed.")
@click.option("--limit", type=click.IntRange(min=1), help="Write a sample of at most this many rows per HDU.")
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(["gz", "plain", "tiles"]),
    default=("gz",),
    help="plain: also a copy without gzip; tiles: one with tile-compressed tables (.fits.fz, for funpack). They are "
    "kept up to date from then on.",
)
@click.option(
    "--accept-empty",
    multiple=True,
    metavar="COLUMN",
    help="A column that may have lost all its values since the version before; `all` for any.",
)
@click.option("--release", help="Release that is named in the header.")
def create(
    *,
    names: tuple[str, ...],
    overwrite: bool,
    limit: int | None,
    formats: tuple[str, ...],
    accept_empty: tuple[str, ...],
    release: str | None,
) -> None:
    """Write summary products, e.g. mwmTargets astraAllStarSnowWhite; `all` for every one.

    Beside each come Parquet files, a sample and a page about its columns. What was made from the same inputs is left
    alone. One without rows whose pipeline cannot run here is left out, with the reason. The first product that cannot be
    written ends the command; those before it are done.
    """
    from astra_assets.config.declared import declared_product
    from astra_assets.operations.create import available_products, create, left_out

    deployment = Deployment.load()
    chosen = deployment.release(release)
    wanted = (
        available_products(deployment, chosen, say)
        if names == ("all",)
        else [declared_product(name).name for name in names]
    )
    for name in wanted:
        reason = left_out(deployment, declared_product(name), chosen)
        if reason is not None:
            say(reason)
            continue
        report = create(
            deployment,
            name,
            chosen,
            overwrite=overwrite,
            limit=limit,
            formats=formats,
            accept_empty=accept_empty,
            say=say,
        )
        click.echo(report.path)
