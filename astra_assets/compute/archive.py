"""The look of a task at the archive, on the machine where it runs.

A folder that is not mounted makes every spectrum below it a missing file, which says nothing about the spectra. Whoever
starts a batch writes down which of its files are there (`sampling`); each task compares. Light to import, for tasks do.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from astra_assets.compute.batch import BatchError
from astra_assets.files.json_files import read_json, write_json

COMPARED = 16
"""Files that each task compares."""

MARK = "archive.json"
"""File in the folder of a batch that says in which roots its files are, and some of those that were there."""

ADVICE = (
    "No input is to blame: nothing was deleted and no attempt was used up. Mount or restore the folder, or set "
    "SAS_BASE_DIR and MWM_ASTRA to where the files are, and run the step again."
)
"""What to do when the archive is gone."""


class ArchiveError(BatchError):
    """A root of the archive, or files in it that were there before, cannot be found; no spectrum is to blame."""


def write_seen(directory: Path, roots: Mapping[str, Path], files: Sequence[Path]) -> None:
    """Write down the roots of a batch by the names of their settings, and some files that are there."""
    content = {
        "roots": {name: str(folder) for name, folder in roots.items()},
        "files": [str(files[place]) for place in evenly(len(files), COMPARED)],
    }
    write_json(directory / MARK, content)


def compare_archive(directory: Path) -> None:
    """Check that the files of a batch are there, as whoever started it has seen them.

    A batch of which nothing is written down is not checked.

    Raises:
        ArchiveError: a root is missing or empty, or at least half of the files are gone.
    """
    content = read_json(directory / MARK)
    if content is None:
        return
    for name, folder in content["roots"].items():
        need_root(name, Path(folder))
    files = [Path(name) for name in content["files"]]
    gone = [path for path in files if not is_there(path)]
    if gone and 2 * len(gone) >= len(files):
        raise ArchiveError(
            f"{missing_folder(gone)}: on {socket.gethostname()}, {len(gone)} of {len(files)} files are gone that were "
            f"there when the batch was started, such as {gone[0]}. {ADVICE}"
        )


def need_root(name: str, folder: Path) -> None:
    """Check that the folder of the setting `name` is there and has something in it.

    Raises:
        ArchiveError: it is missing or empty, or cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            wrong = "" if next(entries, None) is not None else "the folder is empty"
    except OSError as error:
        wrong = f"the folder cannot be read ({error.strerror})"
    if wrong:
        raise ArchiveError(
            f"{folder}: {wrong} on {socket.gethostname()}, expected the folder of {name} with the spectra of this step. "
            f"{ADVICE}"
        )


def is_there(path: Path) -> bool:
    """True if there is something of this name; False also where the file system does not answer."""
    try:
        path.stat()
    except OSError:
        return False
    return True


def missing_folder(files: Iterable[Path]) -> Path:
    """The highest missing folder above all these missing files; the lowest common one where that exists."""
    folder = Path(os.path.commonpath([path.parent for path in files]))
    if is_there(folder):
        return folder
    while not is_there(folder.parent):
        folder = folder.parent
    return folder


def evenly(total: int, most: int) -> list[int]:
    """At most `most` places among `total`, spread evenly."""
    return [place * total // min(total, most) for place in range(min(total, most))]
