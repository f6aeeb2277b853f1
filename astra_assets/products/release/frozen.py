"""Is a version frozen? Then none of its files is written any more.

The marker of a frozen version is FROZEN in its folder: a list of checksums that `sha256sum --check FROZEN` understands,
below comment lines that say what was frozen, when and for which release.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from astra_assets.errors import ExpectedError

NAME = "FROZEN"
Part = Literal["summary", "spectra"]
PARTS: tuple[Part, ...] = ("summary", "spectra")
"""What of a version can be frozen: the summary files, and the per-source files, be they of spectra or of results."""
SOURCE_FOLDERS = ("spectra", "results")
"""Folders of a version that per-source files are in; the second is not there before the first results."""


class FrozenError(ExpectedError, PermissionError):
    """A file of a frozen version was to be written; the message says how to make a new version."""


@dataclass(frozen=True)
class Frozen:
    """What the marker of a version says.

    Attributes:
        v_astra: the version.
        release: for which it was frozen.
        date: when, in UTC.
        git_revision: of this package; empty where it is not known.
        parts: what is frozen.
        complete: False when freezing began and did not end.
    """

    v_astra: str
    release: str
    date: str
    git_revision: str
    parts: tuple[Part, ...]
    complete: bool

    def header(self) -> str:
        """Return the comment lines of the marker."""
        state = "frozen" if self.complete else "freezing"
        told = {
            "v_astra": self.v_astra,
            "release": self.release,
            "date": self.date,
            "astra_assets": self.git_revision,
            "folders": " ".join(self.parts),
            "state": state,
        }
        return "".join(f"# {name}: {text}\n" for name, text in told.items())


def read_marker(folder: Path) -> Frozen | None:
    """Read what is frozen of a version, whose folder is given; None when nothing is."""
    path = folder / NAME
    if not path.exists():
        return None
    told = _comments(path)
    parts = tuple(part for part in PARTS if part in told.get("folders", "").split())
    return Frozen(
        told.get("v_astra", folder.name),
        told.get("release", ""),
        told.get("date", ""),
        told.get("astra_assets", ""),
        parts or PARTS,  # a marker that cannot be read protects everything
        told.get("state") == "frozen",
    )


def refuse_if_frozen(mwm_astra: Path, v_astra: str, part: Part, what: str) -> None:
    """Raise FrozenError when a part of a version is frozen; `what` was to be written."""
    marker = read_marker(mwm_astra / v_astra)
    if marker is None or part not in marker.parts:
        return
    raise FrozenError(
        f"{what} belongs to version {v_astra}, which was frozen on {marker.date} for release {marker.release} "
        f"({mwm_astra / v_astra / NAME}); its files do not change any more. To publish what is different now make a "
        f"new version: give the release a new v_astra (such as {_next(v_astra)}) in astra_assets/config/releases.py, or "
        "in its table of astra.toml, and run its job"
    )


def _next(v_astra: str) -> str:
    start, _, last = v_astra.rpartition(".")
    return f"{start}.{int(last) + 1}" if last.isdigit() else f"{v_astra}.1"


def _comments(path: Path) -> Mapping[str, str]:
    told: dict[str, str] = {}
    with path.open() as file:
        for line in file:
            if not line.startswith("#"):
                break
            name, _, text = line[1:].partition(":")
            told[name.strip()] = text.strip()
    return told
