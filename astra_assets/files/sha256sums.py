"""SHA256SUMS: one checksum for each file of a folder of products, in the format of sha256sum.

`sha256sum --check SHA256SUMS` in the folder verifies it. A file whose line does not match is being replaced at this
moment, or was damaged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from astra_assets.files import locks
from astra_assets.files.atomic import atomic_write, naming

NAME = "SHA256SUMS"


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as it is on disk, in hexadecimal."""
    with naming(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read(folder: Path) -> dict[str, str]:
    """Checksum by file name; empty when the folder has no manifest. Raises ValueError as `read_lines` does."""
    path = folder / NAME
    return read_lines(path) if path.exists() else {}


def read_lines(path: Path) -> dict[str, str]:
    """Checksum by file name of a file that sha256sum can read; lines that start with # are comments.

    Raises ValueError naming the line that is not a checksum and a name.
    """
    found = {}
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if line.startswith("#"):
            continue
        digest, separator, name = line.partition("  ")
        if len(digest) != hashlib.sha256().digest_size * 2 or not separator or not name:
            raise ValueError(f"{path}:{number}: expected a checksum, two blanks and a name, found {line!r}")
        found[name] = digest
    return found


def record(path: Path, digest: str) -> None:
    """Put the checksum of a file into the manifest of its folder; files that are gone leave it."""
    with locked(path.parent):
        record_all(path.parent, {path.name: digest})


def record_all(folder: Path, digests: Mapping[str, str]) -> None:
    """Put checksums by file name into the manifest of a folder, which is `locked`; files that are gone leave it."""
    entries = {**read(folder), **digests}
    kept = {name: entries[name] for name in sorted(entries) if (folder / name).exists()}
    with atomic_write(folder / NAME) as partial:
        partial.write_text(lines(kept))


def lines(digests: Mapping[str, str]) -> str:
    """Checksums by file name as sha256sum writes and reads them."""
    return "".join(f"{digest}  {name}\n" for name, digest in digests.items())


def recorded(path: Path) -> str | None:
    """The checksum that the manifest has for a file; None when it has none."""
    return read(path.parent).get(path.name)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Only one process at a time changes the manifest of a folder and gives files in it their names."""
    with locks.locked(lock_file(folder)):
        yield


def lock_file(folder: Path) -> Path:
    """Return the file by which the manifest of a folder is locked."""
    return folder / f".{NAME}.lock"
