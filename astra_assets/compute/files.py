"""Writing and reading the files of a batch so that a kill at any moment leaves whole files only.

What the files mean is said elsewhere (`batch`, `parts`); here is only how they come into being.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

TEMPORARY_PREFIX = ".partial-"
"""Start of the name of a file that is being written; nobody reads such a file."""


def write_json(path: Path, content: Mapping[str, Any], *, sync: bool = True) -> None:
    """Write a JSON file beside its final name and rename it.

    `sync=False` saves the flush to disk for files that are written every second and lose their worth with the
    process.
    """
    with _beside(path) as temporary:
        with temporary.open("w", encoding="utf-8") as stream:
            json.dump(content, stream, indent=1)
            stream.write("\n")
            stream.flush()
            if sync:
                os.fsync(stream.fileno())
        temporary.replace(path)
    if sync:
        sync_folder(path.parent)


def read_json(path: Path) -> dict[str, Any] | None:
    """The content of a JSON file; None where there is none or it is no JSON object."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError, UnicodeDecodeError):
        return None
    return content if isinstance(content, dict) else None


def write_new(path: Path, write: Callable[[Path], None]) -> bool:
    """Write a file that must not exist yet; False if somebody else has made it in the meantime.

    The final name appears by a hard link, which, unlike a rename, never replaces a file: of two processes
    that write the same name one is told that it lost.
    """
    with _beside(path) as temporary:
        write(temporary)
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            return False
    sync_folder(path.parent)
    return True


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[Path]:
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{secrets.token_hex(4)}-{path.name}")
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
