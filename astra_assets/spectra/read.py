"""Reading spectra from files.

Here: one reader per kind of file and `load`, which finds the file of a database row. Not here: the FITS table
itself (`tables`), other frames or grids (`resample`), writing (`mwm`).
"""

from __future__ import annotations

import contextlib
import gzip
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from astra_assets.files.paths import (
    SPEC_FULL_COLUMNS,
    PathLeavesRoot,
    ap_star_path,
    ap_visit_name,
    ap_visit_path,
    inside,
    mwm_path,
    spec_full_path,
)
from astra_assets.models.apogee import (
    ApogeeCoaddedSpectrumInApStar,
    ApogeeVisitSpectrum,
    ApogeeVisitSpectrumInApStar,
)
from astra_assets.models.base import Base, table_of
from astra_assets.models.boss import BossCombinedSpectrum, BossVisitSpectrum
from astra_assets.spectra.airvac import air_to_vacuum
from astra_assets.spectra.apogee import ApStar, open_ap_star, read_ap_star, read_ap_visit
from astra_assets.spectra.base import BitPixels, Code, FloatPixels, Roots, Spectrum, SpectrumError
from astra_assets.spectra.tables import check_file, read_table

log = logging.getLogger(__name__)

ASSUMED_RELATIVE_ERROR = 0.02
"""Relative flux error given to text files that have none, what spectrophotometric standards claim."""

MWM_HDUS: Mapping[str, int] = {"apo25m": 1, "lco25m": 2}
"""Where the BOSS rows of a telescope are in mwmStar and mwmVisit files."""


def read_spec_full(path: Path | str, row: Mapping[str, Any] | None = None) -> Spectrum:
    """The coadded night of a specFull, SDSS spec or spec-lite file: observed frame, vacuum.

    HDU 1 needs the columns flux, loglam and ivar, in any case; or_mask and wresl are taken where they exist.
    Raises `SpectrumError` missing_file, unreadable_file, missing_column or no_flux.
    """
    path = Path(path)
    table = read_table(path, 1)
    with np.errstate(over="ignore"):
        wavelength = 10.0 ** table.numbers("loglam")
    return _spectrum(
        path,
        wavelength,
        table.numbers("flux"),
        table.numbers("ivar"),
        pixel_flags=table.bits("or_mask") if "or_mask" in table else None,
        wresl=table.numbers("wresl") if "wresl" in table else None,
        row=row,
    )


def read_mwm_star(path: Path | str, telescope: str, row: Mapping[str, Any] | None = None) -> Spectrum:
    """The BOSS coadd of one telescope from an mwmStar file: rest frame, common grid, vacuum.

    With a `row` its spectrum_pk must be the file's: a file that was made for another row is refused.
    Raises `SpectrumError` missing_file, unreadable_file, missing_column, no_flux or wrong_row.
    """
    path = Path(path)
    table = read_table(path, hdu_of(path, telescope))
    if len(table) != 1:
        raise SpectrumError("wrong_row", f"{path}: {len(table)} BOSS coadds for {telescope}, expected 1")
    expected_pk = None if row is None else row.get("spectrum_pk")
    found_pk = int(table.numbers("spectrum_pk_id")[0]) if "spectrum_pk_id" in table else None
    if expected_pk is not None and found_pk is not None and int(expected_pk) != found_pk:
        raise SpectrumError(
            "wrong_row",
            f"{path}: holds spectrum_pk {found_pk} for {telescope}, expected {expected_pk}: remake the file",
        )
    return _spectrum(
        path,
        table.numbers("wavelength")[0],
        table.numbers("flux")[0],
        table.numbers("ivar")[0],
        pixel_flags=table.bits("pixel_flags")[0] if "pixel_flags" in table else None,
        row=row,
    )


def read_text(path: Path | str, air: bool = False) -> Spectrum:
    """A text file of wavelength (Angstrom), flux and optionally ivar; # starts comments, `.gz` is unpacked.

    `air` says that the wavelengths are measured in air; vacuum wavelengths come out. Rows are sorted.
    Without ivar every pixel gets 2 % of its flux as error, and the log says so. A third column that is the
    flux once more, per frequency (as in the ESO copies of standards), is not taken for ivar.
    Raises `SpectrumError` missing_file, unreadable_file or no_flux.
    """
    path = Path(path)
    numbers = _text_table(path)
    wavelength, flux = numbers[0], numbers[1]
    if len(numbers) > 2 and _is_flux_per_frequency(wavelength, flux, numbers[2]):
        numbers = numbers[:2]
    if len(numbers) > 3:
        raise SpectrumError(
            "unreadable_file",
            f"{path}: {len(numbers)} columns, expected wavelength, flux and optionally ivar",
        )
    if len(numbers) == 3:
        ivar = numbers[2]
    else:
        log.info("%s: no ivar; errors of %.0f %% are assumed", path, 100 * ASSUMED_RELATIVE_ERROR)
        floor = np.abs(ASSUMED_RELATIVE_ERROR * np.where(np.isfinite(flux), flux, 0.0))
        ivar = np.divide(1.0, floor**2, out=np.zeros_like(floor), where=floor**2 > 0)
    order = np.argsort(wavelength, kind="stable")
    wavelength = air_to_vacuum(wavelength[order]) if air else wavelength[order]
    return _spectrum(path, wavelength, flux[order], ivar[order])


