"""Making the outline of the assets of what is declared: tables, pipelines and products."""

from __future__ import annotations

from collections.abc import Iterable

from astra_assets.config.declared import DeclaredProduct, all_products
from astra_assets.defs.assets.outline import (
    Columns,
    KeyPath,
    Outline,
    OutputOutline,
    ProductOutline,
    ShownColumn,
    StepOutline,
    TableOutline,
)
from astra_assets.defs.assets.pipelines import (
    FILES,
    describe,
    file_names,
    kinds,
    output_description,
    output_table,
    result_keys,
    step_keys,
    upstream_of,
)
from astra_assets.defs.assets.tables import TABLES, table_key
from astra_assets.models.apogee import ApogeeCoaddedSpectrumInApStar, ApogeeVisitSpectrum
from astra_assets.models.base import Base, layout, table_of
from astra_assets.models.boss import BossCombinedSpectrum, BossVisitSpectrum
from astra_assets.models.source import Source
from astra_assets.pipelines import PIPELINES, chosen
from astra_assets.pipelines.base import Pipeline, Step
from astra_assets.registry.columns import info
from astra_assets.registry.kinds import Definition

SUMMARIES = "SummarySpectrumProducts"
"""Group of the products that belong to no pipeline."""

SURVEY_WIDE: dict[str, tuple[type[Base], ...]] = {
    "mwmTargets": (Source, BossVisitSpectrum, ApogeeVisitSpectrum),
    "mwmAllVisit": (Source, BossVisitSpectrum, ApogeeVisitSpectrum),
    "mwmAllStar": (Source, BossCombinedSpectrum, ApogeeCoaddedSpectrumInApStar),
}
"""What the products that belong to no pipeline show."""


def make_outline() -> Outline:
    """All assets of what is declared.

    Raises:
        ExpectedError: the declarations cannot work; the message says which file to change.
    """
    return Outline(
        pipelines=tuple(pipeline.key for pipeline in PIPELINES),
        plug_ins=tuple(pipeline.key for pipeline in chosen((), plug_ins=True)),
        tables=tuple(
            TableOutline(
                table_of(model).name,
                tuple(table_of(parent).name for parent in parents),
                description,
                survey,
                table_columns(model),
            )
            for model, parents, survey, description in TABLES
        ),
        steps=tuple(step_outline(pipeline, step) for pipeline in PIPELINES for step in pipeline.steps),
        products=tuple(product_outline(declared) for declared in all_products().values()),
    )


def step_outline(pipeline: Pipeline, step: Step) -> StepOutline:
    """What the graph shows of a step."""
    return StepOutline(
        pipeline=pipeline.key,
        step=step.name,
        group=pipeline.group,
        code_version=pipeline.code_version,
        description=describe(pipeline, step),
        upstream=tuple(dict.fromkeys(upstream_of(pipeline, step))),
        outputs=tuple(_output(pipeline, step, name, key) for name, key in step_keys(pipeline, step).items()),
    )


def _output(pipeline: Pipeline, step: Step, name: str, key: KeyPath) -> OutputOutline:
    table = output_table(pipeline, step, name)
    columns: Columns = ()
    if name in FILES:
        columns = shown((entry.name, entry.definition) for entry in layout(FILES[name][0]))
    elif table is not None:
        columns = table_columns(table)
    return OutputOutline(
        name=name,
        key=key,
        description=output_description(pipeline, step, name),
        kinds=tuple(kinds(pipeline, step, name)),
        files=file_names(pipeline, step, name),
        table="" if table is None else table_of(table).name,
        columns=columns,
    )


def product_outline(declared: DeclaredProduct) -> ProductOutline:
    """What the graph shows of a product: it reads the tables whose rows it shows."""
    pipeline = declared.pipeline
    if pipeline is None:
        upstream = [table_key(model) for model in SURVEY_WIDE[declared.name]]
    else:
        upstream = [key for each, step in declared.steps() for key in result_keys(each, step).values()]
    return ProductOutline(
        name=declared.name,
        pipeline=pipeline.key if pipeline else "",
        group=pipeline.group if pipeline else SUMMARIES,
        description=declared.description,
        upstream=tuple(upstream),
        columns=shown(declared.columns()),
        has_steps=bool(declared.steps()),
    )


def table_columns(model: type[Base]) -> Columns:
    """The columns of a database table."""
    return shown((column.name, info(column).definition) for column in table_of(model).columns)


def shown(columns: Iterable[tuple[str, Definition]]) -> Columns:
    """Names, types, descriptions, units and UCDs of columns."""
    return tuple(
        ShownColumn(name, each.kind.value, each.description, each.unit or "", each.ucd or "")
        for name, each in columns
    )
