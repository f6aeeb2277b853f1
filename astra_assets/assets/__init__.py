"""Dagster assets, one module for each stage: ingest, pipelines (also those that make spectra), summary.

Belongs here: the list of all assets and which of them a release needs. Does not belong here: what they do.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import dagster as dg

from astra_assets.assets.ingest import SOURCE, ingested_tables, table_keys
from astra_assets.assets.pipelines import graph_name, step_asset, step_keys
from astra_assets.assets.summary import product_asset
from astra_assets.declared import all_products, pipelines_of, products_of
from astra_assets.pipelines import PIPELINES
from astra_assets.pipelines.base import Pipeline, Step
from astra_assets.releases import MAIN, Release


@cache
def all_assets() -> tuple[dg.AssetsDefinition, ...]:
    """Every asset of the code location."""
    steps = [step_asset(pipeline, step) for pipeline in PIPELINES for step in pipeline.steps]
    products = [product_asset(declared) for declared in all_products().values()]
    return (ingested_tables, *steps, *products)


def located(v_astra: str, assets: Iterable[dg.AssetsDefinition]) -> list[dg.AssetsDefinition]:
    """The assets of the code location that serves a version."""
    found = list(assets)
    if located_key(v_astra, SOURCE) == SOURCE:
        return found
    return [
        each.with_attributes(
            asset_key_replacements={
                key: located_key(v_astra, key) for key in (*each.keys, *each.dependency_keys)
            }
        )
        for each in found
    ]


def located_key(v_astra: str, key: dg.AssetKey) -> dg.AssetKey:
    """The key of an asset in the code location that serves a version.

    Dagster wants each key in one location only: those of another version than the package's own have it in front,
    such as `v0_9_0/mwmTargets`.
    """
    return key if v_astra == MAIN.v_astra else dg.AssetKey([f"v{v_astra.replace('.', '_')}", *key.path])


def step_graphs() -> dict[str, tuple[Pipeline, Step]]:
    """The steps of all pipelines by the name of their graph of ops."""
    return {graph_name(pipeline, step): (pipeline, step) for pipeline in PIPELINES for step in pipeline.steps}


def keys_of(release: Release) -> list[dg.AssetKey]:
    """Keys that a release's job materialises: the tables, the steps of its pipelines, the products of both."""
    steps = [
        key
        for pipeline in pipelines_of(release)
        for step in pipeline.steps
        for key in step_keys(pipeline, step).values()
    ]
    keys = [*table_keys(release), *steps, *(dg.AssetKey(name) for name in products_of(release))]
    return [located_key(release.v_astra, key) for key in keys]
