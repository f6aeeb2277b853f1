"""What is wrong with a deployment: settings, folders, database, archive, catalogues, disk, programs, cluster.

Belongs here: the examination, which goes on after each problem. Does not belong here: mending anything.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from astra_assets.database.inventory import DemandedColumnError
from astra_assets.database.urls import hide_secrets
from astra_assets.errors import ExpectedError
from astra_assets.files.paths import apogee_summary_paths, spall_path
from astra_assets.models.base import Base, table_of

if TYPE_CHECKING:
    from astra_assets.config.settings import Settings
    from astra_assets.database.database import Database
    from astra_assets.database.inventory import Inventory, Shape
    from astra_assets.pipelines.options import SlurmOptions

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


def examine(
    settings: Settings, database: Callable[[], Database], problems: Sequence[str] = ()
) -> Iterator[Examined]:
    """Look at everything; a problem names what to change.

    `problems` are those of settings that cannot be used and have their defaults in `settings`.
    """
    yield from (Examined(2, f"setting {problem}") for problem in problems)
    yield from examine_folders(settings)
    found = list(examine_pipelines())
    yield from found
    # Otherwise there are no tables, programs and steps to look for.
    declared = all(each.weight < 2 for each in found)
    try:
        opened = database()
    except OSError as error:
        yield Examined(2, f"ASTRA_HOME: {settings.home} cannot be made ({error.strerror}); set ASTRA_HOME")
    else:
        # The default takes the place of a setting that cannot be used: what is said of it would lead astray.
        if declared and not any(problem.startswith("ASTRA_DATABASE") for problem in problems):
            yield from examine_database(opened)
    yield from examine_archive(settings)
    yield from examine_dagster()
    if declared:
        yield from examine_programs(settings)
        yield from examine_cluster(settings)


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


def examine_pipelines() -> Iterator[Examined]:
    """Which other distributions offer pipelines, and can all pipelines be used together?"""
    from astra_assets import pipelines
    from astra_assets.pipelines.finding import plug_ins

    try:
        assert pipelines.PIPELINES
        for each in plug_ins():
            yield Examined(0, f"{each.label}: {', '.join(pipeline.key for pipeline in each.pipelines)}")
    except ExpectedError as error:
        yield Examined(2, f"pipelines: {error}")


def examine_database(database: Database) -> Iterator[Examined]:
    """Does the database answer, which tables does it have, and how do they differ from ours?"""
    try:
        inventory = database.look()
        writable = database.may_create_tables()
    except ExpectedError as error:
        yield Examined(2, f"database: {error}")
        return
    except SQLAlchemyError as error:
        first = hide_secrets(str(error).splitlines()[0])
        yield Examined(2, f"database: {database.location} does not answer: {first}; check ASTRA_DATABASE_URL")
        return
    if inventory.foreign:
        yield from examine_foreign(database, inventory, writable=writable)
    models = sorted(
        (mapper.class_ for mapper in Base.registry.mappers), key=lambda model: table_of(model).name
    )
    missing = [table_of(model).name for model in models if not inventory.has(model)]
    if inventory.surroundings is not None and inventory.surroundings.advice:
        yield Examined(2, f"database: {inventory.absence('no table source', 'astra-assets init')}")
    elif missing:
        text = f"{len(missing)} tables missing ({', '.join(missing)}); type: astra-assets init"
        yield Examined(1, f"database: {database.location}: {text}")
    else:
        yield Examined(0, f"database: {database.location}, {len(inventory.found or ())} tables")
    for model in models:
        for text in table_differences(inventory.shape(model)):
            yield Examined(1, f"database: table {table_of(model).name}: {text}")


def examine_foreign(database: Database, inventory: Inventory, *, writable: bool) -> Iterator[Examined]:
    """What working with the schema of another Astra means."""
    yield Examined(
        1,
        f"database: the schema {database.schema or 'public'} was made by another Astra; its tables are never altered, "
        f"products are written from them, and tables of ours go to the schema {database.own_schema}",
    )
    if not writable:
        yield Examined(
            1,
            f"database: this user may not create tables in the schema {database.own_schema}: products can be written, "
            f"pipelines cannot run; ask for: CREATE SCHEMA {database.own_schema} AUTHORIZATION this_user",
        )
    for mapper in Base.registry.mappers:
        try:
            inventory.further(table_of(mapper.class_))
        except DemandedColumnError as error:
            yield Examined(1, f"database: {error}")
    for name in sorted(inventory.hidden):
        text = f"is in both schemas; the one in {database.own_schema} is not used"
        yield Examined(1, f"database: table {name}: {text}")


def table_differences(shape: Shape) -> Iterator[str]:
    """How a table of the database differs from the one that we declare, and what follows."""
    if shape.missing:
        yield f"lacks {', '.join(shape.missing)}; products are written without"
    if shape.additional:
        yield f"has also {', '.join(shape.additional)}; products show them"
    if shape.retyped:
        yield f"other types: {', '.join(shape.retyped)}; products follow the database"


def examine_archive(settings: Settings) -> Iterator[Examined]:
    """Are the summary files and the catalogues there?"""
    if settings.is_demo:
        found = (settings.demo_folder / "demo.json").exists()
        text = "complete" if found else "not made yet; jobs make it, or type: astra-assets demo"
        yield Examined(
            0 if found else 1, f"SAS_BASE_DIR is not set: the demo survey in {settings.demo_folder} is {text}"
        )
    else:
        releases = settings.served_releases.values()
        for run2d in sorted({run2d for release in releases for run2d in release.run2d}):
            path = settings.archive / spall_path(run2d)
            yield Examined(
                0 if path.is_file() else 2,
                f"summary file: {path}" + ("" if path.is_file() else " is missing"),
            )
        for apred in sorted({apred for release in releases for apred in release.apred}):
            paths = [settings.archive / path for path in apogee_summary_paths("allVisit", apred)]
            there = [str(path) for path in paths if path.is_file()]
            text = ", ".join(there) if there else " and ".join(map(str, paths)) + ": missing"
            yield Examined(0 if there else 2, f"summary files: {text}")
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


def examine_programs(settings: Settings) -> Iterator[Examined]:
    """Are the programs of other people on this machine? One that is not is no problem: its steps are left out."""
    from astra_assets.config.programs import unknown_programs, why_absent
    from astra_assets.pipelines import PIPELINES

    site = {name: each.said for name, each in settings.programs.items()}
    for text in unknown_programs(site, PIPELINES):
        yield Examined(2, text)
    told: dict[str, list[str]] = {}
    here: list[str] = []
    for pipeline in PIPELINES:
        for step in pipeline.steps:
            reason = why_absent(pipeline, step, site, database=settings.database)
            name = f"{pipeline.key}/{step.name}"
            if reason is not None:
                told.setdefault(reason, []).append(name)
            elif step.program is not None:
                here.append(name)
    if here:
        yield Examined(0, f"programs of other people: here for {', '.join(here)}")
    for reason, names in told.items():
        elsewhere = (
            "; on this machine, nodes of the cluster may have it" if settings.compute == "slurm" else ""
        )
        yield Examined(1, f"left out, {', '.join(names)}: {reason}{elsewhere}")


def examine_cluster(settings: Settings) -> Iterator[Examined]:
    """Can the cluster do what the steps ask of it? Only a note where steps run on this machine."""
    from astra_assets.compute.slurm.command_line import CommandLineClient
    from astra_assets.compute.slurm.diagnose import examine as diagnose
    from astra_assets.compute.slurm.diagnose import out_of_reach
    from astra_assets.pipelines import PIPELINES
    from astra_assets.pipelines.options import AS_DECLARED

    profile = settings.slurm
    if settings.compute != "slurm" and not profile.is_set:
        return
    weights = {"ok": 0, "warning": 1, "error": 2 if settings.compute == "slurm" else 1}
    for text in profile.unknown_steps(PIPELINES):
        yield Examined(2, text)
    client = CommandLineClient()
    problem = out_of_reach(client)
    if problem is not None:
        # Each further question would only take as long to remain without an answer.
        yield Examined(weights["error"], problem)
        return
    asking: dict[SlurmOptions, list[str]] = {}
    for pipeline in PIPELINES:
        for step in pipeline.steps:
            if not step.is_filter:
                options = profile.options(pipeline, step, AS_DECLARED)
                asking.setdefault(options, []).append(f"{pipeline.key}/{step.name}")
    told: dict[tuple[str, str], list[str]] = {}
    for options, names in asking.items():
        for finding in diagnose(client, options):
            told.setdefault(finding, []).extend(names)
    programs = {f"{each.key}/{step.name}" for each in PIPELINES for step in each.steps if step.program}
    for (level, text), names in told.items():
        # What is asked for a program that may not even be here is no reason to stop.
        weight = min(weights[level], 1) if programs.issuperset(names) else weights[level]
        # What concerns every step is about the cluster, not about a step.
        whose = "" if len(names) == sum(map(len, asking.values())) else f" ({', '.join(names)})"
        yield Examined(weight, text + whose)
