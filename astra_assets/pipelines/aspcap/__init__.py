"""ASPCAP: stellar parameters and abundances of APOGEE coadds, by fits of synthetic spectra with FERRE.

The declaration: what the program is given and the flags that follow from what it gives back. The columns are in
`table.py`, their bits in `bits.py`. The initial guess is ApogeeNet's result on the same coadd.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, select

from astra_assets.models.apogee import ApogeeCoaddedSpectrumInApStar
from astra_assets.models.source import Source
from astra_assets.pipelines.apogeenet import ApogeeNet
from astra_assets.pipelines.aspcap.bits import RCHI2, SNR, STD_V_RAD, V_MICRO
from astra_assets.pipelines.aspcap.table import ASPCAP
from astra_assets.pipelines.base import Pipeline, Step, this_version
from astra_assets.pipelines.external import ASTRA, files_program
from astra_assets.pipelines.options import SlurmOptions
from astra_assets.pipelines.rules import Row, raised

__all__ = ["ASPCAP", "ASPCAP_PIPELINE", "derive"]

GUESSES = ("teff", "logg", "fe_h")
"""What the program is given of ApogeeNet's result, as `apogeenet_teff` and so on."""
FALLBACK = ("zgr_teff", "zgr_logg", "zgr_fe_h", "zgr_quality_flags")
"""What it is given of the source, for coadds without such a result."""


def initial_guess(name: str) -> ColumnElement[Any]:
    """A column of ApogeeNet's result on the same coadd; NULL where there is none."""
    coadd = ApogeeCoaddedSpectrumInApStar
    return (
        select(ApogeeNet.__table__.c[name])
        .where(ApogeeNet.spectrum_pk == coadd.c.spectrum_pk, ApogeeNet.v_astra_major_minor == this_version())
        .correlate(coadd)
        .scalar_subquery()
    )


def derive(row: Row) -> dict[str, int]:
    """The flags that follow from values; all others are known to the program only."""
    return raised(
        ASPCAP,
        row,
        {
            "high_v_micro": V_MICRO.broken(row),
            "high_rchi2": RCHI2.broken(row),
            "low_snr": SNR.broken(row),
            "high_std_v_rad": STD_V_RAD.broken(row),
        },
    )


COLUMNS: dict[str, ColumnElement[Any]] = {
    **{f"apogeenet_{name}": initial_guess(name) for name in GUESSES},
    **{name: Source.c[name] for name in FALLBACK},
    **{name: ApogeeCoaddedSpectrumInApStar.c[name] for name in ("std_v_rad", "mean_fiber")},
}

ASPCAP_PIPELINE = Pipeline(
    name="ASPCAP",
    key="aspcap",
    table=ASPCAP,
    steps=(
        Step(
            "star",
            inputs=ApogeeCoaddedSpectrumInApStar,
            program=files_program(
                "astra-aspcap",
                columns=tuple(COLUMNS),
                inputs=2_000,  # about two and a half hours of a node
                install=(
                    f"ASPCAP is part of Astra ({ASTRA}, astra.pipelines.aspcap) and needs FERRE "
                    "(https://github.com/callendeprieto/ferre) and its grids of synthetic spectra."
                ),
            ),
            columns=COLUMNS,
            slurm=SlurmOptions(nodes=4, procs=16, mem="0", time="48:00:00", exclusive=True),
        ),
    ),
    after=("ApogeeNet",),
    derive=derive,
)
