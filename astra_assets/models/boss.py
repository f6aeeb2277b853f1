"""The tables of BOSS spectra: visits as reduced, visits in the rest frame (mwmVisit) and coadds (mwmStar)."""

from __future__ import annotations

from sqlalchemy import Index, UniqueConstraint

from astra_assets.models.base import Base, table
from astra_assets.models.fields import field, heading, primary_key, row_times, source_key, spectrum_key
from astra_assets.models.spectrum import astra_keywords, file_type, nmf, required

EXPOSURE = heading("Exposure Information", "n_exp", "exptime")
FIELD = heading("Field/Plate Information", "plateid", "cartid", "mapid", "slitid")
REDUCTION = heading(
    "BOSS Data Reduction Pipeline",
    *("psfsky", "preject", "n_std", "n_gal", "lowrej", "highrej", "scatpoly", "proftype", "nfitpoly"),
    *("skychi2", "schi2min", "schi2max"),
)
CONDITIONS = heading(
    "Observing Conditions",
    *(
        "alt",
        "az",
        "telescope",
        "seeing",
        "airmass",
        "airtemp",
        "dewpoint",
        "humidity",
        "pressure",
        "dust_a",
        "dust_b",
    ),
    *(
        "gust_direction",
        "gust_speed",
        "wind_direction",
        "wind_speed",
        "moon_dist_mean",
        "moon_phase_mean",
        "n_guide",
    ),
    *("tai_beg", "tai_end", "fiber_offset", "f_night_time", "delta_ra", "delta_dec"),
)
XCSAO = heading(
    "XCSAO",
    *(
        "xcsao_v_rad",
        "xcsao_e_v_rad",
        "xcsao_teff",
        "xcsao_e_teff",
        "xcsao_logg",
        "xcsao_e_logg",
        "xcsao_fe_h",
        "xcsao_e_fe_h",
    ),
    "xcsao_rxc",
)


class BossVisitSpectrum(Base):
    """One object on one night as the BOSS reduction made it (specFull file)."""

    __table__ = table(
        "boss_visit_spectrum",
        primary_key(),
        heading("Identifiers", spectrum_key(), source_key(index=False), *row_times()),
        heading("Spectral data", "wavelength", "flux", "ivar", "wresl", "pixel_flags"),
        heading(
            "Data Product Keywords",
            field("release", nullable=False),
            file_type("specFull"),
            *required("run2d", "mjd", "fieldid", "catalogid", "healpix", "spec_file"),
        ),
        EXPOSURE,
        FIELD,
        REDUCTION,
        CONDITIONS,
        heading("Metadata Flags", "snr", "gri_gaia_transform_flags", "zwarning_flags"),
        XCSAO,
        UniqueConstraint("release", "run2d", "fieldid", "mjd", "catalogid"),
        Index(None, "source_pk", "telescope", "mjd", "fieldid", "plateid"),
        Index(None, "catalogid"),
    )


class BossRestFrameVisitSpectrum(Base):
    """One visit in the rest frame on the common wavelengths: a row of a mwmVisit file."""

    __table__ = table(
        "boss_rest_frame_visit_spectrum",
        primary_key(),
        heading(
            "Identifiers",
            spectrum_key("spectrum_pk_id"),
            source_key(),
            field(
                "drp_spectrum_pk_id",
                key="drp_spectrum_pk",
                references="boss_visit_spectrum.spectrum_pk",
                unique=True,
                nullable=False,
                summary_name="drp_spectrum_pk",
            ),
        ),
        astra_keywords("mwmVisit"),
        heading("Related Data Product Keywords", *required("run2d", "mjd", "fieldid", "catalogid")),
        EXPOSURE,
        FIELD,
        REDUCTION,
        CONDITIONS,
        heading(
            "Metadata Flags",
            "snr",
            field("in_stack", nullable=False),
            "gri_gaia_transform_flags",
            "zwarning_flags",
        ),
        XCSAO,
        heading("Spectral data", "wavelength", "flux", "ivar", "wresl", "pixel_flags"),
        nmf("continuum"),
        *row_times(),
        UniqueConstraint("v_astra", "filetype", "release", "run2d", "fieldid", "mjd", "catalogid"),
    )


class BossCombinedSpectrum(Base):
    """The coadd of a source's visits with one telescope: a row of a mwmStar file."""

    __table__ = table(
        "boss_combined_spectrum",
        primary_key(),
        heading("Identifiers", spectrum_key("spectrum_pk_id"), source_key()),
        astra_keywords("mwmStar"),
        heading(
            "Related Data Product Keywords",
            field("run2d", nullable=False),
            field("telescope", nullable=False, index=True),
        ),
        heading("Observing Span", "min_mjd", "max_mjd", "n_visits", "n_good_visits", "n_good_rvs"),
        heading(
            "Radial Velocity (XCSAO)",
            *(
                "v_rad",
                "e_v_rad",
                "std_v_rad",
                "median_e_v_rad",
                "xcsao_teff",
                "xcsao_e_teff",
                "xcsao_logg",
                "xcsao_e_logg",
            ),
            *("xcsao_fe_h", "xcsao_e_fe_h", "xcsao_meanrxc"),
        ),
        heading("Metadata", "snr", "gri_gaia_transform_flags", "zwarning_flags"),
        heading("Spectral Data", "wavelength", "flux", "ivar", "pixel_flags"),
        nmf("continuum", "nmf_rectified_model_flux"),
        *row_times(),
        UniqueConstraint("release", "filetype", "v_astra", "healpix", "sdss_id", "telescope", "run2d"),
    )
