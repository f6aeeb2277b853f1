"""`migrate`: bring in new and changed spectra and sources."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from astra_assets.operations.demo import demo
from astra_assets.operations.news import apred_of

if TYPE_CHECKING:
    from astra_assets.config.releases import Release
    from astra_assets.ingest.all_files import MigrateReport
    from astra_assets.operations.deployment import Deployment, Say


def migrate(
    deployment: Deployment,
    release: Release,
    *,
    run2d: Sequence[str] = (),
    apred: Sequence[str] = (),
    catalogs: Sequence[str | Path] = (),
    limit: int | None = None,
    say: Say,
) -> MigrateReport:
    """Bring in new and changed spectra and sources; a demo survey that is missing is made first.

    Args:
        deployment: where the files and the database are.
        release: says which reductions, where neither `run2d` nor `apred` does.
        run2d: BOSS reductions.
        apred: APOGEE reductions.
        catalogs: source catalogue files; those of the settings where none is given.
        limit: at most this many rows of each summary file.
        say: where progress is reported.

    Raises:
        OperationError: sources and spectra are in the tables of another Astra, which its own migrate fills.
    """
    from astra_assets.ingest.all_files import ingest_all

    deployment.need_own_sources()
    settings = deployment.settings
    if settings.is_demo:
        demo(deployment, say=say)
    files = [Path(file) for file in catalogs] or list(settings.catalog_files)
    if not run2d and not apred:
        run2d, apred = release.run2d, apred_of(deployment, release)
    with deployment.alone("migrate", say):
        return ingest_all(
            deployment.database,
            run2d=tuple(run2d),
            apred=tuple(apred),
            catalogs=files,
            sas_base_dir=settings.archive,
            sfd_map=settings.sfd_map,
            limit=limit,
            progress=say,
        )
