"""What is wrong with a deployment: settings, folders, database, archive, catalogues, disk, programs.

Belongs here: the examination, which goes on after each problem. Does not belong here: mending anything.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import inspect
from sqlalchemy.exc import SQLAlchemyError

from astra_assets.models.base import Base
from astra_assets.models.paths import spall_path
from astra_assets.releases import RELEASES

if TYPE_CHECKING:
    from astra_assets.models.database import Database
    from astra_assets.settings import Settings

FREE_BYTES = 5e9
"""Disk space below which a warning is due: a release of mwmStar files alone is larger."""


@dataclass(frozen=True)
class Examined:
    """One thing that was looked at: weight 0 is well, 1 worth knowing, 2 wrong."""

    weight: int
    text: str

    @property
    def mark(self) -> str:
        """A word for the weight."""
        return ("ok     ", "note   ", "PROBLEM")[self.weight]

    @property
    def colour(self) -> str:
        """A colour for the weight."""
        return ("green", "yellow", "red")[self.weight]


def examine(settings: Settings, database: Database) -> Iterator[Examined]:
    """Look at everything; a problem names what to change."""
    yield from examine_folders(settings)
    yield from examine_database(database, settings.database_schema)
    yield from examine_archive(settings)
    yield from examine_dagster()


def examine_folders(settings: Settings) -> Iterator[Examined]:
    """Folders that are written to: can they be, and is there space?"""
    for name, folder in (("ASTRA_HOME", settings.home), ("MWM_ASTRA", settings.products_root)):
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        if not existing.is_dir() or not os.access(existing, os.W_OK):
            yield Examined(2, f"{name}: {folder} cannot be written; change its permissions or set {name}")
            continue
        free = shutil.disk_usage(existing).free
        weight = 1 if free < FREE_BYTES else 0
        yield Examined(weight, f"{name}: {folder}, {free / 1e9:.0f} GB free")


def examine_database(database: Database, schema: str | None) -> Iterator[Examined]:
    """Does the database answer, and does it have the tables?"""
    try:
        known = set(inspect(database.engine).get_table_names(schema=schema))
    except SQLAlchemyError as error:
        first = str(error).splitlines()[0]
        yield Examined(2, f"database: {database.location} does not answer: {first}; check ASTRA_DATABASE_URL")
        return
    missing = sorted(table.name for table in Base.metadata.sorted_tables if table.name not in known)
    if missing:
        text = f"{len(missing)} tables missing ({', '.join(missing[:5])}, ...); type: astra-assets init"
        yield Examined(1, f"database: {database.location}: {text}")
    else:
        yield Examined(0, f"database: {database.location}, {len(known)} tables")


def examine_archive(settings: Settings) -> Iterator[Examined]:
    """Are the summary files and the catalogues there?"""
    if settings.is_demo:
        found = (settings.demo_folder / "demo.json").exists()
        text = "complete" if found else "not made yet; jobs make it, or type: astra-assets demo"
        yield Examined(
            0 if found else 1, f"SAS_BASE_DIR is not set: the demo survey in {settings.demo_folder} is {text}"
        )
    else:
        for run2d in sorted({run2d for release in RELEASES.values() for run2d in release.run2d}):
            path = settings.archive / spall_path(run2d)
            yield Examined(
                0 if path.is_file() else 2,
                f"summary file: {path}" + ("" if path.is_file() else " is missing"),
            )
        if not settings.catalogs:
            yield Examined(2, "no source catalogue: set ASTRA_CATALOGS, e.g. to a public mwmTargets file")
    for path in settings.catalogs:
        yield Examined(
            0 if path.is_file() else 2, f"catalogue: {path}" + ("" if path.is_file() else " is missing")
        )


def examine_dagster() -> Iterator[Examined]:
    """Is DAGSTER_HOME set to a folder that is there?"""
    home = os.environ.get("DAGSTER_HOME")
    if not home:
        yield Examined(1, "DAGSTER_HOME is not set: jobs keep no history; type: source .venv/bin/activate")
    elif not Path(home).is_dir() or not Path(home).is_absolute():
        yield Examined(
            2, f"DAGSTER_HOME: {home} is no absolute path of a folder; create it or unset the variable"
        )
    else:
        yield Examined(0, f"DAGSTER_HOME: {home}")
