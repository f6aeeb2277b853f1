"""`doctor`: what is wrong with settings, folders, database, archive, catalogues, disk, programs and cluster."""

from __future__ import annotations

import os
import shlex
import shutil
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from astra_assets.database.inventory import DemandedColumnError
from astra_assets.database.urls import hide_secrets
from astra_assets.errors import ExpectedError
from astra_assets.files.paths import apogee_summary_paths, spall_path
from astra_assets.models.base import Base, table_of
from astra_assets.text import size_text

if TYPE_CHECKING:
    from astra_assets.config.settings import Settings
    from astra_assets.database.database import Database
    from astra_assets.database.inventory import Inventory, Shape
    from astra_assets.operations.deployment import Deployment
    from astra_assets.pipelines.options import SlurmOptions

FREE_BYTES = 5e9
"""Disk space below which a warning is due: a release of mwmStar files alone is larger."""


@dataclass(frozen=True)
class DoctorCheck:
    """One thing that was checked: weight 0 is fine, 1 worth knowing, 2 wrong."""

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


def doctor(deployment: Deployment, problems: Sequence[str] = ()) -> Iterator[DoctorCheck]:
    """Check everything, and go on after each problem; a problem names what to change.

    Args:
        deployment: what is checked.
        problems: those of settings that cannot be used, and have their defaults in the deployment.
    """
    settings = deployment.settings
    yield from (DoctorCheck(2, f"setting {problem}") for problem in problems)
    yield from check_folders(settings)
    found = list(check_pipelines())
    yield from found
    # Otherwise there are no tables, programs and steps to look for.
    declared = all(each.weight < 2 for each in found)
    try:
        database = deployment.database
    except OSError as error:
        yield DoctorCheck(2, f"ASTRA_HOME: {settings.home} cannot be made ({error.strerror}); set ASTRA_HOME")
    else:
        # The default takes the place of a setting that cannot be used: what is said of it would lead astray.
        if declared and not any(problem.startswith("ASTRA_DATABASE") for problem in problems):
            yield from check_database(database)
    yield from check_archive(settings)
    yield from check_dagster()
    if declared:
        yield from check_programs(deployment)
        yield from check_cluster(settings)


def check_folders(settings: Settings) -> Iterator[DoctorCheck]:
    """Folders that are written to: can they be, and is there space?"""
    for name, folder in (("ASTRA_HOME", settings.home), ("MWM_ASTRA", settings.products_root)):
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        if not existing.is_dir() or not os.access(existing, os.W_OK):
            yield DoctorCheck(2, f"{name}: {folder} cannot be written; change its permissions or set {name}")
            continue
        if name == "ASTRA_HOME" and (others := _others_who_may_write(existing)):
            yield DoctorCheck(
                1,
                f"{name}: {existing} can be written by {others}, who can change what the processes of its owner read; "
                f"type: chmod go-w {shlex.quote(str(existing))}",
            )
        free = shutil.disk_usage(existing).free
        weight = 1 if free < FREE_BYTES else 0
        yield DoctorCheck(weight, f"{name}: {folder}, {size_text(free)} free")


def _others_who_may_write(folder: Path) -> str:
    """Who else may write to a folder by its mode; a sticky folder such as /tmp protects what is in it from all others."""
    mode = folder.stat().st_mode
    if mode & stat.S_ISVTX:
        return ""
    told = {stat.S_IWGRP: "its group", stat.S_IWOTH: "everybody"}
    return " and ".join(who for bit, who in told.items() if mode & bit)


def check_pipelines() -> Iterator[DoctorCheck]:
    """Which other distributions offer pipelines, and can all pipelines be used together?"""
    from astra_assets import pipelines
    from astra_assets.pipelines.finding import plug_ins

    try:
        assert pipelines.PIPELINES
        for each in plug_ins():
            yield DoctorCheck(0, f"{each.label}: {', '.join(pipeline.key for pipeline in each.pipelines)}")
    except ExpectedError as error:
        yield DoctorCheck(2, f"pipelines: {error}")


def check_database(database: Database) -> Iterator[DoctorCheck]:
    """Does the database answer, which tables does it have, and how do they differ from ours?"""
    try:
        inventory = database.look()
        writable = database.may_create_tables()
    except ExpectedError as error:
        yield DoctorCheck(2, f"database: {error}")
        return
    except SQLAlchemyError as error:
        first = hide_secrets(str(error).splitlines()[0])
        yield DoctorCheck(
            2, f"database: {database.location} does not answer: {first}; check ASTRA_DATABASE_URL"
        )
        return
    if inventory.foreign:
        yield from check_foreign(database, inventory, writable=writable)
    models = sorted(
        (mapper.class_ for mapper in Base.registry.mappers), key=lambda model: table_of(model).name
    )
    missing = [table_of(model).name for model in models if not inventory.has(model)]
    if inventory.surroundings is not None and inventory.surroundings.advice:
        yield DoctorCheck(2, f"database: {inventory.absence('no table source', 'astra-assets init')}")
    elif missing:
        text = f"{len(missing)} tables missing ({', '.join(missing)}); type: astra-assets init"
        yield DoctorCheck(1, f"database: {database.location}: {text}")
    else:
        yield DoctorCheck(0, f"database: {database.location}, {len(inventory.found or ())} tables")
    for model in models:
        for text in table_differences(inventory.shape(model)):
            yield DoctorCheck(1, f"database: table {table_of(model).name}: {text}")


