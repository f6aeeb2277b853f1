"""`demo`: make the synthetic survey."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from astra_assets.demo.survey import DemoSurvey
    from astra_assets.operations.deployment import Deployment, Say


def demo(
    deployment: Deployment, *, sources: int | None = None, seed: int | None = None, say: Say
) -> DemoSurvey:
    """Make the synthetic survey, or report that it is there.

    Args:
        deployment: its home gets the survey.
        sources: number of objects made for BOSS.
        seed: of the random numbers; the same seed makes the same files.
        say: where progress is reported.
    """
    from astra_assets.demo.survey import make_demo

    options = {name: value for name, value in (("sources", sources), ("seed", seed)) if value is not None}
    return make_demo(deployment.settings.demo_folder, **options, progress=say)
