"""The deployment that every verb works on: settings, releases, folders, database and locks."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import DatabaseError, InternalError, OperationalError, ProgrammingError

from astra_assets.config.releases import Release
from astra_assets.config.settings import Settings, load_settings
from astra_assets.database.database import Database
from astra_assets.database.urls import hide_secrets
from astra_assets.errors import ExpectedError
from astra_assets.files.locks import locked
from astra_assets.files.os_errors import os_error_text
from astra_assets.models.base import Base, table_of
from astra_assets.models.compute import ComputeBatch
from astra_assets.models.source import Source
from astra_assets.spectra.base import Roots

if TYPE_CHECKING:
    from astra_assets.compute.program.call import Site
    from astra_assets.pipelines.base import Pipeline

Say = Callable[[str], None]
"""Where a verb reports what it does: one line of text at a time."""


class OperationError(ExpectedError):
    """A verb cannot do what was asked; the message says why and what to type."""


class Deployment:
    """One installation: where its files and its database are, and which releases it knows.

    Attributes:
        settings: what environment, `astra.toml` and defaults say.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @classmethod
    def load(cls, **overrides: Any) -> Deployment:
        """Return the deployment that environment and `astra.toml` describe; `overrides` are settings that win over both.

        Raises:
            SettingsError: settings are wrong; the message lists every problem.
        """
        return cls(load_settings(**overrides))

    def release(self, name: str | None = None) -> Release:
        """Return a release by name; the deployment's own by default.

        Raises:
            OperationError: there is none of this name.
        """
        known = self.settings.known_releases
        name = name or self.settings.release
        if name not in known:
            raise OperationError(f"no release {name!r}; choose one of: {', '.join(known)}")
        return known[name]

    @cached_property
    def roots(self) -> Roots:
        """Where spectra are read and products are written."""
        return Roots(sas_base_dir=self.settings.archive, mwm_astra=self.settings.products_root)

    @cached_property
    def database(self) -> Database:
        """The database; the folder of a SQLite file is made when missing."""
        self.settings.home.mkdir(parents=True, exist_ok=True)
        return Database(self.settings.database, self.settings.database_schema, self.settings.own_schema)

    @cached_property
    def programs(self) -> Site:
        """What the site says about external programs."""
        return {name: each.said for name, each in self.settings.programs.items()}

    def need_tables(self, *models: type[Base]) -> None:
        """Check that `init` has run.

        Args:
            models: the tables that are needed; those of sources and of batches by default.

        Raises:
            OperationError: one of them is missing.
        """
        inventory = self.database.look()
        lacking = [
            table_of(model).name for model in models or (Source, ComputeBatch) if not inventory.has(model)
        ]
        if table_of(Source).name in lacking:
            raise OperationError(inventory.absence("no tables yet", "astra-assets migrate"))
        if lacking:
            raise OperationError(
                f"{self.database.location} has no table {lacking[0]} yet, which running pipelines needs; type: "
                "astra-assets init"
            )

    def need_own_sources(self) -> None:
        """Check that sources and spectra are in tables of ours.

        Raises:
            OperationError: they are those of another Astra.
        """
        if self.database.foreign:
            raise OperationError(
                f"the schema {self.settings.database_schema or 'public'} of {self.database.location} was made by "
                "another Astra, whose own migrate fills its sources and spectra; nothing was inserted. To ingest "
                "here set ASTRA_DATABASE_SCHEMA to an empty schema, or unset ASTRA_DATABASE_URL"
            )

    @contextmanager
    def alone(self, what: str, say: Say) -> Iterator[None]:
        """Hold the lock of a verb, so that two runs at once wait for each other; a killed holder leaves none behind."""
        lock = self.settings.home / "locks" / what
        with locked(lock, waiting=lambda: say(f"waiting for another run of {what} to end")):
            yield


def find_pipeline(name: str) -> Pipeline:
    """Return a pipeline by key or name.

    Raises:
        OperationError: there is none; the message lists those that exist.
    """
    from astra_assets.pipelines import pipeline

    try:
        return pipeline(name)
    except KeyError as error:
        raise OperationError(str(error.args[0])) from None


def expected_text(error: BaseException) -> str | None:
    """Return what to tell a person about an error that they can fix; None for a mistake of ours."""
    if isinstance(error, ExpectedError):
        return str(error)
    if isinstance(error, OSError):
        return os_error_text(error)
    if isinstance(error, DatabaseError):
        return _database_text(error)
    if isinstance(error, ValueError) and "embedded null" in str(error):
        return "a path contains a NUL byte, which no file system allows; check the paths that you gave and the settings"
    return None


_STORAGE_WORDS = re.compile(
    r"disk is full|disk I/O error|no space left|could not extend file|readonly database|unable to open database",
    re.IGNORECASE,
)
"""How drivers say that the file system of the database is full, broken or not theirs to write."""

_DAMAGE_WORDS = re.compile(r"image is malformed|is not a database|invalid page in block", re.IGNORECASE)
"""How drivers say that the files of the database are damaged."""


def _database_text(error: DatabaseError) -> str | None:
    said = str(error.orig or error).strip()
    first = hide_secrets(said.splitlines()[0]) if said else type(error).__name__
    if _STORAGE_WORDS.search(said):
        return (
            f"the database cannot write its files: {first}; check the free space and the rights of the folder that "
            "they are in, then type the same again: what was done is kept, and it goes on"
        )
    if _DAMAGE_WORDS.search(said):
        return (
            f"the files of the database are damaged: {first}; restore them from a backup. What was written to products "
            "and batches is not touched"
        )
    if isinstance(error, OperationalError):
        return (
            f"the database does not answer: {first}; check ASTRA_DATABASE_URL, or type: astra-assets doctor"
        )
    if isinstance(error, ProgrammingError | InternalError):
        return (
            f"the database refuses a statement: {first}; how its tables differ from ours, and what may be done "
            "there, tells: astra-assets doctor"
        )
    return None


@cache
def git_revision() -> str | None:
    """Return the revision of this package where it is a checkout with git at hand, else None."""
    folder = Path(__file__).parents[2]
    if not (folder / ".git").exists():
        return None  # installed somewhere below another project's checkout
    try:
        found = subprocess.run(
            ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None
