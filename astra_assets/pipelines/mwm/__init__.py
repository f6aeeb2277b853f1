"""The pipeline that makes the mwmVisit and mwmStar files of each source, and the rows of the spectra in them.

Here: which sources get files, the way from a source's spectra to its two files, and its BOSS rows. Not here:
its APOGEE rows (`mwm_apogee`), what is asked of the database (`mwm_inputs`), the sums (`spectra.stack`), the
layout of the files (`spectra.mwm`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
from sqlalchemy import ColumnElement, literal, or_, select

from astra_assets.files.paths import inside, mwm_path
from astra_assets.models.apogee import (
    ApogeeCoaddedSpectrumInApStar,
    ApogeeCombinedSpectrum,
    ApogeeRestFrameVisitSpectrum,
    ApogeeVisitSpectrum,
    ApogeeVisitSpectrumInApStar,
)
from astra_assets.models.base import Base, bit, table_of
from astra_assets.models.boss import BossCombinedSpectrum, BossRestFrameVisitSpectrum, BossVisitSpectrum
from astra_assets.models.cartons import stellar_like
from astra_assets.models.mwm import MWMSpectrumProductStatus
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
from astra_assets.pipelines.mwm.mwm_apogee import apogee_entries
from astra_assets.pipelines.mwm.mwm_entry import Entry, Row, common_columns
from astra_assets.pipelines.mwm.mwm_inputs import REST_FRAME_KEY, VISIT_COLUMNS, gather
from astra_assets.pipelines.requirements import HAS_SDSS_ID
from astra_assets.spectra.base import SpectrumError
from astra_assets.spectra.grid import BOSS_GRID
from astra_assets.spectra.mwm import write_mwm_star, write_mwm_visit
from astra_assets.spectra.mwm_header import SOURCE_COLUMNS
from astra_assets.spectra.read import MWM_HDUS, load
from astra_assets.spectra.stack import Coadd, RestFrameVisit, coadd, summarise, to_rest_frame

CREATED_VISIT = bit(MWMSpectrumProductStatus, "flags", "created_mwm_visit")
CREATED_STAR = bit(MWMSpectrumProductStatus, "flags", "created_mwm_star")

SHARED_COLUMNS = tuple(
    name
    for name in VISIT_COLUMNS
    if name in BossRestFrameVisitSpectrum.c and name not in ("spectrum_pk", "healpix")
)
"""Columns that a rest-frame visit takes over from its visit."""


def make_files(source: Row, context: WorkContext) -> Products:
    """The mwmVisit and mwmStar files of one source, and their rows.

    `source` has the columns of the step and those that `gather` adds. A spectrum that cannot be read is a
    problem of its own; the others go through. A telescope without a stacked visit has no BOSS coadd; without
    any coadd there is no mwmStar file, without any visit no mwmVisit file. Made twice from the same input,
    files differ in their time of creation only.

    Raises:
        Unusable: no BOSS visit and no APOGEE coadd can be read (`no_readable_visit`).
    """
    visits, problems = _read(source, context)
    apogee = apogee_entries(source, context)
    problems += apogee.problems
    if not visits and not apogee.coadds:
        raise Unusable("no_readable_visit", _nothing_to_show(source, problems))
    boss_visits = [_visit_entry(visit, source, context) for visit in visits]
    boss_coadds = list(_coadd_entries(visits, source, context))
    flags = 0
    if _write("visit", source, context, boss_visits, apogee.visits):
        flags |= CREATED_VISIT
    if _write("star", source, context, boss_coadds, apogee.coadds):
        flags |= CREATED_STAR
    rows = {
        BossRestFrameVisitSpectrum: boss_visits,
        BossCombinedSpectrum: boss_coadds,
        ApogeeRestFrameVisitSpectrum: apogee.visits,
        ApogeeCombinedSpectrum: apogee.coadds,
    }
    return Products(
        status={"flags": flags},
        rows={model: [entry.columns for entry in entries] for model, entries in rows.items()},
        problems=problems,
    )


def _write(
    kind: Literal["star", "visit"],
    source: Row,
    context: WorkContext,
    boss: Sequence[Entry],
    apogee: Sequence[Entry],
) -> bool:
    """Write a file where there is something to show in it; otherwise take away one from before, whose rows are gone."""
    path = inside(context.roots.mwm_astra, mwm_path(kind, context.v_astra, source["sdss_id"]))
    if not boss and not apogee:
        path.unlink(missing_ok=True)
        return False
    rows = ([entry.row for entry in entries] for entries in (boss, apogee))
    WRITERS[kind](path, source, *rows, v_astra=context.v_astra, created=context.planned)
    return True


WRITERS = {"visit": write_mwm_visit, "star": write_mwm_star}


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


def _nothing_to_show(source: Row, problems: Sequence[Problem]) -> str:
    first = f"; the first: {problems[0].message}" if problems else ""
    return f"sdss_id {source['sdss_id']}: none of {len(problems)} spectra can be read{first}"


def _visit_entry(visit: RestFrameVisit, source: Row, context: WorkContext) -> Entry:
    row = visit.row
    columns = {name: row[name] for name in SHARED_COLUMNS} | {
        "spectrum_pk": row[REST_FRAME_KEY],
        "drp_spectrum_pk": row["spectrum_pk"],
        "filetype": "mwmVisit",
        "in_stack": visit.in_stack,
        **common_columns(source, context, row["healpix"]),
    }
    pixels = {
        "flux": visit.pixels.flux,
        "ivar": visit.pixels.ivar,
        "wresl": visit.pixels.wresl,
        "pixel_flags": visit.pixels.pixel_flags,
    }
    return Entry(columns, pixels)


def _coadd_entries(visits: Sequence[RestFrameVisit], source: Row, context: WorkContext) -> Iterator[Entry]:
    """A row for each telescope that has visits in its stack, and pixels in its coadd."""
    keys = {known["telescope"]: known["spectrum_pk"] for known in source["coadds"]}
    for telescope in MWM_HDUS:
        own = [visit for visit in visits if visit.row["telescope"] == telescope]
        total = coadd(own)
        if total is not None and np.any(total.ivar > 0):
            yield _coadd_entry(total, own, source, context, keys[telescope])


def _coadd_entry(
    total: Coadd, visits: Sequence[RestFrameVisit], source: Row, context: WorkContext, spectrum_pk: int
) -> Entry:
    last = visits[-1].row
    columns = summarise(visits) | {
        "spectrum_pk": spectrum_pk,
        "release": last["release"],
        "filetype": "mwmStar",
        "run2d": last["run2d"],
        "telescope": last["telescope"],
        "snr": total.snr,
        **common_columns(source, context, last["healpix"]),
    }
    pixels = {
        "wavelength": BOSS_GRID.wavelength,
        "flux": total.flux,
        "ivar": total.ivar,
        "pixel_flags": total.pixel_flags,
    }
    return Entry(columns, pixels)


def _is_stellar_like(columns: Columns) -> np.ndarray[Any, Any]:
    return stellar_like(columns["sdss5_target_flags"], columns["sdss4_apogee_id"])


def _of_source(model: type[Base], *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether there is such a spectrum of the source."""
    spectra = table_of(model)
    found = select(literal(1)).where(spectra.c.source_pk == Source.c.pk, *conditions)
    return found.correlate(table_of(Source)).exists()


def _spectrum_newer_than(since: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether a spectrum of the source was added, linked or changed after `since`."""
    return or_(*(_of_source(model, model.c.modified > since) for model in REDUCED))


REDUCED = (
    BossVisitSpectrum,
    ApogeeCoaddedSpectrumInApStar,
    ApogeeVisitSpectrum,
    ApogeeVisitSpectrumInApStar,
)
"""The spectra that files are made from."""

HAS_SPECTRA = or_(_of_source(BossVisitSpectrum), _of_source(ApogeeCoaddedSpectrumInApStar))
"""Whether there is a BOSS visit of the source, or an APOGEE coadd, without which its APOGEE visits are not shown."""

MWM = Pipeline(
    name="MWM",
    key="mwm",
    group="SpectrumProducts",
    table=MWMSpectrumProductStatus,
    code_version="2",
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
            tables=(
                BossCombinedSpectrum,
                BossRestFrameVisitSpectrum,
                ApogeeCombinedSpectrum,
                ApogeeRestFrameVisitSpectrum,
            ),
            stale=_spectrum_newer_than,
            eligible=HAS_SPECTRA,
        ),
    ),
)
