"""Columns of positions, motions, distances, reddening, and stellar parameters from Gaia XP spectra."""

from __future__ import annotations

from astra_assets.registry.kinds import Definition, Kind

POSITIONS = {
    "ra": Definition(Kind.float64, "Right ascension (ICRS)", "deg", "pos.eq.ra;meta.main"),
    "dec": Definition(Kind.float64, "Declination (ICRS)", "deg", "pos.eq.dec;meta.main"),
    "l": Definition(Kind.float64, "Galactic longitude", "deg", "pos.galactic.lon"),
    "b": Definition(Kind.float64, "Galactic latitude", "deg", "pos.galactic.lat"),
    "plx": Definition(Kind.float32, "Parallax (Gaia DR3)", "mas", "pos.parallax"),
    "pmra": Definition(
        Kind.float32, "Proper motion in right ascension, with cos(dec)", "mas yr-1", "pos.pm;pos.eq.ra"
    ),
    "pmde": Definition(Kind.float32, "Proper motion in declination", "mas yr-1", "pos.pm;pos.eq.dec"),
    "gaia_v_rad": Definition(Kind.float32, "Gaia radial velocity", "km s-1", "spect.dopplerVeloc.opt"),
}

DISTANCES = {
    "r_med_geo": Definition(Kind.float32, "Geometric distance, median", "pc", "pos.distance;stat.median"),
    "r_lo_geo": Definition(
        Kind.float32, "Geometric distance, 16th percentile", "pc", "pos.distance;stat.min"
    ),
    "r_hi_geo": Definition(
        Kind.float32, "Geometric distance, 84th percentile", "pc", "pos.distance;stat.max"
    ),
    "r_med_photogeo": Definition(
        Kind.float32, "Photogeometric distance, median", "pc", "pos.distance;stat.median"
    ),
    "r_lo_photogeo": Definition(
        Kind.float32, "Photogeometric distance, 16th percentile", "pc", "pos.distance;stat.min"
    ),
    "r_hi_photogeo": Definition(
        Kind.float32, "Photogeometric distance, 84th percentile", "pc", "pos.distance;stat.max"
    ),
    "bailer_jones_flags": Definition(Kind.text, "Flag text of the distance catalogue", ucd="meta.code.qual"),
}

REDDENING_METHODS = {
    "ebv_zhang_2023": "E(B-V) of Zhang et al. (2023)",
    "ebv_sfd": "E(B-V) of Schlegel, Finkbeiner & Davis (1998)",
    "ebv_rjce_glimpse": "E(B-V) of RJCE with GLIMPSE",
    "ebv_rjce_allwise": "E(B-V) of RJCE with AllWISE",
    "ebv_bayestar_2019": "E(B-V) of Bayestar (2019)",
    "ebv_edenhofer_2023": "E(B-V) of Edenhofer et al. (2023)",
}

REDDENING = {
    "ebv": Definition(Kind.float32, "E(B-V) as adopted", "mag", "phot.color.excess"),
    "ebv_flags": Definition(Kind.bits, "Which method gave E(B-V)", ucd="meta.code"),
} | {
    name: Definition(Kind.float32, text, "mag", "phot.color.excess")
    for name, text in REDDENING_METHODS.items()
}

ZHANG_GREEN_RIX = {
    "zgr_teff": Definition(
        Kind.float32, "Effective temperature from Gaia XP", "K", "phys.temperature.effective"
    ),
    "zgr_logg": Definition(
        Kind.float32, "Surface gravity from Gaia XP, log10 of cm/s2", None, "phys.gravity"
    ),
    "zgr_fe_h": Definition(Kind.float32, "[Fe/H] from Gaia XP, dex", None, "phys.abund.Fe"),
    "zgr_e": Definition(Kind.float32, "Extinction parameter E from Gaia XP", "mag", "phot.color.excess"),
    "zgr_plx": Definition(Kind.float32, "Parallax of the Gaia XP model", "mas", "pos.parallax"),
    "zgr_teff_confidence": Definition(
        Kind.float32, "Confidence (0 to 1) in the temperature from Gaia XP", ucd="stat.confidenceLevel"
    ),
    "zgr_logg_confidence": Definition(
        Kind.float32, "Confidence (0 to 1) in the gravity from Gaia XP", ucd="stat.confidenceLevel"
    ),
    "zgr_fe_h_confidence": Definition(
        Kind.float32, "Confidence (0 to 1) in [Fe/H] from Gaia XP", ucd="stat.confidenceLevel"
    ),
    "zgr_ln_prior": Definition(
        Kind.float32, "Natural logarithm of the prior of the Gaia XP fit", ucd="stat.likelihood"
    ),
    "zgr_chi2": Definition(Kind.float32, "Chi-square of the Gaia XP fit", ucd="stat.fit.chi2"),
    "zgr_quality_flags": Definition(
        Kind.bits, "Quality of the Gaia XP fit, below 8 is usable", ucd="meta.code.qual"
    ),
}

ASTROMETRY = POSITIONS | DISTANCES | REDDENING | ZHANG_GREEN_RIX
