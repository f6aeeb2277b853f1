"""Runs that start because a file is new or has changed."""

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from astra_assets.config.releases import Release
from astra_assets.defs.jobs import RELEASE_TAG, AssetJob
from astra_assets.defs.resources import DeploymentResource

if TYPE_CHECKING:
    from astra_assets.operations.news import News

NEWS_TAG = "astra/news"
"""Tag of a run with the key of the news that it was asked for."""

FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=10), timedelta(hours=6)
"""Time between a run that failed and the next one with the same files; it doubles from try to try up to the longest."""


def new_spectra(release: Release, job: AssetJob) -> dg.SensorDefinition:
    """Asks for a run when a summary file of the reductions or a catalogue is new or has changed.

    A tick looks at the size and time of a few files and at one small table, so it is cheap. Only while a file is not ingested
    does it look at runs, too. The same news never starts two runs at once. After a run that failed it asks for another one,
    with pauses that grow.
    """

    @dg.sensor(
        name=f"new_spectra_{release.name}",
        job=job,
        minimum_interval_seconds=300,
        description=f"Runs {release.name} when a summary file or a catalogue is new or has changed.",
        default_status=dg.DefaultSensorStatus.STOPPED,
    )
    def sensor(
        context: dg.SensorEvaluationContext, survey: DeploymentResource
    ) -> dg.SensorResult | dg.SkipReason:
        from astra_assets.operations.news import news

        found = news(survey.deployment(), release)
        if not found.expected:
            return dg.SkipReason(f"no summary file yet: none of {', '.join(found.looked_for)} exists")
        if not found.changed:
            return dg.SkipReason(
                f"nothing new: {len(found.expected)} files are as they were when they were ingested"
            )
        return _ask(context, release, found)

    return sensor


def _ask(
    context: dg.SensorEvaluationContext, release: Release, found: "News"
) -> dg.SensorResult | dg.SkipReason:
    """Ask for a run of these news, unless one is under way, succeeded, or failed a short time ago."""
    files, now = ", ".join(found.changed), datetime.now(UTC)
    wanted = {RELEASE_TAG: release.name, NEWS_TAG: found.key}
    runs = context.instance.get_run_records(dg.RunsFilter(tags=wanted))
    asked, when = _asked(context.cursor, found.key)
    asked = max(asked, len(runs))
    told = f"a run was already asked for with these files: {files}"
    if runs:
        run, ended = runs[0].dagster_run, runs[0].end_time
        if not run.is_finished:
            return dg.SkipReason(f"{told}; run {run.run_id} is under way")
        if run.is_success:
            return dg.SkipReason(
                f"{told}; run {run.run_id} succeeded without ingesting them: look at its log"
            )
        when = runs[0].update_timestamp if ended is None else datetime.fromtimestamp(ended, UTC)
        told = f"the last run with these files failed or was cancelled (run {run.run_id}): {files}"
    if asked and when is not None:
        again = when + min(FIRST_PAUSE * 2 ** min(asked - 1, 10), LONGEST_PAUSE)
        if now < again:
            return dg.SkipReason(f"{told}; another one is asked for after {again:%Y-%m-%d %H:%M} UTC")
    cursor = {"news": found.key, "asked": asked + 1, "when": now.isoformat(timespec="seconds")}
    request = dg.RunRequest(run_key=f"{found.key}-{asked + 1}" if asked else found.key, tags=wanted)
    return dg.SensorResult(run_requests=[request], cursor=json.dumps(cursor))


def _asked(cursor: str | None, key: str) -> tuple[int, datetime | None]:
    """How often a run was asked for with these news, and when last; a cursor of other news or another form says nothing."""
    try:
        content = json.loads(cursor or "{}")
        if content.get("news") == key:
            return int(content["asked"]), datetime.fromisoformat(content["when"])
    except (AttributeError, KeyError, TypeError, ValueError):
        pass
    return 0, None