def read_file(path: Path | str, air: bool = False) -> Spectrum:
    """Any spectrum file on its own, by what it holds: mwmStar (its first coadd), SDSS spec files, or text.

    `air` is for text files; FITS files are in vacuum. Raises `SpectrumError` as the readers do.
    """
    path = Path(path)
    check_file(path)
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
        try:
            is_fits = stream.read(9) == b"SIMPLE  ="
        except (OSError, EOFError) as error:
            raise SpectrumError("unreadable_file", f"{path}: cannot be read: {error}") from error
    if not is_fits:
        return read_text(path, air=air)
    first = read_table(path, 1)
    if first.header.get("EXTNAME") != "BOSS/APO":
        return read_spec_full(path)
    return read_mwm_star(path, "apo25m" if len(first) else "lco25m")


def load(model: type[Base], row: Mapping[str, Any], roots: Roots) -> Spectrum:
    """The spectrum of a database row (keys are column keys of `model`), from the file that its columns name.

    Visits as reduced come from specFull and apVisit files (observed frame), coadds from mwmStar and apStar
    files, visits in apStar files from those (rest frame). Raises `SpectrumError`; its message names the file
    and the row.
    """
    with with_row(model, row):
        return READERS[model](row, roots)


@contextlib.contextmanager
def with_row(model: type[Base], row: Mapping[str, Any]) -> Iterator[None]:
    """Whatever is wrong with a row or its file becomes a `SpectrumError` whose message names the row.

    Raises TypeError for a model whose spectra are in no file that we know.
    """
    if model not in READERS:
        expected = ", ".join(each.__name__ for each in READERS)
        raise TypeError(f"no reader for {model.__name__}, expected one of {expected}")
    try:
        yield
    except KeyError as error:
        code: Code = "wrong_row"
        message = f"the row has no {error}, which its path is made of"
    except PathLeavesRoot as error:
        code, message = "outside_root", str(error)
    except SpectrumError as error:
        code, message = error.code, error.message
    else:
        return
    raise SpectrumError(code, f"{message} ({table_of(model).name}, spectrum_pk {row.get('spectrum_pk')})")


def hdu_of(path: Path, telescope: str) -> int:
    """The HDU of an mwmStar or mwmVisit file with the BOSS rows of a telescope. Raises `SpectrumError` wrong_row."""
    if telescope not in MWM_HDUS:
        expected = ", ".join(MWM_HDUS)
        raise SpectrumError(
            "wrong_row", f"{path}: no BOSS coadd for telescope {telescope!r}, expected one of {expected}"
        )
    return MWM_HDUS[telescope]


def _boss_visit_file(row: Mapping[str, Any], roots: Roots) -> Path:
    relative = spec_full_path(**{name: row[name] for name in SPEC_FULL_COLUMNS})
    return inside(roots.sas_base_dir, relative)


def _boss_coadd_file(row: Mapping[str, Any], roots: Roots) -> Path:
    return inside(roots.mwm_astra, mwm_path("star", row["v_astra"], row["sdss_id"]))


def _apogee_visit_file(row: Mapping[str, Any], roots: Roots) -> Path:
    return inside(roots.sas_base_dir, ap_visit_path(row))


def _ap_star_file(row: Mapping[str, Any], roots: Roots) -> Path:
    return inside(roots.sas_base_dir, ap_star_path(row))


FILES: Mapping[type[Base], Callable[[Mapping[str, Any], Roots], Path]] = {
    BossVisitSpectrum: _boss_visit_file,
    BossCombinedSpectrum: _boss_coadd_file,
    ApogeeVisitSpectrum: _apogee_visit_file,
    ApogeeCoaddedSpectrumInApStar: _ap_star_file,
    ApogeeVisitSpectrumInApStar: _ap_star_file,
}
"""The file of a row, by the table of the row; raises PathLeavesRoot, or KeyError for what the row lacks."""


