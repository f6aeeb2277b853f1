"""The table of inputs that a program is given: where each spectrum is, and the columns that the step asks for.

Not here: the manifest of a batch (`compute.plan`), running the program (`files_run`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from astra_assets.compute.child import MESSAGE_LENGTH
from astra_assets.pipelines.base import ExternalProgram, Step
from astra_assets.spectra.base import Roots, SpectrumError

ALWAYS = ("source_pk", "sdss_id")
"""Columns of every manifest besides the key of the input and the place of its spectrum."""

PLACE_TYPES = {"path": pa.string(), "hdu": pa.int32(), "row": pa.int32()}
"""Where a spectrum is: absolute path, number of the HDU (0 is the first), row in it (-1: all rows are this spectrum)."""


class ManifestError(Exception):
    """A manifest cannot be written: a column is not there, or the disk is full."""


@dataclass(frozen=True)
class Handed:
    """What is given to one start of a program.

    Attributes:
        table: the inputs with their places and columns.
        rows: the same inputs, by key, with all columns of the batch's manifest.
        failures: rows of a part for inputs whose spectrum is not there.
    """

    table: pa.Table
    rows: Mapping[int, Mapping[str, Any]]
    failures: list[dict[str, Any]]


def hand_out(rows: pa.Table, step: Step, roots: Roots, each: Callable[[], None] = lambda: None) -> Handed:
    """The inputs of a program among these rows of the manifest of a batch; those without a file are set aside.

    Looking for files takes its time on a shared file system: `each` is called for every one.

    Raises:
        ManifestError: the program wants a column that the manifest of the batch does not have.
    """
    program, key = _program(step), step.key_name
    wanted = dict.fromkeys((key, *(name for name in ALWAYS if name in rows.column_names), *program.columns))
    lacking = [name for name in wanted if name not in rows.column_names]
    if lacking:
        raise ManifestError(
            f"the program {program.command[0]} wants the column {', '.join(lacking)}, which is not in the manifest of the "
            f"batch: name it in the `columns` of the step {step.name}"
        )
    items = rows.to_pylist()
    if step.level == "source":
        return Handed(rows.select(list(wanted)), {item[key]: item for item in items}, [])
    places: dict[str, list[Any]] = {name: [] for name in PLACE_TYPES}
    failures: list[dict[str, Any]] = []
    there: list[int] = []
    for number, found in enumerate(_places(items, step, roots)):
        each()
        if isinstance(found, SpectrumError):
            reason = {"state": "failed", "code": found.code, "message": found.message[:MESSAGE_LENGTH]}
            failures.append({key: items[number][key], **reason})
            continue
        there.append(number)
        for name, value in found.items():
            places[name].append(value)
    table = rows.select(list(wanted)).take(pa.array(there, pa.int64()))
    for name, kind in PLACE_TYPES.items():
        table = table.append_column(name, pa.array(places[name], kind))
    return Handed(table, {items[number][key]: items[number] for number in there}, failures)


def write_manifest(path: Path, table: pa.Table, form: str) -> None:
    """Write the inputs of a program as `parquet`, `fits` or `csv`.

    NULL is NULL in Parquet and empty in CSV. In FITS it is empty for text and NaN for numbers, for which columns of
    integers become floating point where they have any.

    Raises:
        ManifestError: it cannot be written.
    """
    try:
        if form == "parquet":
            pq.write_table(table, path)
        elif form == "csv":
            pyarrow.csv.write_csv(table, path)
        else:
            _write_fits(path, table)
    except (OSError, pa.ArrowException) as error:
        raise ManifestError(f"{path}: the table of inputs cannot be written: {error}") from error


def _places(
    items: list[dict[str, Any]], step: Step, roots: Roots
) -> Iterator[dict[str, Any] | SpectrumError]:
    from astra_assets.spectra.places import place_of

    for item in items:
        try:
            place = place_of(step.inputs, item, roots)
        except SpectrumError as error:
            yield error
            continue
        yield {"path": os.fspath(place.path.absolute()), "hdu": place.hdu, "row": place.row}


def _write_fits(path: Path, table: pa.Table) -> None:
    import numpy as np
    from astropy.io import fits

    columns = {}
    for name in table.column_names:
        values = table[name]
        if pa.types.is_string(values.type):
            columns[name] = np.array([text or "" for text in values.to_pylist()], dtype=np.str_)
        elif pa.types.is_floating(values.type) or pa.types.is_integer(values.type):
            columns[name] = values.to_numpy()
        elif pa.types.is_boolean(values.type):
            columns[name] = np.array([bool(value) for value in values.to_pylist()])
        else:
            raise ManifestError(f"the column {name} holds {values.type}, which a FITS manifest cannot hold")
    lengths = [array.dtype.itemsize // 4 or 1 for array in columns.values()]
    formats = [
        f"{length}A" if array.dtype.kind == "U" else None
        for array, length in zip(columns.values(), lengths, strict=True)
    ]
    made = [
        fits.Column(name=name, array=array, format=form or _letter(array.dtype))
        for (name, array), form in zip(columns.items(), formats, strict=True)
    ]
    fits.BinTableHDU.from_columns(made).writeto(path)


def _letter(dtype: Any) -> str:
    """FITS format of numbers."""
    letters = {"b1": "L", "i1": "I", "i2": "I", "i4": "J", "i8": "K", "f4": "E", "f8": "D"}
    return letters[dtype.str[1:]]


def _program(step: Step) -> ExternalProgram:
    assert step.program is not None
    return step.program
