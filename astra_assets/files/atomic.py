"""A file under its final name is always whole: written beside, flushed to disk, renamed.

What is in the file is the caller's business.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PARTIAL_PREFIX = ".partial-"
"""Start of the name of a file that is being written; such a file is never a product."""


@contextmanager
def atomic_write(path: str | os.PathLike[str], *, sync: bool = True) -> Iterator[Path]:
    """Give the block a path beside `path` to write to; rename it to `path` when the block ends well.

    The temporary file keeps the suffix of `path` (writers choose compression by it) and its folder is made
    when missing. When the block raises, the temporary file is removed and whatever was at `path` stays as it
    was. What a killed process left behind for the same `path` is removed by the next writer on that machine.
    `sync=False` saves the flush to disk for files that are cheap to make again.

    Raises FileNotFoundError when the block ends without having written the temporary file.
    """
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(final)
    with replacement(final, sync=sync) as partial:
        yield partial


@contextmanager
def replacement(final: Path, *, sync: bool = True) -> Iterator[Path]:
    """Do what `atomic_write` does in a folder that is there, without looking for leftovers of killed processes."""
    partial = _partial_name(final)
    try:
        yield partial
        if sync:
            flush(partial)
        partial.replace(final)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    if sync:
        flush(final.parent)


def write_new(final: Path, write: Callable[[Path], None]) -> bool:
    """Write a file that must not exist yet; False where another process has made it in the meantime.

    The final name appears by a hard link, which, unlike a rename, never replaces a file: of two processes that write
    the same name one is told that it lost. The folder must be there.
    """
    remove_leftovers(final)
    partial = _partial_name(final)
    try:
        write(partial)
        flush(partial)
        try:
            final.hardlink_to(partial)
        except FileExistsError:
            return False
    finally:
        partial.unlink(missing_ok=True)
    flush(final.parent)
    return True


def partial_path(final: Path) -> Path:
    """Return a path beside `final`, in a folder that is there, to write what is to be renamed to `final`.

    What killed processes left behind for `final` on this machine is removed.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(final)
    return _partial_name(final)


def _partial_name(final: Path) -> Path:
    return final.with_name(f"{PARTIAL_PREFIX}{_host()}-{os.getpid()}-{secrets.token_hex(4)}-{final.name}")


def remove_leftovers(final: Path) -> list[Path]:
    """Remove and return the temporary files of `final` whose process, on this machine, no longer exists."""
    pattern = re.compile(
        rf"{re.escape(PARTIAL_PREFIX + _host())}-(\d+)-[0-9a-f]{{8}}-{re.escape(final.name)}"
    )
    removed = []
    with os.scandir(final.parent) as entries:
        matches = [
            (entry.path, pattern.fullmatch(entry.name))
            for entry in entries
            if entry.name.startswith(PARTIAL_PREFIX)
        ]
    for name, match in matches:
        if match is not None and not _alive(int(match[1])):
            Path(name).unlink(missing_ok=True)
            removed.append(Path(name))
    return removed


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9]", "_", socket.gethostname()) or "host"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def flush(path: Path) -> None:
    """Flush a file or a folder to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
