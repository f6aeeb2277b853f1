"""Daily runs of the jobs."""

from __future__ import annotations

import dagster as dg

from astra_assets.config.releases import Release
from astra_assets.defs.jobs import AssetJob


def daily(release: Release, job: AssetJob) -> dg.ScheduleDefinition:
    """Every day at 12:00 UTC, when the night's reductions are done. Stopped until somebody starts it in the UI."""
    return dg.ScheduleDefinition(
        name=f"{release.name}_daily",
        job=job,
        cron_schedule="0 12 * * *",
        execution_timezone="UTC",
        description=f"Runs {release.name} every day at 12:00 UTC.",
        default_status=dg.DefaultScheduleStatus.STOPPED,
    )
