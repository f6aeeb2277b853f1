"""ASPCAP: stellar parameters and abundances of APOGEE coadds, by fits of synthetic spectra with FERRE.

The declaration, the result table with the bits of its flags, what the program is given, and the flags that follow from
what it gives back. The initial guess is ApogeeNet's result on the same coadd.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Mapped, MappedColumn

from astra_assets.models.apogee import ApogeeCoaddedSpectrumInApStar
from astra_assets.models.base import PipelineResult
from astra_assets.models.source import Source
from astra_assets.pipelines.apogeenet import ApogeeNet
from astra_assets.pipelines.base import Pipeline, Step, this_version
from astra_assets.pipelines.external import ASTRA, files_program
from astra_assets.pipelines.options import SlurmOptions
from astra_assets.pipelines.rules import Limits, Row, raised
from astra_assets.registry.columns import column, definition, flags, known, known_columns, virtual
from astra_assets.registry.flags import ANY

V_MICRO = Limits("v_micro", high=3, unit="km/s")
RCHI2 = Limits("rchi2", high=1000)
SNR = Limits("snr", low=20)
STD_V_RAD = Limits("std_v_rad", high=1, unit="km/s")

GRID_AXES = {
    "teff": "Teff",
    "logg": "log g",
    "v_micro": "v_micro",
    "v_sini": "v sin i",
    "m_h_atm": "[M/H]",
    "alpha_m": "[alpha/M]",
    "c_m_atm": "[C/M]",
    "n_m_atm": "[N/M]",
}
"""Axes of the grid by their names in flags, in the order of bits."""

Bits = dict[int, tuple[str, str]]


def _ferre() -> Bits:
    bits: Bits = {
        0: ("ferre_fail", "FERRE failed"),
        1: ("missing_model_flux", "FERRE gave no model flux"),
        2: ("potential_ferre_timeout", "Perhaps affected by a time-out of FERRE"),
        3: ("no_suitable_initial_guess", "FERRE was not run: there is no initial guess"),
        4: ("spectrum_io_error", "The spectrum could not be read"),
    }
    for number, (name, axis) in enumerate(GRID_AXES.items()):
        edge = "upper edge" if name == "v_sini" else "edge"
        bits[5 + 2 * number] = (f"{name}_grid_edge_warn", f"{axis} within a step of the {edge} of the grid")
        bits[6 + 2 * number] = (
            f"{name}_grid_edge_bad",
            f"{axis} within 1/8 of a step of the {edge} of the grid",
        )
    return bits


FERRE = _ferre()
"""Bits 0 to 20, which the coarse stage and the result share."""

RESULT: Bits = FERRE | {
    21: ("suspicious_parameters", "Parameters in a region with hardly any stars"),
    22: ("high_v_sini", "High rotational velocity"),
    23: ("high_v_micro", f"Microturbulence {V_MICRO}"),
    24: ("unphysical_parameters", "FERRE gave unphysical parameters"),
    25: ("high_rchi2", f"Reduced chi-square {RCHI2}"),
    26: ("low_snr", f"S/N {SNR}"),
    27: ("high_std_v_rad", f"Standard deviation of the velocities {STD_V_RAD}"),
}

BAD = tuple(name for bit, (name, _) in RESULT.items() if bit <= 4 or bit in (6, 8) or bit >= 21)
"""Flags of results that should not be used; edges other than those of Teff and log g are not among them."""

COARSE: Bits = FERRE | {
    21: ("caused_timeout", "Caused a time-out in a later stage"),
    22: ("multiple_equally_good_coarse_results", "Several grids fit equally well"),
    23: ("no_good_coarse_result", "No grid gave a good fit"),
}

INITIAL: Bits = {
    0: ("initial_guess_from_apogeenet", "Initial guess from ApogeeNet"),
    1: ("initial_guess_from_doppler", "Initial guess from Doppler"),
    2: ("initial_guess_from_user", "Initial guess given by a person"),
    3: ("initial_guess_from_gaia_xp", "Initial guess from Gaia XP spectra"),
}

CALIBRATED: Bits = {
    0: ("as_dwarf_for_calibration", "Calibrated as a dwarf"),
    1: ("as_giant_for_calibration", "Calibrated as a giant"),
    2: ("as_red_clump_for_calibration", "Calibrated as a star of the red clump"),
    3: ("as_m_dwarf_for_calibration", "Calibrated as an M dwarf"),
    4: ("censored_logg_for_metal_poor_m_dwarf", "log g of a metal-poor M dwarf was removed"),
}

IRFM: Bits = {
    0: ("out_of_v_k_bounds", "V - Ks outside the range of the relation"),
    1: ("out_of_fe_h_bounds", "[Fe/H] outside the range of the relation"),
    2: ("extrapolated_v_mag", "V is extrapolated"),
    3: ("poor_quality_k_mag", "Ks has poor quality"),
    4: ("ebv_used_is_upper_limit", "E(B-V) is an upper limit"),
    5: ("as_dwarf_for_irfm_teff", "Relation of dwarfs"),
    6: ("as_giant_for_irfm_teff", "Relation of giants"),
}

UPPER_LIMITS: Bits = {
    number: (f"upper_limit_t{number + 1}", f"A line is an upper limit at the {number + 1} % threshold")
    for number in range(5)
}
"""Thresholds of Hayes et al. 2022, ApJS 262, 34."""

ABUNDANCE: Bits = {
    5: ("censored_high_teff", "Removed: known to be wrong at this Teff"),
    6: ("censored_low_teff_vmicro", "Removed: low Teff and v_micro"),
    7: ("censored_unphysical", "Removed: FERRE gave an unphysical value"),
    8: ("bad_grid_edge", "At the edge of the grid"),
    9: ("warn_grid_edge", "Near the edge of the grid"),
    10: ("warn_teff", "Known to be unreliable at this Teff"),
    11: ("warn_m_h", "Known to be unreliable at this [M/H]"),
}

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
