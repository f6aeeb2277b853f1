"""What several tests read and none changes is made once, also where the tests are spread over processes."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The folder of this name that `make` has filled: by whichever process asks first, while the others wait for it.

    A folder is filled where it stays, for what is in it may name where it is. If that fails, it fails for all who ask:
    what takes minutes and ends in an error is not tried by each of them.
    """
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder, made = base / name, base / f"{name}.made"
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            folder.mkdir()
            make(folder)
            made.touch()
    if not made.exists():
        pytest.fail(f"{folder} could not be made; the error is told where it was tried first")
    return folder
