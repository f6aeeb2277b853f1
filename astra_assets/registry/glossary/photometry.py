"""Columns of photometry: Gaia, 2MASS, unWISE, GLIMPSE and synthetic magnitudes from Gaia XP spectra."""

from __future__ import annotations

from astra_assets.registry.kinds import Definition, Kind

BROAD_BANDS = {
    "g_mag": Definition(Kind.float32, "Gaia DR3 mean G magnitude", "mag", "phot.mag;em.opt"),
    "bp_mag": Definition(Kind.float32, "Gaia DR3 mean BP magnitude", "mag", "phot.mag;em.opt.B"),
    "rp_mag": Definition(Kind.float32, "Gaia DR3 mean RP magnitude", "mag", "phot.mag;em.opt.R"),
    "j_mag": Definition(Kind.float32, "2MASS J magnitude", "mag", "phot.mag;em.IR.J"),
    "h_mag": Definition(Kind.float32, "2MASS H magnitude", "mag", "phot.mag;em.IR.H"),
    "k_mag": Definition(Kind.float32, "2MASS Ks magnitude", "mag", "phot.mag;em.IR.K"),
    "ph_qual": Definition(Kind.text, "2MASS photometric quality of J, H and Ks", ucd="meta.code.qual"),
    "bl_flg": Definition(Kind.text, "2MASS number of components fitted in J, H and Ks", ucd="meta.code"),
    "cc_flg": Definition(
        Kind.text, "2MASS contamination and confusion of J, H and Ks", ucd="meta.code.error"
    ),
}


def unwise(band: str, wavelengths: str) -> dict[str, Definition]:
    """The columns of one unWISE band ("1", "2")."""
    name, lower = f"W{band}", f"w{band}"
    return {
        f"{lower}_mag": Definition(
            Kind.float32, f"{name} magnitude (Vega)", "mag", f"phot.mag;{wavelengths}"
        ),
        f"{lower}_flux": Definition(
            Kind.float32, f"{name} flux in Vega nanomaggies", None, f"phot.flux;{wavelengths}"
        ),
        f"{lower}_dflux": Definition(
            Kind.float32,
            f"Error on {name} flux in Vega nanomaggies",
            None,
            f"stat.error;phot.flux;{wavelengths}",
        ),
        f"{lower}_frac": Definition(
            Kind.float32,
            f"Fraction of {name} flux that belongs to this object",
            None,
            f"phot.flux;{wavelengths};arith.ratio",
        ),
        f"{lower}uflags": Definition(Kind.bits, f"unWISE flags of the {name} coadd", ucd="meta.code.qual"),
        f"{lower}aflags": Definition(Kind.bits, f"unWISE additional flags of {name}", ucd="meta.code.qual"),
    }


GLIMPSE = {
    "mag4_5": Definition(
        Kind.float32, "IRAC 4.5 micron magnitude, 99.999 is bad", "mag", "phot.mag;em.IR.4-8um"
    ),
    "d4_5m": Definition(
        Kind.float32, "Error on IRAC 4.5 micron magnitude", "mag", "stat.error;phot.mag;em.IR.4-8um"
    ),
    "rms_f4_5": Definition(
        Kind.float32,
        "RMS deviation of the IRAC 4.5 micron flux",
        "mJy",
        "stat.stdev;phot.flux.density;em.IR.4-8um",
    ),
    "sqf_4_5": Definition(Kind.bits, "IRAC 4.5 micron source quality", ucd="meta.code.qual"),
    "mf4_5": Definition(Kind.bits, "IRAC 4.5 micron flux calculation method", ucd="meta.code"),
    "csf": Definition(Kind.bits, "Distance class of the closest other source", ucd="meta.code"),
}

SYSTEMS = {"jkc": "Johnson-Kron-Cousins", "sdss": "SDSS", "ps1": "Pan-STARRS1"}
"""Photometric systems of the synthetic magnitudes and how they are called in descriptions."""

SYNTHETIC_BANDS = (
    ("u", "jkc", "em.opt.U"),
    ("b", "jkc", "em.opt.B"),
    ("v", "jkc", "em.opt.V"),
    ("r", "jkc", "em.opt.R"),
    ("i", "jkc", "em.opt.I"),
    ("u", "sdss", "em.opt.U"),
    ("g", "sdss", "em.opt.B"),
    ("r", "sdss", "em.opt.R"),
    ("i", "sdss", "em.opt.I"),
    ("z", "sdss", "em.opt.I"),
    ("y", "ps1", "em.opt.I"),
)
"""Band, system and UCD of the synthetic magnitudes from Gaia XP spectra, in the order of the Source table."""


def synthetic() -> dict[str, Definition]:
    """The magnitudes from Gaia XP spectra, each with its validity flag."""
    definitions = {
        "c_star": Definition(
            Kind.float32,
            "Corrected BP and RP flux excess C* (Riello et al. 2021)",
            ucd="arith.factor;phot.flux",
        )
    }
    for band, system, wavelengths in SYNTHETIC_BANDS:
        letter = band.upper() if system == "jkc" else band
        label = f"Synthetic {letter} ({SYSTEMS[system]})"
        name = f"{band}_{system}_mag"
        definitions[name] = Definition(
            Kind.float32, f"{label} from Gaia XP spectra", "mag", f"phot.mag;{wavelengths}"
        )
        definitions[f"{name}_flag"] = Definition(
            Kind.int32, f"{label} is within its valid range", None, "meta.code.qual"
        )
    return definitions


PHOTOMETRY = BROAD_BANDS | unwise("1", "em.IR.3-4um") | unwise("2", "em.IR.4-8um") | GLIMPSE | synthetic()
