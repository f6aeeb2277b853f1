"""Errors of the operating system in words: which file, what is wrong with it, how much space is left, what to do."""

from __future__ import annotations

import errno
import getpass
import os
from pathlib import Path

from astra_assets.text import size_text

_AGAIN = "then type the same again: what was done is kept, and it goes on"

_MEANINGS: dict[int, tuple[str, str]] = {
    errno.ENOSPC: ("the disk is full", f"make room there, {_AGAIN}"),
    errno.EDQUOT: ("your quota is used up", f"make room there or ask for more, {_AGAIN}"),
    errno.EFBIG: ("the file would be larger than is allowed", f"raise the limit (ulimit -f), {_AGAIN}"),
    errno.EIO: ("the disk or the network file system reports an I/O error", f"check it, {_AGAIN}"),
    errno.ESTALE: ("the network file system has lost it (stale file handle)", f"check the mount, {_AGAIN}"),
    errno.ENOTCONN: ("the network file system is not connected", f"check the mount, {_AGAIN}"),
    errno.ENODEV: ("its file system is not there", f"check the mount, {_AGAIN}"),
    errno.EROFS: (
        "its file system is mounted read-only",
        f"choose another folder or mount it again, {_AGAIN}",
    ),
    errno.EACCES: ("access is denied", f"change its owner or mode, or choose another folder, {_AGAIN}"),
    errno.EPERM: ("the operation is not permitted", f"change its owner or mode, {_AGAIN}"),
    errno.ENAMETOOLONG: ("the path is too long", "choose a shorter one"),
    errno.ENOENT: ("it does not exist", "check the path, and that its file system is mounted"),
    errno.ENOTDIR: ("a part of the path is a file, not a folder", "check the path"),
    errno.EISDIR: ("it is a folder, not a file", "check the path"),
    errno.ELOOP: ("its symbolic links lead in a circle", "check the path"),
    errno.EMFILE: ("too many files are open", f"raise the limit (ulimit -n), {_AGAIN}"),
    errno.ENFILE: ("too many files are open on this machine", f"end other programs, {_AGAIN}"),
    errno.ENOLCK: ("its file system gives no locks", "put ASTRA_HOME on one that does"),
}

NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Codes that mean that nothing more can be written."""

UNWRITABLE = NO_SPACE | {errno.EROFS}
"""Codes that do not go away by trying again, whatever is written there."""

STORAGE = UNWRITABLE | {errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ENODEV}
"""Codes that tell of a file system, whatever is read or written there."""


def os_error_text(error: OSError) -> str | None:
    """Return what to tell a person about an error of the operating system; None if it is none that they can fix.

    An error without a file is told only if it is about storage: of others nobody could know what to look for.
    """
    meaning = _MEANINGS.get(error.errno or 0)
    path = path_of(error)
    if meaning is None or (path is None and error.errno not in STORAGE):
        return None
    what, advice = meaning
    where = "a file could not be read or written" if path is None else _shown(path)
    facts = [what]
    if error.errno in NO_SPACE and path is not None:
        facts.append(_space(path))
    if error.errno in (errno.EACCES, errno.EPERM):
        facts[0] += f" to {_user()}"
    return f"{where}: {', '.join(filter(None, facts))}; {advice}"


def free_space(path: Path) -> int | None:
    """Return the bytes that are free for this user on the file system of a path, which need not exist; None if unknown."""
    for place in (path, *path.parents):
        try:
            found = os.statvfs(place)
        except OSError:
            continue
        return found.f_bavail * found.f_frsize
    return None


def _space(path: Path) -> str:
    free = free_space(path)
    return "" if free is None else f"{size_text(free)} are free on its file system"


def path_of(error: OSError) -> Path | None:
    """Return the file that an error names; None where it names none."""
    name = error.filename
    if isinstance(name, bytes):
        name = os.fsdecode(name)
    return Path(name) if isinstance(name, str | os.PathLike) and str(name) else None


def _shown(path: Path, most: int = 200) -> str:
    text = str(path).encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= most else f"{text[:most]}... ({len(text)} letters)"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"
