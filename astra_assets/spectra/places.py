"""Where the pixels of a spectrum are: file, HDU and row, for programs that read them without us.

Here: from a row of the database to a place in a file that is there. Not here: reading the pixels (`read`), names of
files (`models.paths`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astra_assets.files.paths import ap_visit_name
from astra_assets.fits.read_header import check_file
from astra_assets.fits.read_images import read_images
from astra_assets.models.apogee import ApogeeCoaddedSpectrumInApStar, ApogeeVisitSpectrumInApStar
from astra_assets.models.base import Base
from astra_assets.models.boss import BossCombinedSpectrum
from astra_assets.spectra.apogee import FLUX, visit_place
from astra_assets.spectra.base import Roots
from astra_assets.spectra.file_errors import as_spectrum_errors
from astra_assets.spectra.read import FILES, hdu_of, with_row

WHOLE = -1
"""Row of a spectrum that all rows of its HDU belong to."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the pixels of one spectrum are.

    Attributes:
        path: the file.
        hdu: number of the HDU, from 0, with the flux; in mwmStar and specFull files with everything.
        row: row in the table or image of that HDU, from 0; `WHOLE` where all rows are this spectrum: the pixels of a
            specFull file, the chips of an apVisit file.
    """

    path: Path
    hdu: int
    row: int


def place_of(model: type[Base], row: Mapping[str, Any], roots: Roots) -> Place:
    """Where the spectrum of a database row is; the file is there and not visibly cut short.

    Of a visit in an apStar file the header is read, since it lists the visits of the file; of others nothing is.
    Raises `SpectrumError` missing_file, unreadable_file, outside_root or wrong_row.
    """
    with with_row(model, row):
        path = FILES[model](row, roots)
        with as_spectrum_errors():
            check_file(path)
        if model is BossCombinedSpectrum:
            return Place(path, hdu_of(path, row["telescope"]), 0)
        if model is ApogeeCoaddedSpectrumInApStar:
            return Place(path, FLUX, 0)
        if model is ApogeeVisitSpectrumInApStar:
            return Place(path, FLUX, _row_of_visit(path, ap_visit_name(row)))
        return Place(path, 1, WHOLE)


def _row_of_visit(path: Path, visit: str) -> int:
    """The row of an apStar file's images that was made from the apVisit file of this base name."""
    found = []

    def choose(header: Mapping[str, Any], n_rows: int) -> int:
        found.append(visit_place(header, n_rows, visit, path))
        return found[-1]

    with as_spectrum_errors():
        read_images(path, (FLUX,), choose)
    return found[-1]
