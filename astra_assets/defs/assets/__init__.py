"""The Dagster assets: tables that ingestion fills, steps of pipelines, summary products; and which of them a release needs."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import dagster as dg

from astra_assets.config.releases import MAIN, Release
from astra_assets.defs.assets.ingest import ingested_tables
from astra_assets.defs.assets.kept import outline
from astra_assets.defs.assets.outline import APOGEE, BOSS, KeyPath
from astra_assets.defs.assets.steps import step_asset
from astra_assets.defs.assets.summary import product_asset


@cache
def all_assets() -> tuple[dg.AssetsDefinition, ...]:
    """Every asset of the code location."""
    found = outline()
    steps = [step_asset(step) for step in found.steps]
    products = [product_asset(product) for product in found.products]
    return (ingested_tables(found.tables), *steps, *products)


def located(v_astra: str, assets: Iterable[dg.AssetsDefinition]) -> list[dg.AssetsDefinition]:
    """The assets of the code location that serves a version."""
    found = list(assets)
    if v_astra == MAIN.v_astra:
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


def step_names() -> dict[str, tuple[str, str]]:
    """Pipeline and step, by key and name, of each graph of ops."""
    return {step.graph: (step.pipeline, step.step) for step in outline().steps}


def keys_of(release: Release) -> list[dg.AssetKey]:
    """Keys that a release's job materialises: the tables, the steps of its pipelines, the products of both."""
    found = outline()
    pipelines = {*release.pipelines, *(found.plug_ins if release.plug_ins else ())}
    surveys = {"", *([BOSS] if release.run2d else []), *([APOGEE] if release.apred else [])}
    paths: list[KeyPath] = [(table.name,) for table in found.tables if table.survey in surveys]
    paths += [output.key for step in found.steps if step.pipeline in pipelines for output in step.outputs]
    paths += [(product.name,) for product in found.products if product.pipeline in {"", *pipelines}]
    return [located_key(release.v_astra, dg.AssetKey(path)) for path in paths]
