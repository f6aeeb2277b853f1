"""The step of a pipeline that makes the astraStar and astraVisit files of each source: `with_astra_files`.

A file is made again when a result of its source is newer than it, or when a spectrum of the source was skipped or
failed since; when no result is left, the file is removed. Columns and layout are in `spectra.astra_files`, the pixel
arrays next to results in `spectra.model_spectra`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import ColumnElement, Connection, literal, or_, select

from astra_assets.database.arrow import ARROW_TYPES
from astra_assets.database.keys import pieces
from astra_assets.files.paths import astra_path, inside
from astra_assets.models.base import Base, PipelineResult, bit, table_of
from astra_assets.models.compute import ComputeOutcome
from astra_assets.models.mwm import AstraSpectrumProductStatus
from astra_assets.models.source import Source
from astra_assets.pipelines.base import (
    Pipeline,
    PipelineDeclarationError,
    Problem,
    Products,
    Step,
    Unusable,
    WorkContext,
    this_version,
)
from astra_assets.pipelines.requirements import HAS_SDSS_ID
from astra_assets.registry.kinds import Kind
from astra_assets.registry.version import major_minor, version_text
from astra_assets.spectra.astra_files import SPECTRA, FileKind, astra_table
from astra_assets.spectra.grid import LogLinearGrid
from astra_assets.spectra.model_spectra import ModelSpectra
from astra_assets.spectra.mwm import EXTENSIONS, write_source_file
from astra_assets.spectra.mwm_header import SOURCE_COLUMNS

Row = Mapping[str, Any]

CREATED: Mapping[FileKind, int] = {
    "star": bit(AstraSpectrumProductStatus, "flags", "created_astra_star"),
    "visit": bit(AstraSpectrumProductStatus, "flags", "created_astra_visit"),
}
NO_RESULT = bit(AstraSpectrumProductStatus, "flags", "skipped_because_no_pipeline_result")

GRIDS: Mapping[str, LogLinearGrid] = {each.instrument: each.grid for each in EXTENSIONS}
TELESCOPES = {(each.instrument, name) for each in EXTENSIONS for name in each.telescopes}


def always(_: Row) -> bool:
    """Every result has its pixels."""
    return True


def with_astra_files(pipeline: Pipeline, *, has_pixels: Callable[[Row], bool] = always) -> Pipeline:
    """The pipeline with one more step, which makes files of its results: one for each source and level.

    Args:
        pipeline: its steps over coadds give astraStar files, those over visits astraVisit files.
        has_pixels: whether a result (its columns by name) has a value for the pixel fields of the table. A
            file is not made without the pixels of a result that has some.

    Raises:
        PipelineDeclarationError: the pipeline has no results on coadds or visits.
    """
    files = _Files(pipeline, has_pixels)
    step = Step(
        "_and_".join(["astra_" + files.kinds[0], *files.kinds[1:]]),
        inputs=Source,
        function=files.make,
        requires=(HAS_SDSS_ID,),
        columns={name: Source.c[name] for name in SOURCE_COLUMNS},
        gather=files.gather,
        table=AstraSpectrumProductStatus,
        after=tuple(each.name for each in pipeline.result_steps),
        stale=files.newer_than,
        eligible=or_(files.has_results(), files.has_status()),
    )
    return replace(pipeline, steps=(*pipeline.steps, step))


@dataclass(frozen=True, eq=False)
class _SpectraTable:
    """Where the rows of a kind of file on an instrument's spectra come from.

    Attributes:
        kind, instrument: of the file and the HDUs.
        spectra: the table of the spectra.
    """

    kind: FileKind
    instrument: str
    spectra: type[Base]

    @property
    def name(self) -> str:
        """Name of the column of the manifest that has the rows of a source."""
        return f"{self.kind}_{self.instrument.lower()}"


class _Files:
    """The per-source files of one pipeline."""

    def __init__(self, pipeline: Pipeline, has_pixels: Callable[[Row], bool]) -> None:
        if not issubclass(pipeline.table, PipelineResult):
            raise PipelineDeclarationError(f"{pipeline.name}: {pipeline.table.__name__} has no results")
        self.pipeline, self.has_pixels = pipeline, has_pixels
        self.result: type[PipelineResult] = pipeline.table
        inputs = {step.inputs for step in pipeline.result_steps}
        self.tables = tuple(
            _SpectraTable(kind, instrument, model)
            for kind, models in SPECTRA.items()
            for instrument, model in models.items()
            if model in inputs
        )
        self.kinds: tuple[FileKind, ...] = tuple(dict.fromkeys(table.kind for table in self.tables))
        if not self.kinds:
            raise PipelineDeclarationError(
                f"{pipeline.name} has no results on spectra that astraStar or astraVisit files show"
            )

    # --- which sources ----------------------------------------------------------------------------

    def has_results(self) -> ColumnElement[bool]:
        """Whether there is a result of this version on a spectrum of the source."""
        result = table_of(self.result)
        return self._of_source(result, result.c.v_astra_major_minor == this_version())

    def has_status(self) -> ColumnElement[bool]:
        """Whether there was a file of the source: without results it has to go."""
        status = table_of(AstraSpectrumProductStatus).alias("known_files")
        known = select(literal(1)).where(
            status.c.source_pk == Source.c.pk,
            status.c.pipeline == self.pipeline.name,
            status.c.v_astra_major_minor == this_version(),
        )
        return known.correlate(table_of(Source)).exists()

    def newer_than(self, since: ColumnElement[Any]) -> ColumnElement[bool]:
        """Whether a result on a spectrum of the source was made after `since`, or lost to an outcome."""
        result, outcome = table_of(self.result), table_of(ComputeOutcome).alias("outcome_of_spectrum")
        made = (result.c.v_astra_major_minor == this_version(), result.c.modified > since)
        lost = (
            outcome.c.pipeline == self.pipeline.name,
            # Named, for the index of outcomes begins with pipeline and step.
            outcome.c.step.in_([step.name for step in self.pipeline.steps]),
            outcome.c.v_astra_major_minor == this_version(),
            outcome.c.modified > since,
        )
        return or_(self._of_source(result, *made), self._of_source(outcome, *lost))

    def _of_source(self, rows: Any, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
        """Whether there are such rows for a spectrum of the source."""
        found = []
        for spectra in (table_of(table.spectra) for table in self.tables):
            # One within the other and not joined, so that SQLite begins with the few spectra of the source and not
            # with the many rows of the pipeline, which an index finds as well.
            row = select(literal(1)).select_from(rows).where(rows.c.spectrum_pk == spectra.c.spectrum_pk)
            has_row = row.where(*conditions).correlate(spectra).exists()
            of_source = select(literal(1)).where(spectra.c.source_pk == Source.c.pk, has_row)
            found.append(of_source.correlate(table_of(Source)).exists())
        return or_(*found)

    # --- what is asked of the database ------------------------------------------------------------

    @cached_property
    def types(self) -> dict[_SpectraTable, pa.DataType]:
        """Arrow types of the rows of a source."""
        return {
            table: pa.list_(
                pa.struct([(name, ARROW_TYPES[kind]) for name, (_, kind) in self._columns(table).items()])
            )
            for table in self.tables
        }

    def _columns(self, table: _SpectraTable) -> dict[str, tuple[ColumnElement[Any], Kind]]:
        """The columns of a row that the database has, by name, each of the table that counts."""
        found: dict[str, tuple[ColumnElement[Any], Kind]] = {}
        for column in astra_table(table.kind, table.instrument, self.result).columns:
            if column.fits.definition.kind is not Kind.pixels:
                owner = self.result if column.key in self.result.__table__.columns else table.spectra
                found[column.key] = (table_of(owner).columns[column.key], column.fits.definition.kind)
        return found

    def gather(self, connection: Connection, rows: pa.Table, context: WorkContext) -> pa.Table:
        """Add to a chunk of sources their rows: a list for each kind of file and instrument, in a fixed order."""
        sources = rows.column("source_pk").to_pylist()
        for table in self.tables:
            found = self._rows(connection, table, sources, context)
            rows = rows.append_column(
                table.name, pa.array([found[source] for source in sources], self.types[table])
            )
        return rows

    def _rows(
        self, connection: Connection, table: _SpectraTable, sources: Sequence[int], context: WorkContext
    ) -> Mapping[int, list[dict[str, Any]]]:
        """The results on the spectra of each source: visits in order of time, coadds of their spectrum_pk."""
        spectra, result = table_of(table.spectra), table_of(self.result)
        columns = self._columns(table)
        order = [spectra.c.mjd] if table.kind == "visit" else []
        query = (
            select(spectra.c.source_pk, *(column for column, _ in columns.values()))
            .join_from(spectra, result, result.c.spectrum_pk == spectra.c.spectrum_pk)
            .where(result.c.v_astra_major_minor == major_minor(context.v_astra))
            .order_by(*order, spectra.c.spectrum_pk)
        )
        found: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for some in pieces(sources):
            for source, *values in connection.execute(query.where(spectra.c.source_pk.in_(some))):
                found[source].append(dict(zip(columns, values, strict=True)))
        return found

    # --- the files --------------------------------------------------------------------------------

    def make(self, source: Row, context: WorkContext) -> Products:
        """Write the files of one source, and remove those that show nothing any more.

        A spectrum of an unknown telescope is a problem of its own; the others are shown.

        Raises:
            Unusable: the pixels of a result are not there (`missing_pixels`), or not on the grid that the
                header tells (`wrong_pixels`).
        """
        rows: dict[FileKind, dict[str, list[Row]]] = {kind: {} for kind in self.kinds}
        problems = []
        for table in self.tables:
            for row in source[table.name]:
                if (table.instrument, row["telescope"]) in TELESCOPES:
                    shown = row | self._pixels(table, row, source, context)
                    rows[table.kind].setdefault(table.instrument, []).append(shown)
                else:
                    message = f"telescope {row['telescope']!r} has no place in a file of {table.instrument}"
                    problems.append(Problem(row["spectrum_pk"], "unknown_telescope", message))
        flags = 0
        for kind, shown_rows in rows.items():
            flags |= self._write(kind, source, shown_rows, context)
        for shown in (row for of_kind in rows.values() for many in of_kind.values() for row in many):
            self._models(shown, context).forget_before(shown["spectrum_pk"], shown["modified"])
        return Products(status={"flags": flags or NO_RESULT}, problems=problems)

    def _write(
        self, kind: FileKind, source: Row, rows: Mapping[str, Sequence[Row]], context: WorkContext
    ) -> int:
        """Write a file, or remove the one that is there; returns the flag of what was written."""
        product, version = self.pipeline.product, context.v_astra
        path = inside(context.roots.mwm_astra, astra_path(kind, product, version, source["sdss_id"]))
        if not rows:
            path.unlink(missing_ok=True)
            return 0
        write_source_file(
            path,
            {instrument: astra_table(kind, instrument, self.result) for instrument in GRIDS},
            rows,
            source=source,
            v_astra=version,
            created=context.planned,
            pipeline=self.pipeline.name,
        )
        return CREATED[kind]

    def _models(self, row: Row, context: WorkContext) -> ModelSpectra:
        return ModelSpectra(context.roots.mwm_astra, self.pipeline.key, version_text(row["v_astra"]))

    def _pixels(
        self, table: _SpectraTable, row: Row, source: Row, context: WorkContext
    ) -> dict[str, np.ndarray[Any, Any]]:
        """The arrays of a row. Raises Unusable."""
        models, spectrum_pk = self._models(row, context), row["spectrum_pk"]
        found = models.read(spectrum_pk, row["modified"])
        if found is None and self.has_pixels(row):
            raise Unusable(
                "missing_pixels",
                f"{models.path(spectrum_pk, row['modified'])}: there is no such file; to make it and the result "
                f"again: astra-assets run {self.pipeline.key} --force --sdss-ids {source['sdss_id']}",
            )
        grid = GRIDS[table.instrument]
        arrays: dict[str, np.ndarray[Any, Any]] = {**(found or {}), "wavelength": grid.wavelength}
        wrong = {name: len(array) for name, array in arrays.items() if len(array) != grid.n_pixels}
        if wrong:
            raise Unusable(
                "wrong_pixels",
                f"spectrum_pk {spectrum_pk}: {table.instrument} files have {grid.n_pixels} pixels, found {wrong}",
            )
        return arrays


def file_kinds(step: Step) -> tuple[FileKind, ...]:
    """The kinds of file that a step makes which `with_astra_files` has added; none for other steps."""
    maker = getattr(step.function, "__self__", None)
    return maker.kinds if isinstance(maker, _Files) else ()
