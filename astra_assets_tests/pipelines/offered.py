"""Pipelines that another distribution might offer, and how one is installed without a network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sqlalchemy.orm import Mapped

from astra_assets.models.base import PipelineResult
from astra_assets.models.boss import BossVisitSpectrum
from astra_assets.pipelines.base import Pipeline, Step
from astra_assets.registry.columns import known


class OfferedMoon(PipelineResult):
    """A result table."""

    teff: Mapped[float | None] = known("teff")


class OfferedRocket(PipelineResult):
    """Another one."""

    teff: Mapped[float | None] = known("teff")


def nothing(spectrum, resources):
    return {}


VISIT = Step("visit", inputs=BossVisitSpectrum, function=nothing)
MOON = Pipeline("OfferedMoon", OfferedMoon, (VISIT,))
ROCKET = Pipeline("OfferedRocket", OfferedRocket, (VISIT,), after=("OfferedMoon",))


def install(folder: Path, name: str, modules: Mapping[str, str], points: Mapping[str, str]) -> None:
    """What an installer leaves in a folder of the search path: modules, and the metadata with entry points.

    `modules` are texts by the path of their file, `points` what entry points of pipelines name, by their own names.
    """
    for path, source in modules.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(source)
    about = folder / f"{name}-1.2.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    lines = [f"{point} = {value}\n" for point, value in points.items()]
    (about / "entry_points.txt").write_text("[astra_assets.pipelines]\n" + "".join(lines))
