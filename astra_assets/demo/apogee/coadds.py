"""The visits of a star that are in one coadd, and what follows from them: mean velocity, fibres, flags."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from astra_assets.demo.apogee.visits import Star, StarVisit


@dataclass(frozen=True, eq=False)
class ApogeeCoadd:
    """One apStar file: a star, a release, a telescope.

    `visits` are in the coadd, with their measured S/N in `snr` and their bits of STARFLAG in `visit_flags`; `n_visits`
    counts also those that are not.
    """

    star: Star
    release: str
    telescope: str
    visits: tuple[StarVisit, ...]
    snr: tuple[float, ...]
    visit_flags: tuple[int, ...]
    n_visits: int
    healpix: int

    @property
    def row(self) -> dict[str, Any]:
        """What its path is made of (`models.paths.ap_star_path`), under the names of our tables."""
        first = self.visits[0].row
        shared = {name: first[name] for name in ("release", "apred", "telescope", "field", "prefix", "obj")}
        return {**shared, "apstar": "stars", "healpix": self.healpix}

    @property
    def v_rad(self) -> float:
        """Mean of the velocities in km/s, weighted by S/N."""
        return float(np.average([visit.measured for visit in self.visits], weights=self.snr))

    @property
    def e_v_rad(self) -> float:
        """Its error in km/s."""
        return float(np.sum([visit.e_v_rad**-2.0 for visit in self.visits]) ** -0.5)

    @property
    def scatter(self) -> float:
        """Standard deviation of the velocities in km/s; 0 for one."""
        several = len(self.visits) > 1
        return float(np.std([visit.measured for visit in self.visits], ddof=1)) if several else 0.0

    @property
    def median_error(self) -> float:
        """Median error of the velocities in km/s."""
        return float(np.median([visit.e_v_rad for visit in self.visits]))

    @property
    def mean_fiber(self) -> float:
        """Mean of the fibres, weighted by S/N."""
        return float(np.average([visit.fiber for visit in self.visits], weights=self.snr))

    @property
    def std_fiber(self) -> float:
        """Standard deviation of the fibres."""
        return float(np.std([visit.fiber for visit in self.visits]))

    @property
    def flags(self) -> int:
        """Bits of STARFLAG that any visit has."""
        return reduce(int.__or__, self.visit_flags)

    @property
    def common_flags(self) -> int:
        """Bits of STARFLAG that all visits have."""
        return reduce(int.__and__, self.visit_flags)


def group(visits: Sequence[StarVisit]) -> Iterator[list[StarVisit]]:
    """The visits that are reduced together: of one star in one release with one telescope, in order."""
    groups: dict[tuple[int, str, str], list[StarVisit]] = {}
    for visit in visits:
        groups.setdefault((visit.star.rank, visit.release, visit.telescope), []).append(visit)
    yield from groups.values()
