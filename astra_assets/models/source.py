"""The table of astronomical objects. Spectra are in `boss.py` and `apogee.py`."""

from __future__ import annotations

from astra_assets.models.base import Base, table
from astra_assets.models.fields import field, heading, primary_key, row_times
from astra_assets.registry.glossary.astrometry import REDDENING_METHODS
from astra_assets.registry.glossary.photometry import SYNTHETIC_BANDS

IDENTIFIERS = heading(
    "Identifiers",
    field("sdss_id", unique=True),
    field("sdss4_apogee_id", unique=True),
    field("gaia_dr2_source_id", unique=True),
    field("gaia_dr3_source_id", unique=True),
    "tic_v8_id",
    "healpix",
)

TARGETING = heading(
    "Targeting Provenance",
    "lead",
    "version_id",
    field("catalogid", index=True),
    field("catalogid21", index=True),
    field("catalogid25", index=True),
    field("catalogid31", index=True),
    "n_associated",
    field("n_neighborhood", nullable=False, default=-1),
    "crossmatch_flags",
    "sdss5_target_flags",
    "sdss4_apogee_target1_flags",
    "sdss4_apogee_target2_flags",
    "sdss4_apogee2_target1_flags",
    "sdss4_apogee2_target2_flags",
    "sdss4_apogee2_target3_flags",
    "sdss4_apogee_member_flags",
    "sdss4_apogee_extra_target_flags",
    "sdss5_dr19_apogee_flag",
)

ASTROMETRY = heading(
    "Astrometry",
    *(
        "ra",
        "dec",
        "l",
        "b",
        "plx",
        "e_plx",
        "pmra",
        "e_pmra",
        "pmde",
        "e_pmde",
        "gaia_v_rad",
        "gaia_e_v_rad",
    ),
)

TWO_MASS = heading(
    "2MASS Photometry",
    *("j_mag", "e_j_mag", "h_mag", "e_h_mag", "k_mag", "e_k_mag", "ph_qual", "bl_flg", "cc_flg"),
    note="See https://www.ipac.caltech.edu/2mass/releases/allsky/doc/sec2_2a.html",
)

UNWISE = heading(
    "unWISE Photometry",
    *(
        "w1_mag",
        "e_w1_mag",
        "w1_flux",
        "w1_dflux",
        "w1_frac",
        "w2_mag",
        "e_w2_mag",
        "w2_flux",
        "w2_dflux",
        "w2_frac",
    ),
    *(field(name, nullable=True) for name in ("w1uflags", "w2uflags", "w1aflags", "w2aflags")),
    note="See https://catalog.unwise.me/catalogs.html",
)

GLIMPSE = heading(
    "GLIMPSE Photometry",
    *("mag4_5", "d4_5m", "rms_f4_5", "sqf_4_5", "mf4_5", "csf"),
    note="See https://irsa.ipac.caltech.edu/data/SPITZER/GLIMPSE/gator_docs/",
)

GAIA_XP = heading(
    "Gaia XP Stellar Parameters (Zhang, Green & Rix 2023)",
    *(
        "zgr_teff",
        "zgr_e_teff",
        "zgr_logg",
        "zgr_e_logg",
        "zgr_fe_h",
        "zgr_e_fe_h",
        "zgr_e",
        "zgr_e_e",
        "zgr_plx",
        "zgr_e_plx",
    ),
    *(
        "zgr_teff_confidence",
        "zgr_logg_confidence",
        "zgr_fe_h_confidence",
        "zgr_ln_prior",
        "zgr_chi2",
        "zgr_quality_flags",
    ),
)

DISTANCES = heading(
    "Bailer-Jones Distance Estimates (EDR3; 2021)",
    *(
        "r_med_geo",
        "r_lo_geo",
        "r_hi_geo",
        "r_med_photogeo",
        "r_lo_photogeo",
        "r_hi_photogeo",
        "bailer_jones_flags",
    ),
)

REDDENING = heading(
    "Reddening",
    *("ebv", "e_ebv", "ebv_flags"),
    *(name for method in REDDENING_METHODS for name in (method, f"e_{method}")),
)

SYNTHETIC = heading(
    "Synthetic Photometry from Gaia XP Spectra",
    "c_star",
    *(f"{band}_{system}_mag{suffix}" for band, system, _ in SYNTHETIC_BANDS for suffix in ("", "_flag")),
)

OBSERVATIONS = heading(
    "Observations Summary",
    *("n_boss_visits", "boss_min_mjd", "boss_max_mjd", "n_apogee_visits", "apogee_min_mjd", "apogee_max_mjd"),
)


class Source(Base):
    """An astronomical object: identifiers, targeting, positions, photometry and how often it was observed."""

    __table__ = table(
        "source",
        primary_key(),
        IDENTIFIERS,
        TARGETING,
        ASTROMETRY,
        heading("Gaia Photometry", "g_mag", "bp_mag", "rp_mag"),
        TWO_MASS,
        UNWISE,
        GLIMPSE,
        GAIA_XP,
        DISTANCES,
        REDDENING,
        SYNTHETIC,
        OBSERVATIONS,
        *row_times(),
    )
