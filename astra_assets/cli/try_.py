"""`astra-assets try`."""

from __future__ import annotations

import json
import sys

import click

from astra_assets.cli.show import print_table, say
from astra_assets.operations.deployment import Deployment


@click.command(name="try")
@click.argument("pipeline")
@click.argument("files", nargs=-1, required=True, type=click.Path(), metavar="FILE...")
@click.option("--air", is_flag=True, help="The wavelengths of the files are in air.")
@click.option(
    "--json", "as_json", is_flag=True, help="Only a JSON list on stdout: one object per file, in order."
)
def try_(pipeline: str, files: tuple[str, ...], air: bool, as_json: bool) -> None:
    """Run PIPELINE (e.g. snow_white, corv) on spectrum FILEs, without a database, and print its rows.

    Files are SDSS spec or specFull FITS files, or text with wavelength, flux and optionally ivar.
    """
    from astra_assets.operations.try_ import try_

    results = []
    for result in try_(Deployment.load(), pipeline, files, air=air):
        if result.error:
            say(f"{result.file}: {result.error['code']}: {result.error['message']}")
        results.append(result)
    if as_json:
        click.echo(json.dumps([result.as_dict() for result in results], indent=1))
    else:
        shown = [
            name
            for name in results[0].values
            if any(is_worth_showing(result.values[name]) for result in results)
        ]
        rows = [[result.file, *(text_of(result.values[name]) for name in shown)] for result in results]
        print_table(["file", *shown], rows, numbers=set(range(1, len(shown) + 1)))
    if any(result.error for result in results):
        sys.exit(1)


def is_worth_showing(value: object) -> bool:
    """False for what only fills a table: nothing, and probabilities that round to zero."""
    return value is not None and value != "" and not (isinstance(value, float) and abs(value) < 5e-4)


def text_of(value: object) -> str:
    """A number with the digits that a person reads, or the value itself."""
    if value is None:
        return "-"
    return f"{value:.5g}" if isinstance(value, float) else str(value)
