"""The Parquet twin of a table of a FITS product: the same rows, columns and values, as VOParquet.

A cell holds what the FITS file shows: the fill value where the database has NULL (so that a 64-bit key stays an
integer in every reader), single precision where FITS has it, texts and times as the same texts, arrays and
carton bits as lists of the same length. What differs is only the type that a boolean has (a boolean).

Names, units, UCDs and descriptions are in the metadata of the file as a VOTable without rows, as the IVOA's note
on VOParquet describes it (https://www.ivoa.net/documents/Notes/VOParquet/): TOPCAT reads it, and astropy with
`Table.read(path, format="parquet.votable")`.

Values are converted by Arrow alone, without the converters of `fits/formats.py`: the FITS table and its twin are
compared before they get their names, and a fault in either conversion shows there.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from astropy import units

from astra_assets.errors import ExpectedError
from astra_assets.fits.formats import FitsColumn
from astra_assets.fits.header import Card
from astra_assets.registry.kinds import DATETIME_WIDTH, Kind

COMPRESSION = "zstd"
COMPRESSION_LEVEL = 1
"""Of summary tables level 1 makes files a third smaller than snappy in a quarter more time; level 3 takes 40 % longer
for 2 %.
"""

GROUP_BYTES = 32 << 20
"""Bytes of a row group before compression, about; a group is kept in memory until it is full, and what Arrow keeps of
each (0.8 kB a column) until the file is closed.
"""

MOST_GROUP_ROWS = 1 << 17

PAGE_BYTES = 1 << 16
"""Bytes of a page before compression: with Arrow's megabyte, writing a group takes 30 MB more memory."""

VERSION_KEY = "IVOA.VOTable-Parquet.version"
CONTENT_KEY = "IVOA.VOTable-Parquet.content"
VERSION = "1.0"

LENGTH_KEY = "table::len::{}"
"""Where astropy looks for the width of a text column; without it, it looks at every value."""

NAMESPACE = "http://www.ivoa.net/xml/VOTable/v1.3"
"""Of VOTable 1.3 and 1.4, which kept it."""


class ParquetWriteError(ExpectedError, ValueError):
    """Rows that do not fit the columns; the message names product and column."""


