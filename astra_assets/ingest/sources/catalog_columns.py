"""Columns of a catalogue as columns of a Source.

Which are taken, in what type, and which rows cannot be used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from astra_assets.fits.read_table import Chunk
from astra_assets.ingest import values
from astra_assets.ingest.problems import FoldedNames, Problems, describe, is_true
from astra_assets.ingest.report import IngestError, Mend, Refusal
from astra_assets.ingest.sources.catalog_files import KEY
from astra_assets.ingest.sources.derived import INPUTS
from astra_assets.models.base import layout, table_of
from astra_assets.models.source import Source
from astra_assets.registry import limits
from astra_assets.registry.columns import info
from astra_assets.registry.kinds import Kind

SOURCES = table_of(Source)

COUNTED = frozenset(entry.name for entry in layout(Source) if entry.heading == "Observations Summary")
"""Columns that are counted from the spectra of this database."""

OURS = frozenset(("pk", "created", "modified")) | COUNTED
"""Columns that a catalogue cannot set: of a published file they are those of another database."""

GAIA = ("gaia_dr2_source_id", "gaia_dr3_source_id")
"""Identifiers for which 0 and -1 mean that nothing was found."""


EXPECTED: Mapping[Kind, str] = {
    Kind.float32: "a number",
    Kind.float64: "a number",
    Kind.floats: "numbers with blanks between",
    Kind.bytes: "hexadecimal digits",
}
"""What values that cannot be read should have been, where that is less than what the column can hold."""


def choose_columns(names: Sequence[str], path: Path) -> dict[str, str]:
    """The column of the file (in any case) for each column of a Source that the catalogue can set.

    Columns that follow from others (healpix, l, b, magnitudes) are taken only where the file lacks those
    others.

    Raises:
        IngestError: two columns of the file have the same name but for case.
    """
    present = FoldedNames(names, path)

    def takes(name: str) -> bool:
        follows = name in INPUTS and all(item in present for item in INPUTS[name])
        return name in present and name not in OURS and not follows

    return {column.key: present[column.key] for column in SOURCES.columns if takes(column.key)}


def unknown_columns(names: Sequence[str]) -> list[str]:
    """Columns of the file that no Source has."""
    return [name for name in names if name.lower() not in SOURCES.c]


@dataclass
class Sources:
    """Rows of a catalogue as columns of a Source.

    Attributes:
        rows: usable rows; sdss_id is never missing.
        numbers: their row numbers in the file.
        path: the file.
        refusals: the rows that cannot be used.
        mended: the values that were mended.
    """

    rows: pa.Table
    numbers: NDArray[np.int64]
    path: str
    refusals: list[Refusal]
    mended: list[Mend]

    def refuse(self, wrong: NDArray[np.bool_], code: str, name: str, reason: str) -> list[Refusal]:
        """Leave out the rows that are wrong because of what a column holds; returns them as refusals."""
        found = [
            Refusal(
                int(self.numbers[index]),
                f"{name} {self.rows[name][int(index)]} occurs {reason}",
                code,
                self.path,
            )
            for index in np.flatnonzero(wrong)
        ]
        self.keep(~wrong)
        return found

    def keep(self, chosen: NDArray[np.bool_]) -> None:
        """Leave out the rows that are not chosen."""
        self.rows = self.rows.filter(pa.array(chosen))
        self.numbers = self.numbers[chosen]


def to_sources(chunk: Chunk, names: Mapping[str, str], path: Path) -> Sources:
    """Some rows of a catalogue as columns of a Source; what stands for "no value" in files is null.

    Args:
        chunk: the rows.
        names: the file's column for each column of a Source.
        path: the file, for messages.

    Raises:
        IngestError: a column holds another type of value than it should.
    """
    problems = Problems(len(chunk.columns))
    made: dict[str, pa.Array] = {}
    for name, original in names.items():
        definition = info(SOURCES.c[name]).definition
        column = values.flat(chunk.columns[original])
        try:
            found = values.convert(column, definition)
        except values.ColumnTypeError as error:
            raise IngestError(f"{path}: column {original} {error}") from error
        expected = EXPECTED.get(definition.kind) or limits.expected(name, definition.kind)
        problems.add(found.bad, "bad_value", describe(original, column, expected))
        made[name] = found.values
    for name in GAIA:
        if name in made:
            made[name] = pc.if_else(pc.greater(made[name], 0), made[name], pa.scalar(None, pa.int64()))
    lacking = values.missing(made[KEY]) | is_true(pc.less(made[KEY], 0))
    problems.add(
        lacking, "no_sdss_id", describe(KEY, values.flat(chunk.columns[names[KEY]]), "a number, at least 0")
    )
    problems.fit(made, SOURCES, names)
    rows = pa.table(made).filter(pa.array(problems.usable))
    numbers = chunk.first + np.flatnonzero(problems.usable)
    return Sources(
        rows, numbers, str(path), problems.refusals(path, chunk.first), problems.mends(path, chunk.first)
    )
