"""Write and read JSON files that are whole or not there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from astra_assets.files.atomic import remove_leftovers, replacement, write_new


def write_json(path: Path, content: Mapping[str, Any], *, sync: bool = True) -> None:
    """Write a JSON file beside its final name and rename it; its folder must be there.

    `sync=False` saves the flush to disk, and the look for leftovers of killed processes, for files that are written
    every second and are worth nothing once the process has ended.
    """
    if sync:
        remove_leftovers(path)
    with replacement(path, sync=sync) as partial:
        _write(partial, content)


def write_new_json(path: Path, content: Mapping[str, Any]) -> bool:
    """Write a JSON file that must not exist yet; False where another process has made it in the meantime."""
    return write_new(path, lambda partial: _write(partial, content))


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the content of a JSON file; None where there is none or it is no JSON object."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError, UnicodeDecodeError):
        return None
    return content if isinstance(content, dict) else None


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
