"""The rows and columns of a summary product in a database: the queries, and what has to be known before writing.

Rows: mwm* products show sources that are stellar-like and have a visit; products of pipelines show every
result of the current minor version. mwmAllStar shows BOSS coadds of the current minor version only; from the
database of another Astra it shows those of every version that is in it, as Astra's own file does. Rows are
ordered by `spectrum_pk`, mwmTargets by `sdss_id`.

Columns: those of the source, of the reduction's visit, of the spectrum, of the result, in the order of their
tables, as far as the database has them (`Inventory`); of columns with one name the first is shown. Keys of the
tables, hidden columns, pixel arrays and correlations (`rho_*`) are not shown. A table of spectra that the
database lacks has no rows and all columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Integer,
    Select,
    cast,
    false,
    func,
    literal,
    null,
    or_,
    select,
    type_coerce,
    union_all,
)

from astra_assets.database.database import Database
from astra_assets.database.inventory import Inventory, Shape
from astra_assets.fits.formats import FitsColumn
from astra_assets.models.base import Base, PipelineResult, table_of
from astra_assets.models.cartons import stellar_like_condition
from astra_assets.models.source import Source
from astra_assets.products.summary import SummaryProduct, SummaryTable
from astra_assets.registry.columns import info
from astra_assets.registry.flags import Verdict
from astra_assets.registry.kinds import Definition, Kind
from astra_assets.registry.version import major_minor, version_text

OMITTED = frozenset({"pk", "input_spectrum_pks"})
"""Columns that no summary shows."""
VISIT_COUNTS = ("n_boss_visits", "n_apogee_visits")
"""Columns of a source that decide whether mwm* products show it."""
_LENGTHS = frozenset({Kind.text, Kind.bytes, Kind.floats})
"""Kinds whose columns are as wide as their longest value."""


@dataclass(frozen=True)
class OutputColumn:
    """A column of a summary table: where it comes from and what it is."""

    name: str
    expression: ColumnElement[Any]
    definition: Definition
    heading: str
    note: str | None

    def fits(self, width: int = 1) -> FitsColumn:
        """Return the column of the FITS table."""
        return FitsColumn(self.name, self.definition, width, self.heading, self.note)


@dataclass(frozen=True)
class TableRows:
    """One table of a product in a database.

    Attributes:
        table: its declaration.
        columns: in the order of the file.
        query: selects its rows in the order of the file; columns are labelled with their names in the file.
        selection: selects the same rows, without columns and in any order; None where there cannot be any.
    """

    table: SummaryTable
    columns: tuple[OutputColumn, ...]
    query: Select[Any]
    selection: Select[Any] | None


@dataclass(frozen=True)
class InputTable:
    """A database table that a product is made from.

    Attributes:
        name: as declared.
        shape: what the database has of it.
        key: its primary key.
        conditions: what is true of the rows that matter to the product.
        summed: further columns whose values decide which rows the product has.
    """

    name: str
    shape: Shape
    key: ColumnElement[Any]
    conditions: tuple[ColumnElement[bool], ...] = ()
    summed: tuple[str, ...] = ()


@dataclass(frozen=True)
class ProductRows:
    """A product as one database has it: everything that follows from both is worked out here, once.

    Attributes:
        product: its tables and what selects their rows.
        inventory: what the database has.
        v_astra: the version whose results and coadds are shown.
        limit: rows of each table at most, for a sample of the first rows.
    """

    product: SummaryProduct
    inventory: Inventory
    v_astra: str
    limit: int | None = None

    @cached_property
    def tables(self) -> tuple[TableRows, ...]:
        """The tables of the product, in the order of its HDUs.

        Raises MissingTableError or MissingColumnError when the database lacks what is needed for a table.
        """
        return tuple(self._table(table) for table in self.product.tables)

    @cached_property
    def inputs(self) -> tuple[InputTable, ...]:
        """The database tables that are read. Raises as `tables` does."""
        models = dict.fromkeys(model for table in self.product.tables for model in self.product.models(table))
        return tuple(self._input(model) for model in models if self.inventory.has(model))

    def has_any(self, database: Database) -> bool:
        """Return whether any table has a row; False where the database lacks the table of the results."""
        if self.product.result is not None and not self.inventory.has(self.product.result):
            return False
        with database.connect() as connection:
            selections = (self._selection(table) for table in self.product.tables)
            return any(
                connection.scalar(selection.add_columns(literal(1)).limit(1)) is not None
                for selection in selections
                if selection is not None
            )

    def _table(self, table: SummaryTable) -> TableRows:
        columns = tuple(output_columns(self.product, table, self.inventory))
        selection = self._selection(table)
        if selection is None:
            nothing = (cast(null(), column.definition.kind.sql_type).label(column.name) for column in columns)
            return TableRows(table, columns, select(*nothing).where(false()), None)
        order = self._order(table)
        query = selection.add_columns(*(column.expression.label(column.name) for column in columns))
        if self.limit is not None:
            selection = selection.order_by(*order).limit(self.limit)
        return TableRows(table, columns, query.order_by(*order).limit(self.limit), selection)

    def _selection(self, table: SummaryTable) -> Select[Any] | None:
        if not _can_have_rows(table, self.inventory):
            return None
        return select().select_from(self._joined(table)).where(*self._conditions(table))

    def _joined(self, table: SummaryTable) -> FromClause:
        source = self.inventory.need(Source)
        if table.spectrum is None:
            return source.table
        spectrum = self.inventory.need(table.spectrum)
        joined = spectrum.table.join(source.table, spectrum.column("source_pk") == source.column("pk"))
        if self.product.result is not None:
            result = self.inventory.need(self.product.result)
            joined = joined.join(result.table, result.column("spectrum_pk") == spectrum.column("spectrum_pk"))
        if table.reduction is not None and self.inventory.has(table.reduction):
            visit = self.inventory.need(table.reduction)
            made_from = visit.column("spectrum_pk") == spectrum.column("drp_spectrum_pk")
            joined = joined.join(visit.table, made_from, isouter=True)
        return joined

    def _conditions(self, table: SummaryTable) -> Iterator[ColumnElement[bool]]:
        source = self.inventory.need(Source)
        if self.product.stellar_like:
            yield stellar_like_condition(
                self.inventory.dialect, source.column("sdss5_target_flags"), source.column("sdss4_apogee_id")
            )
            yield or_(source.column("n_apogee_visits") > 0, source.column("n_boss_visits") > 0)
        if self.product.result is not None:
            yield _current_results(self.inventory.need(self.product.result), self.v_astra)
        if self.product.coadds_of_version and not self.inventory.foreign and table.spectrum is not None:
            coadds = self.inventory.shape(table.spectrum)
            if "v_astra" in coadds.table.columns:
                yield _of_minor_version(coadds.column("v_astra"), self.v_astra)

    def _order(self, table: SummaryTable) -> tuple[ColumnElement[Any], ...]:
        shape = self.inventory.need(Source if table.spectrum is None else table.spectrum)
        return (shape.column(table.key).asc().nulls_last(), shape.column("pk"))

    def _input(self, model: type[Base]) -> InputTable:
        """Of results only those of the current minor version on the spectra that are shown matter."""
        shape = self.inventory.need(model)
        (key,) = table_of(model).primary_key.columns
        conditions: tuple[ColumnElement[bool], ...] = ()
        if issubclass(model, PipelineResult):
            conditions = (_current_results(shape, self.v_astra), *self._on_shown_spectra(shape))
        summed = VISIT_COUNTS if model is Source else ()
        return InputTable(table_of(model).name, shape, shape.column(key.key), conditions, summed)

    def _on_shown_spectra(self, result: Shape) -> Iterator[ColumnElement[bool]]:
        """Results on coadds and visits share a table; those of the other level may come later and change nothing."""
        shown = [
            select(self.inventory.shape(table.spectrum).column("spectrum_pk"))
            for table in self.product.tables
            if table.spectrum is not None and self.inventory.has(table.spectrum)
        ]
        if shown:
            yield result.column("spectrum_pk").in_(union_all(*shown))


@dataclass(frozen=True)
class MeasuredTable:
    """A table of a product whose size is known: what has to be known before it is written.

    Attributes:
        table: its declaration.
        query: selects its rows.
        columns: of the FITS table, as wide as their longest value.
        rows: how many there are.
    """

    table: SummaryTable
    query: Select[Any]
    columns: tuple[FitsColumn, ...]
    rows: int


def measure(database: Database, table: TableRows) -> MeasuredTable:
    """Count the rows of a table and find its widest text and array of each column, in one query."""
    if table.selection is None:
        return MeasuredTable(table.table, table.query, tuple(column.fits() for column in table.columns), 0)
    ragged = [column for column in table.columns if column.definition.kind in _LENGTHS]
    lengths = [_length(column, database.dialect).label(column.name) for column in ragged]
    rows = table.selection.add_columns(type_coerce(1, Integer).label("_row"), *lengths).subquery("measured")
    longest = (func.max(rows.c[column.name]).label(column.name) for column in ragged)
    with database.connect_to_scan() as connection:
        query = select(func.count().label("_rows"), *longest).select_from(rows)
        found = connection.execute(query).mappings().one()
    columns = (column.fits(max(1, int(found.get(column.name) or 0))) for column in table.columns)
    return MeasuredTable(table.table, table.query, tuple(columns), int(found["_rows"]))


def output_columns(product: SummaryProduct, table: SummaryTable, inventory: Inventory) -> list[OutputColumn]:
    """List the columns of a table of a product, in order.

    `inventory` is what the database has; `inventory.DECLARED` gives the columns that we declare.

    Raises:
        MissingTableError: the database has no sources, or no results of the product.
    """
    columns: dict[str, OutputColumn] = {}
    for model in product.models(table):
        of_spectra = model in (table.spectrum, table.reduction)
        if of_spectra and not inventory.has(model) and _can_have_rows(table, inventory):
            continue
        shape = inventory.shape(model) if of_spectra else inventory.need(model)
        for column in _model_columns(shape, shows_correlations=model is not product.result):
            # FITS does not tell names apart that differ in case only.
            columns.setdefault(column.name.lower(), column)
    return list(columns.values())


def has_any_row(database: Database, product: SummaryProduct, inventory: Inventory, *, v_astra: str) -> bool:
    """Return whether any table of a product has a row, see `ProductRows.has_any`."""
    return ProductRows(product, inventory, v_astra).has_any(database)


def _can_have_rows(table: SummaryTable, inventory: Inventory) -> bool:
    """Return whether the database has the spectra of a table."""
    return table.spectrum is None or inventory.has(table.spectrum)


def _model_columns(shape: Shape, *, shows_correlations: bool) -> Iterator[OutputColumn]:
    for entry in shape.layout:
        if entry.column is None:
            continue
        about = info(entry.column)
        name = about.summary_name
        if about.hidden or name in OMITTED or (name.startswith("rho_") and not shows_correlations):
            continue
        yield OutputColumn(name, shape.value(entry.column), about.definition, entry.heading, about.note)
        for verdict in about.verdicts:
            meaning = Definition(Kind.boolean, verdict.text, None, "meta.code.qual")
            condition = verdict_condition(verdict, entry.column)
            yield OutputColumn(verdict.name, condition, meaning, entry.heading, None)


def verdict_condition(verdict: Verdict, flags: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return the SQL of what `Verdict.of` computes."""
    if verdict.mask is None:
        return flags > 0
    common = flags.op("&", return_type=BigInteger())(literal(verdict.mask, BigInteger()))
    return common == verdict.mask if verdict.every else common != 0


