"""What a release is: the reductions it is made from, its version and its pipelines.

Belongs here: declarations of releases. Does not belong here: paths and machines (`settings`), how a pipeline
works (`pipelines`), what Dagster calls a job (`jobs`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Release:
    """A release of the survey's analysis.

    Attributes:
        name: also the name of its job.
        description: one sentence for people.
        run2d: BOSS reductions to ingest, e.g. ("v6_2_1",).
        apred: APOGEE reductions to ingest, e.g. ("1.5",).
        v_astra: version of the analysis; results are unique for its major and minor part.
        pipelines: keys of the pipelines that run.
    """

    name: str
    description: str
    run2d: tuple[str, ...]
    apred: tuple[str, ...]
    v_astra: str
    pipelines: tuple[str, ...]


MAIN = Release(
    name="main",
    description="Everything: all reductions, every pipeline, all products.",
    run2d=("v6_2_1",),
    apred=("1.5", "dr17"),
    v_astra="0.8.1",
    pipelines=("mwm", "snow_white", "corv"),
)

DR20 = Release(
    name="dr20",
    description="Data Release 20: the BOSS spectra of the Milky Way Mapper and their pipelines.",
    run2d=("v6_2_1",),
    apred=(),
    v_astra="0.8.1",
    pipelines=("mwm", "snow_white", "corv"),
)

RELEASES: dict[str, Release] = {release.name: release for release in (MAIN, DR20)}
