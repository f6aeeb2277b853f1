"""Freezing a version: its files become read-only, and a list of their checksums says what they were.

A version can have a million per-source files. So FROZEN lists the summary files themselves and, of the per-source files, one
SHA256SUMS for each folder of the first level (100 of each kind, some 10,000 files each).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from astra_assets.errors import ExpectedError
from astra_assets.files import sha256sums
from astra_assets.files.atomic import PARTIAL_PREFIX, atomic_write
from astra_assets.products.release.audit import THREADS
from astra_assets.products.release.frozen import NAME, SOURCE_FOLDERS, Frozen, Part, read_marker
from astra_assets.text import size_text

_WRITE_BITS = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


class FreezeError(ExpectedError, RuntimeError):
    """A version cannot be frozen; the message says why."""


@dataclass(frozen=True)
class FreezeReport:
    """What was frozen: `files` in all, `size_bytes` of them, and the marker's path."""

    marker: Path
    parts: tuple[Part, ...]
    files: int
    size_bytes: int
    already: bool = False

    @property
    def summary(self) -> str:
        """One line for people."""
        what = " and ".join(self.parts)
        if self.already:
            return f"{what} were frozen before, see {self.marker}"
        return f"frozen: {what}, {self.files:,} files, {size_text(self.size_bytes)}, {self.marker}"


def freeze_version(
    mwm_astra: Path,
    v_astra: str,
    *,
    release: str,
    git_revision: str,
    parts: Sequence[Part],
    say: Callable[[str], None],
) -> FreezeReport:
    """Freeze folders of a version. What was interrupted goes on when it is called again.

    The marker is written before checksums are taken, so that nobody writes into the folders from then on.

    Args:
        mwm_astra: the folder of all versions.
        v_astra: the version.
        release: named in the marker.
        git_revision: of this package, named in the marker.
        parts: what is frozen of the version.
        say: where progress is reported.

    Raises:
        FreezeError: there is nothing to freeze.
    """
    folder = mwm_astra / v_astra
    missing = [part for part in parts if not (folder / part).is_dir()]
    if missing:
        raise FreezeError(
            f"{folder} has no folder {', '.join(missing)}: there is nothing to freeze; astra-assets products lists what there is"
        )
    known = read_marker(folder)
    if known is not None and known.complete and set(parts) <= set(known.parts):
        return FreezeReport(folder / NAME, tuple(parts), 0, 0, already=True)
    lasting = known.parts if known is not None else ()
    together = tuple(part for part in ("summary", "spectra") if part in {*parts, *lasting})
    marker = Frozen(v_astra, release, f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}", git_revision, together, False)
    _write_marker(folder, marker, {})
    taking = _Taking(folder, say)
    for part in together:
        taking.summary() if part == "summary" else taking.spectra()
    _write_marker(folder, replace(marker, complete=True), taking.digests)
    for part in together:
        for name in SOURCE_FOLDERS if part == "spectra" else (part,):
            _make_read_only(folder / name)
    if len(together) == 2:
        _take_write_bits(folder)
    return FreezeReport(folder / NAME, together, taking.files, taking.size_bytes)


def _write_marker(folder: Path, marker: Frozen, digests: dict[str, str]) -> None:
    _give_write_bit(folder)
    with atomic_write(folder / NAME) as partial:
        partial.write_text(marker.header() + sha256sums.lines(digests))
    _take_write_bits(folder / NAME)


class _Taking:
    """Checksums by path below the folder of a version, and how many files they stand for."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self.digests: dict[str, str] = {}
        self.files = 0
        self.size_bytes = 0
        self._folder = folder
        self._say = say

    def summary(self) -> None:
        folder = self._folder / "summary"
        # Whoever is giving files their names at this moment holds the lock; nobody begins to any more.
        with sha256sums.locked(folder):
            if (folder / sha256sums.NAME).exists():
                sha256sums.record_all(folder, {})  # without files that were removed by hand
            paths = _visible(folder)
            for path, digest in self._hashed(paths):
                self.digests[f"summary/{path.relative_to(folder).as_posix()}"] = digest
        self._say(f"summary: {len(paths):,} files")

    def spectra(self) -> None:
        for kind in sorted(path for name in SOURCE_FOLDERS for path in _folders(self._folder / name)):
            before = self.files
            for group in _folders(kind):
                self._group(f"{kind.parent.name}/{kind.name}", group)
            self._say(f"{kind.parent.name}/{kind.name}: {self.files - before:,} files")

    def _group(self, kind: str, group: Path) -> None:
        paths = [path for path in _visible(group) if path != group / sha256sums.NAME]
        found = {path.relative_to(group).as_posix(): digest for path, digest in self._hashed(paths)}
        _give_write_bit(group)
        with atomic_write(group / sha256sums.NAME) as partial:
            partial.write_text(sha256sums.lines(found))
        name = f"{kind}/{group.name}/{sha256sums.NAME}"
        self.digests[name] = sha256sums.sha256(group / sha256sums.NAME)

    def _hashed(self, paths: Sequence[Path]) -> list[tuple[Path, str]]:
        with ThreadPoolExecutor(THREADS) as pool:
            digests = list(pool.map(sha256sums.sha256, paths))
        self.files += len(paths)
        self.size_bytes += sum(path.stat().st_size for path in paths)
        return list(zip(paths, digests, strict=True))


def _folders(folder: Path) -> list[Path]:
    """The folders in a folder, which need not be there."""
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def _visible(folder: Path) -> list[Path]:
    """Files below a folder but hidden ones. Raises FreezeError when one is being written."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.name.startswith(PARTIAL_PREFIX):
            raise FreezeError(
                f"{path} is being written, or was left by a killed process: wait, or remove it, and freeze again"
            )
        if path.is_file() and not path.name.startswith("."):
            found.append(path)
    return found


def _make_read_only(folder: Path) -> None:
    for place, _, names in os.walk(folder, topdown=False):
        for name in names:
            _take_write_bits(Path(place) / name)
        _take_write_bits(Path(place))


def _take_write_bits(path: Path) -> None:
    path.chmod(path.stat().st_mode & ~_WRITE_BITS)


def _give_write_bit(folder: Path) -> None:
    """Let the owner write into a folder: one that was frozen before is frozen again."""
    folder.chmod(folder.stat().st_mode | stat.S_IWUSR)
