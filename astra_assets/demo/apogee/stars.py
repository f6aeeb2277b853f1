"""Plan the stars that have APOGEE spectra: giants, dwarfs and hot stars, some of which BOSS observes too.

Shares are not those of the survey: there is some of everything that a reduction has. All draws are from random streams
of their own, so that the BOSS sources of a seed are the same with and without these stars.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from astra_assets.demo.apogee.visits import Star, StarVisit, can_be_one_metre, sdss4_patch, star_visits
from astra_assets.demo.kinds import apportion, part_of, star_colour
from astra_assets.demo.photometry import twomass_name
from astra_assets.demo.population import (
    SDSS_IDS,
    PlannedSurvey,
    Target,
    boss_visits,
    distinct,
    draw_catalogids,
)
from astra_assets.demo.sky import Patch
from astra_assets.demo.streams import stream
from astra_assets.synthesis import stars
from astra_assets.synthesis.h_band import Atmosphere
from astra_assets.synthesis.opacity import normalised, wavelength_scale
from astra_assets.synthesis.templates import Template

PURPOSES = {"survey": 0, "star": 1, "visit": 2, "pixels": 3, "numbers": 4, "coadds": 5}
"""What follows the name of the random streams of this folder."""

STARS_PER_SOURCE = 0.46
"""Stars with APOGEE spectra for each source with BOSS spectra."""
BOTH_SHARE = 0.3
"""Part of the stars that BOSS observes too."""
UNLINKED_SHARE = 0.02
"""Stars that are in no catalogue, in units of those that are."""
SDSS4, FOREIGN, FAINT = (12, 5), (20, 7), (14, 3)
"""Each so many stars, beginning with a certain one: observed in SDSS-IV; in no carton that says that they are stars; faint."""
BINARY_SHARE = 0.12
HALO_SHARE = 0.12
VISIT_NUMBERS = {1: 0.40, 2: 0.25, 3: 0.17, 4: 0.09, 5: 0.05, 7: 0.04}
"""Part of the stars that have so many visits."""
BOSS_VISIT_NUMBERS = {1: 0.6, 2: 0.3, 3: 0.1}
H_MAGNITUDES, FAINT_MAGNITUDES = (8.5, 13.0), (14.8, 16.2)

TYPES = {"giant": 0.60, "clump": 0.12, "dwarf": 0.20, "hot": 0.08}
"""Part of the stars that are of a type."""
CARTONS = {
    "giant": (
        "mwm_galactic_core_0.5.0",
        "mwm_galactic_core_dist_apogee_1.0.44",
        "mwm_tess_rgb_apogee_1.0.49",
        "mwm_bin_rv_short_rgb_apogee_1.0.39",
        "mwm_dust_core_dist_apogee_1.0.45",
    ),
    "clump": ("mwm_galactic_core_dist_apogee_1.0.44", "mwm_tessrgb_core_0.5.0", "mwm_dust_core_0.5.0"),
    "dwarf": (
        "mwm_tess_planet_0.5.0",
        "mwm_rv_long_fps_0.5.0",
        "mwm_snc_100pc_apogee_1.0.17",
        "mwm_bin_rv_short_subgiant_apogee_1.0.39",
    ),
    "hot": ("mwm_ob_core_0.5.1", "ops_std_apogee_1.0.14", "manual_mwm_validation_hot_apogee_1.0.35"),
}
FOREIGN_CARTONS = ("manual_fps_position_stars_lco_apogee_10_0.5.23", "bhm_spiders_agn_gaiadr3_1.0.37")
"""Cartons that do not count as stellar."""


@dataclass(frozen=True)
class ApogeeSurvey:
    """The plan of the APOGEE spectra: stars, those outside the catalogue last, and their visits star by star."""

    seed: int
    stars: tuple[Star, ...]
    visits: tuple[StarVisit, ...]


def apogee_stream(seed: int, purpose: str, number: int = 0) -> np.random.Generator:
    """The random stream of one thing of this part of the survey."""
    return stream(seed, "apogee", PURPOSES[purpose], number)


def add_stars(survey: PlannedSurvey) -> tuple[PlannedSurvey, ApogeeSurvey]:
    """The survey with the stars that have APOGEE spectra and their BOSS visits, and the plan of the APOGEE spectra.

    What was planned before is left as it is.
    """
    seed = survey.seed
    planned = _plan_stars(survey)
    visits: list[StarVisit] = []
    for star, number in zip(planned, _visit_numbers(seed, len(planned)), strict=True):
        visits += star_visits(star, number, apogee_stream(seed, "visit", star.rank), first=len(visits))
    rng = apogee_stream(seed, "numbers", 1)
    both = [star.target for star in planned if star.target.in_catalog and part_of(star.rank, BOTH_SHARE)]
    drawn = rng.choice(list(BOSS_VISIT_NUMBERS), size=len(both), p=list(BOSS_VISIT_NUMBERS.values()))
    numbers = {target.number: int(number) for target, number in zip(both, drawn, strict=True)}
    more = boss_visits(both, numbers, seed, first=len(survey.visits))
    targets = (*survey.targets, *(star.target for star in planned))
    return PlannedSurvey(seed, targets, (*survey.visits, *more)), ApogeeSurvey(
        seed, tuple(planned), tuple(visits)
    )


def _visit_numbers(seed: int, size: int) -> list[int]:
    """How often each star is visited."""
    counts = apportion(np.array(list(VISIT_NUMBERS.values())), size)
    values = np.repeat(list(VISIT_NUMBERS), counts)
    return [int(number) for number in apogee_stream(seed, "numbers").permutation(values)]


def _plan_stars(survey: PlannedSurvey) -> list[Star]:
    rng = apogee_stream(survey.seed, "survey")
    listed = round(STARS_PER_SOURCE * len(survey.catalogued))
    size = listed + max(1, round(UNLINKED_SHARE * listed))
    types = rng.permutation(np.repeat(list(TYPES), apportion(np.array(list(TYPES.values())), size)))
    known = {target.sdss_id for target in survey.targets}
    ids = [each for each in distinct(rng, size + len(known), *SDSS_IDS) if each not in known]
    patches = list({(target.patch.ra, target.patch.dec): target.patch for target in survey.targets}.values())
    found = []
    for rank in range(size):
        own, kind = apogee_stream(survey.seed, "star", rank), str(types[rank])
        atmosphere = _atmosphere(kind, own)
        target = _target(
            len(survey.targets) + rank,
            rank,
            kind,
            atmosphere,
            own,
            sdss_id=ids[rank],
            patch=patches[rank % len(patches)],
            in_catalog=rank < listed,
        )
        found.append(_star(rank, target, atmosphere, own, slot=rank // len(patches)))
    return found


def _among(rank: int, period: tuple[int, int]) -> bool:
    """Whether a star is one of each so many, beginning with a certain one."""
    return rank % period[0] == period[1]


def _atmosphere(kind: str, rng: np.random.Generator) -> Atmosphere:
    """A random star of a type.

    Giants lie along a red-giant branch that is hotter where metals are few; red-clump stars have a temperature of 4800 K
    and logg 2.45 (Girardi 2016, ARA&A 54, 95).
    """
    fe_h = float(
        rng.uniform(-2.0, -1.0) if rng.uniform() < HALO_SHARE else np.clip(rng.normal(-0.15, 0.25), -0.9, 0.4)
    )
    if kind == "hot":
        return Atmosphere(
            float(rng.uniform(7500, 14_000)), float(rng.uniform(3.7, 4.3)), 0.0, float(rng.uniform(60, 200))
        )
    if kind == "dwarf":
        teff = float(rng.uniform(4600, 6800))
        return Atmosphere(teff, 4.65 - 0.13 * (teff - 4600) / 1000, fe_h, float(rng.uniform(0, 10)))
    if kind == "clump":
        teff, logg = rng.normal(4800, 60) - 150 * fe_h, rng.normal(2.45, 0.07)
    else:
        logg = rng.uniform(0.8, 3.4)
        teff = 3950 + 430 * (logg - 0.8) - 200 * fe_h + rng.normal(0, 50)
    return Atmosphere(float(np.clip(teff, 3900, 5500)), float(logg), fe_h)


def _target(
    number: int,
    rank: int,
    kind: str,
    atmosphere: Atmosphere,
    rng: np.random.Generator,
    *,
    sdss_id: int,
    patch: Patch,
    in_catalog: bool,
) -> Target:
    ra, dec = patch.position(rng)
    magnitude = float(rng.uniform(*(FAINT_MAGNITUDES if _among(rank, FAINT) else H_MAGNITUDES)))
    is_halo = atmosphere.fe_h < -1.0
    is_binary = part_of(rank, BINARY_SHARE)
    usual = FOREIGN_CARTONS if _among(rank, FOREIGN) else CARTONS[kind]
    chosen = rng.permutation(usual)[: rng.integers(1, min(3, len(usual)) + 1)]
    return Target(
        number=number,
        sdss_id=sdss_id,
        kind="STAR",
        template=_template(atmosphere, for_boss=in_catalog and part_of(rank, BOTH_SHARE)),
        patch=patch,
        ra=ra,
        dec=dec,
        snr=float(rng.uniform(30, 65)),
        v_rad=float(rng.normal(0, 150.0 if is_halo else 35.0)),
        amplitude=float(rng.uniform(5, 40)) if is_binary else 0.0,
        period=float(np.exp(rng.uniform(np.log(5.0), np.log(400.0)))),
        phase=float(rng.uniform()),
        cartons=tuple(sorted(str(label) for label in chosen)),
        catalogids=draw_catalogids(number, rng),
        in_catalog=in_catalog,
        in_sdss4=_among(rank, SDSS4),
        has_apogee=True,
        # The infrared colours of `photometry` give back the H magnitude.
        g_mag=magnitude + 0.02 + 1.25 * star_colour(atmosphere.teff),
        fe_h=atmosphere.fe_h,
    )


def _template(atmosphere: Atmosphere, *, for_boss: bool) -> Template:
    """What BOSS sees of a star; flat where it never looks, since a spectrum takes 0.05 s."""
    teff, logg = atmosphere.teff, atmosphere.logg
    if not for_boss:
        return Template("STAR", teff, logg, np.array([3500.0, 10_500.0]), np.ones(2))
    flux = stars.star(teff, logg, atmosphere.fe_h, max(atmosphere.v_sini, 5.0))
    return Template("STAR", teff, logg, wavelength_scale(), normalised(flux))


def _star(rank: int, target: Target, atmosphere: Atmosphere, rng: np.random.Generator, *, slot: int) -> Star:
    """The star with the surveys that observed it.

    Of those that SDSS-IV observed a third is in SDSS-V too, and a third was left to the 1 m telescope if that sees it.
    """
    share = rank // SDSS4[0] % 3
    sdss4 = sdss4_patch(rank, target.patch, rng) if target.in_sdss4 else None
    return Star(
        rank=rank,
        target=target,
        atmosphere=atmosphere,
        h_mag=target.g_mag - 0.02 - 1.25 * star_colour(atmosphere.teff),
        obj=twomass_name(target),
        slot=slot,
        sdss4=sdss4,
        in_sdss5=sdss4 is None or share == 1,
        one_metre=sdss4 is not None and share == 2 and can_be_one_metre(target.patch),
    )