def _load_boss_visit(row: Mapping[str, Any], roots: Roots) -> Spectrum:
    return read_spec_full(_boss_visit_file(row, roots), row)


def _load_boss_coadd(row: Mapping[str, Any], roots: Roots) -> Spectrum:
    return read_mwm_star(_boss_coadd_file(row, roots), row["telescope"], row)


def _load_apogee_visit(row: Mapping[str, Any], roots: Roots) -> Spectrum:
    return read_ap_visit(_apogee_visit_file(row, roots), row)


def _load_apogee_coadd(row: Mapping[str, Any], roots: Roots) -> Spectrum:
    return read_ap_star(_ap_star_file(row, roots), row)


def _load_visit_in_ap_star(row: Mapping[str, Any], roots: Roots) -> Spectrum:
    return read_ap_star(_ap_star_file(row, roots), row, visit=ap_visit_name(row))


READERS: Mapping[type[Base], Callable[[Mapping[str, Any], Roots], Spectrum]] = {
    BossVisitSpectrum: _load_boss_visit,
    BossCombinedSpectrum: _load_boss_coadd,
    ApogeeVisitSpectrum: _load_apogee_visit,
    ApogeeCoaddedSpectrumInApStar: _load_apogee_coadd,
    ApogeeVisitSpectrumInApStar: _load_visit_in_ap_star,
}
"""How the spectrum of a row is read, by the table of the row."""


def load_ap_star(model: type[Base], row: Mapping[str, Any], roots: Roots) -> ApStar:
    """The apStar file of a row (of a coadd or of a visit in it) with all of its spectra, opened once.

    Raises `SpectrumError` as `load` does, but for what is wrong with single spectra.
    """
    with with_row(model, row):
        return open_ap_star(_ap_star_file(row, roots))


def _text_table(path: Path) -> list[npt.NDArray[np.float64]]:
    """The columns of a text file."""
    check_file(path)
    try:
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as stream:
            text = stream.read()
        with warnings.catch_warnings():
            # NumPy warns where there is no row; that is said below.
            warnings.simplefilter("ignore")
            numbers = np.loadtxt(StringIO(text.replace(",", " ")), dtype=np.float64, ndmin=2, unpack=True)
    except (OSError, EOFError, ValueError) as error:
        raise SpectrumError(
            "unreadable_file", f"{path}: not a table of wavelength, flux and optionally ivar: {error}"
        ) from error
    if len(numbers) < 2 or numbers.shape[1] < 2:
        raise SpectrumError(
            "unreadable_file",
            f"{path}: {numbers.shape[-1]} rows, {len(numbers)} columns, expected at least 2 of each",
        )
    return list(numbers)


def _is_flux_per_frequency(wavelength: FloatPixels, flux: FloatPixels, third: FloatPixels) -> bool:
    """Whether `third` is `flux` times wavelength squared times a constant, that is F_nu."""
    good = (flux > 0) & (third > 0)
    # Over a short range a constant cannot be told from wavelength squared.
    if good.sum() <= 0.5 * len(flux) or np.ptp(wavelength[good]) < 0.1 * wavelength[good].min():
        return False
    ratio = third[good] / (flux[good] * wavelength[good] ** 2)
    return bool(np.quantile(np.abs(ratio / np.median(ratio) - 1.0), 0.9) < 0.01)


def _spectrum(
    path: Path,
    wavelength: FloatPixels,
    flux: FloatPixels,
    ivar: FloatPixels,
    *,
    pixel_flags: BitPixels | None = None,
    wresl: FloatPixels | None = None,
    row: Mapping[str, Any] | None = None,
) -> Spectrum:
    """A spectrum with finite numbers only. Raises `SpectrumError` unreadable_file or no_flux."""
    if wavelength.ndim != 1 or not np.all(np.isfinite(wavelength)) or not np.all(np.diff(wavelength) > 0):
        raise SpectrumError("unreadable_file", f"{path}: the wavelengths do not ascend from pixel to pixel")
    usable = np.isfinite(flux) & np.isfinite(ivar) & (ivar > 0)
    if not usable.any():
        raise SpectrumError(
            "no_flux",
            f"{path}: none of {len(flux)} pixels is usable, expected finite flux with ivar > 0 "
            f"({int(np.isfinite(flux).sum())} have finite flux, {int((ivar > 0).sum())} have ivar > 0)",
        )
    return Spectrum(
        wavelength=wavelength,
        flux=np.where(np.isfinite(flux), flux, 0.0),
        ivar=np.where(usable, ivar, 0.0),
        pixel_flags=pixel_flags,
        wresl=wresl,
        row={} if row is None else row,
    )
