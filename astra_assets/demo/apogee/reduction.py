"""Write the APOGEE part of a planned survey: spectra of visits and stars, then the files that list them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Literal

from astra_assets.demo.apogee import detectors, files, summary
from astra_assets.demo.apogee.coadds import ApogeeCoadd, group
from astra_assets.demo.apogee.stars import ApogeeSurvey, apogee_stream
from astra_assets.demo.apogee.visits import APRED, StarVisit
from astra_assets.demo.photometry import Columns
from astra_assets.demo.tables import write_fits
from astra_assets.files.paths import (
    APOGEE_TELESCOPES,
    ap_star_path,
    ap_visit_path,
    apogee_summary_paths,
    inside,
)
from astra_assets.synthesis import h_band

SAY_EVERY = 100


Listed = list[tuple[str, str, summary.Row]]
"""Rows with their release and telescope."""


@dataclass
class SummaryRows:
    """What was written: rows of allVisit, in the order of the plan, and of allStar."""

    visits: Listed = field(default_factory=list)
    stars: Listed = field(default_factory=list)

    @property
    def snr(self) -> list[float]:
        """Measured S/N of the visits."""
        return [row["SNR"] for _, _, row in self.visits]


def write_apogee(
    staging: Path, survey: ApogeeSurvey, columns: Columns, say: Callable[[str], None]
) -> SummaryRows:
    """Write all APOGEE files of a survey below a folder; `say` gets a line of text now and then.

    `columns` describe all targets of the survey.
    """
    written = SummaryRows()
    for _, visits in groupby(survey.visits, lambda visit: visit.star):
        before = len(written.visits)
        _write_star(staging, survey.seed, list(visits), columns, written)
        if before // SAY_EVERY < len(written.visits) // SAY_EVERY:
            say(f"{len(written.visits)} of {len(survey.visits)} APOGEE visits written")
    for release in APRED:
        _write_summaries(staging, release, written)
    return written


def _write_star(
    staging: Path, seed: int, visits: Sequence[StarVisit], columns: Columns, written: SummaryRows
) -> None:
    """Write the apVisit and apStar files of the star that the visits are of."""
    star = visits[0].star
    rest = h_band.star(star.atmosphere)
    level = detectors.VEGA_H * 10.0 ** (-0.4 * star.h_mag)
    recorded: dict[int, detectors.VisitPixels] = {}
    for visit in visits:
        rng = apogee_stream(seed, "pixels", visit.number)
        seen = recorded[visit.number] = detectors.observe(visit, rest, level, rng)
        if visit.has_file:
            write_fits(inside(staging, ap_visit_path(visit.row)), files.ap_visit(visit, seen, columns))
        written.visits.append((visit.release, visit.telescope, summary.visit_row(visit, seen, rng)))
    for together in group(visits):
        good = [visit for visit in together if not visit.failed]
        if not good:
            continue
        chosen = [recorded[visit.number] for visit in good]
        coadd = ApogeeCoadd(
            star=star,
            release=good[0].release,
            telescope=good[0].telescope,
            visits=tuple(good),
            snr=tuple(each.snr for each in chosen),
            visit_flags=tuple(each.flags for each in chosen),
            n_visits=len(together),
            healpix=int(columns["healpix"][star.target.number]),
        )
        combined = detectors.combine(good, chosen)
        write_fits(inside(staging, ap_star_path(coadd.row)), files.ap_star(coadd, combined, columns))
        row = summary.star_row(
            coadd, combined, apogee_stream(seed, "coadds", good[0].number), key=len(written.stars) + 1
        )
        written.stars.append((coadd.release, coadd.telescope, row))


def _write_summaries(staging: Path, release: str, written: SummaryRows) -> None:
    """Write allVisit and allStar of a release: of each telescope in SDSS-V, of all in SDSS-IV."""
    listed: tuple[tuple[Literal["allVisit", "allStar"], Listed, Mapping[str, str]], ...] = (
        ("allVisit", written.visits, summary.VISIT_COLUMNS[release]),
        ("allStar", written.stars, summary.STAR_COLUMNS[release]),
    )
    for kind, rows, formats in listed:
        paths = apogee_summary_paths(kind, APRED[release])
        for number, path in enumerate(paths):
            telescopes = (
                {telescope for _, telescope, _ in rows} if len(paths) == 1 else {APOGEE_TELESCOPES[number]}
            )
            chosen = [row for its, telescope, row in rows if its == release and telescope in telescopes]
            if chosen:
                write_fits(inside(staging, path), summary.table(chosen, formats))
