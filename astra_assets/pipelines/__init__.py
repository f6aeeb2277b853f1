"""The pipelines: `PIPELINES`, those of a release (`chosen`) and one of them (`pipeline`).

A module or package in this folder that holds a `Pipeline` is found by itself: adding a pipeline is adding a file. So is
one of another distribution (`finding`). The pipelines are looked for when `PIPELINES` is first asked for, so that a
worker imports no more than the one it runs.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from typing import Any

from astra_assets.pipelines.base import Pipeline
from astra_assets.pipelines.together import in_order

PIPELINES: tuple[Pipeline, ...]
"""All pipelines, each after those whose results or rows it reads; otherwise in the order of their names."""

__all__ = ["PIPELINES", "chosen", "in_order", "pipeline"]


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


def chosen(keys: Collection[str], *, plug_ins: bool = False) -> tuple[Pipeline, ...]:
    """The pipelines with these keys, with `plug_ins` also all of other distributions, in the order of `PIPELINES`."""
    return tuple(p for p in _registered() if p.key in keys or (plug_ins and p.key in _keys_of_plug_ins()))


@cache
def _registered() -> tuple[Pipeline, ...]:
    from astra_assets.pipelines.finding import own_pipelines, plug_ins

    found = {id(member): member for member in own_pipelines(__name__, __path__)}
    found |= {id(member): member for each in plug_ins() for member in each.pipelines}
    return in_order(found.values())


@cache
def _keys_of_plug_ins() -> frozenset[str]:
    """Keys of the pipelines that only other distributions have."""
    from astra_assets.pipelines.finding import own_pipelines, plug_ins

    own = set(map(id, own_pipelines(__name__, __path__)))
    return frozenset(member.key for each in plug_ins() for member in each.pipelines if id(member) not in own)
