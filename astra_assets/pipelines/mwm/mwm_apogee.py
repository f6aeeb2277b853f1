"""The APOGEE rows of the mwmVisit and mwmStar files of a source.

Here: the way from the coadds and visits of the APOGEE reduction to rows with pixels on the common grid. Not here: which
coadds and visits these are (`mwm_apogee_inputs`), reading and resampling (`spectra`), BOSS rows and the files (`mwm`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from astra_assets.files.paths import AP_STAR_COLUMNS, ap_visit_name
from astra_assets.models.apogee import (
    ApogeeCoaddedSpectrumInApStar,
    ApogeeCombinedSpectrum,
    ApogeeRestFrameVisitSpectrum,
    ApogeeVisitSpectrum,
    ApogeeVisitSpectrumInApStar,
)
from astra_assets.models.base import Base, bit, table_of
from astra_assets.pipelines.base import Problem, WorkContext
from astra_assets.pipelines.mwm.mwm_apogee_inputs import COADD_COLUMNS, IN_AP_STAR, NEW_KEY, VISIT_COLUMNS
from astra_assets.pipelines.mwm.mwm_entry import Entry, Row, common_columns
from astra_assets.spectra.apogee import ApStar, chip_n_res
from astra_assets.spectra.base import Roots, Spectrum, SpectrumError
from astra_assets.spectra.grid import APOGEE_GRID
from astra_assets.spectra.read import load, load_ap_star
from astra_assets.spectra.resample import GridSpectrum, resample

_OWN = ("spectrum_pk", "healpix", "spectrum_flags")

SHARED_COADD_COLUMNS = tuple(
    name for name in COADD_COLUMNS if name in table_of(ApogeeCombinedSpectrum).c and name not in _OWN[:2]
)
"""Columns that a row of mwmStar takes over from the coadd of the reduction."""

SHARED_VISIT_COLUMNS = tuple(
    name for name in VISIT_COLUMNS if name in table_of(ApogeeRestFrameVisitSpectrum).c and name not in _OWN
)
"""Columns that a row of mwmVisit takes over from its visit."""

FILE_IS_MISSING = bit(ApogeeVisitSpectrum, "spectrum_flags", "missing_or_corrupted_file")
"""A bit of ours that says nothing of the light; the spectrum in an apStar file may be there all the same."""


@dataclass
class ApogeeEntries:
    """The APOGEE rows of a source, and what was wrong with spectra that have none."""

    visits: list[Entry] = field(default_factory=list)
    coadds: list[Entry] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def apogee_entries(source: Row, context: WorkContext) -> ApogeeEntries:
    """A row for each coadd in `source["apogee"]` that can be read, and for each of its visits that can.

    Visits that are in an apStar file have its pixels (rest frame) and count as stacked; others are resampled in the
    observed frame.
    """
    entries = ApogeeEntries()
    files = _ApStars(context.roots)
    for coadd in source["apogee"]:
        try:
            entries.coadds.append(_coadd_entry(coadd, files, source, context))
        except SpectrumError as error:
            entries.problems.append(Problem(coadd["spectrum_pk"], error.code, error.message))
            continue
        for visit in coadd["visits"]:
            try:
                pixels = _visit_pixels(visit, files)
            except SpectrumError as error:
                entries.problems.append(Problem(visit["spectrum_pk"], error.code, error.message))
            else:
                common = common_columns(source, context, coadd["healpix"])
                entries.visits.append(Entry(_visit_columns(visit) | common, pixels))
    return entries


class _ApStars:
    """The apStar files of a source, each opened once."""

    def __init__(self, roots: Roots) -> None:
        self.roots = roots
        self._open: dict[tuple[Any, ...], ApStar] = {}

    def of(self, model: type[Base], row: Row) -> ApStar:
        """The file of a row. Raises SpectrumError."""
        key = tuple(row[name] for name in AP_STAR_COLUMNS)
        if key not in self._open:
            self._open[key] = load_ap_star(model, row, self.roots)
        return self._open[key]


def _coadd_entry(coadd: Row, files: _ApStars, source: Row, context: WorkContext) -> Entry:
    spectrum = files.of(ApogeeCoaddedSpectrumInApStar, coadd).spectrum(coadd)
    columns = {name: coadd[name] for name in SHARED_COADD_COLUMNS} | {
        "spectrum_pk": coadd[NEW_KEY],
        "filetype": "mwmStar",
        **common_columns(source, context, coadd["healpix"]),
    }
    return Entry(columns, {"wavelength": spectrum.wavelength} | _pixels(spectrum))


def _visit_columns(visit: Row) -> dict[str, Any]:
    return {name: visit[name] for name in SHARED_VISIT_COLUMNS} | {
        "spectrum_pk": visit[NEW_KEY],
        "filetype": "mwmVisit",
        "in_stack": visit[IN_AP_STAR] is not None,
        "spectrum_flags": (visit["spectrum_flags"] or 0) & ~FILE_IS_MISSING,
    }


def _visit_pixels(visit: Row, files: _ApStars) -> dict[str, Any]:
    """The pixels of a visit on the common grid. Raises SpectrumError."""
    inside = visit[IN_AP_STAR]
    if inside is not None:
        star = files.of(ApogeeVisitSpectrumInApStar, inside)
        return _pixels(star.spectrum(inside, visit=ap_visit_name(inside)))
    spectrum = load(ApogeeVisitSpectrum, visit, files.roots)
    n_res = chip_n_res(len(spectrum.wavelength))
    return _pixels(resample(spectrum, spectrum.wavelength, APOGEE_GRID, n_res))


def _pixels(spectrum: Spectrum | GridSpectrum) -> dict[str, Any]:
    return {"flux": spectrum.flux, "ivar": spectrum.ivar, "pixel_flags": spectrum.pixel_flags}
