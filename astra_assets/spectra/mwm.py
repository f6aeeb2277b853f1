"""Writing mwmVisit and mwmStar files: one source, its visits or coadds in the rest frame.

Here: which tables a file of a source has, which columns those of the rest frame have, and how rows and
pixels get into them. Not here: headers (`mwm_header`), the sums that fill the rows (`stack`), the columns of
files with results (`astra_files`), which sources get files (`pipelines.mwm`).

Such files have five HDUs: the source's metadata, then BOSS and APOGEE, each from Apache Point and Las
Campanas. A table without spectra has no rows and all columns; its pixel columns have format 0E. Pixels are
single precision, flags too (as in Astra's files: bits above 2**24 are exact only by themselves).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from astra_assets.files.atomic import atomic_write
from astra_assets.fits.formats import BadValueError, FitsColumn
from astra_assets.fits.header import Card, comments, primary_cards, section
from astra_assets.fits.writer import FitsWriteError
from astra_assets.models.apogee import ApogeeCombinedSpectrum, ApogeeRestFrameVisitSpectrum
from astra_assets.models.base import Base, layout
from astra_assets.models.boss import BossCombinedSpectrum, BossRestFrameVisitSpectrum
from astra_assets.registry.columns import info
from astra_assets.registry.kinds import Kind
from astra_assets.spectra.grid import APOGEE_GRID, BOSS_GRID, LogLinearGrid
from astra_assets.spectra.mwm_hdu import Described, Values, hdu, table_hdu
from astra_assets.spectra.mwm_header import HDU_DESCRIPTIONS, metadata_cards, source_cards, wavelength_cards

Row = Mapping[str, Any]

NOT_IN_FILES = ("source_pk", "created", "modified")
"""Columns of the database that per-source files leave out."""


@dataclass(frozen=True)
class Extension:
    """One table of a file: an instrument at an observatory."""

    instrument: str
    observatory: str
    telescopes: tuple[str, ...]
    grid: LogLinearGrid

    def cards(self) -> list[Card]:
        """The name of the HDU and what it holds."""
        return [
            *section("Metadata"),
            Card("EXTNAME", f"{self.instrument}/{self.observatory}", "name of this table"),
            Card("OBSRVTRY", self.observatory, "observatory"),
            Card("INSTRMNT", self.instrument, "instrument"),
        ]


EXTENSIONS = (
    Extension("BOSS", "APO", ("apo25m",), BOSS_GRID),
    Extension("BOSS", "LCO", ("lco25m",), BOSS_GRID),
    Extension("APOGEE", "APO", ("apo25m", "apo1m"), APOGEE_GRID),
    Extension("APOGEE", "LCO", ("lco25m",), APOGEE_GRID),
)
"""HDUs 1 to 4."""


def observatories(instrument: str) -> dict[str, str]:
    """The observatory, and so the HDU, that each telescope of an instrument belongs to."""
    return {
        telescope: extension.observatory
        for extension in EXTENSIONS
        if extension.instrument == instrument
        for telescope in extension.telescopes
    }


def write_mwm_star(
    path: Path,
    source: Row,
    boss: Sequence[Row],
    apogee: Sequence[Row] = (),
    *,
    v_astra: str,
    created: datetime,
) -> None:
    """Write the coadds of a source, at most one for each instrument and observatory.

    A row of `boss` has the columns of BossCombinedSpectrum by key, one of `apogee` those of
    ApogeeCombinedSpectrum, and arrays for the pixel columns of its layout; what is absent is NULL, pixels
    that are absent are NaN. `source` has the columns of Source that the header shows.
    """
    models = {"BOSS": BossCombinedSpectrum, "APOGEE": ApogeeCombinedSpectrum}
    tables = {instrument: _file_table(model) for instrument, model in models.items()}
    rows = {"BOSS": boss, "APOGEE": apogee}
    write_source_file(path, tables, rows, source=source, v_astra=v_astra, created=created)


def write_mwm_visit(
    path: Path,
    source: Row,
    boss: Sequence[Row],
    apogee: Sequence[Row] = (),
    *,
    v_astra: str,
    created: datetime,
) -> None:
    """Write the visits of a source in order of time, one row each, on the common grid (no wavelength column).

    A row of `boss` has the columns of BossRestFrameVisitSpectrum by key, one of `apogee` those of
    ApogeeRestFrameVisitSpectrum, and arrays for its pixel columns, as above.
    """
    models = {"BOSS": BossRestFrameVisitSpectrum, "APOGEE": ApogeeRestFrameVisitSpectrum}
    tables = {instrument: _file_table(model, ("wavelength",)) for instrument, model in models.items()}
    rows = {"BOSS": boss, "APOGEE": apogee}
    in_time = {instrument: sorted(own, key=lambda row: row["mjd"]) for instrument, own in rows.items()}
    write_source_file(path, tables, in_time, source=source, v_astra=v_astra, created=created)


def write_source_file(
    path: Path,
    tables: Mapping[str, FileTable],
    rows: Mapping[str, Sequence[Row]],
    *,
    source: Row,
    v_astra: str,
    created: datetime,
    pipeline: str = "",
) -> None:
    """Write a file of a source: tables and rows by instrument; each row goes where its `telescope` belongs.

    `pipeline` is named in the headers of a file of results.
    """
    metadata = metadata_cards(v_astra, created, pipeline)
    heading = [*primary_cards(), *section("Metadata"), *metadata, *source_cards(source)]
    described = [*section("HDU Descriptions"), *comments(HDU_DESCRIPTIONS)]
    parts = [hdu([*heading, *described], created)]
    for extension in EXTENSIONS:
        table, given = tables[extension.instrument], rows.get(extension.instrument, ())
        own = tuple(row for row in given if row["telescope"] in extension.telescopes)
        try:
            if own:
                parts.append(_table(table, extension, own, tuple(metadata), created))
            else:
                parts.append(_empty_table(table, extension, tuple(metadata), created))
        except BadValueError as error:
            name = f"{extension.instrument}/{extension.observatory}"
            raise FitsWriteError(f"{path}: {name}, row {error.row + 1}: {error.reason}") from error
    with atomic_write(path) as partial:
        partial.write_bytes(b"".join(parts))


def _table(
    table: FileTable,
    extension: Extension,
    rows: Sequence[Row],
    metadata: tuple[Card, ...],
    created: datetime,
) -> bytes:
    described = table.described(table.widths(rows, extension.grid))
    cards = [*extension.cards(), *metadata, *wavelength_cards(extension.grid)]
    sized = zip(table.columns, described.columns, strict=True)
    values = [column.values(rows, fits.width) for column, fits in sized]
    return table_hdu(described, values, cards, created)


@lru_cache(maxsize=64)
def _empty_table(
    table: FileTable, extension: Extension, metadata: tuple[Card, ...], created: datetime
) -> bytes:
    """A table without rows, which is the same for all sources of a batch."""
    return _table(table, extension, (), metadata, created)


@dataclass(frozen=True)
class FileColumn:
    """A column of a file and the key of its values in a row; `hidden` ones are shown by few files."""

    key: str
    fits: FitsColumn
    hidden: bool = False

    @property
    def is_wide(self) -> bool:
        """True if the width of the column is that of its longest value."""
        return self.fits.definition.kind in (Kind.pixels, Kind.text, Kind.bytes, Kind.floats)

    def width(self, rows: Sequence[Row], grid: LogLinearGrid) -> int:
        """The width that these rows need."""
        if self.fits.definition.kind is Kind.pixels:
            return grid.n_pixels if rows else 0
        return max([1, *(len(row[self.key]) for row in rows if row.get(self.key) is not None)])

    def values(self, rows: Sequence[Row], width: int) -> Values:
        """The column's values, None where a row has none."""
        if self.fits.definition.kind is not Kind.pixels:
            return [row.get(self.key) for row in rows]
        if not rows:
            return pa.nulls(0, pa.list_(pa.float32()))
        missing = np.full(width, np.nan)
        pixels = [row.get(self.key, missing) for row in rows]
        flat = pa.array(np.concatenate(pixels, dtype=np.float64, casting="unsafe"))
        return pa.FixedSizeListArray.from_arrays(flat, width)


