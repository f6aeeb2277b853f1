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
        plug_ins: whether pipelines of other distributions run as well, unasked.
    """

    name: str
    description: str
    run2d: tuple[str, ...]
    apred: tuple[str, ...]
    v_astra: str
    pipelines: tuple[str, ...]
    plug_ins: bool = False


BOSS_PIPELINES = ("mwm", "snow_white", "corv", "line_forest", "bossnet", "slam", "mdwarftype")
"""Those that read BOSS spectra, and the one that makes the spectra that they read."""

APOGEE_PIPELINES = ("apogeenet", "aspcap", "astronn", "astronn_dist", "the_payne")
"""Those that read APOGEE spectra."""

MAIN = Release(
    name="main",
    description="Everything: all reductions, every pipeline, all products.",
    run2d=("v6_2_1",),
    apred=("1.5", "dr17"),
    v_astra="0.8.1",
    pipelines=(*BOSS_PIPELINES, *APOGEE_PIPELINES),
    plug_ins=True,
)

DR20 = Release(
    name="dr20",
    description="Data Release 20: the BOSS spectra of the Milky Way Mapper and their pipelines.",
    run2d=("v6_2_1",),
    apred=(),
    v_astra="0.8.1",
    pipelines=BOSS_PIPELINES,
)

RELEASES: dict[str, Release] = {release.name: release for release in (MAIN, DR20)}
"""The releases of this package; a deployment may declare further ones in `astra.toml` (`own_releases`)."""
