"""Runs that start because a file is new or has changed."""

import json

import dagster as dg

from astra_assets.config.releases import Release
from astra_assets.defs.jobs import RELEASE_TAG, AssetJob
from astra_assets.defs.resources import DeploymentResource


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
        seen = json.dumps({str(path): stamp for path, stamp in sorted(found.changed.items())}, sort_keys=True)
        if seen == context.cursor:
            return dg.SkipReason("a run was already asked for with these files: " + ", ".join(found.changed))
        run = dg.RunRequest(run_key=found.key, tags={RELEASE_TAG: release.name, "astra/news": found.key})
        return dg.SensorResult(run_requests=[run], cursor=seen)

    return sensor
