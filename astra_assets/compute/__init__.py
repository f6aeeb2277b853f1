"""The engine: finds unprocessed inputs, plans batches, runs them here or on a cluster, collects and accounts.

```
engine = Engine(database, EnginePaths(home, roots), "0.8.1", settings={}, backend=LocalBackend())
account = engine.run(pipeline, step, Selection(limit=1000))
```

Names are imported when they are first used, for the worker program in this package must set the number of
threads before anything numerical is imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from astra_assets.compute.account import Account
    from astra_assets.compute.backend import Backend
    from astra_assets.compute.batch import Batch, BatchError, BatchLimits, BrokenBatchError, EnginePaths
    from astra_assets.compute.engine import Engine
    from astra_assets.compute.local import LocalBackend
    from astra_assets.compute.planner import NothingToDo
    from astra_assets.compute.progress import Phase, Progress, Sparingly, TaskState
    from astra_assets.compute.step_inputs import Selection

_HOMES = {
    "Account": "account",
    "Backend": "backend",
    "Batch": "batch",
    "BatchError": "batch",
    "BrokenBatchError": "batch",
    "Engine": "engine",
    "EnginePaths": "batch",
    "BatchLimits": "batch",
    "LocalBackend": "local",
    "NothingToDo": "planner",
    "Phase": "progress",
    "Progress": "progress",
    "Selection": "step_inputs",
    "Sparingly": "progress",
    "TaskState": "progress",
}

__all__ = [
    "Account",
    "Backend",
    "Batch",
    "BatchError",
    "BatchLimits",
    "BrokenBatchError",
    "Engine",
    "EnginePaths",
    "LocalBackend",
    "NothingToDo",
    "Phase",
    "Progress",
    "Selection",
    "Sparingly",
    "TaskState",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
