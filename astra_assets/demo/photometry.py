"""What catalogues say about the sources: positions, proper motions, magnitudes, distances, identifiers.

Relations are rough (good to 0.1 or 0.2 mag): they put the sources at the right place of a colour-magnitude diagram, no
more.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astra_assets.astronomy import sky
from astra_assets.astronomy.ephemeris import Floats
from astra_assets.demo.kinds import EXTRAGALACTIC, absolute_magnitude, colour, giant_magnitude
from astra_assets.demo.population import PlannedSurvey, Target
from astra_assets.demo.streams import stream
from astra_assets.models import cartons

Columns = dict[str, NDArray[Any]]

GIANTS = 3.6
"""logg below which a star is a giant."""
SATURATED, FAINTEST_2MASS, FAINTEST_XP = 5.0, 16.6, 17.65
"""Magnitudes: the 2MASS J limit, and the G limit of the published Gaia XP spectra."""
# Vega to AB offsets that Astra takes off its unWISE magnitudes.
WISE_OFFSETS = {"w1": 0.004, "w2": 0.032}
EBV_SFD_BIT = 2
"""Bit of ebv_flags that says that ebv is the SFD value."""


def g_magnitude(snr: Floats) -> Floats:
    """Gaia G of objects that BOSS sees with such an S/N in an hour: 17 at S/N 30, 20 at S/N 3."""
    return np.asarray(20.0 - 3.0 * np.log10(np.asarray(snr) / 3.0))


def flux_density(g_mag: float) -> float:
    """Flux near 5500 Angstrom in 1e-17 erg s-1 cm-2 A-1.

    Vega has 3.63e-9 erg s-1 cm-2 A-1 (Bessell et al. 1998, A&A 333, 231).
    """
    return float(3.63e8 * 10.0 ** (-0.4 * g_mag))


def describe(survey: PlannedSurvey) -> Columns:
    """Columns of the source table for all targets of the survey, in their order.

    NaN, -1 and "" where nothing is known.
    """
    groups = [
        _describe(tuple(chosen), stream(survey.seed, "photometry", *more))
        for more, chosen in (
            ((), [target for target in survey.targets if not target.has_apogee]),
            ((1,), [target for target in survey.targets if target.has_apogee]),
        )
        if chosen
    ]
    columns = {name: np.concatenate([group[name] for group in groups]) for name in groups[0]}
    return columns | {"sdss5_target_flags": _packed(survey.targets)}


def _describe(targets: tuple[Target, ...], rng: np.random.Generator) -> Columns:
    """The columns of some targets; those that BOSS alone observes do not depend on there being others."""
    columns = _names(targets, rng)
    columns |= _places(targets)
    columns |= _gaia(targets, rng)
    columns |= _distances(columns, rng)
    columns |= _infrared(columns, rng)
    columns |= _synthetic(columns, rng)
    columns |= _reddening(columns)
    columns |= _parameters(targets, columns, rng)
    return columns


def _names(targets: tuple[Target, ...], rng: np.random.Generator) -> Columns:
    size = len(targets)
    extragalactic = np.array([t.kind in EXTRAGALACTIC for t in targets])
    dr3 = rng.integers(1, 6_900_000_000_000_000_000, size=size)
    unknown = extragalactic & (rng.uniform(size=size) < 0.5)
    is_sdss4 = np.array([t.in_sdss4 for t in targets])
    ids = {version: np.array([t.catalogids.get(version, -1) for t in targets]) for version in (21, 25, 31)}
    return {
        "sdss_id": np.array([t.sdss_id for t in targets]),
        "sdss4_apogee_id": np.array(
            [twomass_name(t) if old else "" for t, old in zip(targets, is_sdss4, strict=True)]
        ),
        "gaia_dr2_source_id": np.where(unknown, -1, dr3 + np.where(rng.uniform(size=size) < 0.1, 1234, 0)),
        "gaia_dr3_source_id": np.where(unknown, -1, dr3),
        "tic_v8_id": np.where(extragalactic, -1, rng.integers(1_000_000, 2_000_000_000, size=size)),
        "lead": np.where(unknown, "legacy_survey_dr10", "gaia_dr3_source"),
        "version_id": np.full(size, 31),
        "catalogid": ids[31],
        "catalogid21": ids[21],
        "catalogid25": ids[25],
        "catalogid31": ids[31],
        "n_associated": np.where(rng.uniform(size=size) < 0.04, 2, 1),
        "n_neighborhood": rng.choice([0, 1, 2], size=size, p=[0.85, 0.12, 0.03]),
        "crossmatch_flags": np.full(size, 3),
        "sdss4_apogee_target1_flags": np.where(is_sdss4, 1 << 11, 0),
        "sdss4_apogee2_target2_flags": np.where(is_sdss4, 1 << 9, 0),
        "sdss4_apogee_extra_target_flags": np.where(is_sdss4, 1, 0),
    }


def _packed(targets: tuple[Target, ...]) -> NDArray[np.uint8]:
    """Carton bits of each target, zero padded to the longest."""
    packed = [cartons.pack(list(target.cartons)) for target in targets]
    width = max(map(len, packed))
    return np.array([list(bits.ljust(width, b"\0")) for bits in packed], dtype=np.uint8)


def twomass_name(target: Target) -> str:
    """2MASS designation: 2Mhhmmssss+ddmmsss."""
    hours, arc = target.ra / 15.0, abs(target.dec)
    hh, mm, ss = int(hours), int(hours * 60 % 60), int(hours * 360_000 % 6000)
    dd, dm, ds = int(arc), int(arc * 60 % 60), int(arc * 36_000 % 600)
    return f"2M{hh:02d}{mm:02d}{ss:04d}{'-' if target.dec < 0 else '+'}{dd:02d}{dm:02d}{ds:03d}"


def _places(targets: tuple[Target, ...]) -> Columns:
    """Equatorial and Galactic coordinates, and the sky pixel."""
    ra, dec = np.array([t.ra for t in targets]), np.array([t.dec for t in targets])
    longitude, latitude = sky.galactic(ra, dec)
    return {"ra": ra, "dec": dec, "l": longitude, "b": latitude, "healpix": sky.healpix(ra, dec)}


def _gaia(targets: tuple[Target, ...], rng: np.random.Generator) -> Columns:
    """Magnitudes, parallaxes and proper motions; velocities of bright stars."""
    size = len(targets)
    extragalactic = np.array([t.kind in EXTRAGALACTIC for t in targets])
    given = np.array([t.g_mag for t in targets])
    g_mag = g_magnitude(np.array([t.snr for t in targets])) + rng.normal(0, 0.15, size)
    g_mag = np.where(np.isfinite(given), given, g_mag)
    bp_rp = np.array([colour(t.kind, t.template.teff, rng) for t in targets])
    absolute = np.array([_absolute(t, rng) for t in targets])
    parallax = np.where(extragalactic, 0.0, 1000.0 / 10.0 ** ((g_mag - absolute + 5.0) / 5.0))
    e_plx = 0.03 + 0.04 * 10.0 ** (0.2 * (g_mag - 17.0))
    # 35 km/s across the line of sight; 4.74 km/s are 1 au per year.
    speed = np.abs(rng.normal(0, 35.0, size)) / 4.74 * parallax
    angle = rng.uniform(0, 2 * np.pi, size)
    is_bright_star = np.array([t.kind == "STAR" for t in targets]) & (g_mag < 16.5)
    velocity = np.array([t.v_rad for t in targets]) + rng.normal(0, 2.0, size)
    return {
        "plx": parallax + rng.normal(0, e_plx),
        "e_plx": e_plx,
        "pmra": speed * np.sin(angle) + rng.normal(0, e_plx),
        "e_pmra": 1.05 * e_plx,
        "pmde": speed * np.cos(angle) + rng.normal(0, e_plx),
        "e_pmde": 0.95 * e_plx,
        "gaia_v_rad": np.where(is_bright_star, velocity, np.nan),
        "gaia_e_v_rad": np.where(is_bright_star, 2.0, np.nan),
        "g_mag": g_mag,
        "bp_mag": g_mag + 0.35 * bp_rp,
        "rp_mag": g_mag - 0.65 * bp_rp,
    }


def _absolute(target: Target, rng: np.random.Generator) -> float:
    """Gaia M_G; giants are told from others only where APOGEE looks for them."""
    teff, logg = target.template.teff, target.template.logg
    if target.has_apogee and logg < GIANTS:
        return giant_magnitude(teff, logg)
    return absolute_magnitude(target.kind, teff, logg, rng)


def _distances(columns: Columns, rng: np.random.Generator) -> Columns:
    """Bailer-Jones distances in parsec where the parallax is better than 30 percent."""
    parallax, error = columns["plx"], columns["e_plx"]
    known = parallax > 3.0 * error
    safe = np.where(known, parallax, 1.0)
    median = np.where(known, 1000.0 / safe, np.nan)
    spread = np.where(known, error / safe, np.nan)
    photo = median * (1.0 + 0.3 * spread * rng.normal(size=len(parallax)))
    return {
        "r_med_geo": median,
        "r_lo_geo": median * (1.0 - spread),
        "r_hi_geo": median * (1.0 + spread),
        "r_med_photogeo": photo,
        "r_lo_photogeo": photo * (1.0 - 0.8 * spread),
        "r_hi_photogeo": photo * (1.0 + 0.8 * spread),
        "bailer_jones_flags": np.where(known, "10033", ""),
    }


def _infrared(columns: Columns, rng: np.random.Generator) -> Columns:
    """2MASS and unWISE; for half of the sources with a W1 or W2 flux the magnitude is left to be derived."""
    g_mag, bp_rp = columns["g_mag"], columns["bp_mag"] - columns["rp_mag"]
    size = len(g_mag)
    values: Columns = {}
    j_mag = g_mag - 0.02 - 0.95 * bp_rp
    seen = (j_mag > SATURATED) & (j_mag < FAINTEST_2MASS)
    for band, slope in (("j", 0.0), ("h", 0.30), ("k", 0.36)):
        magnitude = j_mag - slope * np.clip(bp_rp, -0.2, None)
        error = 0.02 + 0.08 * 10.0 ** (0.35 * (magnitude - 16.0))
        values[f"{band}_mag"] = np.where(seen, magnitude + rng.normal(0, error), np.nan)
        values[f"e_{band}_mag"] = np.where(seen, error, np.nan)
    values["ph_qual"] = np.where(seen, np.where(j_mag < 15.5, "AAA", "BCD"), "")
    values["bl_flg"] = np.where(seen, "111", "")
    values["cc_flg"] = np.where(seen, "000", "")
    given = rng.uniform(size=size) < 0.5
    for band, slope in (("w1", 0.40), ("w2", 0.42)):
        flux = 10.0 ** (-0.4 * (j_mag - slope * np.clip(bp_rp, -0.2, None) - 22.5))
        error = np.full(size, 4.0 if band == "w1" else 12.0) + 0.003 * flux
        flux = flux + rng.normal(0, error)
        measured = flux > 3 * error
        magnitude = -2.5 * np.log10(np.where(measured, flux, 1.0)) + 22.5 - WISE_OFFSETS[band]
        values[f"{band}_flux"] = np.where(measured, flux, np.nan)
        values[f"{band}_dflux"] = np.where(measured, error, np.nan)
        values[f"{band}_frac"] = np.where(measured, rng.uniform(0.9, 1.0, size), np.nan)
        values[f"{band}_mag"] = np.where(measured & given, magnitude, np.nan)
        relative = error / np.where(measured, flux, 1.0)
        values[f"e_{band}_mag"] = np.where(measured & given, 2.5 / np.log(10) * relative, np.nan)
    return values


def _synthetic(columns: Columns, rng: np.random.Generator) -> Columns:
    """Photometry from Gaia XP spectra, for bright sources only."""
    g_mag, bp_rp = columns["g_mag"], columns["bp_mag"] - columns["rp_mag"]
    known = g_mag < FAINTEST_XP
    offsets = {
        "u_jkc": 0.4 + 1.1 * bp_rp, "b_jkc": 0.05 + 0.75 * bp_rp, "v_jkc": 0.02 + 0.15 * bp_rp,
        "r_jkc": -0.05 - 0.25 * bp_rp, "i_jkc": -0.08 - 0.62 * bp_rp,
        "u_sdss": 1.1 + 1.1 * bp_rp, "g_sdss": -0.05 + 0.50 * bp_rp, "r_sdss": 0.12 - 0.10 * bp_rp,
        "i_sdss": 0.28 - 0.35 * bp_rp, "z_sdss": 0.42 - 0.50 * bp_rp, "y_ps1": 0.50 - 0.58 * bp_rp,
    }  # fmt: skip
    values: Columns = {"c_star": np.where(known, rng.normal(0, 0.02, len(g_mag)), np.nan)}
    for name, offset in offsets.items():
        values[f"{name}_mag"] = np.where(known, g_mag + offset + rng.normal(0, 0.02, len(g_mag)), np.nan)
        values[f"{name}_mag_flag"] = np.where(known, 1, -1)
    return values


def _reddening(columns: Columns) -> Columns:
    """A plane layer of dust: E(B-V) = 0.03 / sin |b|, at most 1.5."""
    ebv = 0.884 * np.clip(0.03 / np.abs(np.sin(np.radians(columns["b"]))), 0.01, 1.5)
    error = np.hypot(0.01, 0.1 * ebv)
    trusted = np.abs(columns["b"]) > 30.0
    return {
        "ebv_sfd": ebv,
        "e_ebv_sfd": error,
        "ebv": np.where(trusted, ebv, np.nan),
        "e_ebv": np.where(trusted, error, np.nan),
        "ebv_flags": np.where(trusted, 1 << EBV_SFD_BIT, 0),
    }


def _parameters(targets: tuple[Target, ...], columns: Columns, rng: np.random.Generator) -> Columns:
    """Parameters from Gaia XP spectra, for the bright normal stars."""
    size = len(targets)
    known = np.array([t.kind == "STAR" for t in targets]) & (columns["g_mag"] < FAINTEST_XP)
    teff = np.array([t.template.teff for t in targets]) * (1 + rng.normal(0, 0.02, size))
    logg = np.array([t.template.logg for t in targets]) + rng.normal(0, 0.1, size)
    given = np.array([t.fe_h for t in targets])
    fe_h = rng.normal(-0.4, 0.5, size)
    fe_h = np.where(np.isfinite(given), given + 0.3 * (fe_h + 0.4), fe_h)
    numbers: dict[str, Any] = {
        "zgr_teff": teff, "zgr_e_teff": 0.02 * teff, "zgr_logg": logg, "zgr_e_logg": 0.1,
        "zgr_fe_h": fe_h, "zgr_e_fe_h": 0.15, "zgr_e": columns["ebv_sfd"] / 0.829,
        "zgr_e_e": 0.02, "zgr_plx": columns["plx"], "zgr_e_plx": columns["e_plx"],
        "zgr_teff_confidence": rng.uniform(0.6, 1, size), "zgr_logg_confidence": rng.uniform(0.5, 1, size),
        "zgr_fe_h_confidence": rng.uniform(0.3, 1, size), "zgr_ln_prior": rng.normal(-7, 1, size),
        "zgr_chi2": rng.normal(60, 10, size),
    }  # fmt: skip
    return {name: np.where(known, number, np.nan) for name, number in numbers.items()}