def check_foreign(database: Database, inventory: Inventory, *, writable: bool) -> Iterator[DoctorCheck]:
    """What working with the schema of another Astra means."""
    yield DoctorCheck(
        1,
        f"database: the schema {database.schema or 'public'} was made by another Astra; its tables are never altered, "
        f"products are written from them, and tables of ours go to the schema {database.own_schema}",
    )
    if not writable:
        yield DoctorCheck(
            1,
            f"database: this user may not create tables in the schema {database.own_schema}: products can be written, "
            f"pipelines cannot run; ask for: CREATE SCHEMA {database.own_schema} AUTHORIZATION this_user",
        )
    for mapper in Base.registry.mappers:
        try:
            inventory.further(table_of(mapper.class_))
        except DemandedColumnError as error:
            yield DoctorCheck(1, f"database: {error}")
    for name in sorted(inventory.hidden):
        text = f"is in both schemas; the one in {database.own_schema} is not used"
        yield DoctorCheck(1, f"database: table {name}: {text}")


def table_differences(shape: Shape) -> Iterator[str]:
    """How a table of the database differs from the one that we declare, and what follows."""
    if shape.missing:
        yield f"lacks {', '.join(shape.missing)}; products are written without"
    if shape.additional:
        yield f"has also {', '.join(shape.additional)}; products show them"
    if shape.retyped:
        yield f"other types: {', '.join(shape.retyped)}; products follow the database"


def check_archive(settings: Settings) -> Iterator[DoctorCheck]:
    """Are the summary files and the catalogues there?"""
    if settings.is_demo:
        found = (settings.demo_folder / "demo.json").exists()
        text = "complete" if found else "not made yet; jobs make it, or type: astra-assets demo"
        yield DoctorCheck(
            0 if found else 1, f"SAS_BASE_DIR is not set: the demo survey in {settings.demo_folder} is {text}"
        )
    else:
        releases = settings.served_releases.values()
        for run2d in sorted({run2d for release in releases for run2d in release.run2d}):
            path = settings.archive / spall_path(run2d)
            yield DoctorCheck(
                0 if path.is_file() else 2,
                f"summary file: {path}" + ("" if path.is_file() else " is missing"),
            )
        for apred in sorted({apred for release in releases for apred in release.apred}):
            paths = [settings.archive / path for path in apogee_summary_paths("allVisit", apred)]
            there = [str(path) for path in paths if path.is_file()]
            text = ", ".join(there) if there else " and ".join(map(str, paths)) + ": missing"
            yield DoctorCheck(0 if there else 2, f"summary files: {text}")
        if not settings.catalogs:
            yield DoctorCheck(2, "no source catalogue: set ASTRA_CATALOGS, e.g. to a public mwmTargets file")
    for path in settings.catalogs:
        yield DoctorCheck(
            0 if path.is_file() else 2, f"catalogue: {path}" + ("" if path.is_file() else " is missing")
        )


def check_dagster() -> Iterator[DoctorCheck]:
    """Is DAGSTER_HOME set to a folder that is there?"""
    home = os.environ.get("DAGSTER_HOME")
    if not home:
        yield DoctorCheck(1, "DAGSTER_HOME is not set: jobs keep no history; type: source .venv/bin/activate")
    elif not Path(home).is_dir() or not Path(home).is_absolute():
        yield DoctorCheck(
            2, f"DAGSTER_HOME: {home} is no absolute path of a folder; create it or unset the variable"
        )
    else:
        yield DoctorCheck(0, f"DAGSTER_HOME: {home}")


def check_programs(deployment: Deployment) -> Iterator[DoctorCheck]:
    """Are the external programs on this machine? One that is named must be; the steps of others are left out."""
    from astra_assets.config.programs import Absence, absence_of, unknown_programs
    from astra_assets.pipelines import PIPELINES

    settings, programs = deployment.settings, deployment.programs
    for text in unknown_programs(programs, PIPELINES):
        yield DoctorCheck(2, text)
    told: dict[Absence, list[str]] = {}
    here: list[str] = []
    for pipeline in PIPELINES:
        for step in pipeline.steps:
            absence = absence_of(pipeline, step, programs, database=settings.database)
            name = f"{pipeline.key}/{step.name}"
            if absence is not None:
                told.setdefault(absence, []).append(name)
            elif step.program is not None:
                here.append(name)
    if here:
        yield DoctorCheck(0, f"programs of other people: here for {', '.join(here)}")
    on_cluster = settings.compute == "slurm"
    for absence, names in told.items():
        elsewhere = "; on this machine, nodes of the cluster may have it" if on_cluster else ""
        wanted = absence.named and not on_cluster
        what = "cannot run" if absence.named else "left out"
        yield DoctorCheck(2 if wanted else 1, f"{what}, {', '.join(names)}: {absence.reason}{elsewhere}")


def check_cluster(settings: Settings) -> Iterator[DoctorCheck]:
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
        yield DoctorCheck(2, text)
    client = CommandLineClient()
    problem = out_of_reach(client)
    if problem is not None:
        # Each further question would only take as long to remain without an answer.
        yield DoctorCheck(weights["error"], problem)
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
        yield DoctorCheck(weight, text + whose)
