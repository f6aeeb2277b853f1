"""`astra-assets migrate`."""

from __future__ import annotations

import click

from astra_assets.cli.show import say
from astra_assets.operations.deployment import Deployment


@click.command()
@click.option("--run2d", multiple=True, help="BOSS reduction to ingest, e.g. v6_2_1; repeat for several.")
@click.option(
    "--apred", multiple=True, help="APOGEE reduction to ingest, e.g. 1.5 or dr17; repeat for several."
)
@click.option(
    "--catalog", "catalogs", multiple=True, type=click.Path(), help="Source catalogue file keyed by sdss_id."
)
@click.argument("further", nargs=-1, type=click.Path(), metavar="[CATALOG]...")
@click.option("--limit", type=click.IntRange(min=1), help="At most this many rows of each summary file.")
@click.option("--release", help="Release whose reductions are meant, where none is given.")
def migrate(
    *,
    run2d: tuple[str, ...],
    apred: tuple[str, ...],
    catalogs: tuple[str, ...],
    further: tuple[str, ...],
    limit: int | None,
    release: str | None,
) -> None:
    """Bring in new and changed spectra and sources; unchanged rows are not touched."""
    from astra_assets.operations.init import init
    from astra_assets.operations.migrate import migrate

    deployment = Deployment.load()
    deployment.need_own_sources()
    init(deployment, say)
    files = [*catalogs, *further]
    report = migrate(
        deployment,
        deployment.release(release),
        run2d=run2d,
        apred=apred,
        catalogs=files,
        limit=limit,
        say=say,
    )
    click.echo(report.table())
