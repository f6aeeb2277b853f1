"""Read spectra from tables of any format: which column is which, and in what unit the wavelengths are.

Text (also CSV and ECSV), Parquet and FITS tables are read. Names and units of columns count where a file has them; without
names the columns are wavelength, flux, ivar and mask, in this order.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from astra_assets.files import row_groups
from astra_assets.files.streams import StreamError
from astra_assets.files.text_tables import NO_VALUE, delimiter_of, open_text, read_ecsv
from astra_assets.fits.read_table import WholeTable
from astra_assets.spectra.base import BitPixels, FloatPixels, SpectrumError

log = logging.getLogger(__name__)

ASSUMED_RELATIVE_ERROR = 0.02
"""Relative flux error given to files that have none, what spectrophotometric standards claim."""

NAMES: Mapping[str, tuple[str, ...]] = {
    "wavelength": ("wavelength", "wavelengths", "wave", "lambda", "lam", "wl", "wvl", "λ"),
    "log": (
        *("loglam", "log_lam", "loglambda", "log_lambda", "log_wave", "logwave", "log_wavelength"),
        *("log10_lam", "log10_lambda", "log10_wave", "log10_wavelength"),
    ),
    "flux": ("flux", "fluxes", "flam", "f_lambda", "flux_lambda", "intensity", "f"),
    "ivar": ("ivar", "invvar", "inverse_variance", "flux_ivar"),
    "error": (
        *("error", "err", "sigma", "flux_error", "flux_err", "fluxerr", "flux_sigma", "e_flux", "eflux"),
        *("uncertainty", "flux_uncertainty", "unc", "std", "stddev", "noise"),
    ),
    "variance": ("variance", "var", "flux_variance", "flux_var"),
    "mask": ("mask", "or_mask", "ormask", "flags", "pixel_flags", "quality", "dq", "bitmask"),
}
"""What columns are called, in lower case with _ between words, by what they hold."""

ANGSTROM: Mapping[str, float] = {
    **dict.fromkeys(("angstrom", "angstroms", "ang", "aa", "a", "å", "0.1nm", "0.1 nm"), 1.0),
    **dict.fromkeys(("nm", "nanometer", "nanometers", "nanometre", "nanometres"), 10.0),
    **dict.fromkeys(("um", "µm", "μm", "micron", "microns", "micrometer", "micrometers", "micrometre"), 1e4),
    **dict.fromkeys(("m", "meter", "metre"), 1e10),
}
"""Angstrom in a unit of wavelength, by its name in lower case."""

LOG_UNIT = re.compile(r"(?:log10|log|dex)\s*\(?\s*\[?\s*(?:angstroms?|aa|a|å)\s*\]?\s*\)?")

SHORTEST_LAST = 2500.0
"""Angstrom. A spectrum that ends below this and does not name its unit is not taken to be in Angstrom."""

LARGEST_LOG = 6.0
"""log10 of 100 micron in Angstrom."""

MAX_PIXELS = 5_000_000
"""A table with more rows is no spectrum."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: as in the file; empty where it has none.
        values: one per pixel.
        unit: as in the file; empty where it has none.
    """

    name: str
    values: FloatPixels
    unit: str = ""

    @property
    def plain_name(self) -> str:
        """The name without its unit, in lower case with _ between words."""
        return _split(self.name)[0]


@dataclass(frozen=True)
class TablePixels:
    """The pixels of a table, sorted by wavelength; all arrays of shape (pixels,).

    Attributes:
        wavelength: in Angstrom.
        flux: in the unit of the file.
        ivar: inverse variance of the flux.
        flags: bits of a mask, None where there is none.
    """

    wavelength: FloatPixels
    flux: FloatPixels
    ivar: FloatPixels
    flags: BitPixels | None = None


def pixels_of(path: Path, columns: Sequence[Column]) -> TablePixels:
    """Find the pixels in the columns of a table.

    Without ivar or error every pixel gets 2 % of its flux as error, and the log says so. A third column without name
    that is the flux once more, per frequency (as in the ESO copies of standards), is not taken for ivar.

    Raises:
        SpectrumError: unreadable_file, where it is not clear what the columns are, or which unit wavelengths have.
    """
    named = _by_role(columns) if any(column.name for column in columns) else _by_place(path, columns)
    if not named.keys() & {"wavelength", "log"} or "flux" not in named:
        found = ", ".join(column.name for column in columns)
        raise SpectrumError(
            "unreadable_file",
            f"{path}: its columns are {found}; expected wavelength (or loglam), flux and optionally ivar, error or mask",
        )
    wavelength, flux = _wavelength(path, named), named["flux"].values
    order = np.argsort(wavelength, kind="stable")
    ivar = _ivar(path, named, flux)
    flags = named["mask"].values if "mask" in named else None
    return TablePixels(
        wavelength[order],
        flux[order],
        ivar[order],
        None if flags is None else np.nan_to_num(flags).astype(np.int64)[order],
    )


def has_pixels(columns: Sequence[Column]) -> bool:
    """Whether the names of columns are those of a spectrum."""
    roles = _by_role(columns)
    return "flux" in roles and bool(roles.keys() & {"wavelength", "log"})


def _by_role(columns: Sequence[Column]) -> dict[str, Column]:
    """The columns whose names are known, by what they hold; of several the first in `NAMES`."""
    by_name: dict[str, Column] = {}
    for column in columns:
        by_name.setdefault(column.plain_name, column)
    return {
        role: next(by_name[name] for name in names if name in by_name)
        for role, names in NAMES.items()
        if any(name in by_name for name in names)
    }


def _by_place(path: Path, columns: Sequence[Column]) -> dict[str, Column]:
    """Columns without names by what they hold. Raises SpectrumError unreadable_file."""
    if len(columns) > 2 and _is_flux_per_frequency(*(column.values for column in columns[:3])):
        columns = columns[:2]
    masked = len(columns) == 4 and bool(np.all(columns[3].values == np.round(columns[3].values)))
    if len(columns) > 3 and not masked:
        raise SpectrumError(
            "unreadable_file",
            f"{path}: {len(columns)} columns, expected wavelength, flux and optionally ivar and a mask of whole numbers; "
            "name them in the first line",
        )
    return dict(zip(("wavelength", "flux", "ivar", "mask"), columns, strict=False))


def _split(name: str) -> tuple[str, str]:
    """Name and unit of a column: of "Wave (nm)", "wave[nm]" and "wave_nm" they are wave and nm."""
    match = re.fullmatch(r"(.*?)\s*[(\[]\s*([^)\]]*)\s*[)\]]\s*", name)
    plain, unit = (match[1], match[2].strip().lower()) if match else (name, "")
    plain = re.sub(r"[\s.\-]+", "_", plain.strip().lower())
    start, _, end = plain.rpartition("_")
    if not unit and start in NAMES["wavelength"] and end in ANGSTROM:
        return start, end
    return plain, unit


def _wavelength(path: Path, named: Mapping[str, Column]) -> FloatPixels:
    """Wavelengths in Angstrom. Raises SpectrumError unreadable_file where their unit is not known."""
    column = named.get("wavelength") or named["log"]
    unit = column.unit.strip().lower() or _split(column.name)[1]
    values = column.values
    if column is named.get("log") or LOG_UNIT.fullmatch(unit):
        if len(values) and not np.nanmax(values) <= LARGEST_LOG:
            raise SpectrumError(
                "unreadable_file",
                f"{path}: {column.name} is at most {np.nanmax(values):.6g}, expected log10 of wavelengths in Angstrom",
            )
        return 10.0**values
    if unit:
        if unit not in ANGSTROM:
            raise SpectrumError(
                "unreadable_file",
                f"{path}: wavelengths are in {unit!r}, expected Angstrom, nm, um or log10(Angstrom)",
            )
        return values * ANGSTROM[unit]
    _refuse_other_units(path, values)
    return values


def _refuse_other_units(path: Path, values: FloatPixels) -> None:
    """Raise SpectrumError unreadable_file where wavelengths without unit do not look like Angstrom."""
    finite = values[np.isfinite(values)]
    if not finite.size or finite.max() >= SHORTEST_LAST:
        return
    first, last = float(finite.min()), float(finite.max())
    if last > 30:
        looks, name = "nm", "wavelength_nm"
    elif first >= 3 and last <= 5:
        looks, name = "log10 of Angstrom", "loglam"
    else:
        looks, name = "micron", "wavelength_um"
    raise SpectrumError(
        "unreadable_file",
        f"{path}: wavelengths go from {first:.6g} to {last:.6g}, which looks like {looks}, not Angstrom; name the column "
        f"{name}, or wavelength_angstrom if it is so",
    )


def _ivar(path: Path, named: Mapping[str, Column], flux: FloatPixels) -> FloatPixels:
    if "ivar" in named:
        return named["ivar"].values
    if "error" in named:
        return _inverse(named["error"].values ** 2)
    if "variance" in named:
        return _inverse(named["variance"].values)
    log.info("%s: no ivar; errors of %.0f %% are assumed", path, 100 * ASSUMED_RELATIVE_ERROR)
    return _inverse((ASSUMED_RELATIVE_ERROR * np.where(np.isfinite(flux), flux, 0.0)) ** 2)


def _inverse(variance: FloatPixels) -> FloatPixels:
    """1 / variance, 0 where that is no positive number."""
    known = np.isfinite(variance) & (variance > 0)
    return np.divide(1.0, variance, out=np.zeros_like(variance), where=known)


def _is_flux_per_frequency(wavelength: FloatPixels, flux: FloatPixels, third: FloatPixels) -> bool:
    """Whether `third` is `flux` times wavelength squared times a constant, that is F_nu."""
    good = (flux > 0) & (third > 0)
    # Over a short range a constant cannot be told from wavelength squared.
    if good.sum() <= 0.5 * len(flux) or np.ptp(wavelength[good]) < 0.1 * wavelength[good].min():
        return False
    ratio = third[good] / (flux[good] * wavelength[good] ** 2)
    return bool(np.quantile(np.abs(ratio / np.median(ratio) - 1.0), 0.9) < 0.01)


def text_columns(path: Path) -> list[Column]:
    """Read the columns of a text file; values are between commas, semicolons, tabs, bars or blanks, # starts comments.

    The line before the numbers has the names, also as a comment, if it has as many as there are columns.

    Raises:
        TextTableError: the file cannot be read as text.
        SpectrumError: unreadable_file, where it is no table of numbers.
        OSError: the file cannot be opened.
    """
    names: list[str] = []
    remark = ""
    rows: dict[int, str] = {}
    delimiter: str | None = None
    with open_text(path) as lines:
        for number, line in enumerate(lines, 1):
            text, _, comment = line.partition("#")
            text = text.strip()
            if not text:
                remark = comment if not rows and comment.strip() else remark
                continue
            if not rows:
                delimiter = delimiter_of(text)
                if not names and not any(_is_number(word) for word in _words(text, delimiter)):
                    names = _names(text)
                    continue
            rows[number] = text
            if len(rows) > MAX_PIXELS:
                raise SpectrumError(
                    "unreadable_file", f"{path}: more than {MAX_PIXELS:,} rows are no spectrum"
                )
    columns = _numbers(path, rows, delimiter)
    if len(columns) < 2 or columns.shape[1] < 2:
        raise SpectrumError(
            "unreadable_file",
            f"{path}: {len(rows)} rows, {len(columns)} columns, expected at least 2 of each",
        )
    if names and len(names) != len(columns):
        raise SpectrumError(
            "unreadable_file", f"{path}: {len(names)} names of columns, but {len(columns)} values in a row"
        )
    if not names and len(given := _names(remark)) == len(columns):
        described = [Column(name, values) for name, values in zip(given, columns, strict=True)]
        if has_pixels(described):
            return described
    return [Column(name, values) for name, values in zip(names or [""] * len(columns), columns, strict=True)]


def _numbers(path: Path, rows: Mapping[int, str], delimiter: str | None) -> npt.NDArray[np.float64]:
    """The numbers in rows of text, by the number of their line; of shape (columns, rows).

    Raises:
        SpectrumError: unreadable_file, naming the line that has other than numbers, or more or fewer of them.
    """
    if not rows:
        return np.empty((0, 0))
    try:
        return np.loadtxt(list(rows.values()), delimiter=delimiter, ndmin=2, unpack=True, dtype=np.float64)
    except ValueError:
        pass  # there is a word that means no value, or one that means nothing
    made: list[list[float]] = []
    for line, text in rows.items():
        made.append([_number(path, line, word) for word in _words(text, delimiter)])
        if len(made[-1]) != len(made[0]):
            raise SpectrumError(
                "unreadable_file",
                f"{path}: line {line} has {len(made[-1])} values, those before have {len(made[0])}",
            )
    return np.array(made, dtype=np.float64).T


def _words(text: str, delimiter: str | None) -> list[str]:
    return [word.strip().strip('"') for word in text.split(delimiter)]


def _names(text: str) -> list[str]:
    """The names of columns in a line; a unit in brackets belongs to the name before it."""
    joined = re.sub(r"\s+([(\[])", r"\1", text.strip())
    return [name.strip().strip('"') for name in joined.split(delimiter_of(joined))]


def _is_number(word: str) -> bool:
    try:
        float(word.replace("D", "E"))
    except ValueError:
        return False
    return True


def _number(path: Path, line: int, word: str) -> float:
    """A word of a table as a number, NaN where it means no value. Raises SpectrumError unreadable_file."""
    if word.lower() in NO_VALUE:
        return math.nan
    try:
        return float(word.replace("D", "E"))
    except ValueError:
        raise SpectrumError(
            "unreadable_file",
            f"{path}: not a table of wavelength, flux and optionally ivar: {word[:40]!r} in line {line} is no number",
        ) from None


def ecsv_columns(path: Path) -> list[Column]:
    """Read the columns of numbers of an ECSV file. Raises TextTableError and OSError."""
    table = read_ecsv(path)
    values = table.columns(table.names)
    return list(_of_numbers(values, table.units))


def parquet_columns(path: Path) -> list[Column]:
    """Read the columns of numbers of a Parquet file; units are where fields have metadata `unit`.

    Raises:
        SpectrumError: unreadable_file.
    """
    try:
        with row_groups.open_parquet(path) as file:
            if file.metadata.num_rows > MAX_PIXELS:
                raise SpectrumError(
                    "unreadable_file", f"{path}: more than {MAX_PIXELS:,} rows are no spectrum"
                )
            table = file.read()
    except (pa.ArrowException, StreamError, OSError) as error:
        raise SpectrumError("unreadable_file", f"{path}: is no complete Parquet file: {error}") from error
    units = {
        field.name: field.metadata[b"unit"].decode()
        for field in table.schema
        if field.metadata and b"unit" in field.metadata
    }
    return list(_of_numbers(table, units))


def _of_numbers(table: pa.Table, units: Mapping[str, str]) -> Iterator[Column]:
    for name in table.column_names:
        column = table[name]
        if any(test(column.type) for test in _NUMBERS):
            values = column.cast(pa.float64()).fill_null(math.nan).to_numpy()
            yield Column(name, values, units.get(name, ""))


_NUMBERS: tuple[Callable[[pa.DataType], bool], ...] = (
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_boolean,
)


def fits_columns(table: WholeTable) -> list[Column]:
    """Return the columns of numbers of a FITS table: a value per row, or, in a table of one row, an array."""
    found: list[Column] = []
    for name, column in table.columns.items():
        if (
            column.letter not in "LBIJKED"
            or not column.size
            or name.lower() in (each.name.lower() for each in found)
        ):
            continue
        values: Any = table.numbers(name)
        if len(table) == 1 and values.ndim == 2:
            values = values[0]
        if values.ndim == 1:
            found.append(Column(name, values, column.unit))
    longest = max((len(column.values) for column in found), default=0)
    return [column for column in found if len(column.values) == longest]
