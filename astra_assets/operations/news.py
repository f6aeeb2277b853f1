"""Which files that ingestion reads are new or have changed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sqlalchemy import select

from astra_assets.files.paths import apogee_summary_paths, spall_path
from astra_assets.models.ingest import IngestFile
from astra_assets.models.source import Source

if TYPE_CHECKING:
    from astra_assets.config.releases import Release
    from astra_assets.operations.deployment import Deployment


@dataclass(frozen=True)
class News:
    """Files that ingestion reads, compared with what was ingested.

    Attributes:
        looked_for: paths that the release names.
        expected: those that exist, with size and time.
        changed: those that are new or differ from what was ingested.
    """

    looked_for: tuple[str, ...]
    expected: Mapping[str, str] = field(default_factory=dict)
    changed: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Digest of what changed: the same news has the same key."""
        text = "\n".join(f"{path} {stamp}" for path, stamp in sorted(self.changed.items()))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def news(deployment: Deployment, release: Release) -> News:
    """Return which files of a release are new or have changed since they were ingested.

    None has where another Astra ingests them.
    """
    settings, database = deployment.settings, deployment.database
    looked_for = [settings.archive / spall_path(run2d) for run2d in release.run2d]
    looked_for += _apogee_summaries(deployment, apred_of(deployment, release))
    looked_for += settings.catalog_files
    names = tuple(str(path) for path in looked_for)
    stamps = {
        str(path): f"{path.stat().st_size} {path.stat().st_mtime_ns}" for path in looked_for if path.exists()
    }
    if database.foreign:
        return News(names, stamps)
    known: dict[str, str] = {}
    if database.look().has(Source):
        columns = (IngestFile.c.path, IngestFile.c.size, IngestFile.c.mtime_ns)
        with database.connect() as connection:
            known = {path: f"{size} {mtime}" for path, size, mtime in connection.execute(select(*columns))}
    changed = {path: stamp for path, stamp in stamps.items() if known.get(path) != stamp}
    return News(names, stamps, changed)


def apred_of(deployment: Deployment, release: Release) -> tuple[str, ...]:
    """Return the APOGEE reductions of a release; with a demo survey only those that it was made with."""
    if not deployment.settings.is_demo:
        return release.apred
    return tuple(
        apred
        for apred in release.apred
        if any(path.exists() for path in _apogee_summaries(deployment, (apred,)))
    )


def _apogee_summaries(deployment: Deployment, reductions: Sequence[str]) -> list[Path]:
    kinds: tuple[Literal["allVisit", "allStar"], ...] = ("allVisit", "allStar")
    return [
        deployment.settings.archive / path
        for apred in reductions
        for kind in kinds
        for path in apogee_summary_paths(kind, apred)
    ]
