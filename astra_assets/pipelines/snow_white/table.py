"""The result table of SnowWhite, and how class names and probabilities get into its columns.

Columns and the rule that names a class; the classifier and the fit are elsewhere in this package.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy.orm import Mapped

from astra_assets.models.base import PipelineResult
from astra_assets.registry.columns import flags, known, own_columns, virtual

UNKNOWN = "UNKNOWN"
"""The answer "none of these": the spectrum is like nothing that the classifier has seen."""
NO_COLUMN = ("SDB", "STAR", "QSO", "GALAXY", UNKNOWN)
"""Classes that are no white dwarfs: `classification` may name them, no column holds their probability."""
CERTAIN = 0.5
"""A class of at least this probability is given without a mark (Astra's rule)."""
RIVAL = 0.6
"""A less probable class is `A/B` if the second one has more than this share of its probability, else `A:`."""


class SnowWhite(PipelineResult):
    """Classes of white-dwarf spectra; effective temperature and surface gravity of the DA among them.

    Probabilities are those of a classifier with fewer classes than there are columns: the columns of classes
    that it was not trained on are NULL, and the others sum to less than 1 by what it gives to classes of
    `NO_COLUMN`.
    """

    classification: Mapped[str | None] = known("classification", category="Classification Probabilities")
    p_cv: Mapped[float | None] = known("p_cv")
    p_da: Mapped[float | None] = known("p_da")
    p_dab: Mapped[float | None] = known("p_dab")
    p_dabz: Mapped[float | None] = known("p_dabz")
    p_dah: Mapped[float | None] = known("p_dah")
    p_dahe: Mapped[float | None] = known("p_dahe")
    p_dao: Mapped[float | None] = known("p_dao")
    p_daz: Mapped[float | None] = known("p_daz")
    p_da_ms: Mapped[float | None] = known("p_da_ms")
    p_db: Mapped[float | None] = known("p_db")
    p_dba: Mapped[float | None] = known("p_dba")
    p_dbaz: Mapped[float | None] = known("p_dbaz")
    p_dbh: Mapped[float | None] = known("p_dbh")
    p_dbz: Mapped[float | None] = known("p_dbz")
    p_db_ms: Mapped[float | None] = known("p_db_ms")
    p_dc: Mapped[float | None] = known("p_dc")
    p_dc_ms: Mapped[float | None] = known("p_dc_ms")
    p_do: Mapped[float | None] = known("p_do")
    p_dq: Mapped[float | None] = known("p_dq")
    p_dqz: Mapped[float | None] = known("p_dqz")
    p_dqpec: Mapped[float | None] = known("p_dqpec")
    p_dz: Mapped[float | None] = known("p_dz")
    p_dza: Mapped[float | None] = known("p_dza")
    p_dzb: Mapped[float | None] = known("p_dzb")
    p_dzba: Mapped[float | None] = known("p_dzba")
    p_mwd: Mapped[float | None] = known("p_mwd")
    p_hotdq: Mapped[float | None] = known("p_hotdq")
    teff: Mapped[float | None] = known("teff", category="Stellar Parameters")
    e_teff: Mapped[float | None] = known("e_teff")
    logg: Mapped[float | None] = known("logg")
    e_logg: Mapped[float | None] = known("e_logg")
    v_rel: Mapped[float | None] = known("v_rel")
    raw_e_teff: Mapped[float | None] = known("raw_e_teff", category="Formal uncertainties")
    raw_e_logg: Mapped[float | None] = known("raw_e_logg")
    # Bits 0 to 6 are Astra's. Inputs that 4 and 5 would mark are recorded as outcomes with a reason instead.
    result_flags: Mapped[int] = flags(
        {
            0: ("low_snr", "S/N <= 8 (fitted DA only)"),
            1: ("unconverged", "The fit did not converge"),
            2: ("teff_grid_edge_bad", "Effective temperature at the edge of the grid"),
            3: ("logg_grid_edge_bad", "Surface gravity at the edge of the grid"),
            4: ("no_flux", "No pixel has flux"),
            5: ("not_mwm_wd", "The source is in no carton of the program mwm_wd"),
            6: ("missing_bp_rp_mag", "No Gaia BP or RP magnitude: only the spectrum decided"),
            8: ("hot_or_cold", "Another solution, hot or cold, is not excluded"),
            9: ("bad_fit", "No model fits the lines: magnetic field, companion, or not a DA"),
            10: ("none_of_these", "The spectrum is like none of the classes"),
            11: ("undecided", "No class has a probability of at least 0.5, or there is only noise"),
            12: ("gaia_classified", "With the spectrum alone the class would be another"),
            13: ("gaia_chose", "Gaia chose between the hot and the cold solution"),
        },
        category="Metadata",
    )
    wavelength = virtual("wavelength", category="Spectral Data")
    model_flux = virtual("model_flux")


PROBABILITIES: tuple[str, ...] = tuple(c.key for c in own_columns(SnowWhite) if c.key.startswith("p_"))
"""Names of the columns of probabilities."""


def column_of(name: str) -> str | None:
    """The column of a class, whatever its case: `DA_MS` -> `p_da_ms`; None for those of `NO_COLUMN`.

    Raises:
        KeyError: the class has no column and is none of `NO_COLUMN`.
    """
    column = f"p_{name.lower()}"
    if column in PROBABILITIES:
        return column
    if name in NO_COLUMN:
        return None
    raise KeyError(name)


def named(probabilities: Mapping[str, float]) -> str:
    """The published class from probabilities by class: `DA`, `DA/DAH` or `DA:` (see `CERTAIN`, `RIVAL`)."""
    ranked = sorted(probabilities, key=lambda name: probabilities[name], reverse=True)
    best = ranked[0]
    if probabilities[best] >= CERTAIN or len(ranked) == 1:
        return best
    if probabilities[ranked[1]] > RIVAL * probabilities[best]:
        return f"{best}/{ranked[1]}"
    return f"{best}:"


def published(probabilities: Mapping[str, float]) -> dict[str, float | None]:
    """Values of all columns of probabilities; None for classes that the classifier does not know."""
    values: dict[str, float | None] = dict.fromkeys(PROBABILITIES)
    for name, probability in probabilities.items():
        column = column_of(name)
        if column is not None:
            values[column] = float(probability)
    return values
