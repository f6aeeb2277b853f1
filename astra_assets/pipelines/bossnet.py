"""BossNet: effective temperature, gravity, metallicity and velocity from BOSS spectra by a neural network.

The result table, its flags and the declaration. The network is an external program.
"""

from __future__ import annotations

from sqlalchemy.orm import Mapped

from astra_assets.models.base import PipelineResult
from astra_assets.models.boss import BossCombinedSpectrum, BossVisitSpectrum
from astra_assets.pipelines.base import Pipeline, Step
from astra_assets.pipelines.external import ASTRA, files_program
from astra_assets.pipelines.net_rules import BAD, BITS, net_flags
from astra_assets.pipelines.options import SlurmOptions
from astra_assets.pipelines.rules import Limits, Row, number, raised
from astra_assets.registry.columns import column, flags, known

COOL_DWARF_TEFF = Limits("teff", low=3900, unit="K")
LOW_LOGG, HIGH_LOGG = 3.0, 6.0
"""Below this temperature and between these gravities (both excluded), [Fe/H] is suspicious."""


class BossNet(PipelineResult):
    """Stellar parameters and velocities of BOSS spectra from the neural network BOSSNet.

    `bn_v_r` is relative to the frame of the spectrum: near 0 for coadds, which are at rest.
    """

    teff: Mapped[float | None] = known("teff", category="Stellar Parameters")
    e_teff: Mapped[float | None] = known("e_teff")
    logg: Mapped[float | None] = known("logg")
    e_logg: Mapped[float | None] = known("e_logg")
    fe_h: Mapped[float | None] = known("fe_h")
    e_fe_h: Mapped[float | None] = known("e_fe_h")
    result_flags: Mapped[int] = flags(
        BITS
        | {
            4: ("suspicious_fe_h", f"Teff {COOL_DWARF_TEFF} and log g between {LOW_LOGG:g} and {HIGH_LOGG:g}")
        },
        category="Metadata",
        warn=("unreliable_fe_h", "suspicious_fe_h"),
        bad=BAD,
    )
    bn_v_r: Mapped[float | None] = column(
        "km s-1",
        "Radial velocity of BOSSNet in the frame of the spectrum",
        ucd="spect.dopplerVeloc.opt",
        category="Radial Velocity (BOSSNet)",
    )
    e_bn_v_r: Mapped[float | None] = column(
        "km s-1",
        "Error on radial velocity of BOSSNet",
        ucd="stat.error;spect.dopplerVeloc.opt",
    )


def derive(row: Row) -> dict[str, int]:
    """The flags that follow from the parameters."""
    suspicious = COOL_DWARF_TEFF.broken(row) and LOW_LOGG < number(row, "logg") < HIGH_LOGG
    return raised(BossNet, row, net_flags(row) | {"suspicious_fe_h": suspicious})


PROGRAM = files_program(
    "astra-bossnet",
    install=f"The network is part of Astra ({ASTRA}, astra.pipelines.bossnet) and needs PyTorch and its weights.",
)

BOSSNET = Pipeline(
    name="BossNet",
    key="bossnet",
    group="BOSSNet",
    product="BOSSNet",
    table=BossNet,
    steps=(
        Step(
            "star",
            inputs=BossCombinedSpectrum,
            program=PROGRAM,
            slurm=SlurmOptions(mem="16000", gres="gpu:1", time="48:00:00"),
        ),
        Step(
            "visit",
            inputs=BossVisitSpectrum,
            program=PROGRAM,
            slurm=SlurmOptions(procs=16, mem="0", time="48:00:00"),
        ),
    ),
    derive=derive,
)