class ParquetTwin:
    """A Parquet file that is written row group by row group; `rows` counts what it was given so far.

        with ParquetTwin(path, columns, name="mwmTargets", description="Sources", cards=cards) as twin:
            for batch in batches:
                twin.write(batch)

    `columns` are those of the FITS table, as wide as there. `cards` become INFO elements of the VOTable: those of
    the headers that say where the rows come from. Row groups depend on the rows only, not on how they were
    batched, so the same rows and cards give the same file. When the block raises, the file is left as it is:
    write beside and rename (`staged.py`). Any other thread than the one that made it may write, one at a time.
    """

    def __init__(
        self,
        path: Path,
        columns: Sequence[FitsColumn],
        *,
        name: str,
        description: str,
        cards: Sequence[Card] = (),
    ) -> None:
        self.rows = 0
        self._name = name
        self._columns = list(columns)
        self._group_rows = _group_rows(self._columns)
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = 0
        fields = [pa.field(column.name, _type(column), nullable=False) for column in self._columns]
        self._schema = pa.schema(fields, metadata=_text_widths(self._columns))
        self._file = pa.OSFile(str(path), "wb")
        try:
            self._writer = pq.ParquetWriter(
                self._file,
                self._schema,
                compression=COMPRESSION,
                compression_level=COMPRESSION_LEVEL,
                data_page_size=PAGE_BYTES,
                use_dictionary=[_leaf(column) for column in self._columns if _few_values(column)],
            )
            header = votable(self._columns, name=name, description=description, cards=cards)
            self._writer.add_key_value_metadata({VERSION_KEY: VERSION, CONTENT_KEY: header})
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()

    def write(self, batch: pa.RecordBatch) -> None:
        """Append the rows of a batch, which has (at least) the columns by name.

        Raises ParquetWriteError. Values beyond single precision are for the FITS table of the same rows to refuse.
        """
        arrays = []
        for column in self._columns:
            try:
                given = batch.column(column.name)
                arrays.append(_own(_CONVERTERS[column.definition.kind](column, given), given))
            except (KeyError, ValueError, pa.ArrowException) as error:
                raise ParquetWriteError(f"{self._name} (Parquet): column {column.name}: {error}") from error
        self._waiting.append(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        self._waiting_rows += batch.num_rows
        self.rows += batch.num_rows
        while self._waiting_rows >= self._group_rows:
            self._write_group()

    def _write_group(self) -> None:
        table = pa.Table.from_batches(self._waiting, self._schema)
        self._writer.write_table(table.slice(0, self._group_rows), row_group_size=self._group_rows)
        rest = table.slice(self._group_rows)
        self._waiting = rest.to_batches()
        self._waiting_rows = rest.num_rows
        # Arrow would keep what it needed for a group, 80 MB of a wide table, for the next one.
        pa.default_memory_pool().release_unused()

    def close(self) -> int:
        """Write what is left and the metadata; returns the number of rows."""
        try:
            if self._waiting_rows:
                self._write_group()
            self._writer.close()
        finally:
            self._file.close()
        return self.rows

    def abandon(self) -> None:
        """Free what the twin holds, whatever is in the file; does nothing after `close`."""
        if not self._file.closed:
            self._waiting.clear()
            self._writer.is_open = False  # else it would write the end of the file when it is collected
            self._file.close()


def _group_rows(columns: list[FitsColumn]) -> int:
    row_bytes = sum(np.dtype([column.field]).itemsize for column in columns)
    return max(1024, min(MOST_GROUP_ROWS, GROUP_BYTES // max(row_bytes, 1)))


_SIMPLE_TYPES: dict[Kind, pa.DataType] = {
    Kind.text: pa.string(),
    Kind.datetime: pa.string(),
    Kind.boolean: pa.bool_(),
    Kind.int32: pa.int32(),
    Kind.int64: pa.int64(),
    Kind.bits: pa.int64(),
    Kind.float32: pa.float32(),
    Kind.float64: pa.float64(),
}
_ELEMENT_TYPES: dict[Kind, pa.DataType] = {
    Kind.bytes: pa.uint8(),
    Kind.floats: pa.float32(),
    Kind.pixels: pa.float32(),
}


def _type(column: FitsColumn) -> pa.DataType:
    kind = column.definition.kind
    if kind in _ELEMENT_TYPES:
        return pa.list_(pa.field("element", _ELEMENT_TYPES[kind], nullable=False), column.width)
    return _SIMPLE_TYPES[kind]


def _few_values(column: FitsColumn) -> bool:
    """Is a dictionary of the values of the column likely to be small?"""
    return column.definition.kind in (Kind.text, Kind.bits, Kind.bytes)


def _leaf(column: FitsColumn) -> str:
    """The name of the column that Parquet stores."""
    return f"{column.name}.list.element" if column.definition.kind in _ELEMENT_TYPES else column.name


def _filled(column: FitsColumn, array: pa.Array) -> pa.Array:
    wanted = _type(column)
    # What is too large for single precision becomes infinite rather than an error; see `write`.
    made = array.cast(wanted, safe=column.definition.kind is not Kind.float32)
    return pc.fill_null(made, pa.scalar(column.definition.null_value, wanted)) if made.null_count else made


def _own(made: pa.Array, given: pa.Array) -> pa.Array:
    """`made` without memory of `given`.

    That of a batch from a database is freed as a whole, so that one column that waits would keep all of it.
    """
    shared = _addresses(made) & _addresses(given)
    return pa.concat_arrays([made, made.slice(0, 0)]) if shared else made


def _addresses(array: pa.Array) -> set[int]:
    return {buffer.address for buffer in array.buffers() if buffer is not None}


def _times(column: FitsColumn, array: pa.Array) -> pa.Array:
    texts = array.cast(pa.timestamp("us"), safe=False).cast(pa.string())
    iso_8601 = pc.replace_substring(texts, " ", "T")
    return pc.fill_null(iso_8601, str(column.definition.null_value))


def _byte_lists(column: FitsColumn, array: pa.Array) -> pa.Array:
    """Byte strings as lists of equal length, filled with zeros."""
    strings = array.cast(pa.large_binary())
    validity, offsets, data = strings.buffers()
    elements = pa.Array.from_buffers(pa.uint8(), 0 if data is None else data.size, [None, data])
    layout = [validity, offsets]
    lists = pa.LargeListArray.from_buffers(
        pa.large_list(pa.uint8()), len(strings), layout, offset=strings.offset, children=[elements]
    )
    return _equal_lists(column, lists, 0, unit="bytes")


def _number_lists(column: FitsColumn, array: pa.Array) -> pa.Array:
    """Lists of numbers as lists of equal length, filled with NaN."""
    # What is too large for single precision becomes infinite rather than an error; see `write`.
    lists = array.cast(pa.large_list(_type(column).value_type), safe=False)
    return _equal_lists(column, lists, float("nan"), unit="elements")


def _equal_lists(column: FitsColumn, lists: pa.Array, fill: float, *, unit: str) -> pa.Array:
    longest = pc.max(pc.list_value_length(lists)).as_py() or 0
    if longest > column.width:
        raise ValueError(f"{longest} {unit} do not fit the column's width of {column.width}")
    wanted = _type(column)
    # Arrow fills up with NULL what is shorter, and has as many NULLs for a list that is NULL.
    equal = pc.list_slice(lists, 0, column.width, return_fixed_size_list=True)
    elements = pc.fill_null(equal.values, pa.scalar(fill, wanted.value_type))
    return pa.FixedSizeListArray.from_arrays(elements, type=wanted)


_CONVERTERS: dict[Kind, Callable[[FitsColumn, pa.Array], pa.Array]] = {
    **dict.fromkeys(_SIMPLE_TYPES, _filled),
    Kind.datetime: _times,
    Kind.bytes: _byte_lists,
    Kind.floats: _number_lists,
    Kind.pixels: _number_lists,
}


def _text_widths(columns: list[FitsColumn]) -> dict[str, str]:
    widths = {column.name: column.width for column in columns if column.definition.kind is Kind.text}
    widths |= {column.name: DATETIME_WIDTH for column in columns if column.definition.kind is Kind.datetime}
    return {LENGTH_KEY.format(name): str(width) for name, width in widths.items()}


_DATATYPES: dict[Kind, str] = {
    Kind.text: "char",
    Kind.datetime: "char",
    Kind.boolean: "boolean",
    Kind.int32: "int",
    Kind.int64: "long",
    Kind.bits: "long",
    Kind.float32: "float",
    Kind.float64: "double",
    Kind.bytes: "unsignedByte",
    Kind.floats: "float",
    Kind.pixels: "float",
}


def votable(columns: Sequence[FitsColumn], *, name: str, description: str, cards: Sequence[Card] = ()) -> str:
    """Return a VOTable document with one table that has fields and no rows."""
    root = ET.Element("VOTABLE", {"version": "1.4", "xmlns": NAMESPACE})
    table = ET.SubElement(ET.SubElement(root, "RESOURCE"), "TABLE", {"name": name})
    ET.SubElement(table, "DESCRIPTION").text = description
    for column in columns:
        field = ET.SubElement(table, "FIELD", _attributes(column))
        ET.SubElement(field, "DESCRIPTION").text = column.definition.description
    for card in cards:
        if card.keyword not in ("", "COMMENT"):
            info = ET.SubElement(table, "INFO", {"name": card.keyword, "value": str(card.value)})
            info.text = card.comment or None
    return ET.tostring(root, encoding="unicode", xml_declaration=True)


def _attributes(column: FitsColumn) -> dict[str, str]:
    definition = column.definition
    found = {"name": column.name, "datatype": _DATATYPES[definition.kind]}
    if definition.kind is Kind.datetime:
        found |= {"arraysize": str(DATETIME_WIDTH), "xtype": "timestamp"}
    elif definition.kind is Kind.text or definition.kind in _ELEMENT_TYPES:
        found["arraysize"] = str(column.width)
    if definition.unit:
        found["unit"] = _vo_unit(definition.unit)
    if definition.ucd:
        found["ucd"] = definition.ucd
    return found


@cache
def _vo_unit(text: str) -> str:
    """A FITS unit as VOUnits writes it; quoted, as for a unit of one's own, where VOUnits has none (Celsius)."""
    unit: Any = units.Unit(text, format="fits")
    try:
        # VOUnits prefers 0.1nm to Angstrom, and reads both
        return str(unit.to_string("vounit", deprecations="silent"))
    except ValueError:
        return f"'{text}'"
