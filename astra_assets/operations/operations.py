"""What can be done with a survey: the verbs that the command line and the Dagster assets share.

Belongs here: putting settings, database, engine and products together for each verb. Does not belong here: how a
verb works inside (`ingest`, `compute`, `products`), how its result is shown (`cli`, `assets`).
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sqlalchemy import func, select
from sqlalchemy.exc import InternalError, OperationalError, ProgrammingError

from astra_assets import pipelines
from astra_assets.config.declared import products_of
from astra_assets.config.releases import Release
from astra_assets.config.settings import Compute, Settings
from astra_assets.database.database import Database
from astra_assets.database.urls import hide_secrets
from astra_assets.errors import ExpectedError
from astra_assets.files.paths import apogee_summary_paths, spall_path
from astra_assets.models.base import Base, table_of, utcnow
from astra_assets.models.compute import ComputeBatch, ComputeOutcome
from astra_assets.models.ingest import IngestFile
from astra_assets.models.mwm import AstraSpectrumProductStatus, MWMSpectrumProductStatus
from astra_assets.models.source import Source
from astra_assets.operations.publishing import Publishing
from astra_assets.pipelines.astra_files import file_kinds
from astra_assets.pipelines.base import WorkContext
from astra_assets.spectra.base import Roots

if TYPE_CHECKING:
    from astra_assets.config.declared import DeclaredProduct
    from astra_assets.demo.survey import DemoSurvey
    from astra_assets.ingest.migrate import MigrateReport
    from astra_assets.operations.listing import Listed
    from astra_assets.operations.try_ import Trial
    from astra_assets.operations.work import Say, Work
    from astra_assets.pipelines.base import Pipeline, Step


class OperationError(ExpectedError):
    """A verb cannot do what was asked; the message says why and what to type."""


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


class Operations:
    """A survey and what can be done with it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def release(self, name: str | None = None) -> Release:
        """A release by name; the deployment's own by default.

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

    @property
    def tables_missing(self) -> bool:
        """True when `init` has not run on this database."""
        return not self.database.look().has(Source)

    # --- the survey -------------------------------------------------------------------------------

    def make_demo(self, *, sources: int | None = None, seed: int | None = None, say: Say) -> DemoSurvey:
        """Make the synthetic survey, or say that it is there."""
        from astra_assets.demo.survey import make_demo

        options = {name: value for name, value in (("sources", sources), ("seed", seed)) if value is not None}
        return make_demo(self.settings.demo_folder, **options, progress=say)

    def init(self, say: Say) -> list[str]:
        """Create the tables that are missing; returns their names."""
        declare_tables()
        created = self.database.create_tables()
        if created:
            place = f", schema {self.database.own_schema}" if self.database.foreign else ""
            say(f"created {len(created)} tables in {self.database.location}{place}")
        return created

    def migrate(
        self,
        release: Release,
        *,
        run2d: Sequence[str] = (),
        apred: Sequence[str] = (),
        catalogs: Sequence[str | Path] = (),
        limit: int | None = None,
        say: Say,
    ) -> MigrateReport:
        """Bring in new and changed spectra and sources.

        Args:
            release: says which reductions, where neither `run2d` nor `apred` does.
            run2d: BOSS reductions.
            apred: APOGEE reductions.
            catalogs: source catalogue files; those of the settings where none is given.
            limit: at most this many rows of each summary file.
            say: where progress is reported.

        Raises:
            OperationError: sources and spectra are in the tables of another Astra, which its own migrate fills.
        """
        from astra_assets.ingest.migrate import migrate

        self.need_own_sources()
        if self.settings.is_demo:
            self.make_demo(say=say)
        files = [Path(file) for file in catalogs] or list(self.settings.catalog_files)
        if not run2d and not apred:
            run2d, apred = release.run2d, self._apred_of(release)
        with self.alone("migrate", say):
            return migrate(
                self.database,
                run2d=tuple(run2d),
                apred=tuple(apred),
                catalogs=files,
                sas_base_dir=self.settings.archive,
                sfd_map=self.settings.sfd_map,
                limit=limit,
                progress=say,
            )

    def news(self, release: Release) -> News:
        """Which files of a release are new or have changed since they were ingested.

        None has where another Astra ingests them.
        """
        looked_for = [self.settings.archive / spall_path(run2d) for run2d in release.run2d]
        looked_for += self._apogee_summaries(self._apred_of(release))
        looked_for += self.settings.catalog_files
        stamps = {
            str(path): f"{path.stat().st_size} {path.stat().st_mtime_ns}"
            for path in looked_for
            if path.exists()
        }
        if self.database.foreign:
            return News(tuple(str(path) for path in looked_for), stamps)
        known: dict[str, str] = {}
        if not self.tables_missing:
            columns = (IngestFile.c.path, IngestFile.c.size, IngestFile.c.mtime_ns)
            with self.database.connect() as connection:
                known = {
                    path: f"{size} {mtime}" for path, size, mtime in connection.execute(select(*columns))
                }
        changed = {path: stamp for path, stamp in stamps.items() if known.get(path) != stamp}
        return News(tuple(str(path) for path in looked_for), stamps, changed)

    def _apred_of(self, release: Release) -> tuple[str, ...]:
        """The APOGEE reductions of a release; of those of a demo survey the ones that it was made with."""
        if not self.settings.is_demo:
            return release.apred
        return tuple(
            apred
            for apred in release.apred
            if any(path.exists() for path in self._apogee_summaries((apred,)))
        )

    def _apogee_summaries(self, reductions: Sequence[str]) -> list[Path]:
        """The summary files of APOGEE reductions."""
        kinds: tuple[Literal["allVisit", "allStar"], ...] = ("allVisit", "allStar")
        return [
            self.settings.archive / path
            for apred in reductions
            for kind in kinds
            for path in apogee_summary_paths(kind, apred)
        ]

    def row_count(self, table: str) -> int:
        """Rows of one of our tables, given by its name."""
        counted = select(func.count()).select_from(table_of(all_tables()[table]))
        with self.database.connect() as connection:
            return int(connection.execute(counted).scalar_one())

    @contextmanager
    def alone(self, what: str, say: Say) -> Iterator[None]:
        """Hold the lock of a verb, so that two runs at once wait for each other; a killed holder leaves none behind."""
        folder = self.settings.home / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / what).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say(f"waiting for another run of {what} to end")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def work(self, release: Release, compute: Compute | None = None) -> Work:
        """The pipelines of a release at work, on this machine or on a cluster; by default as the settings say.

        Raises:
            OperationError: there are no tables yet.
        """
        from astra_assets.operations.work import Work

        self.need_tables(Source, ComputeBatch, ComputeOutcome)

        def guard(pipeline: Pipeline, step: Step) -> None:
            self.products.need_unfrozen(pipeline, step, release)

        return Work(self.settings, self.database, self.roots, release, compute, guard=guard)

    def need_tables(self, *models: type[Base]) -> None:
        """Raise OperationError where `init` has not run; `models` are the tables that are needed."""
        survey = self.database.look()
        lacking = [
            table_of(model).name for model in models or (Source, ComputeBatch) if not survey.has(model)
        ]
        if table_of(Source).name in lacking:
            raise OperationError(survey.absence("no tables yet", "astra-assets migrate"))
        if lacking:
            raise OperationError(
                f"{self.database.location} has no table {lacking[0]} yet, which running pipelines needs; type: "
                "astra-assets init"
            )

    def need_own_sources(self) -> None:
        """Raise OperationError where sources and spectra are those of another Astra."""
        if self.database.foreign:
            raise OperationError(
                f"the schema {self.settings.database_schema or 'public'} of {self.database.location} was made by "
                "another Astra, whose own migrate fills its sources and spectra; nothing was inserted. To ingest "
                "here set ASTRA_DATABASE_SCHEMA to an empty schema, or unset ASTRA_DATABASE_URL"
            )

    # --- products ---------------------------------------------------------------------------------

    @cached_property
    def products(self) -> Publishing:
        """What can be done with products."""
        return Publishing(self.settings, lambda: self.database, self.alone, lambda: self.need_tables(Source))

    def left_out(self, declared: DeclaredProduct, release: Release) -> str | None:
        """Why a product is not written: the programs that make its rows are not here, and there are none; else None.

        Rows that there are, as in the tables of another Astra, are written, whoever can make more.
        """
        from astra_assets.operations.work import Work
        from astra_assets.products.write.rows import has_any_row

        survey, steps = self.database.look(), declared.steps()
        if declared.pipeline is None or not steps or not survey.has(Source):
            return None
        work = Work(self.settings, self.database, self.roots, release)
        reasons = [work.unavailable(pipeline, step) for pipeline, step in steps]
        if None in reasons or has_any_row(self.database, declared.product, survey, v_astra=release.v_astra):
            return None
        return f"{declared.name} is left out, since it would have no rows: {reasons[0]}"

    def need_complete(self, release: Release) -> None:
        """Raise OperationError where inputs of a step have no result and no reason yet, or are lost."""
        open_accounts = [
            str(account) for account, _ in self.work(release).accounts_of_steps() if not account.complete
        ]
        if open_accounts:
            raise OperationError(
                "the release is not complete:\n  " + "\n  ".join(open_accounts) + "\n"
                "run these steps again, or pass --incomplete"
            )

    def listing(self, release: Release) -> list[Listed]:
        """The products of a release as they are on disk, and its per-source files."""
        from astra_assets.operations.listing import listed_product

        root = self.settings.products_root
        found = [
            listed_product(each.product, release.v_astra, root)
            for each in (products_of(release) | self.products.others_on_disk(release)).values()
        ]
        return [*found, *self.source_files(release)]

    def source_files(self, release: Release) -> list[Listed]:
        """The per-source files of a release."""
        from astra_assets.operations.listing import listed_results, listed_sources

        where = (self.database, release.v_astra, self.settings.products_root)
        survey = self.database.look()
        found = listed_sources(*where) if survey.has(MWMSpectrumProductStatus) else []
        if survey.has(AstraSpectrumProductStatus):
            found += [
                listed_results(*where, pipeline=pipeline.name, product=pipeline.product, kind=kind)
                for pipeline in pipelines.PIPELINES
                if pipeline.key in release.pipelines
                for step in pipeline.steps
                for kind in file_kinds(step)
            ]
        return found

    def attempt(self, pipeline: str, files: Sequence[str], *, air: bool = False) -> Iterator[Trial]:
        """Run a pipeline on spectrum files, without a database."""
        from astra_assets.operations.try_ import attempt

        context = WorkContext(self.roots, self.release().v_astra, utcnow(), self.settings.pipeline_settings)
        return attempt(find_pipeline(pipeline), files, context, air=air)


def find_pipeline(name: str) -> Pipeline:
    """A pipeline by key or name.

    Raises:
        OperationError: there is none; the message lists those that exist.
    """
    from astra_assets.pipelines import pipeline

    try:
        return pipeline(name)
    except KeyError as error:
        raise OperationError(str(error.args[0])) from None


def declare_tables() -> None:
    """Import every module that declares a table: those of the models, and with the pipelines those of results."""
    import astra_assets.models
    from astra_assets.pipelines import PIPELINES

    for module in pkgutil.iter_modules(astra_assets.models.__path__, "astra_assets.models."):
        importlib.import_module(module.name)
    assert PIPELINES


def all_tables() -> dict[str, type[Base]]:
    """Every table that we declare, by name."""
    declare_tables()
    models = {table_of(mapper.class_).name: mapper.class_ for mapper in Base.registry.mappers}
    return dict(sorted(models.items()))


def expected_text(error: Exception) -> str | None:
    """What to tell a person about an error that they can mend; None for a mistake of ours."""
    if isinstance(error, ExpectedError):
        return str(error)
    if isinstance(error, OperationalError):
        first = hide_secrets(str(error.orig or error).strip().splitlines()[0])
        return (
            f"the database does not answer: {first}; check ASTRA_DATABASE_URL, or type: astra-assets doctor"
        )
    if isinstance(error, ProgrammingError | InternalError):
        first = hide_secrets(str(error.orig or error).strip().splitlines()[0])
        return (
            f"the database refuses a statement: {first}; how its tables differ from ours, and what may be done "
            "there, tells: astra-assets doctor"
        )
    return None
