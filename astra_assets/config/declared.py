"""Which summary products there are: those of the survey, and those that follow from the declared pipelines.

Pipelines and products know nothing of each other; they are joined here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import get_args

from astra_assets import pipelines
from astra_assets.config.releases import Release
from astra_assets.database.inventory import DECLARED
from astra_assets.errors import ExpectedError
from astra_assets.models.base import PipelineResult
from astra_assets.pipelines.base import Pipeline, PipelineDeclarationError, Step
from astra_assets.pipelines.together import home_of
from astra_assets.products.rows import output_columns
from astra_assets.products.summary import MWM_PRODUCTS, Level, SummaryProduct, level_of, pipeline_product
from astra_assets.registry.kinds import Definition

LEVELS: tuple[Level, ...] = get_args(Level)
"""Coadds and visits."""


class UnknownProductError(ExpectedError):
    """There is no product of a name; the message lists those that exist."""


@dataclass(frozen=True)
class DeclaredProduct:
    """A product and where it comes from.

    Attributes:
        product: its tables and what selects their rows.
        pipeline: whose results it shows; None for the survey's own products.
        level: `star` or `visit` for results of a pipeline.
    """

    product: SummaryProduct
    pipeline: Pipeline | None = None
    level: Level | None = None

    @property
    def name(self) -> str:
        """Name of the product, which is also the key of its asset."""
        return self.product.name

    @property
    def description(self) -> str:
        """One sentence for people."""
        return f"{self.product.description}."

    def steps(self) -> list[tuple[Pipeline, Step]]:
        """The steps that make what the product shows: results of its pipeline, or spectra that a step writes."""
        if self.pipeline is not None:
            steps = [step for step in self.pipeline.result_steps if step.level == self.level]
            return [(self.pipeline, step) for step in steps]
        shown = {table.spectrum for table in self.product.tables}
        return [
            (each, step)
            for each in pipelines.PIPELINES
            for step in each.steps
            if shown.intersection(step.tables)
        ]

    def columns(self) -> list[tuple[str, Definition]]:
        """Names and definitions of the columns of all its tables, each once."""
        found: dict[str, Definition] = {}
        for table in self.product.tables:
            for column in output_columns(self.product, table, DECLARED):
                found.setdefault(column.name, column.definition)
        return list(found.items())


@cache
def all_products() -> dict[str, DeclaredProduct]:
    """Every product by name: those of the survey, and those that show what steps of ours make."""
    declared = [DeclaredProduct(product) for product in MWM_PRODUCTS]
    for pipeline, table in with_results():
        levels = {_level(pipeline, step) for step in pipeline.result_steps}
        declared += [_result_product(pipeline, table, level) for level in sorted(levels)]
    return {each.name: each for each in declared}


@cache
def further_products() -> dict[str, DeclaredProduct]:
    """Products at the level that a pipeline of ours does not work at; the tables of another Astra may have rows for them."""
    both = [_result_product(*pair, level) for pair in with_results() for level in LEVELS]
    return {each.name: each for each in both if each.name not in all_products()}


def with_results() -> list[tuple[Pipeline, type[PipelineResult]]]:
    """The pipelines with results on spectra, and their tables; that of any other says what became of files."""
    return [(each, each.table) for each in pipelines.PIPELINES if issubclass(each.table, PipelineResult)]


def _level(pipeline: Pipeline, step: Step) -> Level:
    try:
        return level_of(step.inputs)
    except ValueError as error:
        raise PipelineDeclarationError(
            f"{pipeline.name}: step {step.name!r}: {error}; change its `inputs` in {home_of(pipeline)}"
        ) from None


def _result_product(pipeline: Pipeline, table: type[PipelineResult], level: Level) -> DeclaredProduct:
    product = pipeline_product(pipeline.name, table, level, suffix=pipeline.product)
    return DeclaredProduct(product, pipeline, level)


def product_named(name: str) -> DeclaredProduct | None:
    """A product by its name, whatever the case of its letters; None when there is none.

    Astra itself spells some in several ways: `astraAllStarBOSSNet` and `astraAllStarBossNet` are one.
    """
    known = {each.lower(): found for each, found in (further_products() | all_products()).items()}
    return known.get(name.lower())


def declared_product(name: str) -> DeclaredProduct:
    """Return a product by its name, as `product_named` does.

    Raises:
        UnknownProductError: there is none; the message lists those that exist.
    """
    found = product_named(name)
    if found is None:
        raise UnknownProductError(f"no product {name!r}; there are: {', '.join(all_products())}")
    return found


def pipelines_of(release: Release) -> tuple[Pipeline, ...]:
    """The pipelines of a release, each after those that it reads from."""
    return pipelines.chosen(release.pipelines, plug_ins=release.plug_ins)


def products_of(release: Release) -> dict[str, DeclaredProduct]:
    """The products of a release: those of the survey and those of its pipelines."""
    own = {pipeline.name for pipeline in pipelines_of(release)}
    return {
        name: declared
        for name, declared in all_products().items()
        if declared.pipeline is None or declared.pipeline.name in own
    }
