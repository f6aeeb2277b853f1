"""SnowWhite: classes of white-dwarf spectra, temperature and gravity of the DA among them, from BOSS coadds.

The declaration and the way from a spectrum to a row. Method: cosmic rays are taken out (`despike.py`); line
measurements and coarse pixels, with what is missing marked as such (`features.py`), go to small neural networks
trained on simulated spectra (`classifier.py`, `synthesis.train`), whose probabilities are calibrated; Gaia's
colour and parallax, where they are known, act as prior (`prior.py`); DA are fitted with model atmospheres
(`fit.py`). Thirteen classes are told apart, and "none of these"; mixed types (DAB, DZA, ...) get the class of
their strongest lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from astra_assets.models.base import bit
from astra_assets.models.boss import BossCombinedSpectrum
from astra_assets.models.source import Source
from astra_assets.pipelines.astra_files import with_astra_files
from astra_assets.pipelines.base import Pipeline, Step, WorkContext
from astra_assets.pipelines.requirements import IN_MWM_WD
from astra_assets.pipelines.snow_white.table import CERTAIN, UNKNOWN, SnowWhite, named, published
from astra_assets.pipelines.white_dwarf.gaia import GAIA_COLUMNS, Gaia
from astra_assets.spectra.base import Spectrum

if TYPE_CHECKING:
    from astra_assets.pipelines.snow_white.classifier import Answer, Classifier
    from astra_assets.pipelines.white_dwarf.grid import DAGrid

__all__ = ["SNOW_WHITE", "SnowWhite", "classify_star"]

FITTED = ("DA", "DA:")
"""Classes whose temperature and gravity are fitted (Astra's rule)."""


LEAST_SNR = 1.0
"""S/N per pixel below which no class is certain."""


@dataclass(frozen=True, eq=False)
class SnowWhiteModels:
    """What a process loads once."""

    classifier: Classifier
    grid: DAGrid


def load_models(context: WorkContext) -> SnowWhiteModels:
    """The classifier named by the setting `snow_white_classifier`, else the packaged one; the DA models.

    Raises:
        ClassifierError: the file named by the setting cannot be used.
    """
    from astra_assets.pipelines.snow_white.classifier import SETTING, load_classifier
    from astra_assets.pipelines.white_dwarf.grid import load_grid

    return SnowWhiteModels(load_classifier(context.settings.get(SETTING)), load_grid())


def classify_star(spectrum: Spectrum, models: SnowWhiteModels) -> SnowWhite:
    """Classify one spectrum; fit it if it is a DA.

    Raises:
        Unusable: no flux (`no_flux`), or too few wavelengths (`too_little_coverage`).
    """
    from astra_assets.pipelines.snow_white.despike import despiked
    from astra_assets.pipelines.snow_white.features import extract_measured
    from astra_assets.pipelines.snow_white.fit import fit_da
    from astra_assets.pipelines.white_dwarf.best_model import best_model

    spectrum, gaia = despiked(spectrum), Gaia.of(spectrum.row)
    row, flags = _classified(models.classifier.answer(extract_measured(spectrum)), gaia, spectrum.snr)
    row.result_flags = _bits(flags)
    if row.classification not in FITTED:
        return row
    fit = fit_da(spectrum, models.grid, gaia)
    row.teff, row.e_teff, row.raw_e_teff = fit["teff"], fit["e_teff"], fit["raw_e_teff"]
    row.logg, row.e_logg, row.raw_e_logg = fit["logg"], fit["e_logg"], fit["raw_e_logg"]
    row.v_rel = fit["v_rel"]
    row.result_flags = _bits([*flags, *fit["flags"]])
    if fit["teff"] is not None and fit["logg"] is not None and fit["v_rel"] is not None:
        row.model_flux = best_model(spectrum, models.grid, fit["teff"], fit["logg"], fit["v_rel"])
    return row


def _classified(answer: Answer, gaia: Gaia, snr: float) -> tuple[SnowWhite, list[str]]:
    """The row with class and probabilities, and the names of its flags.

    A spectrum unlike any class is `UNKNOWN`, whatever the networks make of it; its probabilities stay to be seen.
    Below `LEAST_SNR` no class is certain: noise looks like a spectrum without lines.
    """
    from astra_assets.pipelines.snow_white.prior import updated

    alone, probabilities = answer.probabilities, updated(answer.probabilities, gaia)
    name = named(probabilities)
    flags = []
    if gaia.bp_rp is None:
        flags.append("missing_bp_rp_mag")
    if named(alone) != name:
        flags.append("gaia_classified")
    noise = not snr >= LEAST_SNR
    if noise or max(probabilities.values()) < CERTAIN:
        flags.append("undecided")
    if noise and name in probabilities:
        name = f"{name}:"
    if answer.novelty > 1.0 or max(probabilities, key=probabilities.__getitem__) == UNKNOWN:
        name = UNKNOWN
        flags.append("none_of_these")
    return SnowWhite(classification=name, **published(probabilities)), flags


def _bits(names: list[str]) -> int:
    return sum(bit(SnowWhite, "result_flags", name) for name in names)


def is_fitted(row: Mapping[str, Any]) -> bool:
    """Whether a result has a model spectrum: that of a DA whose lines could be fitted."""
    return row["teff"] is not None


SNOW_WHITE = with_astra_files(
    Pipeline(
        name="SnowWhite",
        table=SnowWhite,
        code_version="2",
        steps=(
            Step(
                "star_filter",
                inputs=BossCombinedSpectrum,
                requires=(IN_MWM_WD,),
            ),
            Step(
                "star",
                inputs=BossCombinedSpectrum,
                function=classify_star,
                setup=load_models,
                columns={name: Source.c[name] for name in GAIA_COLUMNS},
            ),
        ),
    ),
    has_pixels=is_fitted,
)
