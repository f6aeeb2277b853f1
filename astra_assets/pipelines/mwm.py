"""The pipeline that makes the mwmVisit and mwmStar files of each source, and the rows of the spectra in them.

Here: which sources get files, and the way from a source's visits to its two files and their rows. Not here:
what is asked of the database (`mwm_inputs`), the sums (`spectra.stack`), the layout of the files
(`spectra.mwm`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, literal, select

from astra_assets.models.base import bit, table_of
from astra_assets.models.boss import BossCombinedSpectrum, BossRestFrameVisitSpectrum, BossVisitSpectrum
from astra_assets.models.cartons import stellar_like
from astra_assets.models.mwm import MWMSpectrumProductStatus
from astra_assets.models.paths import inside, mwm_path
from astra_assets.models.source import Source
from astra_assets.pipelines.base import (
    Columns,
    Pipeline,
    Problem,
    Products,
    Requirement,
    Step,
    Unusable,
    WorkContext,
)
from astra_assets.pipelines.mwm_inputs import REST_FRAME_KEY, VISIT_COLUMNS, gather
from astra_assets.pipelines.requirements import HAS_SDSS_ID
from astra_assets.spectra.base import SpectrumError
from astra_assets.spectra.grid import BOSS_GRID
from astra_assets.spectra.mwm import write_mwm_star, write_mwm_visit
from astra_assets.spectra.mwm_header import SOURCE_COLUMNS
from astra_assets.spectra.read import MWM_HDUS, load
from astra_assets.spectra.stack import Coadd, RestFrameVisit, coadd, summarise, to_rest_frame

Row = Mapping[str, Any]

CREATED_VISIT = bit(MWMSpectrumProductStatus, "flags", "created_mwm_visit")
CREATED_STAR = bit(MWMSpectrumProductStatus, "flags", "created_mwm_star")

SHARED_COLUMNS = tuple(
    name
    for name in VISIT_COLUMNS
    if name in BossRestFrameVisitSpectrum.c and name not in ("spectrum_pk", "healpix")
)
"""Columns that a rest-frame visit takes over from its visit."""


@dataclass(frozen=True)
class _Entry:
    """A row of a file."""

    columns: dict[str, Any]
    """What the database has too."""
    pixels: dict[str, Any]

    @property
    def row(self) -> dict[str, Any]:
        """Both."""
        return self.columns | self.pixels


def make_files(source: Row, context: WorkContext) -> Products:
    """The mwmVisit and mwmStar files of one source, and their rows.

    `source` has the columns of the step and those that `gather` adds. A visit that cannot be read is a
    problem of its own; the others go through. A telescope without a stacked visit has no coadd; without any
    coadd there is no mwmStar file. Made twice from the same input, files differ in their time of creation
    only.

    Raises:
        Unusable: no visit can be read (`no_readable_visit`).
    """
    visits, problems = _read(source, context)
    if not visits:
        raise Unusable("no_readable_visit", _no_visit(source, problems))
    visit_entries = [_visit_entry(visit, source, context) for visit in visits]
    coadd_entries = list(_coadd_entries(visits, source, context))
    flags = CREATED_VISIT
    version, created = context.v_astra, context.planned
    path = inside(context.roots.mwm_astra, mwm_path("visit", version, source["sdss_id"]))
    rows = [entry.row for entry in visit_entries]
    write_mwm_visit(path, source, rows, v_astra=version, created=created)
    path = inside(context.roots.mwm_astra, mwm_path("star", version, source["sdss_id"]))
    if not coadd_entries:
        # One from before, when a visit was still good enough, has no row any more.
        path.unlink(missing_ok=True)
    else:
        flags |= CREATED_STAR
        rows = [entry.row for entry in coadd_entries]
        write_mwm_star(path, source, rows, v_astra=version, created=created)
    return Products(
        status={"flags": flags},
        rows={
            BossRestFrameVisitSpectrum: [entry.columns for entry in visit_entries],
            BossCombinedSpectrum: [entry.columns for entry in coadd_entries],
        },
        problems=problems,
    )


def _read(source: Row, context: WorkContext) -> tuple[list[RestFrameVisit], list[Problem]]:
    """The visits on the common grid, in order of time, and what was wrong with the others."""
    visits, problems = [], []
    for row in source["visits"]:
        if row["telescope"] not in MWM_HDUS:
            message = f"telescope {row['telescope']!r}, expected one of {', '.join(MWM_HDUS)}"
            problems.append(Problem(row["spectrum_pk"], "unknown_telescope", message))
            continue
        try:
            spectrum = load(BossVisitSpectrum, row, context.roots)
        except SpectrumError as error:
            problems.append(Problem(row["spectrum_pk"], error.code, error.message))
        else:
            visits.append(to_rest_frame(spectrum, white_dwarf=source["white_dwarf"]))
    return visits, problems


def _no_visit(source: Row, problems: Sequence[Problem]) -> str:
    first = f"; the first: {problems[0].message}" if problems else ""
    return f"sdss_id {source['sdss_id']}: none of {len(problems)} visits can be read{first}"


def _visit_entry(visit: RestFrameVisit, source: Row, context: WorkContext) -> _Entry:
    row = visit.row
    columns = {name: row[name] for name in SHARED_COLUMNS} | {
        "spectrum_pk": row[REST_FRAME_KEY],
        "drp_spectrum_pk": row["spectrum_pk"],
        "filetype": "mwmVisit",
        "in_stack": visit.in_stack,
        **_common_columns(row, source, context),
    }
    pixels = {
        "flux": visit.pixels.flux,
        "ivar": visit.pixels.ivar,
        "wresl": visit.pixels.wresl,
        "pixel_flags": visit.pixels.pixel_flags,
    }
    return _Entry(columns, pixels)


def _coadd_entries(visits: Sequence[RestFrameVisit], source: Row, context: WorkContext) -> Iterator[_Entry]:
    """A row for each telescope that has visits in its stack, and pixels in its coadd."""
    keys = {known["telescope"]: known["spectrum_pk"] for known in source["coadds"]}
    for telescope in MWM_HDUS:
        own = [visit for visit in visits if visit.row["telescope"] == telescope]
        total = coadd(own)
        if total is not None and np.any(total.ivar > 0):
            yield _coadd_entry(total, own, source, context, keys[telescope])


def _coadd_entry(
    total: Coadd, visits: Sequence[RestFrameVisit], source: Row, context: WorkContext, spectrum_pk: int
) -> _Entry:
    last = visits[-1].row
    columns = summarise(visits) | {
        "spectrum_pk": spectrum_pk,
        "release": last["release"],
        "filetype": "mwmStar",
        "run2d": last["run2d"],
        "telescope": last["telescope"],
        "snr": total.snr,
        **_common_columns(last, source, context),
    }
    pixels = {
        "wavelength": BOSS_GRID.wavelength,
        "flux": total.flux,
        "ivar": total.ivar,
        "pixel_flags": total.pixel_flags,
    }
    return _Entry(columns, pixels)


def _common_columns(visit: Row, source: Row, context: WorkContext) -> dict[str, Any]:
    """Columns of both kinds of row. No continuum is fitted: the components of its model are not public."""
    return {
        "source_pk": source["source_pk"],
        "sdss_id": source["sdss_id"],
        "healpix": visit["healpix"] if source["healpix"] is None else source["healpix"],
        "v_astra": context.v_astra,
        "nmf_rchi2": None,
        "nmf_flags": 0,
    }


def _is_stellar_like(columns: Columns) -> np.ndarray[Any, Any]:
    return stellar_like(columns["sdss5_target_flags"], columns["sdss4_apogee_id"])


def _visit_newer_than(since: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether a visit of the source was added, linked or changed after `since`."""
    visit = BossVisitSpectrum.c
    newer = select(literal(1)).where(visit.source_pk == Source.c.pk, visit.modified > since)
    return newer.correlate(table_of(Source)).exists()


HAS_VISITS = (
    select(literal(1))
    .where(BossVisitSpectrum.c.source_pk == Source.c.pk)
    .correlate(table_of(Source))
    .exists()
)
"""Whether there is a BOSS visit of the source."""

MWM = Pipeline(
    name="MWM",
    key="mwm",
    group="SpectrumProducts",
    table=MWMSpectrumProductStatus,
    steps=(
        Step(
            "star",
            inputs=Source,
            function=make_files,
            requires=(
                HAS_SDSS_ID,
                Requirement(
                    "not_stellar_like",
                    "The source is in no carton of the Milky Way Mapper or of a like program.",
                    ("sdss5_target_flags", "sdss4_apogee_id"),
                    _is_stellar_like,
                ),
            ),
            columns={name: Source.c[name] for name in ("sdss5_target_flags", *SOURCE_COLUMNS)},
            gather=gather,
            tables=(BossCombinedSpectrum, BossRestFrameVisitSpectrum),
            stale=_visit_newer_than,
            eligible=HAS_VISITS,
        ),
    ),
)
