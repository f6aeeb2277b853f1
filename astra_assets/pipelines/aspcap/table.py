"""The result table of ASPCAP, put together from its parameters, its species and its stages.

Columns only; their bits are in `bits.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy.orm import Mapped, MappedColumn

from astra_assets.models.base import PipelineResult
from astra_assets.pipelines.aspcap.bits import (
    ABUNDANCE,
    BAD,
    CALIBRATED,
    COARSE,
    INITIAL,
    IRFM,
    RESULT,
    UPPER_LIMITS,
)
from astra_assets.registry.columns import column, definition, flags, known, known_columns, virtual
from astra_assets.registry.flags import ANY

PARAMETERS = ("teff", "logg", "v_micro", "v_sini", "m_h_atm", "alpha_m_atm", "c_m_atm", "n_m_atm")
"""Axes of the grids, in the order of the table."""

ELEMENTS = (
    *("ca", "ce", "c", "co", "cr", "cu", "fe", "k", "mg", "mn"),
    *("na", "nd", "ni", "n", "o", "p", "si", "s", "ti", "v"),
)
SPECIES = ("al_h", "c_12_13", *(f"{element}_h" for element in ELEMENTS))
"""What is fitted with the atmosphere held fixed, in the order of the table."""

WITH_UPPER_LIMITS = frozenset(
    f"{element}_h" for element in ("ce", "c", "cu", "na", "nd", "n", "o", "p", "s", "v")
)
"""Species with weak lines, whose flags tell upper limits."""

MEASURED = (*PARAMETERS, *SPECIES)


def abundance_columns() -> Iterator[tuple[str, MappedColumn[Any]]]:
    """Value, error, flags and reduced chi2 of each species."""
    for number, name in enumerate(SPECIES):
        bits = (UPPER_LIMITS if name in WITH_UPPER_LIMITS else {}) | ABUNDANCE
        yield name, known(name, category=None if number else "Chemical Abundances")
        yield f"e_{name}", known(f"e_{name}")
        yield f"{name}_flags", flags(bits, description=definition(f"{name}_flags").description)
        yield f"{name}_rchi2", known(f"{name}_rchi2")


def _with_errors(prefix: str = "") -> Iterator[str]:
    for name in MEASURED if prefix else PARAMETERS:
        yield f"{prefix}{name}"
        yield f"{prefix}e_{name}"


class ASPCAP(PipelineResult):
    """Stellar parameters and abundances of APOGEE coadds from ASPCAP: fits of synthetic spectra with FERRE.

    Published values are calibrated, `raw_*` are those of FERRE. Arrays of pixels are in the files of FERRE,
    in the folder `pwd`.
    """

    wavelength = virtual("wavelength", category="Spectral Data")
    model_flux = virtual("model_flux")
    continuum = virtual("continuum")
    # The namespace of a class body may be written to; naming all columns one by one would say no more.
    locals().update((f"model_flux_{name}", virtual(f"model_flux_{name}")) for name in SPECIES)
    irfm_teff: Mapped[float | None] = column(
        "K",
        "Effective temperature of the infrared flux method",
        ucd="phys.temperature.effective",
        category="IRFM Effective Temperatures from V-Ks (Gonzalez Hernandez+ 2009)",
    )
    irfm_teff_flags: Mapped[int] = flags(IRFM, description="Flags of the infrared flux method")
    locals().update(known_columns(*_with_errors(), category="Stellar Parameters"))
    locals().update(abundance_columns())
    short_grid_name: Mapped[str | None] = column(
        None, "Short name of the grid of spectra", ucd="meta.id", category="FERRE Settings"
    )
    continuum_order: Mapped[int | None] = column(None, "Order of the continuum", ucd="meta.number")
    continuum_reject: Mapped[float | None] = column(
        None, "Tolerance for points of the continuum", ucd="stat.param"
    )
    interpolation_order: Mapped[int | None] = column(
        None, "Order of the interpolation in the grid", ucd="meta.number"
    )
    initial_flags: Mapped[int] = flags(INITIAL, description="Where the initial guess comes from")
    rchi2: Mapped[float | None] = known("rchi2", category="Summary Statistics")
    ferre_log_snr_sq: Mapped[float | None] = column(
        None, "log10 of the square of S/N, as FERRE gives it", ucd="stat.snr"
    )
    ferre_time_coarse: Mapped[float | None] = column("s", "Time of the coarse stage", ucd="time.duration")
    ferre_time_params: Mapped[float | None] = column("s", "Time of the parameter stage", ucd="time.duration")
    ferre_time_abundances: Mapped[float | None] = column(
        "s", "Time of the abundance stage", ucd="time.duration"
    )
    result_flags: Mapped[int] = flags(RESULT, warn=ANY, bad=BAD)
    locals().update(known_columns(*(f"initial_{name}" for name in PARAMETERS), category="Initial Parameters"))
    locals().update(known_columns(*(f"coarse_{name}" for name in PARAMETERS), category="Coarse Parameters"))
    coarse_ferre_flags: Mapped[int] = flags(COARSE, description="Flags of the coarse stage")
    coarse_rchi2: Mapped[float | None] = known("coarse_rchi2")
    coarse_penalized_rchi2: Mapped[float | None] = column(
        None, "Reduced chi-square by which the grid was chosen", ucd="stat.fit.chi2"
    )
    pwd: Mapped[str | None] = column(
        None, "Folder of the files of FERRE", ucd="meta.id;meta.file", category="FERRE Access"
    )
    ferre_index: Mapped[int | None] = column(None, "Row in the files of FERRE", ucd="meta.record")
    calibrated_flags: Mapped[int] = flags(
        CALIBRATED, description="Which calibration was applied", category="Calibration"
    )
    mass: Mapped[float | None] = known("mass")
    radius: Mapped[float | None] = known("radius")
    locals().update(known_columns(*_with_errors("raw_"), category="Raw (Uncalibrated) Quantities"))
