"""Bits of the flag columns of ASPCAP, and the limits beyond which it raises some of them.

Names, texts and thresholds; the columns are in `table.py`.
"""

from __future__ import annotations

from astra_assets.pipelines.rules import Limits

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
