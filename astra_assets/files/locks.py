"""Locks between processes: `flock` on a file that is made for it.

A lock ends with the process that holds it, however that ends, so none is left behind. Holders on other machines are
seen where the file system supports it.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
"""What a file system says that has no locks."""

RETRY_SECONDS = 0.05

log = logging.getLogger(__name__)


@contextmanager
def locked(
    path: Path, *, waiting: Callable[[], None] | None = None, optional: bool = False
) -> Iterator[None]:
    """Hold a lock for the time of the block; wait for it while another process holds it.

    Args:
        path: the file of the lock; it and its folder are made when missing.
        waiting: called once when another process holds the lock, before waiting.
        optional: go on without a lock where the file system has none.

    Raises:
        OSError: the file cannot be made or locked.
    """
    descriptor = _open(path)
    try:
        if waiting is None or not _lock(descriptor, path, fcntl.LOCK_NB, optional=optional):
            if waiting is not None:
                waiting()
            _lock(descriptor, path, 0, optional=optional)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def try_lock(path: Path, *, seconds: float = 0.0, optional: bool = False) -> Iterator[bool]:
    """Hold a lock for the time of the block if it can be had.

    Args:
        path: the file of the lock; it and its folder are made when missing.
        seconds: how long to wait for it while another process holds it.
        optional: go on as if it was held where the file system has no locks.

    Returns:
        Whether the lock is held.

    Raises:
        OSError: the file cannot be made or locked.
    """
    descriptor = _open(path)
    deadline = time.monotonic() + seconds
    try:
        while not (held := _lock(descriptor, path, fcntl.LOCK_NB, optional=optional)):
            if time.monotonic() >= deadline:
                break
            time.sleep(RETRY_SECONDS)
        yield held
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)


def _lock(descriptor: int, path: Path, flags: int, *, optional: bool) -> bool:
    """Lock an open file; False where another process holds the lock and `flags` say not to wait."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | flags)
    except BlockingIOError:
        return False
    except OSError as error:
        if not optional or error.errno not in NO_LOCKS:
            raise
        log.debug("%s: this file system has no locks: %s", path, error)
    return True
