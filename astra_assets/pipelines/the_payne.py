"""ThePayne: stellar parameters and abundances from APOGEE coadds, by a fit of a network that emulates spectra.

The result table, its flags and the declaration. The fit is an external program.
"""

from __future__ import annotations

import math
from itertools import combinations

from sqlalchemy.orm import Mapped

from astra_assets.models.apogee import ApogeeCoaddedSpectrumInApStar
from astra_assets.models.base import PipelineResult
from astra_assets.pipelines.base import Pipeline, Step
from astra_assets.pipelines.external import files_program
from astra_assets.pipelines.options import SlurmOptions
from astra_assets.pipelines.rules import Limits, Row, number, raised
from astra_assets.registry.columns import column, flags, known, known_columns, virtual
from astra_assets.registry.flags import ANY

ELEMENTS = (
    *("c", "n", "o", "na", "mg", "al", "si", "p", "s", "k"),
    *("ca", "ti", "v", "cr", "mn", "fe", "co", "ni", "cu", "ge"),
)
LABELS = ("teff", "logg", "v_turb", *(f"{element}_h" for element in ELEMENTS), "c12_c13", "v_macro")
"""What is fitted, in the order of the table."""

TEFF = Limits("teff", 3100, 7900, "K")
LOGG = Limits("logg", 0.1, 5.2)
FE_H = Limits("fe_h", -1.4, 0.4)
SNR = Limits("snr", low=70)


class ThePayne(PipelineResult):
    """Stellar parameters and abundances of APOGEE coadds from The Payne, with all correlations."""

    v_rel: Mapped[float | None] = known("v_rel", category="Stellar Labels")
    # The namespace of a class body may be written to; naming 375 columns one by one would say no more.
    locals().update(known_columns(*(name for label in LABELS for name in (label, f"e_{label}"))))
    chi2: Mapped[float | None] = known("chi2", category="Summary Statistics")
    reduced_chi2: Mapped[float | None] = column(None, "Reduced chi-square", ucd="stat.fit.chi2")
    result_flags: Mapped[int] = flags(
        fitting_failure="The fit failed, or gave no effective temperature",
        warn_teff=f"Effective temperature {TEFF}",
        warn_logg=f"log g {LOGG}",
        warn_fe_h=f"[Fe/H] {FE_H}",
        low_snr=f"S/N {SNR} (not set, as in Astra)",
        warn=ANY,
        bad=("fitting_failure",),
    )
    locals().update(known_columns(*(f"raw_e_{label}" for label in LABELS), category="Formal uncertainties"))
    locals().update(
        known_columns(
            *(f"rho_{first}_{second}" for first, second in combinations(LABELS, 2)),
            category="Correlation Coefficients",
        )
    )
    wavelength = virtual("wavelength", category="Spectral Data")
    model_flux = virtual("model_flux")
    continuum = virtual("continuum")


def derive(row: Row) -> dict[str, int]:
    """The flags that follow from the labels. Astra does not set `low_snr`, and neither do we."""
    return raised(
        ThePayne,
        row,
        {
            "fitting_failure": math.isnan(number(row, "teff")),
            "warn_teff": TEFF.broken(row),
            "warn_logg": LOGG.broken(row),
            "warn_fe_h": FE_H.broken(row),
        },
    )


THE_PAYNE = Pipeline(
    name="ThePayne",
    table=ThePayne,
    steps=(
        Step(
            "star",
            inputs=ApogeeCoaddedSpectrumInApStar,
            program=files_program(
                "astra-the-payne",
                install="The emulator is part of The Payne (https://github.com/tingyuansen/The_Payne) and needs its weights.",
            ),
            slurm=SlurmOptions(procs=8, mem="0", time="48:00:00"),
        ),
    ),
    derive=derive,
)
