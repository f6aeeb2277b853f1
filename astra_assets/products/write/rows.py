"""The rows and columns of a table of a summary product: the query, and what it needs to know before writing.

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
)

from astra_assets.database.database import Database
from astra_assets.database.inventory import Inventory, Shape
from astra_assets.fits.formats import FitsColumn
from astra_assets.models.cartons import stellar_like_condition
from astra_assets.models.source import Source
from astra_assets.products.summary import SummaryProduct, SummaryTable
from astra_assets.registry.columns import info
from astra_assets.registry.flags import Verdict
from astra_assets.registry.kinds import Definition, Kind
from astra_assets.registry.version import major_minor, version_text

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


def output_columns(product: SummaryProduct, table: SummaryTable, survey: Inventory) -> list[OutputColumn]:
    """The columns of a table of a product, in order.

    `survey` is what the database has; `survey.DECLARED` gives the columns that we declare. Raises
    MissingTableError when the database has no sources, or no results of the product.
    """
    columns: dict[str, OutputColumn] = {}
    for model in product.models(table):
        of_spectra = model in (table.spectrum, table.reduction)
        if of_spectra and not survey.has(model) and _has_rows(table, survey):
            continue
        shape = survey.shape(model) if of_spectra else survey.need(model)
        for column in _model_columns(shape, shows_correlations=model is not product.result):
            # FITS does not tell names apart that differ in case only.
            columns.setdefault(column.name.lower(), column)
    return list(columns.values())


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
    """The SQL of what `Verdict.of` computes."""
    if verdict.mask is None:
        return flags > 0
    common = flags.op("&", return_type=BigInteger())(literal(verdict.mask, BigInteger()))
    return common == verdict.mask if verdict.every else common != 0


def select_rows(
    product: SummaryProduct, table: SummaryTable, survey: Inventory, *, v_astra: str, limit: int | None = None
) -> Select[Any]:
    """The query for the rows of a table, columns labelled with their names in the file."""
    columns = output_columns(product, table, survey)
    if not _has_rows(table, survey):
        nothing = (cast(null(), column.definition.kind.sql_type).label(column.name) for column in columns)
        return select(*nothing).where(false())
    query = (
        select(*(column.expression.label(column.name) for column in columns))
        .select_from(_joined(product, table, survey))
        .where(*_conditions(product, table, survey, v_astra))
    )
    return query.order_by(*_order(table, survey)).limit(limit)


def measure(
    database: Database,
    product: SummaryProduct,
    table: SummaryTable,
    survey: Inventory,
    *,
    v_astra: str,
    limit: int | None = None,
) -> Measure:
    """Count the rows and find the widest text and array of each column, in one query."""
    ragged = [
        column for column in output_columns(product, table, survey) if column.definition.kind in _LENGTHS
    ]
    if not _has_rows(table, survey):
        return Measure(0, {column.name: 1 for column in ragged})
    lengths = [_length(column, survey.dialect).label(column.name) for column in ragged]
    inner = (
        select(type_coerce(1, Integer).label("_row"), *lengths)
        .select_from(_joined(product, table, survey))
        .where(*_conditions(product, table, survey, v_astra))
    )
    if limit is not None:
        inner = inner.order_by(*_order(table, survey)).limit(limit)
    rows = inner.subquery("measured")
    query = select(
        func.count().label("_rows"), *(func.max(rows.c[column.name]).label(column.name) for column in ragged)
    )
    with database.connect_to_scan() as connection:
        found = connection.execute(query.select_from(rows)).mappings().one()
    widths = {column.name: max(1, int(found[column.name] or 0)) for column in ragged}
    return Measure(int(found["_rows"]), widths)


def has_any_row(database: Database, product: SummaryProduct, survey: Inventory, *, v_astra: str) -> bool:
    """Whether any table of a product would have a row; False where the database lacks the table of its results."""
    if product.result is not None and not survey.has(product.result):
        return False
    with database.connect() as connection:
        for table in product.tables:
            if _has_rows(table, survey):
                query = select(literal(1)).select_from(_joined(product, table, survey))
                query = query.where(*_conditions(product, table, survey, v_astra)).limit(1)
                if connection.scalar(query) is not None:
                    return True
    return False


def fits_columns(
    product: SummaryProduct, table: SummaryTable, survey: Inventory, measured: Measure
) -> list[FitsColumn]:
    """The columns of the FITS table, as wide as was measured."""
    columns = output_columns(product, table, survey)
    return [column.fits(measured.widths.get(column.name, 1)) for column in columns]


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


def _has_rows(table: SummaryTable, survey: Inventory) -> bool:
    """Can the table have rows: does the database have its spectra?"""
    return table.spectrum is None or survey.has(table.spectrum)


def _joined(product: SummaryProduct, table: SummaryTable, survey: Inventory) -> FromClause:
    source = survey.need(Source)
    if table.spectrum is None:
        return source.table
    spectrum = survey.need(table.spectrum)
    joined = spectrum.table.join(source.table, spectrum.column("source_pk") == source.column("pk"))
    if product.result is not None:
        result = survey.need(product.result)
        joined = joined.join(result.table, result.column("spectrum_pk") == spectrum.column("spectrum_pk"))
    if table.reduction is not None and survey.has(table.reduction):
        visit = survey.need(table.reduction)
        made_from = visit.column("spectrum_pk") == spectrum.column("drp_spectrum_pk")
        joined = joined.join(visit.table, made_from, isouter=True)
    return joined


def _conditions(
    product: SummaryProduct, table: SummaryTable, survey: Inventory, v_astra: str
) -> Iterator[ColumnElement[bool]]:
    source = survey.need(Source)
    if product.stellar_like:
        yield stellar_like_condition(
            survey.dialect, source.column("sdss5_target_flags"), source.column("sdss4_apogee_id")
        )
        yield or_(source.column("n_apogee_visits") > 0, source.column("n_boss_visits") > 0)
    if product.result is not None:
        yield current_results(survey.need(product.result), v_astra)
    if product.coadds_of_version and not survey.foreign and table.spectrum is not None:
        coadds = survey.shape(table.spectrum)
        if "v_astra" in coadds.table.columns:
            yield _of_minor_version(coadds.column("v_astra"), v_astra)


def current_results(result: Shape, v_astra: str) -> ColumnElement[bool]:
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


def _order(table: SummaryTable, survey: Inventory) -> tuple[ColumnElement[Any], ...]:
    shape = survey.need(Source if table.spectrum is None else table.spectrum)
    key = shape.column("sdss_id" if table.spectrum is None else "spectrum_pk")
    return (key.asc().nulls_last(), shape.column("pk"))
