"""The pipelines of this package: `PIPELINES` and `pipeline(name)`.

A module or package in this folder that holds a `Pipeline` is found by itself: adding a pipeline is adding a
file. Only finding, ordering and checking belongs here; how a pipeline is declared is in `base`. The
pipelines are looked for when `PIPELINES` is first asked for, so that a worker imports no more than the one
it runs.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable
from functools import cache
from typing import Any

from astra_assets.pipelines.base import Pipeline, PipelineDeclarationError

PIPELINES: tuple[Pipeline, ...]
"""All pipelines, each after those whose results or rows it reads; otherwise in the order of their names."""

__all__ = ["PIPELINES", "in_order", "pipeline"]


def __getattr__(name: str) -> Any:
    if name == "PIPELINES":
        return _registered()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def pipeline(name: str) -> Pipeline:
    """The pipeline with this name or key, whatever its case.

    Raises:
        KeyError: there is none; the message lists those that exist.
    """
    for known in _registered():
        if name.lower() in (known.name.lower(), known.key):
            return known
    raise KeyError(f"there is no pipeline {name!r}; there are: {', '.join(p.key for p in _registered())}")


def in_order(pipelines: Iterable[Pipeline]) -> tuple[Pipeline, ...]:
    """The pipelines, checked together, each after those that it reads from.

    A pipeline reads from those that it names in `after`, and from those that write the table of its inputs.

    Raises:
        PipelineDeclarationError: two share a name, key, product or table, `after` names an unknown
            pipeline, or they wait for each other in a circle.
    """
    waiting = {p.name: p for p in sorted(pipelines, key=lambda p: p.name.lower())}
    _check_together(tuple(pipelines))
    needs = {p.name: _reads_from(p, waiting) for p in waiting.values()}
    ordered: list[Pipeline] = []
    while waiting:
        ready = next((name for name in waiting if not needs[name] & waiting.keys()), None)
        if ready is None:
            raise PipelineDeclarationError(
                f"these pipelines wait for each other in a circle: {', '.join(waiting)}; check their `after`, `tables` and inputs"
            )
        ordered.append(waiting.pop(ready))
    return tuple(ordered)


def _check_together(pipelines: tuple[Pipeline, ...]) -> None:
    for kind in ("name", "key", "product", "table"):
        seen: dict[Any, str] = {}
        for p in pipelines:
            value = getattr(p, kind)
            folded = value.lower() if isinstance(value, str) else value
            if folded in seen:
                raise PipelineDeclarationError(
                    f"{seen[folded]} and {p.name} have the same {kind} {value!r}: change one of them"
                )
            seen[folded] = p.name


def _reads_from(reader: Pipeline, by_name: dict[str, Pipeline]) -> set[str]:
    unknown = [name for name in reader.after if name not in by_name]
    if unknown:
        raise PipelineDeclarationError(
            f"{reader.name}: `after` names {', '.join(unknown)}, but there are only: {', '.join(by_name)}"
        )
    inputs = {step.inputs for step in reader.steps}
    writers = {p.name for p in by_name.values() for step in p.steps if inputs.intersection(step.tables)}
    return (writers | set(reader.after)) - {reader.name}


@cache
def _registered() -> tuple[Pipeline, ...]:
    found: dict[int, Pipeline] = {}
    for module in pkgutil.iter_modules(__path__):
        if module.name != "base" and not module.name.startswith("_"):
            members = vars(importlib.import_module(f"{__name__}.{module.name}")).values()
            found.update((id(member), member) for member in members if isinstance(member, Pipeline))
    return in_order(found.values())
