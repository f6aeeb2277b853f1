"""Plan the BOSS part of the demo survey: sources with their positions, cartons and velocities, and their visits.

Everything that is decided before a pixel is made follows from a seed. Every source draws from a random stream of its
own, so what one source is does not depend on the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy.special import ndtri

from astra_assets.astronomy.ephemeris import Floats
from astra_assets.demo.kinds import (
    TRAITS,
    VISIT_NUMBERS,
    WD_CARTONS,
    allocate,
    apportion,
    part_of,
)
from astra_assets.demo.sky import Night, Patch, SurveyField, make_patch
from astra_assets.demo.streams import stream
from astra_assets.synthesis.templates import Template

SOURCES_PER_PATCH = 9
UNLINKED_SHARE = 0.04
"""Spectra of objects that are in no catalogue, per source."""
UNLINKED_KINDS = ("STAR", "DA", "QSO")
NAMELESS_PERIOD = 4
"""Each so many of these have no catalogid at all (-1)."""
SDSS_IDS = (52_000_000, 129_000_000)
"""Range of the identifiers of sources."""
SDSS4_PERIOD = 6
"""Each so many normal stars were a target of APOGEE in SDSS-IV."""
UNKNOWN_ID = -999
"""What spAll says where an object has no sdss_id."""
SNR_LIMITS = (4.2, 72.0)
"""S/N over 4000 to 8000 Angstrom; over all pixels, sky lines included, it is about 0.8 of that."""
SNR_SPREAD = 0.6
"""Standard deviation of ln(S/N) over the sources of a kind."""
LAST_EARLY_MJD = 59850
"""Until then the robots mostly observed targets of cross-match version 0.5."""

Draw = Callable[[str, np.random.Generator], Template]


@dataclass(frozen=True, eq=False)
class Target:
    """One object.

    Velocities in km/s, `period` in days, angles in degrees; `catalogids` by cross-match version. `in_sdss4` says that
    SDSS-IV's APOGEE observed it, `has_apogee` that it is one of the stars that have APOGEE spectra. `g_mag` is given
    where it does not follow from the S/N that BOSS reaches, and `fe_h` where it is known.
    """

    number: int
    sdss_id: int
    kind: str
    template: Template
    patch: Patch
    ra: float
    dec: float
    snr: float
    v_rad: float
    amplitude: float
    period: float
    phase: float
    cartons: tuple[str, ...]
    catalogids: dict[int, int]
    in_catalog: bool = True
    in_sdss4: bool = False
    has_apogee: bool = False
    g_mag: float = float("nan")
    fe_h: float = float("nan")

    @property
    def in_wd(self) -> bool:
        """Whether a carton of the program mwm_wd is among its cartons."""
        return any(carton in WD_CARTONS for carton in self.cartons)

    def velocity(self, mjd: float) -> float:
        """Barycentric velocity in km/s at a time; a circular orbit where the source is a binary."""
        return self.v_rad + self.amplitude * float(np.sin(2 * np.pi * (mjd / self.period + self.phase)))


@dataclass(frozen=True)
class Visit:
    """One source in one night.

    `number` counts all visits; `snr` is what is asked of the pixels, `v_rad` in km/s.
    """

    number: int
    target: Target
    field: SurveyField
    night: Night
    catalogid: int
    sdss_id: int
    snr: float
    v_rad: float

    @property
    def spec_file(self) -> str:
        """Base name of the specFull file."""
        return f"spec-{self.field.fieldid:06d}-{self.night.mjd}-{self.catalogid}.fits"


@dataclass(frozen=True)
class PlannedSurvey:
    """The whole plan of the BOSS spectra: targets and their visits.

    Targets outside the catalogue come after the others; stars with APOGEE spectra follow in the same way.
    """

    seed: int
    targets: tuple[Target, ...]
    visits: tuple[Visit, ...]
    catalogued: tuple[Target, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "catalogued", tuple(t for t in self.targets if t.in_catalog))


def plan_survey(sources: int, seed: int, draw: Draw) -> PlannedSurvey:
    """Decide everything that is not a pixel; `draw` makes the template of a kind.

    Raises ValueError when there are fewer sources than kinds.
    """
    rng = stream(seed, "survey", 0)
    kinds = [str(kind) for kind in rng.permutation(allocate(sources))]
    n_unlinked = max(2, round(UNLINKED_SHARE * sources))
    patches = [make_patch(i, stream(seed, "patch", i)) for i in range(1 + (sources - 1) // SOURCES_PER_PATCH)]
    ids = iter(distinct(rng, sources + n_unlinked, *SDSS_IDS))
    brightness, numbers = _strata(kinds, rng), _visit_numbers(kinds, rng)
    of_kind = dict.fromkeys(TRAITS, 0)
    targets = []
    for i, kind in enumerate(kinds):
        own, patch = stream(seed, "source", i), patches[i // SOURCES_PER_PATCH]
        snr = _source_snr(kind, brightness[i])
        targets.append(
            _target(i, kind, own, draw, rank=of_kind[kind], sdss_id=next(ids), snr=snr, patch=patch)
        )
        of_kind[kind] += 1
    for i in range(sources, sources + n_unlinked):
        own, patch = stream(seed, "source", i), patches[i % len(patches)]
        kind = UNLINKED_KINDS[i % len(UNLINKED_KINDS)]
        snr = _source_snr(kind, 0.0)
        targets.append(
            _target(i, kind, own, draw, rank=0, sdss_id=next(ids), snr=snr, patch=patch, in_catalog=False)
        )
        numbers[i] = 1
    visits = tuple(boss_visits(targets, numbers, seed))
    return PlannedSurvey(seed, tuple(targets), visits)


def distinct(rng: np.random.Generator, size: int, low: int, high: int) -> list[int]:
    """Different whole numbers."""
    found: dict[int, None] = {}
    while len(found) < size:
        found.update(dict.fromkeys(rng.integers(low, high, size=size).tolist()))
    return list(found)[:size]


def _strata(kinds: list[str], rng: np.random.Generator) -> Floats:
    """A standard normal number for each source, spread evenly over the quantiles within each kind.

    So a small survey has bright and faint sources of each kind whatever the seed.
    """
    values = np.zeros(len(kinds))
    labels = np.array(kinds)
    for kind in TRAITS:
        members = np.flatnonzero(labels == kind)
        ranks = rng.permutation(len(members))
        values[members] = ndtri((ranks + rng.uniform(0.1, 0.9, len(members))) / len(members))
    return values


def _visit_numbers(kinds: list[str], rng: np.random.Generator) -> dict[int, int]:
    """How often each source is visited; the totals of each kind do not depend on the seed."""
    labels = np.array(kinds)
    several: dict[int, int] = {}
    for kind in TRAITS:
        members = np.flatnonzero(labels == kind)
        counts = apportion(np.array(list(VISIT_NUMBERS.values())), len(members))
        values = np.repeat(list(VISIT_NUMBERS), counts)
        several.update(zip(members.tolist(), rng.permutation(values).tolist(), strict=True))
    return several


def _source_snr(kind: str, deviation: float) -> float:
    return float(np.clip(TRAITS[kind].snr * np.exp(SNR_SPREAD * deviation), *SNR_LIMITS))


def _target(
    number: int,
    kind: str,
    rng: np.random.Generator,
    draw: Draw,
    *,
    rank: int,
    sdss_id: int,
    snr: float,
    patch: Patch,
    in_catalog: bool = True,
) -> Target:
    """The `rank`-th source of its kind."""
    traits = TRAITS[kind]
    ra, dec = patch.position(rng)
    is_binary = traits.binaries > 0 and part_of(rank, traits.binaries)
    amplitude = float(rng.uniform(40, 220)) if is_binary else 0.0
    period = float(np.exp(rng.uniform(np.log(0.1), np.log(6.0))))
    return Target(
        number=number,
        sdss_id=sdss_id,
        kind=kind,
        template=draw(kind, rng),
        patch=patch,
        ra=ra,
        dec=dec,
        snr=snr,
        v_rad=float(rng.normal(traits.velocity, traits.dispersion)),
        amplitude=amplitude,
        period=period,
        phase=float(rng.uniform()),
        cartons=_cartons(kind, rank, rng),
        catalogids=draw_catalogids(number, rng),
        in_catalog=in_catalog,
        in_sdss4=kind == "STAR" and rank % SDSS4_PERIOD == 0,
    )


def _cartons(kind: str, rank: int, rng: np.random.Generator) -> tuple[str, ...]:
    """Labels of cartons: some of mwm_wd, or some that are usual for the kind, or of both."""
    traits = TRAITS[kind]
    usual = traits.cartons
    chosen = {str(label) for label in rng.permutation(usual)[: rng.integers(1, len(usual) + 1)]}
    if part_of(rank, traits.in_wd):
        chosen = chosen if rng.uniform() < 0.3 else set()
        chosen |= {str(label) for label in rng.permutation(WD_CARTONS)[: rng.integers(1, 4)]}
    return tuple(sorted(chosen))


def draw_catalogids(number: int, rng: np.random.Generator) -> dict[int, int]:
    """The object's identifier in each cross-match version; the two old ones may lack it."""
    found = {31: 63_050_394_780_000_000 + 977 * number + int(rng.integers(0, 900)) + 100_000 * number}
    if rng.uniform() < 0.92:
        found[25] = 27_021_597_770_000_000 + 100_003 * number + int(rng.integers(0, 90_000))
    if rng.uniform() < 0.85:
        found[21] = 4_204_681_900 + 10_007 * number + int(rng.integers(0, 10_000))
    return found


