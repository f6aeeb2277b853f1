"""The tables of APOGEE spectra: as reduced (visits, coadds, visits in coadds), of mwmVisit and of mwmStar.

What the columns mean is in the glossary; BOSS spectra are in `boss.py`.
"""

from __future__ import annotations

from sqlalchemy import Index, UniqueConstraint

from astra_assets.models.base import Base, table
from astra_assets.models.fields import (
    Field,
    Heading,
    field,
    heading,
    primary_key,
    row_times,
    source_key,
    spectrum_key,
)
from astra_assets.models.spectrum import astra_keywords, file_type, nmf, required
from astra_assets.registry.flags import APOGEE_REST_FRAME_VISIT_FLAGS

CONDITIONS = heading("Observing Conditions", "date_obs", "jd", "exptime", "dithered", "f_night_time")
POINTING = heading(
    "Telescope Pointing",
    *("input_ra", "input_dec", "n_frames", "assigned", "on_target", "valid", "fps"),
)
DOPPLER = (
    *("doppler_teff", "doppler_e_teff", "doppler_logg", "doppler_e_logg", "doppler_fe_h", "doppler_e_fe_h"),
    *("doppler_rchi2", "doppler_flags"),
)
VISIT_DOPPLER = heading("Radial Velocity (Doppler)", "v_rad", "v_rel", "e_v_rel", "bc", *DOPPLER)
STAR_DOPPLER = heading(
    "Radial Velocity (Doppler)", "v_rad", "e_v_rad", "std_v_rad", "median_e_v_rad", *DOPPLER
)
CROSS_CORRELATION = heading(
    "Radial Velocity (X-Correlation)",
    *("xcorr_v_rad", "xcorr_v_rel", "xcorr_e_v_rel", "ccfwhm", "autofwhm", "n_components"),
)
PIXELS = heading("Spectral Data", "wavelength", "flux", "ivar", "pixel_flags")
VISIT_NUMBERS = heading(
    "Number and Quality of Visits", "n_entries", "n_visits", "n_good_visits", "n_good_rvs"
)
STAR_STATISTICS = heading("Summary Statistics", "snr", "mean_fiber", "std_fiber", "spectrum_flags")


def empty(name: str) -> Field:
    """A text that is part of a file's name and may be empty, but not NULL."""
    return field(name, nullable=False, default="")


def ap_star_keywords(*more: Field) -> Heading:
    """Return the keywords that identify an apStar file, and `more` that identify a spectrum in it."""
    return heading(
        "Data Product Keywords",
        field("release", nullable=False),
        file_type("apStar"),
        field("apred", nullable=False),
        field("apstar", nullable=False, default="stars"),
        *required("obj", "telescope"),
        "healpix",
        empty("field"),
        empty("prefix"),
        *more,
    )


class ApogeeVisitSpectrum(Base):
    """One visit as the APOGEE reduction made it (apVisit file)."""

    __table__ = table(
        "apogee_visit_spectrum",
        primary_key(),
        heading(
            "Identifiers",
            spectrum_key(),
            source_key(index=False),
            *row_times(),
            field("catalogid", index=True),
            "star_pk",
            field("visit_pk", unique=True),
            field("rv_visit_pk", unique=True),
        ),
        heading(
            "Data Product Keywords",
            field("release", nullable=False),
            file_type("apVisit"),
            *required("apred", "plate", "telescope", "fiber", "mjd", "field", "prefix"),
            empty("reduction"),
            "obj",
        ),
        PIXELS,
        CONDITIONS,
        POINTING,
        heading("Statistics and Spectrum Quality", "snr", "spectrum_flags"),
        VISIT_DOPPLER,
        CROSS_CORRELATION,
        UniqueConstraint(
            *("release", "apred", "mjd", "plate", "telescope", "field", "fiber", "prefix", "reduction"),
        ),
        Index(None, "source_pk", "telescope", "mjd", "fiber", "plate", "field"),
    )


class ApogeeCoaddedSpectrumInApStar(Base):
    """A coadd as the APOGEE reduction made it: the first row of an apStar file."""

    __table__ = table(
        "apogee_coadded_spectrum_in_ap_star",
        primary_key(),
        source_key(),
        *row_times(),
        heading("Identifiers", field("star_pk", unique=True), spectrum_key()),
        ap_star_keywords(),
        heading("Observing Span", "min_mjd", "max_mjd", "starver"),
        VISIT_NUMBERS,
        STAR_STATISTICS,
        STAR_DOPPLER,
        CROSS_CORRELATION,
        PIXELS,
        UniqueConstraint("release", "apred", "apstar", "obj", "telescope", "field", "prefix"),
    )


class ApogeeVisitSpectrumInApStar(Base):
    """A visit inside an apStar file: in the rest frame, resampled."""

    __table__ = table(
        "apogee_visit_spectrum_in_ap_star",
        primary_key(),
        source_key(),
        heading(
            "Spectrum Identifiers",
            spectrum_key(nullable=False),
            field(
                "drp_spectrum_pk", references="apogee_visit_spectrum.spectrum_pk", unique=True, nullable=False
            ),
            *row_times(),
        ),
        PIXELS,
        ap_star_keywords(*required("plate", "mjd", "fiber"), field("reduction", default="")),
        UniqueConstraint(
            *("release", "apred", "apstar", "obj", "telescope", "field", "prefix", "plate", "mjd", "fiber"),
        ),
    )


class ApogeeCombinedSpectrum(Base):
    """The coadd of a source's APOGEE visits with one telescope: a row of a mwmStar file."""

    __table__ = table(
        "apogee_combined_spectrum",
        primary_key(),
        heading("Identifiers", spectrum_key(), source_key()),
        astra_keywords("mwmStar"),
        *row_times(),
        heading(
            "Related Data Product Keywords",
            field("apred", nullable=False),
            "obj",
            field("telescope", nullable=False),
        ),
        heading("Observing Span", "min_mjd", "max_mjd"),
        VISIT_NUMBERS,
        STAR_STATISTICS,
        STAR_DOPPLER,
        CROSS_CORRELATION,
        PIXELS,
        nmf("continuum", "nmf_rectified_model_flux"),
        UniqueConstraint("release", "filetype", "v_astra", "healpix", "sdss_id", "telescope", "apred"),
    )


class ApogeeRestFrameVisitSpectrum(Base):
    """One APOGEE visit in the rest frame on the common wavelengths: a row of a mwmVisit file."""

    __table__ = table(
        "apogee_rest_frame_visit_spectrum",
        primary_key(),
        heading(
            "Identifiers", spectrum_key(), source_key(), "catalogid", "star_pk", "visit_pk", "rv_visit_pk"
        ),
        astra_keywords("mwmVisit"),
        heading(
            "Upstream Data Product Keywords",
            *required("apred", "plate", "telescope", "fiber", "mjd", "field", "prefix"),
            empty("reduction"),
            "obj",
        ),
        CONDITIONS,
        POINTING,
        heading(
            "Statistics and Spectrum Quality",
            "snr",
            field("in_stack", nullable=False),
            field("spectrum_flags", flags=APOGEE_REST_FRAME_VISIT_FLAGS),
        ),
        VISIT_DOPPLER,
        CROSS_CORRELATION,
        heading("Spectral Data", "flux", "ivar", "pixel_flags"),
        nmf("continuum"),
        UniqueConstraint(
            *(
                "release",
                "v_astra",
                "sdss_id",
                "apred",
                "mjd",
                "plate",
                "telescope",
                "field",
                "fiber",
                "prefix",
                "reduction",
            ),
        ),
    )
