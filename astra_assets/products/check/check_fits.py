"""Reading a product back before it gets its name: is the file what the query said it would be?

The file is read as any reader would, block by block, without the code that wrote it. What is checked:
checksums of every HDU, numbers of rows, names and formats of columns, units, descriptions, at most 999
columns, unique keys, that nothing follows the last HDU, and that the Parquet twin has the same rows. What the
values mean is looked at in `content.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy import units

from astra_assets.fits.checksum import WordSum
from astra_assets.fits.errors import UnsoundFileError
from astra_assets.fits.formats import FitsColumn
from astra_assets.fits.header import MAX_COLUMNS
from astra_assets.fits.read_back import (
    Blocks,
    Header,
    ReadTable,
    check_sums,
    dtype_of,
    read_header,
)
from astra_assets.products.check.keys import UniqueKeys
from astra_assets.products.check.twin import Twin
from astra_assets.products.findings import FILE, KEYS, TWIN, Finding, VerificationError


@dataclass(frozen=True)
class ExpectedTable:
    """What a table HDU has to be. `ordered` keys ascend; rows without a key (-1) come last.

    `twin` is the Parquet file that has to have the same rows.
    """

    columns: Sequence[FitsColumn]
    rows: int
    key: str
    ordered: bool = True
    twin: Path | None = None


@dataclass(frozen=True)
class Verified:
    """A file that was read and found right."""

    sha256: str
    size_bytes: int
    rows: tuple[int, ...]


def check_fits(path: Path, expected: Sequence[ExpectedTable], *, label: str) -> Verified:
    """Read a FITS file, gzipped or not, to its end and check it. Raises VerificationError."""
    with Blocks(path) as blocks:
        try:
            _verify_file(blocks, expected)
        except UnsoundFileError as error:
            raise VerificationError(
                error.check if isinstance(error, VerificationError) else FILE,
                f"{label}: the file just written is not right and was not put in place: {error}",
            ) from error
        return Verified(blocks.sha256, blocks.size_bytes, tuple(table.rows for table in expected))


def findings(expected: Sequence[ExpectedTable], *, twins: bool) -> list[Finding]:
    """Return what `verify` made sure of, for people; of the Parquet files only where some were written (`twins`)."""
    rows = " + ".join(f"{table.rows:,}" for table in expected)
    columns = sum(len(table.columns) for table in expected)
    with_units = sum(column.definition.unit is not None for table in expected for column in table.columns)
    found = [
        Finding(
            FILE,
            "rows as counted; checksums, formats, units and descriptions are right",
            facts={"rows": rows, "columns": columns, "columns with a unit": with_units},
        ),
        Finding(
            KEYS,
            "every key occurs once",
            facts={
                f"HDU {number}": f"{table.key} of {table.rows:,} rows"
                for number, table in enumerate(expected, 1)
            },
        ),
    ]
    if twins:
        found.append(Finding(TWIN, "the Parquet files have the rows of the FITS file", facts={"rows": rows}))
    return found


def _verify_file(blocks: Blocks, expected: Sequence[ExpectedTable]) -> None:
    check_sums(read_header(blocks), WordSum())
    for number, table in enumerate(expected, start=1):
        try:
            _verify_table(blocks, table)
        except UnsoundFileError as error:
            check = error.check if isinstance(error, VerificationError) else FILE
            raise VerificationError(check, f"HDU {number}: {error}") from error
    if blocks.read(1):
        raise VerificationError(FILE, "there is something after the last HDU")


def _verify_table(blocks: Blocks, expected: ExpectedTable) -> None:
    table = ReadTable(blocks, read_header(blocks))
    _check_columns(table.cards, expected.columns)
    dtype = dtype_of(table.cards)
    found = (table.row_bytes, table.rows)
    if found != (dtype.itemsize, expected.rows):
        raise VerificationError(
            FILE, f"{found[1]} rows of {found[0]} bytes, expected {expected.rows} of {dtype.itemsize}"
        )
    keys = UniqueKeys(ordered=expected.ordered)
    twin = None if expected.twin is None else Twin(expected.twin, table.cards)
    try:
        for rows in table.chunks(dtype):
            keys.add(rows[expected.key].astype(np.int64))
            if twin is not None:
                twin.compare(rows)
        keys.finish()
    except VerificationError as error:
        if error.check == KEYS:
            raise VerificationError(KEYS, f"column {expected.key}: {error}") from error
        raise


def _check_columns(header: Header, columns: Sequence[FitsColumn]) -> None:
    count = header["TFIELDS"]
    if count != len(columns) or count > MAX_COLUMNS:
        raise VerificationError(FILE, f"{count} columns, expected {len(columns)} and at most {MAX_COLUMNS}")
    names = {column.name.lower() for column in columns}
    if len(names) != count:
        raise VerificationError(FILE, "two columns have names that differ at most in case")
    for number, column in enumerate(columns, start=1):
        found = (header[f"TTYPE{number}"], header[f"TFORM{number}"], header.get(f"TDIM{number}"))
        wanted = (column.name, column.tform, column.tdim)
        if found != wanted:
            raise VerificationError(FILE, f"column {number} is {found}, expected {wanted}")
        if not str(header.get(f"TCOMM{number}", "")).strip():
            raise VerificationError(FILE, f"column {column.name} has no description (TCOMM{number})")
        unit = header.get(f"TUNIT{number}")
        if unit is not None:
            _check_unit(column.name, unit)


def _check_unit(name: str, unit: str) -> None:
    try:
        units.Unit(unit, format="fits")
    except ValueError as error:
        raise VerificationError(FILE, f"column {name}: unit {unit!r} is no FITS unit: {error}") from error