def boss_visits(
    targets: Iterable[Target], numbers: Mapping[int, int], seed: int, *, first: int = 0
) -> Iterator[Visit]:
    """The BOSS visits of some targets, `numbers` of each, counted from `first`."""
    count = first
    for target in targets:
        rng = stream(seed, "visit", target.number)
        for position, (pointing, night) in enumerate(
            choose_nights(target.patch, numbers[target.number], rng)
        ):
            snr = float(np.clip(target.snr * np.exp(rng.normal(0, 0.2)), *SNR_LIMITS))
            nameless = not target.in_catalog and target.number % NAMELESS_PERIOD == 0
            yield Visit(
                number=count,
                target=target,
                field=pointing,
                night=night,
                catalogid=-1 if nameless else current_catalogid(target, pointing, night, rng),
                sdss_id=target.sdss_id if target.in_catalog and (count + position) % 9 else UNKNOWN_ID,
                snr=snr,
                v_rad=target.velocity(night.middle),
            )
            count += 1


def choose_nights(patch: Patch, number: int, rng: np.random.Generator) -> list[tuple[SurveyField, Night]]:
    """Different nights of a patch by date; the first ones chosen take turns between its fields."""
    decks = [[(pointing, night) for night in pointing.nights] for pointing in patch.fields]
    shuffled = [[deck[i] for i in rng.permutation(len(deck))] for deck in decks]
    turns = [deck[i] for i in range(max(map(len, shuffled))) for deck in shuffled if i < len(deck)]
    chosen = turns[:number]
    if len(chosen) < number:
        raise RuntimeError(f"a field with {len(turns)} nights cannot have {number} visits")
    return sorted(chosen, key=lambda pair: pair[1].tai_beg)


def current_catalogid(target: Target, pointing: SurveyField, night: Night, rng: np.random.Generator) -> int:
    """The identifier that was in use when the night was planned: version 0 for plates, then 0.5, then 1."""
    planned_early = night.mjd < LAST_EARLY_MJD and rng.uniform() < 0.8
    version = 21 if pointing.plate is not None else 25 if planned_early else 31
    return target.catalogids.get(version, target.catalogids[31])
