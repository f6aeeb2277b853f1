"""Verbs about data: demo, init, migrate, create, products.

Belongs here: their arguments and what they print. Does not belong here: what they do (`operations`).
"""

from __future__ import annotations

import click

from astra_assets.config.settings import load_settings
from astra_assets.operations.operations import Operations


def say(text: str) -> None:
    """One line of progress, on standard error so that results on standard output stay clean."""
    click.echo(text, err=True)


def operations() -> Operations:
    """The survey as the environment and astra.toml describe it."""
    return Operations(load_settings())


@click.command()
@click.option(
    "--sources",
    type=click.IntRange(min=24),
    help="Objects made for BOSS; stars with APOGEE spectra come in addition.",
)
@click.option("--seed", type=int, help="The same seed makes the same files.")
def demo(sources: int | None, seed: int | None) -> None:
    """Make a small synthetic survey in the real file formats below $ASTRA_HOME/demo."""
    made = operations().make_demo(sources=sources, seed=seed, say=say)
    click.echo(made)


@click.command()
def init() -> None:
    """Create the tables that are missing; never touches those that exist."""
    created = operations().init(say)
    click.echo(f"{len(created)} tables created" + (": " + ", ".join(created) if created else ""))


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
    survey = operations()
    survey.need_own_sources()
    survey.init(say)
    files = [*catalogs, *further]
    report = survey.migrate(
        survey.release(release), run2d=run2d, apred=apred, catalogs=files, limit=limit, say=say
    )
    click.echo(report.table())


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
    survey = operations()
    chosen = survey.release(release)
    wanted = (
        survey.products.available(chosen, say)
        if names == ("all",)
        else [survey.products.declared(n).name for n in names]
    )
    for name in wanted:
        reason = survey.left_out(survey.products.declared(name), chosen)
        if reason is not None:
            say(reason)
            continue
        report = survey.products.create(
            name,
            chosen,
            overwrite=overwrite,
            limit=limit,
            formats=formats,
            accept_empty=accept_empty,
            say=say,
        )
        click.echo(report.path)


@click.command()
@click.option("--release", help="Release whose products are listed.")
@click.option("--json", "as_json", is_flag=True, help="A JSON list instead of a table.")
def products(release: str | None, as_json: bool) -> None:
    """List the products with their rows, sizes and paths."""
    import json

    survey = operations()
    rows = survey.listing(survey.release(release))
    if as_json:
        click.echo(json.dumps([row.as_dict() for row in rows], indent=1))
        return
    from astra_assets.cli.show import print_table

    print_table(
        ["product", "rows", "size", "path"],
        [[row.name, row.rows_text, row.size_text, row.path] for row in rows],
        numbers={1, 2},
    )
