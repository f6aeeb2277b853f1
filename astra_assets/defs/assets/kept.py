"""The outline of the assets, kept in a file between two loads of the definitions.

Importing all tables and pipelines takes longer than importing Dagster, and every command of Dagster loads the definitions.
So what they need of the declarations is written down next to Python's own compiled files, and read again as long as no file
that it was made from has changed. The declarations themselves are imported when an asset is made.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from astra_assets.defs.assets.outline import (
    Columns,
    Outline,
    OutputOutline,
    ProductOutline,
    ShownColumn,
    StepOutline,
    TableOutline,
)
from astra_assets.pipelines.finding import offered

PACKAGE = Path(__file__).resolve().parents[2]
PIPELINES_FOLDER = PACKAGE / "pipelines"
FORMAT = 1
"""Of the file; another one is not read."""


@cache
def outline() -> Outline:
    """The outline of all that is declared: the kept one if it is still true, else a new one, which is then kept.

    Raises:
        ExpectedError: the declarations cannot work; the message says which file to change.
    """
    file = kept_file()
    kept = read_kept(file)
    if kept is not None:
        return kept
    from astra_assets.defs.assets.outlining import make_outline

    made = make_outline()
    # Where this cannot be written (a package of the system, a full disk) every load makes it again.
    with suppress(OSError):
        keep(file, made, made_from())
    return made


def kept_file() -> Path:
    """Where an outline is kept: one file for each set of distributions that offer pipelines."""
    points = sorted(f"{point.dist.name if point.dist else ''} {point.value}" for point in offered())
    digest = hashlib.sha256("\n".join([sys.version, *points]).encode()).hexdigest()[:12]
    return Path(importlib.util.cache_from_source(__file__)).with_name(f"outline-{digest}.json")


def made_from() -> list[str]:
    """The files that decide what an outline says: of this package and of those that offer pipelines, as far as imported.

    The folder of the pipelines is one of them, for a file that is added there is a pipeline.
    """
    packages = {"astra_assets", *(point.value.partition(":")[0].partition(".")[0] for point in offered())}
    modules = [module for name, module in sys.modules.items() if name.partition(".")[0] in packages]
    files = {str(module.__file__) for module in modules if getattr(module, "__file__", None)}
    return [str(PIPELINES_FOLDER), *sorted(files)]


def stamp(path: str) -> list[int]:
    """What changes when a file does; of a folder, when something in it comes or goes."""
    try:
        found = Path(path).stat()
    except OSError:
        return []
    return [found.st_mtime_ns, found.st_size]


def read_kept(file: Path) -> Outline | None:
    """The outline in a file; None where there is none, or something that it was made from has changed."""
    try:
        content = json.loads(file.read_bytes())
        if (content["format"], content["package"]) != (FORMAT, str(PACKAGE)):
            return None
        if any(stamp(path) != seen for path, seen in content["files"].items()):
            return None
        return _unpacked(content)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def keep(file: Path, made: Outline, files: Iterable[str]) -> None:
    """Write an outline down, whole or not at all; `files` are what it was made from."""
    from astra_assets.files.atomic import atomic_write

    content = {
        "format": FORMAT,
        "package": str(PACKAGE),
        "files": {path: stamp(path) for path in files},
        **_packed(made),
    }
    with atomic_write(file, sync=False) as partial:
        partial.write_text(json.dumps(content))


def _packed(made: Outline) -> dict[str, Any]:
    """As JSON has it: each column once, and its number where it is shown."""
    numbers: dict[ShownColumn, int] = {}

    def packed(record: TableOutline | OutputOutline | ProductOutline) -> dict[str, Any]:
        return vars(record) | {"columns": [numbers.setdefault(each, len(numbers)) for each in record.columns]}

    content = {
        "tables": [packed(each) for each in made.tables],
        "steps": [
            vars(each) | {"outputs": [packed(output) for output in each.outputs]} for each in made.steps
        ],
        "products": [packed(each) for each in made.products],
    }
    return vars(made) | content | {"columns": list(numbers)}


def _unpacked(content: Mapping[str, Any]) -> Outline:
    known = [ShownColumn(*each) for each in content["columns"]]

    def columns(record: Mapping[str, Any]) -> Columns:
        return tuple(known[number] for number in record["columns"])

    def keys(record: Mapping[str, Any]) -> tuple[tuple[str, ...], ...]:
        return tuple(tuple(key) for key in record["upstream"])

    def output(record: Mapping[str, Any]) -> OutputOutline:
        lists = {
            "key": tuple(record["key"]),
            "kinds": tuple(record["kinds"]),
            "files": tuple(record["files"]),
            "columns": columns(record),
        }
        return OutputOutline(**{**record, **lists})

    return Outline(
        pipelines=tuple(content["pipelines"]),
        plug_ins=tuple(content["plug_ins"]),
        tables=tuple(
            TableOutline(**{**each, "parents": tuple(each["parents"]), "columns": columns(each)})
            for each in content["tables"]
        ),
        steps=tuple(
            StepOutline(**{**each, "upstream": keys(each), "outputs": tuple(map(output, each["outputs"]))})
            for each in content["steps"]
        ),
        products=tuple(
            ProductOutline(**{**each, "upstream": keys(each), "columns": columns(each)})
            for each in content["products"]
        ),
    )
