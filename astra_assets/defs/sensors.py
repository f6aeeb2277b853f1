"""Runs that start because something new arrived.

Belongs here: what counts as news and the run that follows. Does not belong here: how news is ingested (`ingest`).
"""

import json

import dagster as dg

from astra_assets.config.releases import Release
from astra_assets.defs.jobs import RELEASE_TAG, AssetJob
from astra_assets.defs.resources import SurveyResource


def new_spectra(release: Release, job: AssetJob) -> dg.SensorDefinition:
    """Asks for a run when a summary file of the reductions or a catalogue is new or has changed.

    A tick looks at the size and time of a few files and at one small table, so it is cheap. The key of the run is
    made of what was seen, so the same news never starts two runs.
    """

    @dg.sensor(
        name=f"new_spectra_{release.name}",
        job=job,
        minimum_interval_seconds=300,
        description=f"Runs {release.name} when a summary file or a catalogue is new or has changed.",
        default_status=dg.DefaultSensorStatus.STOPPED,
    )
    def sensor(
        context: dg.SensorEvaluationContext, survey: SurveyResource
    ) -> dg.SensorResult | dg.SkipReason:
        news = survey.operations().news(release)
        if not news.expected:
            return dg.SkipReason(f"no summary file yet: none of {', '.join(news.looked_for)} exists")
        if not news.changed:
            return dg.SkipReason(
                f"nothing new: {len(news.expected)} files are as they were when they were ingested"
            )
        seen = json.dumps({str(path): stamp for path, stamp in sorted(news.changed.items())}, sort_keys=True)
        if seen == context.cursor:
            return dg.SkipReason("a run was already asked for with these files: " + ", ".join(news.changed))
        run = dg.RunRequest(run_key=news.key, tags={RELEASE_TAG: release.name, "astra/news": news.key})
        return dg.SensorResult(run_requests=[run], cursor=seen)

    return sensor
