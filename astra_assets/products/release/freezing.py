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
from astra_assets.files.atomic import PARTIAL_PREFIX, atomic_write, clear_leftover, living_writer
from astra_assets.products.release.audit import THREADS
from astra_assets.products.release.frozen import NAME, PARTS, SOURCE_FOLDERS, Frozen, Part, read_marker
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

    The marker is written before checksums are taken, so that nobody writes into the folders from then on. It says that the
    version is frozen once everything else is done. Temporary files are no part of a release: those that nobody writes any
    more are removed, young ones of other hosts are named and left alone.

    Args:
        mwm_astra: the folder of all versions.
        v_astra: the version.
        release: named in the marker.
        git_revision: of this package, named in the marker.
        parts: what is frozen of the version.
        say: where progress is reported.

    Raises:
        FreezeError: there is nothing to freeze, or a process of this host is writing a file of the version.
    """
    folder = mwm_astra / v_astra
    missing = [part for part in parts if not (folder / part).is_dir()]
    if missing:
        raise FreezeError(
            f"{folder} has no folder {', '.join(missing)}: there is nothing to freeze; astra-assets products lists what there is"
        )
    known = read_marker(folder)
    if known is not None and known.complete and set(parts) <= set(known.parts):
        _protect_marker(folder, known.parts)
        return FreezeReport(folder / NAME, tuple(parts), 0, 0, already=True)
    lasting = known.parts if known is not None else ()
    together = tuple(part for part in ("summary", "spectra") if part in {*parts, *lasting})
    marker = Frozen(v_astra, release, f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}", git_revision, together, False)
    _write_marker(folder, marker, {})
    taking = _Taking(folder, say)
    taking.leftovers()
    for part in together:
        taking.summary() if part == "summary" else taking.spectra()
    for part in together:
        for name in SOURCE_FOLDERS if part == "spectra" else (part,):
            _make_read_only(folder / name)
    _write_marker(folder, replace(marker, complete=True), taking.digests)
    _protect_marker(folder, together)
    return FreezeReport(folder / NAME, together, taking.files, taking.size_bytes)


def _write_marker(folder: Path, marker: Frozen, digests: dict[str, str]) -> None:
    _give_write_bit(folder)
    with atomic_write(folder / NAME) as partial:
        partial.write_text(marker.header() + sha256sums.lines(digests))


def _protect_marker(folder: Path, parts: Sequence[Part]) -> None:
    _take_write_bits(folder / NAME)
    if len(parts) == len(PARTS):
        _take_write_bits(folder)


class _Taking:
    """Checksums by path below the folder of a version, and how many files they stand for."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self.digests: dict[str, str] = {}
        self.files = 0
        self.size_bytes = 0
        self._folder = folder
        self._say = say

    def leftovers(self) -> None:
        """Remove temporary files next to the marker and among the folders of per-source files."""
        kinds = [path for name in SOURCE_FOLDERS for path in _folders(self._folder / name)]
        for place in (self._folder, *kinds):
            for path in place.glob(f"{PARTIAL_PREFIX}*"):
                self._leftover(path)

    def summary(self) -> None:
        folder = self._folder / "summary"
        # What an earlier call has made read-only already.
        _give_write_bit(folder)
        if (lock := sha256sums.lock_file(folder)).exists():
            _give_write_bit(lock)
        # Whoever is giving files their names at this moment holds the lock; nobody begins to any more.
        with sha256sums.locked(folder):
            if (folder / sha256sums.NAME).exists():
                sha256sums.record_all(folder, {})  # without files that were removed by hand
            paths = self._visible(folder)
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
        paths = [path for path in self._visible(group) if path != group / sha256sums.NAME]
        found = {path.relative_to(group).as_posix(): digest for path, digest in self._hashed(paths)}
        _give_write_bit(group)
        with atomic_write(group / sha256sums.NAME) as partial:
            partial.write_text(sha256sums.lines(found))
        name = f"{kind}/{group.name}/{sha256sums.NAME}"
        self.digests[name] = sha256sums.sha256(group / sha256sums.NAME)

    def _visible(self, folder: Path) -> list[Path]:
        """Files below a folder but hidden ones. Raises FreezeError when one is being written."""
        found = []
        for path in sorted(folder.rglob("*")):
            if path.name.startswith(PARTIAL_PREFIX):
                self._leftover(path)
            elif path.is_file() and not path.name.startswith("."):
                found.append(path)
        return found

    def _leftover(self, path: Path) -> None:
        writer = living_writer(path)
        if writer is not None:
            raise FreezeError(
                f"process {writer} of this host is writing {path}: wait until it ends, and freeze again; remove the file if "
                "that process is another program"
            )
        _give_write_bit(path.parent)
        if clear_leftover(path):
            self._say(f"{path} was left behind by a process that is gone: removed")
        else:
            self._say(f"{path} is a temporary file of another host: no part of the release, left alone")

    def _hashed(self, paths: Sequence[Path]) -> list[tuple[Path, str]]:
        with ThreadPoolExecutor(THREADS) as pool:
            digests = list(pool.map(sha256sums.sha256, paths))
        self.files += len(paths)
        self.size_bytes += sum(path.stat().st_size for path in paths)
        return list(zip(paths, digests, strict=True))


def _folders(folder: Path) -> list[Path]:
    """The folders in a folder, which need not be there."""
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def _make_read_only(folder: Path) -> None:
    for place, _, names in os.walk(folder, topdown=False):
        for name in names:
            _take_write_bits(Path(place) / name)
        _take_write_bits(Path(place))


def _take_write_bits(path: Path) -> None:
    mode = path.stat().st_mode
    if mode & _WRITE_BITS:
        path.chmod(mode & ~_WRITE_BITS)


def _give_write_bit(folder: Path) -> None:
    """Let the owner write into a folder: one that was frozen before is frozen again."""
    folder.chmod(folder.stat().st_mode | stat.S_IWUSR)
