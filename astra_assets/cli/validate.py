"""`astra-assets validate`: the white-dwarf pipelines on spectra whose truth is known."""

from __future__ import annotations

from pathlib import Path

import click

from astra_assets.cli.show import say


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
    from astra_assets.demo.validation_sample import draw_sample, without_gaia
    from astra_assets.operations.validate import folder_sample, outcomes
    from astra_assets.operations.validation_report import write_report
    from astra_assets.pipelines.snow_white import SnowWhiteModels
    from astra_assets.pipelines.snow_white.classifier import load_classifier
    from astra_assets.pipelines.white_dwarf.grid import load_grid

    if not folders and not simulated:
        raise click.UsageError(
            "nothing to validate on: name a FOLDER with a truth.csv, or give --simulated 1000"
        )
    models = SnowWhiteModels(load_classifier(), load_grid())
    made = list(outcomes(draw_sample(simulated, seed), models))
    alone = list(outcomes(map(without_gaia, draw_sample(simulated, seed)), models))
    observed = [one for folder in folders for one in outcomes(folder_sample(folder, seed), models)]
    words = [f"--simulated {simulated} --seed {seed}"] if simulated else []
    how = " ".join(["astra-assets validate", *words, *(["FOLDER"] if folders else [])])
    write_report(write, made, alone, observed, how)
    say(f"{len(made)} simulated spectra and {len(observed)} of {len(folders)} folders: see {write}")
