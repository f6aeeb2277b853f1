"""The rows and columns of a table of a summary product: the query, and what it needs to know before writing.

Rows: mwm* products show sources that are stellar-like and have a visit; products of pipelines show every
result of the current minor version. mwmAllStar shows BOSS coadds of the current minor version only (Astra
shows those of every version that is still in the database). Rows are ordered by `spectrum_pk`, mwmTargets by
`sdss_id`.

Columns: those of the source, of the reduction's visit, of the spectrum, of the result, in the order of their
tables; of columns with one name the first is shown. Keys of the tables, hidden columns, pixel arrays and
correlations (`rho_*`) are not shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Integer, Select, func, or_, select, type_coerce

from astra_assets.fits.formats import FitsColumn
from astra_assets.models.base import Base, layout, table_of
from astra_assets.models.cartons import stellar_like_condition
from astra_assets.models.columns import info
from astra_assets.models.database import Database
from astra_assets.models.kinds import Definition, Kind
from astra_assets.models.source import Source
from astra_assets.models.version import major_minor, version_text
from astra_assets.products.summary import SummaryProduct, SummaryTable

OMITTED = frozenset({"pk", "input_spectrum_pks"})
"""Columns that no summary shows."""


@dataclass(frozen=True)
class OutputColumn:
    """A column of a summary table: where it comes from and what it is."""

    name: str
    expression: ColumnElement[Any]
    definition: Definition
    heading: str
    note: str | None

    def fits(self, width: int = 1) -> FitsColumn:
        """The column of the FITS table."""
        return FitsColumn(self.name, self.definition, width, self.heading, self.note)


@dataclass(frozen=True)
class Measure:
    """What has to be known before writing: how many rows there are, how wide texts and arrays get."""

    rows: int
    widths: dict[str, int]


def output_columns(product: SummaryProduct, table: SummaryTable) -> list[OutputColumn]:
    """The columns of a table of a product, in order."""
    columns: dict[str, OutputColumn] = {}
    for model in product.models(table):
        for column in _model_columns(model, with_correlations=model is not product.result):
            columns.setdefault(column.name, column)
    return list(columns.values())


def _model_columns(model: type[Base], *, with_correlations: bool) -> Iterator[OutputColumn]:
    for entry in layout(model):
        if entry.column is None:
            continue
        about = info(entry.column)
        name = about.summary_name
        if about.hidden or name in OMITTED or (name.startswith("rho_") and not with_correlations):
            continue
        yield OutputColumn(name, entry.column, about.definition, entry.heading, about.note)


def select_rows(
    product: SummaryProduct, table: SummaryTable, *, v_astra: str, dialect: str, limit: int | None = None
) -> Select[Any]:
    """The query for the rows of a table, columns labelled with their names in the file."""
    columns = [column.expression.label(column.name) for column in output_columns(product, table)]
    query = (
        select(*columns)
        .select_from(_joined(product, table))
        .where(*_conditions(product, table, v_astra, dialect))
    )
    return query.order_by(*_order(table)).limit(limit)


def measure(
    database: Database,
    product: SummaryProduct,
    table: SummaryTable,
    *,
    v_astra: str,
    limit: int | None = None,
) -> Measure:
    """Count the rows and find the widest text and array of each column, in one query."""
    ragged = [column for column in output_columns(product, table) if column.definition.kind in _LENGTHS]
    lengths = [_length(column, database.dialect).label(column.name) for column in ragged]
    inner = (
        select(type_coerce(1, Integer).label("_row"), *lengths)
        .select_from(_joined(product, table))
        .where(*_conditions(product, table, v_astra, database.dialect))
    )
    if limit is not None:
        inner = inner.order_by(*_order(table)).limit(limit)
    rows = inner.subquery("measured")
    query = select(
        func.count().label("_rows"), *(func.max(rows.c[column.name]).label(column.name) for column in ragged)
    )
    with database.connect() as connection:
        found = connection.execute(query.select_from(rows)).mappings().one()
    widths = {column.name: max(1, int(found[column.name] or 0)) for column in ragged}
    return Measure(int(found["_rows"]), widths)


def fits_columns(product: SummaryProduct, table: SummaryTable, measured: Measure) -> list[FitsColumn]:
    """The columns of the FITS table, as wide as was measured."""
    return [column.fits(measured.widths.get(column.name, 1)) for column in output_columns(product, table)]


_LENGTHS = frozenset({Kind.text, Kind.bytes, Kind.floats})


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


def _joined(product: SummaryProduct, table: SummaryTable) -> FromClause:
    source = table_of(Source)
    if table.spectrum is None:
        return source
    spectrum = table_of(table.spectrum)
    joined = spectrum.join(source, spectrum.c.source_pk == source.c.pk)
    if product.result is not None:
        result = table_of(product.result)
        joined = joined.join(result, result.c.spectrum_pk == spectrum.c.spectrum_pk)
    if table.reduction is not None:
        visit = table_of(table.reduction)
        joined = joined.join(visit, visit.c.spectrum_pk == spectrum.c.drp_spectrum_pk, isouter=True)
    return joined


def _conditions(
    product: SummaryProduct, table: SummaryTable, v_astra: str, dialect: str
) -> Iterator[ColumnElement[bool]]:
    if product.stellar_like:
        yield stellar_like_condition(dialect)
        yield or_(Source.c.n_apogee_visits > 0, Source.c.n_boss_visits > 0)
    if product.result is not None:
        yield table_of(product.result).c.v_astra_major_minor == major_minor(v_astra)
    if product.coadds_of_version and table.spectrum is not None and "v_astra" in table.spectrum.c:
        minor = version_text(major_minor(v_astra) * 1000).removesuffix(".0")
        version = table.spectrum.c.v_astra
        yield or_(version == minor, version.startswith(f"{minor}.", autoescape=True))


def _order(table: SummaryTable) -> tuple[ColumnElement[Any], ...]:
    if table.spectrum is None:
        return (Source.c.sdss_id.asc().nulls_last(), Source.c.pk)
    return (table.spectrum.c.spectrum_pk.asc().nulls_last(), table.spectrum.c.pk)
