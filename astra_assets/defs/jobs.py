"""The jobs: one for each release, made of the assets that the release declares."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import dagster as dg

from astra_assets.config.releases import Release

AssetJob = Any
"""What `define_asset_job` returns; Dagster keeps the name of its class to itself."""

RELEASE_TAG = "astra/release"
"""Run tag that tells a step which release it runs for."""


def release_job(release: Release, keys: Iterable[dg.AssetKey]) -> AssetJob:
    """The job of a release: its assets, run by the executor of the code location."""
    return dg.define_asset_job(
        name=release.name,
        description=release.description,
        selection=dg.AssetSelection.assets(*keys),
        tags={RELEASE_TAG: release.name, "astra/v_astra": release.v_astra},
        config={"loggers": {"console": {"config": {"log_level": "INFO"}}}},
    )
