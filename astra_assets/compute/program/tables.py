"""Reading the table that a program has written, also one that breaks off because the program did.

A table that its program has finished is read whole or refused. Of one that breaks off as many whole rows as there are
are read: a row that is cut short could hold half a number. Not here: what the values mean (`judge`).
"""

from __future__ import annotations

import csv
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from astra_assets.spectra.tables import BLOCK_BYTES

NULLS = ["", "NULL", "null", "NA", "N/A", "nan", "NaN", "NAN", "None"]
"""What stands for no value in a CSV file."""

log = logging.getLogger(__name__)


class TableError(Exception):
    """A table cannot be read; the message names the file and what is wrong with it."""


def read_results(path: Path, form: str, *, whole: bool) -> pa.Table:
    """The table in a file, names of columns in lower case; the values of a CSV file are text.

    With `whole` the file must be complete; otherwise rows at its end may be missing.

    Raises:
        TableError: there is no such file, or it is no table of this format.
    """
    if not path.exists():
        raise TableError(f"{path.name} was not written")
    try:
        table = _READERS[form](path, whole)
    except TableError:
        raise
    except Exception as error:  # readers raise about every built-in error on a broken file
        raise TableError(f"{path.name} is no {form} table that can be read: {error}") from error
    names = [name.lower() for name in table.column_names]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise TableError(f"{path.name} has the column {', '.join(twice)} more than once")
    return table.rename_columns(names)


def _read_parquet(path: Path, whole: bool) -> pa.Table:
    # What a Parquet file holds is written at its end: there are no halves.
    del whole
    return pq.read_table(path)


def _read_csv(path: Path, whole: bool) -> pa.Table:
    skipped: list[Any] = []

    def skip(row: Any) -> str:
        skipped.append(row)
        return "skip"

    content = path.read_bytes() if whole else _complete_lines(path)
    header = next(csv.reader([content.partition(b"\n")[0].decode()]), [])
    table = pyarrow.csv.read_csv(
        pa.BufferReader(content),
        parse_options=pyarrow.csv.ParseOptions(invalid_row_handler=skip),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=True, null_values=NULLS
        ),
    )
    if skipped:
        log.warning("%s: %d rows do not have %d fields and are left out", path, len(skipped), len(header))
    return table


def _read_ecsv(path: Path, whole: bool) -> pa.Table:
    from astropy.table import Table

    text = (path.read_bytes() if whole else _complete_lines(path)).decode()
    with warnings.catch_warnings():
        # What matters of what it warns about is seen in the values.
        warnings.simplefilter("ignore")
        return _to_arrow(Table.read(text, format="ascii.ecsv"))


def _read_fits(path: Path, whole: bool) -> pa.Table:
    from astropy.io import fits
    from astropy.table import Table

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with fits.open(path, memmap=False, lazy_load_hdus=True) as hdus:
            number = next((n for n, hdu in enumerate(hdus) if isinstance(hdu, fits.BinTableHDU)), None)
            if number is None:
                raise TableError(f"{path.name} has no binary table")
            hdu = hdus[number]
            rows = _rows_there(path, hdu)
            if rows < hdu.header["NAXIS2"] and whole:
                raise TableError(f"{path.name} breaks off after {rows} of {hdu.header['NAXIS2']} rows")
            if rows < hdu.header["NAXIS2"]:
                return _to_arrow(Table.read(_cut(path, hdu, rows)))
            return _to_arrow(Table.read(hdu))


def _rows_there(path: Path, hdu: Any) -> int:
    """Whole rows of a table that are in its file; a table with values in its heap is there only as a whole."""
    header = hdu.header
    there = path.stat().st_size - int(hdu.fileinfo()["datLoc"])
    if header.get("PCOUNT", 0):
        needed = header["NAXIS1"] * header["NAXIS2"] + header["PCOUNT"]
        return int(header["NAXIS2"]) if there >= needed else 0
    return min(int(header["NAXIS2"]), there // max(1, int(header["NAXIS1"])))


def _cut(path: Path, hdu: Any, rows: int) -> Any:
    """The same table with its first `rows` rows only."""
    from astropy.io import fits

    start, size = hdu.fileinfo()["datLoc"], int(hdu.header["NAXIS1"]) * rows
    with path.open("rb") as stream:
        stream.seek(start)
        data = stream.read(size)
    header = hdu.header.copy()
    header["NAXIS2"] = rows
    header["PCOUNT"] = 0
    padded = data.ljust(-(-size // BLOCK_BYTES) * BLOCK_BYTES, b"\0")
    return fits.BinTableHDU.fromstring(header.tostring().encode("ascii") + padded)


def _complete_lines(path: Path) -> bytes:
    """The lines of a text file that have an end."""
    content = path.read_bytes()
    return content[: content.rfind(b"\n") + 1]


def _to_arrow(table: Any) -> pa.Table:
    """A table of astropy's; what is masked is NULL, also numbers that stand for it in a FITS file."""
    return pa.table({name: _column(table[name]) for name in table.colnames})


def _column(column: Any) -> pa.Array:
    mask = np.ma.getmaskarray(column) if hasattr(column, "mask") else None
    values = np.asarray(getattr(column, "value", column))
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8", "replace")
    if values.ndim != 1:
        return pa.array(values.tolist())
    if values.dtype.kind in "OUM":
        values = values.tolist()
        return pa.array([None if mask is not None and mask[n] else value for n, value in enumerate(values)])
    return pa.array(values.astype(values.dtype.newbyteorder("="), copy=False), mask=mask)


_READERS = {"parquet": _read_parquet, "fits": _read_fits, "ecsv": _read_ecsv, "csv": _read_csv}
