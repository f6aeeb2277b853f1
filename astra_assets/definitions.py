"""The one `dg.Definitions` of the code location."""

from __future__ import annotations

import dagster as dg

from astra_assets.config.own_releases import load_releases
from astra_assets.defs.assets import all_assets, keys_of, located, step_names
from astra_assets.defs.assets.kept import outline
from astra_assets.defs.console import plain_console
from astra_assets.defs.executors import step_executor
from astra_assets.defs.jobs import release_job
from astra_assets.defs.resources import DeploymentResource, refused_in_words
from astra_assets.defs.schedules import daily
from astra_assets.defs.sensors import new_spectra


def build_defs(**overrides: str) -> dg.Definitions:
    """Definitions of the deployment; `overrides` are settings that win over environment and `astra.toml`."""
    settings = load_releases(outline().pipelines, **overrides)
    releases = settings.served_releases
    jobs = {name: release_job(release, keys_of(release)) for name, release in releases.items()}
    deployment = DeploymentResource(overrides=overrides)
    return dg.Definitions(
        assets=located(settings.v_astra, all_assets()),
        jobs=list(jobs.values()),
        schedules=[daily(releases[name], job) for name, job in jobs.items()],
        sensors=[new_spectra(releases[name], job) for name, job in jobs.items()],
        resources={"survey": deployment},
        executor=step_executor(deployment, step_names()),
        loggers={"console": plain_console},
    )


with refused_in_words():
    defs = build_defs()