@dataclass(frozen=True, eq=False)
class FileTable:
    """The columns of a table; that of a kind of file is made once."""

    columns: tuple[FileColumn, ...]

    def widths(self, rows: Sequence[Row], grid: LogLinearGrid) -> tuple[int, ...]:
        """The widths of the columns that are as wide as their longest value in these rows."""
        return tuple(column.width(rows, grid) for column in self._wide)

    @cached_property
    def _wide(self) -> tuple[FileColumn, ...]:
        return tuple(column for column in self.columns if column.is_wide)

    @lru_cache(maxsize=256)  # noqa: B019 - there are few tables, and they live as long as the process
    def described(self, widths: tuple[int, ...]) -> Described:
        """The columns with these widths; most files of a kind have the same."""
        width_of = dict(zip((column.key for column in self._wide), widths, strict=True))
        return Described.of(
            [replace(column.fits, width=width_of.get(column.key, 1)) for column in self.columns]
        )


def file_columns(model: type[Base]) -> list[FileColumn]:
    """All fields of a model as columns of a file, in Astra's order."""
    found = []
    for entry in layout(model):
        about = None if entry.column is None else info(entry.column)
        key = entry.name if entry.column is None else entry.column.key
        note = None if about is None else about.note
        fits = FitsColumn(entry.name, entry.definition, 1, entry.heading, note)
        found.append(FileColumn(key, fits, about is not None and about.hidden))
    return found


@lru_cache
def _file_table(model: type[Base], left_out: tuple[str, ...] = ()) -> FileTable:
    """The table of a file that shows the spectra of a model."""
    unwanted = {*left_out, *NOT_IN_FILES}
    kept = (column for column in file_columns(model) if not column.hidden and column.key not in unwanted)
    return FileTable(tuple(kept))
