"""`astra-assets validate`: the white-dwarf pipelines on spectra whose truth is known."""

from __future__ import annotations

from pathlib import Path

import click

from astra_assets.cli.show import say
from astra_assets.operations.validate import validate as operation


@click.command
@click.argument(
    "folders", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="[FOLDER]..."
)
@click.option("--simulated", default=0, show_default=True, help="So many simulated spectra as well.")
@click.option(
    "--seed", default=20_261_130, show_default=True, help="Seed of the simulated spectra and of the faults."
)
@click.option(
    "--write", default="validation.md", show_default=True, type=click.Path(dir_okay=False, path_type=Path),
    help="The page; its pictures go to a folder of its name beside it.",
)  # fmt: skip
def validate(folders: tuple[Path, ...], simulated: int, seed: int, write: Path) -> None:
    """Run SnowWhite and Corv on spectra in FOLDERs with a truth.csv, and say how right they are.

    The table needs the columns path and type; teff, logg, rv_kms, e_rv and air are used where they are there.
    """
    if not folders and not simulated:
        raise click.UsageError(
            "nothing to validate on: name a FOLDER with a truth.csv, or give --simulated 1000"
        )
    made, observed = operation(folders, simulated, seed, write)
    say(f"{made} simulated spectra and {observed} of {len(folders)} folders: see {write}")
