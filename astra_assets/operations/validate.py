"""The white-dwarf pipelines against what is known: simulated spectra, and spectra of other origin with a truth table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def validate(folders: Sequence[Path], simulated: int, seed: int, page: Path) -> tuple[int, int]:
    """Run SnowWhite and Corv on spectra whose truth is known, and write a page on how right they are.

    Args:
        folders: each with a truth.csv in it or below.
        simulated: how many spectra to simulate, run with and without what Gaia says.
        seed: of the simulated spectra, and of the faults of all.
        page: the Markdown file to write; its pictures go to a folder of its name next to it.

    Returns:
        How many simulated spectra there were, and how many of the folders, those with faults included.

    Raises:
        TruthError: a folder has no table of truth, or one lacks a column.
    """
    from astra_assets.demo.validation_sample import draw_sample, without_gaia
    from astra_assets.operations.validation_outcomes import folder_sample, outcomes
    from astra_assets.operations.validation_report import write_report
    from astra_assets.pipelines.snow_white import SnowWhiteModels
    from astra_assets.pipelines.snow_white.classifier import load_classifier
    from astra_assets.pipelines.white_dwarf.grid import load_grid

    models = SnowWhiteModels(load_classifier(), load_grid())
    made = list(outcomes(draw_sample(simulated, seed), models))
    alone = list(outcomes(map(without_gaia, draw_sample(simulated, seed)), models))
    observed = [one for folder in folders for one in outcomes(folder_sample(folder, seed), models)]
    words = [f"--simulated {simulated} --seed {seed}"] if simulated else []
    how = " ".join(["astra-assets validate", *words, *(["FOLDER"] if folders else [])])
    write_report(page, made, alone, observed, how)
    return len(made), len(observed)
