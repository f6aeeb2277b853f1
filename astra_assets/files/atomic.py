"""A file under its final name is always whole: written beside, flushed to disk, renamed.

What is in the file is the caller's business.
"""

from __future__ import annotations

import itertools
import os
import re
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from astra_assets.files.os_errors import STORAGE, path_of

PARTIAL_PREFIX = ".partial-"
"""Start of the name of a file that is being written; such a file is never a product."""

ABANDONED_SECONDS = 86_400.0
"""Age above which a temporary file is taken for left behind, whichever host wrote it."""

_RUN = secrets.token_hex(2)
"""Start of the tokens of this process, which tells its files from those of an earlier process of the same number."""

_NUMBERS = itertools.count()

_PARTIAL = re.compile(
    rf"{re.escape(PARTIAL_PREFIX)}(?P<host>[A-Za-z0-9_]+)-(?P<pid>\d+)-(?P<token>[0-9a-f]{{8}})-(?P<name>.+)"
)


@contextmanager
def naming(path: Path, *also: Path) -> Iterator[None]:
    """Give errors of the operating system that name no file, or one of `also`, the name of `path`.

    Neither a failing write nor a failing flush says to which file it belongs. Of errors without a name only those of
    storage get one.
    """
    try:
        yield
    except OSError as error:
        known = path_of(error)
        if known in also or (known is None and error.errno in STORAGE):
            error.filename = str(path)
        raise


@contextmanager
def atomic_write(path: str | os.PathLike[str], *, sync: bool = True) -> Iterator[Path]:
    """Give the block a path beside `path` to write to; rename it to `path` when the block ends well.

    The temporary file keeps the suffix of `path` (writers choose compression by it) and its folder is made
    when missing. When the block raises, the temporary file is removed and whatever was at `path` stays as it
    was. What a killed process left behind for the same `path` is removed by the next writer on that machine, and by
    any writer when it is a day old. Errors of the operating system name `path`.
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
    with naming(final, partial):
        try:
            yield partial
            if sync:
                flush(partial)
            partial.replace(final)
        except BaseException:
            _discard(partial)
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
    with naming(final, partial):
        try:
            write(partial)
            flush(partial)
            try:
                final.hardlink_to(partial)
            except FileExistsError:
                return False
        finally:
            _discard(partial)
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
    return final.with_name(
        f"{PARTIAL_PREFIX}{_host()}-{os.getpid()}-{_RUN}{next(_NUMBERS) % 0x10000:04x}-{final.name}"
    )


def remove_leftovers(final: Path) -> list[Path]:
    """Remove and return the temporary files of `final` that nobody writes any more."""
    return [
        path
        for path in _partials_in(final.parent)
        if _final_name(path) == final.name and clear_leftover(path)
    ]


def living_writer(partial: Path) -> int | None:
    """Return the process of this host that writes a temporary file; None if there is none, or none is known."""
    match = _PARTIAL.fullmatch(partial.name)
    if match is None or match["host"] != _host():
        return None
    pid = int(match["pid"])
    # Processes of containers that follow each other often have the same number.
    alive = match["token"].startswith(_RUN) if pid == os.getpid() else _alive(pid)
    return pid if alive else None


def _partials_in(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        return sorted(Path(entry.path) for entry in entries if entry.name.startswith(PARTIAL_PREFIX))


def _final_name(partial: Path) -> str | None:
    match = _PARTIAL.fullmatch(partial.name)
    return match["name"] if match else None


def clear_leftover(partial: Path) -> bool:
    """Remove a temporary file that nobody writes any more; tell whether it is gone.

    The process of a file of another host is not known: such a file goes when it is a day old.
    """
    match = _PARTIAL.fullmatch(partial.name)
    own = match is not None and match["host"] == _host()
    try:
        if living_writer(partial) is not None:
            return False
        if not own and time.time() - partial.stat().st_mtime < ABANDONED_SECONDS:
            return False
        partial.unlink()
    except FileNotFoundError:
        return True  # its writer has given it its name, or somebody else was faster
    return True


def _discard(partial: Path) -> None:
    """Remove a temporary file. A disk that does not even allow that must not hide why the file was given up."""
    with suppress(OSError):
        partial.unlink()


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
    with naming(path):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
