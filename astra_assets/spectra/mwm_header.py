"""The headers of per-source files: what is known of the source, and the wavelengths of a table.

Here: keywords and their order, which are Astra's. Not here: the tables and the writing (`mwm`).

A card always has a value, so that FITS checkers stay silent: a float that is NULL or NaN is the text 'NaN'
(as Astra writes NaN), an integer that is NULL is the value that stands for NULL in tables (-1, or 0 for
flags), and a text that is NULL or empty has no card.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from astra_assets.fits.header import Card, created_card, section
from astra_assets.registry.columns import definition
from astra_assets.registry.kinds import Kind
from astra_assets.spectra.grid import LogLinearGrid

Keywords = Mapping[str, str]


def _same(*names: str) -> Keywords:
    """Keywords that are the upper-cased names of their columns."""
    return {name.upper(): name for name in names}


SOURCE_KEYWORDS: Mapping[str, Keywords] = {
    "Identifiers": {
        "SDSS_ID": "sdss_id",
        "APOGEEID": "sdss4_apogee_id",
        "GAIA2_ID": "gaia_dr2_source_id",
        "GAIA3_ID": "gaia_dr3_source_id",
        "TIC_ID": "tic_v8_id",
        "HEALPIX": "healpix",
    },
    "Targeting Provenance": {
        "LEAD": "lead",
        "VER_ID": "version_id",
        "CAT_ID": "catalogid",
        "CAT_ID21": "catalogid21",
        "CAT_ID25": "catalogid25",
        "CAT_ID31": "catalogid31",
        "N_ASSOC": "n_associated",
        "N_NEIGH": "n_neighborhood",
    },
    "Astrometry": {
        **_same("ra", "dec", "l", "b", "plx", "e_plx", "pmra", "e_pmra", "pmde", "e_pmde"),
        "V_RAD": "gaia_v_rad",
        "E_V_RAD": "gaia_e_v_rad",
    },
    "Gaia Photometry": _same("g_mag", "bp_mag", "rp_mag"),
    "2MASS Photometry": _same(
        *("j_mag", "e_j_mag", "h_mag", "e_h_mag", "k_mag", "e_k_mag", "ph_qual", "bl_flg", "cc_flg")
    ),
    "unWISE Photometry": _same(
        *("w1_mag", "e_w1_mag", "w1_flux", "w1_dflux", "w1_frac"),
        *("w2_mag", "e_w2_mag", "w2_flux", "w2_dflux", "w2_frac"),
        *("w1uflags", "w2uflags", "w1aflags", "w2aflags"),
    ),
    "GLIMPSE Photometry": _same("mag4_5", "d4_5m", "rms_f4_5", "sqf_4_5", "mf4_5", "csf"),
    "Observations Summary": {
        "N_BOSS": "n_boss_visits",
        "B_MINMJD": "boss_min_mjd",
        # Astra's files have the second, misspelt keyword only; programs that read them look for it.
        "B_MAXMJD": "boss_max_mjd",
        "N_MAXMJD": "boss_max_mjd",
        "N_APOGEE": "n_apogee_visits",
        "A_MINMJD": "apogee_min_mjd",
        "A_MAXMJD": "apogee_max_mjd",
    },
}
"""Keyword and column of Source, by heading, in Astra's order."""

SOURCE_COLUMNS = tuple(
    dict.fromkeys(name for keywords in SOURCE_KEYWORDS.values() for name in keywords.values())
)
"""The columns of Source that a header shows."""

HDU_DESCRIPTIONS = (
    "HDU 0: Metadata only",
    "HDU 1: BOSS spectra from Apache Point Observatory",
    "HDU 2: BOSS spectra from Las Campanas Observatory",
    "HDU 3: APOGEE spectra from Apache Point Observatory",
    "HDU 4: APOGEE spectra from Las Campanas Observatory",
)


def metadata_cards(v_astra: str, created: datetime, pipeline: str = "") -> list[Card]:
    """Which version of Astra made the file, and when; of a file of results also which pipeline."""
    whose = [Card("PIPELINE", pipeline, "Pipeline name")] if pipeline else []
    return [*whose, Card("V_ASTRA", v_astra, "Astra version"), created_card(created)]


def source_cards(source: Mapping[str, Any]) -> list[Card]:
    """The source's columns, under their headings. `source` has (at least) `SOURCE_COLUMNS`."""
    cards: list[Card] = []
    for heading, keywords in SOURCE_KEYWORDS.items():
        cards += section(heading)
        for keyword, name in keywords.items():
            cards += _source_card(keyword, name, source[name])
    return cards


def _source_card(keyword: str, name: str, value: Any) -> Sequence[Card]:
    about = definition(name)
    comment = f"[{about.unit}] {about.description}" if about.unit else about.description
    if about.kind is Kind.text:
        return [Card(keyword, str(value), comment)] if value and str(value).strip() else []
    if about.kind in (Kind.float32, Kind.float64):
        number = math.nan if value is None else float(value)
        return [Card(keyword, number if math.isfinite(number) else "NaN", comment)]
    return [Card(keyword, int(about.null_value if value is None else value), comment)]


def wavelength_cards(grid: LogLinearGrid) -> list[Card]:
    """How the wavelength of a pixel follows from its number, under the keywords of Astra's files."""
    return [
        *section("Wavelength Information (Vacuum)"),
        Card("CRVAL", grid.crval, "log10 of the wavelength of the first pixel"),
        Card("CDELT", grid.cdelt, "log10 of the ratio of wavelengths of adjacent pixels"),
        Card("CTYPE", "LOG-LINEAR", "wavelength = 10**(CRVAL + CDELT * (pixel - CRPIX))"),
        Card("CUNIT", "Angstrom (Vacuum)"),
        Card("CRPIX", 1, "number of the first pixel"),
        Card("DC-FLAG", 1, "logarithmic steps"),
        Card("NPIXELS", grid.n_pixels, "number of pixels"),
    ]
