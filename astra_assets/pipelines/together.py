"""Pipelines of all origins together: what they may not share, what they may read, and in which order they run."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from astra_assets.pipelines.base import Pipeline, PipelineDeclarationError, reference_of


def in_order(pipelines: Iterable[Pipeline]) -> tuple[Pipeline, ...]:
    """The pipelines, checked together, each after those that it reads from.

    A pipeline reads from those that it names in `after`, and from those that write the table of its inputs.

    Raises:
        PipelineDeclarationError: two share a name, key, product or table, `after` names an unknown pipeline, a step
            reads no table of spectra or sources, or they wait for each other in a circle. All of it is told at once.
    """
    found = tuple(pipelines)
    problems = [*_shared(found), *_unknown_inputs(found), *_unknown_names(found)]
    if problems:
        raise PipelineDeclarationError("; ".join(problems))
    waiting = {p.name: p for p in sorted(found, key=lambda p: p.name.lower())}
    needs = {p.name: _reads_from(p, waiting) for p in waiting.values()}
    ordered: list[Pipeline] = []
    while waiting:
        ready = next((name for name in waiting if not needs[name] & waiting.keys()), None)
        if ready is None:
            raise PipelineDeclarationError(_circle(waiting, needs))
        ordered.append(waiting.pop(ready))
    return tuple(ordered)


def home_of(pipeline: Pipeline) -> str:
    """The file that declares a pipeline."""
    try:
        module = reference_of(pipeline).partition(":")[0]
    except PipelineDeclarationError:
        module = pipeline.table.__module__
    return str(getattr(sys.modules.get(module), "__file__", None) or module)


def _shared(pipelines: tuple[Pipeline, ...]) -> Iterator[str]:
    """What two of them have in common and must not."""
    for kind in ("name", "key", "product", "table"):
        seen: dict[Any, Pipeline] = {}
        for p in pipelines:
            value = getattr(p, kind)
            other = seen.setdefault(value.lower() if isinstance(value, str) else value, p)
            if other is not p:
                yield (
                    f"{other.name} and {p.name} have the same {kind} {value!r}: change it in {home_of(p)} or in {home_of(other)}"
                )


def _unknown_names(pipelines: tuple[Pipeline, ...]) -> Iterator[str]:
    """Names in `after` that nobody has."""
    known = {p.name for p in pipelines}
    for p in pipelines:
        unknown = [name for name in p.after if name not in known]
        if unknown:
            yield (
                f"{p.name}: `after` names {', '.join(unknown)}, but there are only: {', '.join(sorted(known))}; change it in "
                f"{home_of(p)}"
            )


def _unknown_inputs(pipelines: tuple[Pipeline, ...]) -> Iterator[str]:
    """Inputs of steps that are no table of spectra or sources."""
    written = {table for p in pipelines for step in p.steps for table in step.tables}
    for p in pipelines:
        for step in p.steps:
            if step.inputs not in written and not _is_input(step.inputs):
                found = getattr(step.inputs, "__name__", repr(step.inputs))
                yield (
                    f"{p.name}: step {step.name!r} reads {found}, which is no table of spectra or sources; change `inputs` in "
                    f"{home_of(p)} to one of: {', '.join(_known_inputs())}"
                )


def _is_input(model: object) -> bool:
    """True for the models of spectra and sources, which stand in `models`."""
    from astra_assets.models.base import Base

    if not (isinstance(model, type) and issubclass(model, Base)):
        return False
    if not model.__module__.startswith("astra_assets.models."):
        return False
    return model.__name__ == "Source" or {"source_pk", "spectrum_pk"} <= set(model.c.keys())


def _known_inputs() -> list[str]:
    from astra_assets.models.base import Base

    return sorted(mapper.class_.__name__ for mapper in Base.registry.mappers if _is_input(mapper.class_))


def _reads_from(reader: Pipeline, by_name: Mapping[str, Pipeline]) -> set[str]:
    inputs = {step.inputs for step in reader.steps}
    writers = {p.name for p in by_name.values() for step in p.steps if inputs.intersection(step.tables)}
    return (writers | set(reader.after)) - {reader.name}


def _circle(waiting: Mapping[str, Pipeline], needs: Mapping[str, set[str]]) -> str:
    """The circle among pipelines that wait for each other; those that only wait for it are not named."""
    trail = [next(iter(waiting))]
    while True:
        following = min(needs[trail[-1]] & waiting.keys())
        if following in trail:
            break
        trail.append(following)
    members = sorted(trail[trail.index(following) :])
    files = dict.fromkeys(home_of(waiting[name]) for name in members)
    return (
        f"these pipelines wait for each other in a circle: {', '.join(members)}; check their `after`, `tables` and inputs in "
        f"{' and '.join(files)}"
    )