def _length(column: OutputColumn, dialect: str) -> ColumnElement[int]:
    """Characters, bytes or elements that a value takes in the file."""
    kind = column.definition.kind
    if kind is Kind.floats:
        if dialect == "postgresql":
            return func.cardinality(column.expression, type_=Integer)
        return func.length(column.expression, type_=Integer) // 8
    length = func.length(column.expression, type_=Integer)
    fill = column.definition.null_value
    return func.coalesce(length, len(fill), type_=Integer) if fill else length


def _current_results(result: Shape, v_astra: str) -> ColumnElement[bool]:
    """The condition on a result table that its rows are those of the current minor version.

    Tables of Astra before 0.7 have the version as text, no version without patch number, and may have several
    results on a spectrum; the last one counts.
    """
    if "v_astra_major_minor" in result.table.columns:
        return result.column("v_astra_major_minor") == major_minor(v_astra)
    key, version = result.column("task_pk"), result.column("v_astra")
    other = result.table.alias()
    last = (
        select(func.max(other.c[key.key]))
        .where(_of_minor_version(other.c[version.key], v_astra))
        .group_by(other.c.spectrum_pk)
    )
    return key.in_(last)


def _of_minor_version(version: ColumnElement[Any], v_astra: str) -> ColumnElement[bool]:
    """The condition that a version, as text or as integer, is of the minor version of `v_astra`."""
    if isinstance(version.type, Integer):
        return version // 1000 == major_minor(v_astra)
    minor = version_text(major_minor(v_astra) * 1000).removesuffix(".0")
    return or_(version == minor, version.startswith(f"{minor}.", autoescape=True))
