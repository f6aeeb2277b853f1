"""Reading spectra from files.

Here: one reader per kind of file and `load`, which finds the file of a database row. Not here: which column of a
table is which (`tabulated`), other frames or grids (`resample`), writing (`mwm`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from astra_assets.files import row_groups
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
from astra_assets.files.streams import StreamError, open_content
from astra_assets.files.text_tables import is_ecsv
from astra_assets.fits.read_table import WholeTable, read_table
from astra_assets.models.apogee import (
    ApogeeCoaddedSpectrumInApStar,
    ApogeeVisitSpectrum,
    ApogeeVisitSpectrumInApStar,
)
from astra_assets.models.base import Base, table_of
from astra_assets.models.boss import BossCombinedSpectrum, BossVisitSpectrum
from astra_assets.spectra.airvac import air_to_vacuum
from astra_assets.spectra.apogee import ApStar, open_ap_star, read_ap_star, read_ap_visit
from astra_assets.spectra.base import (
    BitPixels,
    Code,
    FloatPixels,
    Roots,
    Spectrum,
    SpectrumError,
)
from astra_assets.spectra.file_errors import as_spectrum_errors
from astra_assets.spectra.tabulated import (
    Column,
    ecsv_columns,
    fits_columns,
    has_pixels,
    parquet_columns,
    pixels_of,
    text_columns,
)

HEAD_BYTES = 8192
"""Bytes that tell what kind of file it is."""

MWM_HDUS: Mapping[str, int] = {"apo25m": 1, "lco25m": 2}
"""Where the BOSS rows of a telescope are in mwmStar and mwmVisit files."""


def read_spec_full(path: Path | str, row: Mapping[str, Any] | None = None, *, air: bool = False) -> Spectrum:
    """The coadded night of a specFull, SDSS spec or spec-lite file: observed frame, vacuum.

    `air` says that the wavelengths of the file are measured in air; vacuum wavelengths come out.

    HDU 1 needs the columns flux, loglam and ivar, in any case; or_mask and wresl are taken where they exist.
    Raises `SpectrumError` missing_file, unreadable_file, missing_column or no_flux.
    """
    path = Path(path)
    with as_spectrum_errors():
        table = read_table(path, 1)
        with np.errstate(over="ignore"):
            wavelength = 10.0 ** table.numbers("loglam")
        return _of_table(path, table, air_to_vacuum(wavelength) if air else wavelength, row)


def _of_table(
    path: Path, table: WholeTable, wavelength: FloatPixels, row: Mapping[str, Any] | None
) -> Spectrum:
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
    with as_spectrum_errors():
        return _read_mwm_star(Path(path), telescope, row)


def _read_mwm_star(path: Path, telescope: str, row: Mapping[str, Any] | None) -> Spectrum:
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
    """A text file of wavelength (Angstrom), flux and optionally ivar; # starts comments.

    Values are between commas, semicolons, tabs or blanks. A line of names before them is used: an error in place of
    ivar, a mask, and wavelengths in nm, micron or log10 are found by their names. `air` says that the wavelengths
    are measured in air; vacuum wavelengths come out. Rows are sorted. Without ivar or error every pixel gets 2 % of its
    flux as error, and the log says so.
    Raises `SpectrumError` missing_file, unreadable_file or no_flux.
    """
    path = Path(path)
    with _file_errors(path):
        columns = text_columns(path)
    return _tabulated(path, columns, air=air)


def read_file(path: Path | str, air: bool = False) -> Spectrum:
    """Any spectrum file on its own, by what it holds, whatever its name and compression.

    Kinds: mwmStar (its first coadd), SDSS spec and specFull, other tables in FITS, ECSV and Parquet with columns that
    are called wavelength (or loglam), flux and optionally ivar or error, and text. `air` says that the wavelengths are
    measured in air; those of mwmStar files never are. Raises `SpectrumError` as the readers do.
    """
    path = Path(path)
    with _file_errors(path):
        with open_content(path) as content:
            head = content.read(HEAD_BYTES)
        if not head:
            raise SpectrumError("unreadable_file", f"{path}: the file is empty")
        if head.startswith(b"SIMPLE  ="):
            return _read_fits(path, air=air)
        if head.startswith(row_groups.MAGIC):
            columns = parquet_columns(path)
        else:
            columns = ecsv_columns(path) if is_ecsv(head) else text_columns(path)
    return _tabulated(path, columns, air=air)


def _read_fits(path: Path, *, air: bool) -> Spectrum:
    first = read_table(path, 1)
    if first.header.get("EXTNAME") == "BOSS/APO":
        if air:
            raise SpectrumError(
                "unreadable_file",
                f"{path}: is an mwmStar file, whose wavelengths are in vacuum; repeat without --air",
            )
        return read_mwm_star(path, "apo25m" if len(first) else "lco25m")
    columns = fits_columns(first)
    if "loglam" in first or not has_pixels(columns):
        return read_spec_full(path, air=air)
    return _tabulated(path, columns, air=air)


def _tabulated(path: Path, columns: Sequence[Column], *, air: bool) -> Spectrum:
    pixels = pixels_of(path, columns)
    wavelength = air_to_vacuum(pixels.wavelength) if air else pixels.wavelength
    return _spectrum(path, wavelength, pixels.flux, pixels.ivar, pixel_flags=pixels.flags)


@contextlib.contextmanager
def _file_errors(path: Path) -> Iterator[None]:
    """What is wrong with a file becomes a `SpectrumError`."""
    with as_spectrum_errors():
        try:
            yield
        except FileNotFoundError:
            raise SpectrumError("missing_file", f"{path}: there is no such file") from None
        except (OSError, StreamError) as error:
            reason = getattr(error, "strerror", None) or error
            raise SpectrumError("unreadable_file", f"{path}: cannot be read: {reason}") from error


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
