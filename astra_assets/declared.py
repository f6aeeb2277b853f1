"""Which summary products there are: those of the survey, and those that follow from the declared pipelines.

Belongs here: joining pipelines and products, which know nothing of each other. Does not belong here: rows, columns
and files of a product (`products`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

from astra_assets.models.base import PipelineResult
from astra_assets.models.kinds import Definition
from astra_assets.pipelines import PIPELINES
from astra_assets.pipelines.base import Pipeline, Step
from astra_assets.products.rows import output_columns
from astra_assets.products.summary import MWM_PRODUCTS, SummaryProduct, level_of, pipeline_product
from astra_assets.releases import Release


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
    level: Literal["star", "visit"] | None = None

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
            steps = [step for step in self.pipeline.steps if step.level == self.level and not step.is_filter]
            return [(self.pipeline, step) for step in steps]
        shown = {table.spectrum for table in self.product.tables}
        return [(each, step) for each in PIPELINES for step in each.steps if shown.intersection(step.tables)]

    def columns(self) -> list[tuple[str, Definition]]:
        """Names and definitions of the columns of all its tables, each once."""
        found: dict[str, Definition] = {}
        for table in self.product.tables:
            for column in output_columns(self.product, table):
                found.setdefault(column.name, column.definition)
        return list(found.items())


@cache
def all_products() -> dict[str, DeclaredProduct]:
    """Every product by name."""
    declared = [DeclaredProduct(product) for product in MWM_PRODUCTS]
    for pipeline in PIPELINES:
        if not issubclass(pipeline.table, PipelineResult):
            continue  # its table says what became of files, it has no results on spectra
        levels = {level_of(step.inputs) for step in pipeline.steps if not step.is_filter}
        for level in sorted(levels):
            product = pipeline_product(pipeline.name, pipeline.table, level, suffix=pipeline.product)
            declared.append(DeclaredProduct(product, pipeline, level))
    return {each.name: each for each in declared}


def products_of(release: Release) -> dict[str, DeclaredProduct]:
    """The products of a release: those of the survey and those of its pipelines."""
    return {
        name: declared
        for name, declared in all_products().items()
        if declared.pipeline is None or declared.pipeline.key in release.pipelines
    }
