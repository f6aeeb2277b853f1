"""Columns of pipelines that measure atmospheres of cool stars: broadening, composition, distance.

Abundances of single elements, ratios of them, and what goes along with them. Effective temperature, surface
gravity and iron, which most pipelines measure, are in `results.py`.
"""

from __future__ import annotations

from astra_assets.registry.kinds import Definition, Kind

ELEMENTS = {
    "al": "Al",
    "c": "C",
    "ca": "Ca",
    "ce": "Ce",
    "co": "Co",
    "cr": "Cr",
    "cu": "Cu",
    "ge": "Ge",
    "k": "K",
    "mg": "Mg",
    "mn": "Mn",
    "n": "N",
    "na": "Na",
    "nd": "Nd",
    "ni": "Ni",
    "o": "O",
    "p": "P",
    "s": "S",
    "si": "Si",
    "ti": "Ti",
    "v": "V",
}
"""Elements by their name in columns; iron is in `results.py`."""

ABUNDANCES = {
    f"{name}_h": Definition(Kind.float32, f"[{symbol}/H], dex", None, "phys.abund")
    for name, symbol in ELEMENTS.items()
} | {
    "c_1_h": Definition(Kind.float32, "[C/H] from lines of neutral carbon, dex", None, "phys.abund"),
    "ti_2_h": Definition(Kind.float32, "[Ti/H] from lines of ionised titanium, dex", None, "phys.abund"),
    "c_12_13": Definition(Kind.float32, "Isotope ratio 12C/13C", None, "phys.abund;arith.ratio"),
    "c12_c13": Definition(Kind.float32, "Isotope ratio 12C/13C", None, "phys.abund;arith.ratio"),
    "alpha_fe": Definition(Kind.float32, "[alpha/Fe], dex", None, "phys.abund"),
    "fe_h_niu": Definition(
        Kind.float32, "[Fe/H] calibrated as in Niu et al. (2023), dex", None, "phys.abund.Fe"
    ),
}

ATMOSPHERES = {
    "v_micro": Definition(Kind.float32, "Microturbulence", "km s-1", "phys.veloc.microTurb"),
    "v_turb": Definition(Kind.float32, "Turbulent velocity", "km s-1", "phys.veloc.microTurb"),
    "v_macro": Definition(Kind.float32, "Macroturbulence", "km s-1", "phys.veloc"),
    "v_sini": Definition(Kind.float32, "Projected rotational velocity", "km s-1", "phys.veloc.rotat"),
    "m_h_atm": Definition(Kind.float32, "[M/H] of the atmosphere, dex", None, "phys.abund.Z"),
    "alpha_m_atm": Definition(Kind.float32, "[alpha/M] of the atmosphere, dex", None, "phys.abund"),
    "c_m_atm": Definition(Kind.float32, "[C/M] of the atmosphere, dex", None, "phys.abund"),
    "n_m_atm": Definition(Kind.float32, "[N/M] of the atmosphere, dex", None, "phys.abund"),
}

STARS = {
    "mass": Definition(Kind.float32, "Mass from isochrones", "solMass", "phys.mass"),
    "radius": Definition(Kind.float32, "Radius from isochrones", "solRad", "phys.size.radius"),
    "A_k_mag": Definition(Kind.float32, "Extinction in Ks", "mag", "phys.absorption;em.IR.K"),
    "L_fakemag": Definition(
        Kind.float32,
        "Pseudo-luminosity in Ks, 10**(0.2 M_Ks + 2)",
        None,
        "phys.luminosity;em.IR.K",
    ),
    "dist": Definition(Kind.float32, "Heliocentric distance", "pc", "pos.distance;pos.heliocentric"),
}

SPECIES = {name: f"[{symbol}/H]" for name, symbol in {**ELEMENTS, "fe": "Fe"}.items()}

MODEL_FLUXES = {
    f"model_flux_{name}_h": Definition(
        Kind.pixels, f"Model flux at the best {text}", None, "phot.flux.density;em.wl"
    )
    for name, text in SPECIES.items()
} | {
    "model_flux_c_12_13": Definition(
        Kind.pixels, "Model flux at the best 12C/13C", None, "phot.flux.density;em.wl"
    )
}
"""Fits of single elements, in units of the continuum."""

COOL_STARS = ABUNDANCES | ATMOSPHERES | STARS | MODEL_FLUXES
