"""The mwmVisit and mwmStar files of one source, and the rows of the spectra in them.

This runs on workers, which have no database: the source comes with the spectra that `gather` found. BOSS visits are
resampled and stacked here (`spectra.stack`); APOGEE coadds are those of the reduction. The layout of the files is in
`spectra.mwm`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from astra_assets.files.paths import AP_STAR_COLUMNS, ap_visit_name, inside, mwm_path
from astra_assets.models.apogee import (
    ApogeeCoaddedSpectrumInApStar,
    ApogeeCombinedSpectrum,
    ApogeeRestFrameVisitSpectrum,
    ApogeeVisitSpectrum,
    ApogeeVisitSpectrumInApStar,
)
from astra_assets.models.base import Base, bit, table_of
from astra_assets.models.boss import BossCombinedSpectrum, BossRestFrameVisitSpectrum, BossVisitSpectrum
from astra_assets.models.mwm import MWMSpectrumProductStatus
from astra_assets.pipelines.base import Problem, Products, Unusable, WorkContext
from astra_assets.pipelines.mwm.gather import (
    APOGEE_COADD_COLUMNS,
    APOGEE_VISIT_COLUMNS,
    BOSS_VISIT_COLUMNS,
    IN_AP_STAR,
    NEW_KEY,
    REST_FRAME_KEY,
)
from astra_assets.spectra.apogee import ApStar, chip_n_res
from astra_assets.spectra.base import Spectrum, SpectrumError
from astra_assets.spectra.grid import APOGEE_GRID, BOSS_GRID
from astra_assets.spectra.mwm import write_mwm_star, write_mwm_visit
from astra_assets.spectra.read import MWM_HDUS, load, load_ap_star
from astra_assets.spectra.resample import GridSpectrum, resample
from astra_assets.spectra.stack import Coadd, RestFrameVisit, coadd, summarise, to_rest_frame

Row = Mapping[str, Any]

CREATED_VISIT = bit(MWMSpectrumProductStatus, "flags", "created_mwm_visit")
CREATED_STAR = bit(MWMSpectrumProductStatus, "flags", "created_mwm_star")

FILE_IS_MISSING = bit(ApogeeVisitSpectrum, "spectrum_flags", "missing_or_corrupted_file")
"""A bit of ours that says nothing of the light; the spectrum in an apStar file may be there all the same."""

WRITERS = {"visit": write_mwm_visit, "star": write_mwm_star}


def _shared(names: Sequence[str], model: type[Base], *own: str) -> tuple[str, ...]:
    """The columns that a row of `model` takes over from the spectrum as reduced."""
    return tuple(name for name in names if name in table_of(model).c and name not in own)


BOSS_VISIT = _shared(BOSS_VISIT_COLUMNS, BossRestFrameVisitSpectrum, "spectrum_pk", "healpix")
APOGEE_COADD = _shared(APOGEE_COADD_COLUMNS, ApogeeCombinedSpectrum, "spectrum_pk", "healpix")
APOGEE_VISIT = _shared(
    APOGEE_VISIT_COLUMNS, ApogeeRestFrameVisitSpectrum, "spectrum_pk", "healpix", "spectrum_flags"
)


@dataclass(frozen=True)
class FileRow:
    """A row of a file: `columns`, which the database has too, and `pixels`."""

    columns: dict[str, Any]
    pixels: dict[str, Any]

    @property
    def values(self) -> dict[str, Any]:
        """Columns and pixels."""
        return self.columns | self.pixels


def make_files(source: Row, context: WorkContext) -> Products:
    """Make the mwmVisit and mwmStar files of one source, and their rows.

    `source` has the columns of the step and those that `gather` adds. A spectrum that cannot be read is a
    problem of its own; the others go through. A telescope without a stacked visit has no BOSS coadd; without
    any coadd there is no mwmStar file, without any visit no mwmVisit file. Made twice from the same input,
    files differ in their time of creation only.

    Raises:
        Unusable: no BOSS visit and no APOGEE coadd can be read (`no_readable_visit`).
    """
    return _SourceFiles(source, context).make()


class _SourceFiles:
    """The files of one source while they are made.

    Attributes:
        problems: what was wrong with spectra that cannot be read.
    """

    def __init__(self, source: Row, context: WorkContext) -> None:
        self.source = source
        self.context = context
        self.problems: list[Problem] = []
        self._ap_stars: dict[tuple[Any, ...], ApStar] = {}

    def make(self) -> Products:
        visits = list(self._boss_visits())
        apogee_visits, apogee_coadds = self._apogee_rows()
        if not visits and not apogee_coadds:
            raise Unusable("no_readable_visit", self._nothing_to_show())
        boss_visits = [self._boss_visit_row(visit) for visit in visits]
        boss_coadds = list(self._boss_coadd_rows(visits))
        flags = 0
        if self._write("visit", boss_visits, apogee_visits):
            flags |= CREATED_VISIT
        if self._write("star", boss_coadds, apogee_coadds):
            flags |= CREATED_STAR
        rows = {
            BossRestFrameVisitSpectrum: boss_visits,
            BossCombinedSpectrum: boss_coadds,
            ApogeeRestFrameVisitSpectrum: apogee_visits,
            ApogeeCombinedSpectrum: apogee_coadds,
        }
        return Products(
            status={"flags": flags},
            rows={model: [row.columns for row in shown] for model, shown in rows.items()},
            problems=self.problems,
        )

    def _nothing_to_show(self) -> str:
        first = f"; the first: {self.problems[0].message}" if self.problems else ""
        return f"sdss_id {self.source['sdss_id']}: none of {len(self.problems)} spectra can be read{first}"

    def _write(
        self, kind: Literal["star", "visit"], boss: Sequence[FileRow], apogee: Sequence[FileRow]
    ) -> bool:
        """Write a file where there is something to show in it; otherwise remove one from before, whose rows are gone."""
        context = self.context
        path = inside(context.roots.mwm_astra, mwm_path(kind, context.v_astra, self.source["sdss_id"]))
        if not boss and not apogee:
            path.unlink(missing_ok=True)
            return False
        rows = ([row.values for row in shown] for shown in (boss, apogee))
        WRITERS[kind](path, self.source, *rows, v_astra=context.v_astra, created=context.planned)
        return True

    def _common_columns(self, healpix: int | None) -> dict[str, Any]:
        """Columns of every row; `healpix` is for sources that have none.

        No continuum is fitted: the components of its model are not public.
        """
        source = self.source
        return {
            "source_pk": source["source_pk"],
            "sdss_id": source["sdss_id"],
            "healpix": healpix if source["healpix"] is None else source["healpix"],
            "v_astra": self.context.v_astra,
            "nmf_rchi2": None,
            "nmf_flags": 0,
        }

    # --- BOSS -------------------------------------------------------------------------------------

    def _boss_visits(self) -> Iterator[RestFrameVisit]:
        """The visits that can be read, on the common grid, in order of time."""
        for row in self.source["visits"]:
            if row["telescope"] not in MWM_HDUS:
                message = f"telescope {row['telescope']!r}, expected one of {', '.join(MWM_HDUS)}"
                self.problems.append(Problem(row["spectrum_pk"], "unknown_telescope", message))
                continue
            try:
                spectrum = load(BossVisitSpectrum, row, self.context.roots)
            except SpectrumError as error:
                self._cannot_be_read(row, error)
            else:
                yield to_rest_frame(spectrum, white_dwarf=self.source["white_dwarf"])

    def _cannot_be_read(self, row: Row, error: SpectrumError) -> None:
        self.problems.append(Problem(row["spectrum_pk"], error.code, error.message))

    def _boss_visit_row(self, visit: RestFrameVisit) -> FileRow:
        row = visit.row
        columns = {name: row[name] for name in BOSS_VISIT} | {
            "spectrum_pk": row[REST_FRAME_KEY],
            "drp_spectrum_pk": row["spectrum_pk"],
            "filetype": "mwmVisit",
            "in_stack": visit.in_stack,
            **self._common_columns(row["healpix"]),
        }
        return FileRow(columns, _pixels(visit.pixels) | {"wresl": visit.pixels.wresl})

    def _boss_coadd_rows(self, visits: Sequence[RestFrameVisit]) -> Iterator[FileRow]:
        """A row for each telescope that has visits in its stack, and pixels in its coadd."""
        keys = {known["telescope"]: known["spectrum_pk"] for known in self.source["coadds"]}
        for telescope in MWM_HDUS:
            own = [visit for visit in visits if visit.row["telescope"] == telescope]
            total = coadd(own)
            if total is not None and np.any(total.ivar > 0):
                yield self._boss_coadd_row(total, own, keys[telescope])

    def _boss_coadd_row(self, total: Coadd, visits: Sequence[RestFrameVisit], spectrum_pk: int) -> FileRow:
        last = visits[-1].row
        columns = summarise(visits) | {
            "spectrum_pk": spectrum_pk,
            "release": last["release"],
            "filetype": "mwmStar",
            "run2d": last["run2d"],
            "telescope": last["telescope"],
            "snr": total.snr,
            **self._common_columns(last["healpix"]),
        }
        return FileRow(columns, {"wavelength": BOSS_GRID.wavelength} | _pixels(total))

    # --- APOGEE -----------------------------------------------------------------------------------

    def _apogee_rows(self) -> tuple[list[FileRow], list[FileRow]]:
        """The rows of the visits and of the coadds that can be read; without its coadd no visit is shown.

        Visits that are in an apStar file have its pixels (rest frame) and count as stacked; others are resampled
        in the observed frame.
        """
        visits: list[FileRow] = []
        coadds: list[FileRow] = []
        for row in self.source["apogee"]:
            try:
                coadds.append(self._apogee_coadd_row(row))
            except SpectrumError as error:
                self._cannot_be_read(row, error)
                continue
            for visit in row["visits"]:
                try:
                    visits.append(self._apogee_visit_row(visit, row["healpix"]))
                except SpectrumError as error:
                    self._cannot_be_read(visit, error)
        return visits, coadds

    def _apogee_coadd_row(self, row: Row) -> FileRow:
        """Raises SpectrumError."""
        spectrum = self._ap_star(ApogeeCoaddedSpectrumInApStar, row).spectrum(row)
        columns = {name: row[name] for name in APOGEE_COADD} | {
            "spectrum_pk": row[NEW_KEY],
            "filetype": "mwmStar",
            **self._common_columns(row["healpix"]),
        }
        return FileRow(columns, {"wavelength": spectrum.wavelength} | _pixels(spectrum))

    def _apogee_visit_row(self, visit: Row, healpix: int | None) -> FileRow:
        """Raises SpectrumError."""
        pixels = _pixels(self._apogee_visit_spectrum(visit))
        columns = {name: visit[name] for name in APOGEE_VISIT} | {
            "spectrum_pk": visit[NEW_KEY],
            "filetype": "mwmVisit",
            "in_stack": visit[IN_AP_STAR] is not None,
            "spectrum_flags": (visit["spectrum_flags"] or 0) & ~FILE_IS_MISSING,
            **self._common_columns(healpix),
        }
        return FileRow(columns, pixels)

    def _apogee_visit_spectrum(self, visit: Row) -> Spectrum | GridSpectrum:
        """A visit on the common grid. Raises SpectrumError."""
        within = visit[IN_AP_STAR]
        if within is not None:
            star = self._ap_star(ApogeeVisitSpectrumInApStar, within)
            return star.spectrum(within, visit=ap_visit_name(within))
        spectrum = load(ApogeeVisitSpectrum, visit, self.context.roots)
        n_res = chip_n_res(len(spectrum.wavelength))
        return resample(spectrum, spectrum.wavelength, APOGEE_GRID, n_res)

    def _ap_star(self, model: type[Base], row: Row) -> ApStar:
        """The apStar file of a row, opened once. Raises SpectrumError."""
        key = tuple(row[name] for name in AP_STAR_COLUMNS)
        if key not in self._ap_stars:
            self._ap_stars[key] = load_ap_star(model, row, self.context.roots)
        return self._ap_stars[key]


def _pixels(spectrum: Spectrum | GridSpectrum | Coadd) -> dict[str, Any]:
    return {"flux": spectrum.flux, "ivar": spectrum.ivar, "pixel_flags": spectrum.pixel_flags}
