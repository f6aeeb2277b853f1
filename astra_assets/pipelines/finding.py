"""Find pipelines: in the modules of this folder, and among those that other distributions offer.

A distribution offers pipelines with entry points of the group `astra_assets.pipelines`, each of which names a module
that holds them, or one `Pipeline`.
"""

from __future__ import annotations

import importlib
import pkgutil
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

from astra_assets.pipelines.base import Pipeline, PipelineDeclarationError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "astra_assets.pipelines"
"""Group of the entry points that name pipelines of other distributions."""


@dataclass(frozen=True)
class PlugIn:
    """An entry point of another distribution: what it is called, and the pipelines that it offers."""

    label: str
    pipelines: tuple[Pipeline, ...]


def own_pipelines(package: str, folders: Iterable[str]) -> tuple[Pipeline, ...]:
    """The pipelines in the modules of a package, whose folders these are."""
    found: dict[int, Pipeline] = {}
    for module in pkgutil.iter_modules(folders):
        if module.name != "base" and not module.name.startswith("_"):
            members = pipelines_in(importlib.import_module(f"{package}.{module.name}"))
            found.update((id(member), member) for member in members)
    return tuple(found.values())


def plug_ins() -> tuple[PlugIn, ...]:
    """The entry points of all installed distributions, in the order of their names.

    Raises:
        PipelineDeclarationError: one cannot be imported, or offers no pipeline; the message names distribution and entry point.
    """
    return tuple(_plug_in(point) for point in offered())


def offered() -> tuple[EntryPoint, ...]:
    """The entry points of all installed distributions that name pipelines, in the order of their names; not imported."""
    from importlib.metadata import entry_points

    return tuple(sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value)))


def _plug_in(point: EntryPoint) -> PlugIn:
    dist = point.dist
    distribution = f"{dist.metadata['Name']} {dist.version}" if dist else "an unnamed distribution"
    label = f"entry point {point.name} = {point.value} of {distribution}"
    try:
        loaded = point.load()
    except (Exception, SystemExit) as error:
        raise PipelineDeclarationError(
            f"{label} cannot be imported: {type(error).__name__}: {error} ({_place(error)}). Correct it there, or remove the "
            f"distribution: pip uninstall {dist.metadata['Name'] if dist else point.name}"
        ) from error
    offered = tuple(pipelines_in(loaded)) if isinstance(loaded, ModuleType) else (loaded,)
    if not offered or not all(isinstance(each, Pipeline) for each in offered):
        raise PipelineDeclarationError(
            f"{label} is {_kind(loaded)}: it must name a Pipeline, or a module that holds one; correct it in the "
            "pyproject.toml of that distribution"
        )
    return PlugIn(label, offered)


def pipelines_in(module: ModuleType) -> Iterator[Pipeline]:
    """The pipelines that a module holds."""
    return (member for member in vars(module).values() if isinstance(member, Pipeline))


def _place(error: BaseException) -> str:
    """File and line where an exception was raised, the innermost one outside of the import system."""
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename
    ]
    return f"{frames[-1].filename}, line {frames[-1].lineno}"


def _kind(loaded: object) -> str:
    return (
        f"the module {loaded.__file__} without a Pipeline"
        if isinstance(loaded, ModuleType)
        else f"{loaded!r}, a {type(loaded).__name__}"
    )
