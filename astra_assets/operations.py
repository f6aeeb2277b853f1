"""What can be done with a survey: the verbs that the command line and the Dagster assets share.

Belongs here: putting settings, database, engine and products together for each verb. Does not belong here: how a
verb works inside (`ingest`, `compute`, `products`), how its result is shown (`cli`, `assets`).
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib
import pkgutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import func, inspect, select
from sqlalchemy.exc import OperationalError

from astra_assets.declared import all_products, products_of
from astra_assets.models.base import Base, table_of, utcnow
from astra_assets.models.database import Database
from astra_assets.models.errors import ExpectedError
from astra_assets.models.ingest import IngestFile
from astra_assets.models.paths import spall_path
from astra_assets.pipelines.base import WorkContext
from astra_assets.releases import RELEASES, Release
from astra_assets.settings import Settings
from astra_assets.spectra.base import Roots

if TYPE_CHECKING:
    from astra_assets.declared import DeclaredProduct
    from astra_assets.demo.survey import DemoSurvey
    from astra_assets.ingest.migrate import MigrateReport
    from astra_assets.listing import Listed
    from astra_assets.pipelines.base import Pipeline
    from astra_assets.products.create import CreateReport
    from astra_assets.trial import Trial
    from astra_assets.work import Say, Work


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
        name = name or self.settings.release
        if name not in RELEASES:
            raise OperationError(f"no release {name!r}; choose one of: {', '.join(RELEASES)}")
        return RELEASES[name]

    @cached_property
    def roots(self) -> Roots:
        """Where spectra are read and products are written."""
        return Roots(sas_base_dir=self.settings.archive, mwm_astra=self.settings.products_root)

    @cached_property
    def database(self) -> Database:
        """The database; the folder of a SQLite file is made when missing."""
        self.settings.home.mkdir(parents=True, exist_ok=True)
        return Database(self.settings.database, self.settings.database_schema)

    @property
    def tables_missing(self) -> bool:
        """True when `init` has not run on this database."""
        return not inspect(self.database.engine).has_table("spectrum", schema=self.settings.database_schema)

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
            say(f"created {len(created)} tables in {self.database.location}")
        return created

    def migrate(
        self,
        release: Release,
        *,
        run2d: Sequence[str] = (),
        catalogs: Sequence[str | Path] = (),
        limit: int | None = None,
        say: Say,
    ) -> MigrateReport:
        """Bring in new and changed spectra and sources.

        Args:
            release: says which reductions, where `run2d` does not.
            run2d: BOSS reductions.
            catalogs: source catalogue files; those of the settings where none is given.
            limit: at most this many rows of each summary file.
            say: where progress is reported.
        """
        from astra_assets.ingest.migrate import migrate

        if self.settings.is_demo:
            self.make_demo(say=say)
        files = [Path(file) for file in catalogs] or list(self.settings.catalog_files)
        with self.alone("migrate", say):
            return migrate(
                self.database,
                run2d=tuple(run2d) or release.run2d,
                catalogs=files,
                sas_base_dir=self.settings.archive,
                limit=limit,
                progress=say,
            )

    def news(self, release: Release) -> News:
        """Which files of a release are new or have changed since they were ingested."""
        looked_for = [self.settings.archive / spall_path(run2d) for run2d in release.run2d]
        looked_for += self.settings.catalog_files
        stamps = {
            str(path): f"{path.stat().st_size} {path.stat().st_mtime_ns}"
            for path in looked_for
            if path.exists()
        }
        known: dict[str, str] = {}
        if not self.tables_missing:
            columns = (IngestFile.c.path, IngestFile.c.size, IngestFile.c.mtime_ns)
            with self.database.connect() as connection:
                known = {
                    path: f"{size} {mtime}" for path, size, mtime in connection.execute(select(*columns))
                }
        changed = {path: stamp for path, stamp in stamps.items() if known.get(path) != stamp}
        return News(tuple(str(path) for path in looked_for), stamps, changed)

    def row_count(self, model: type[Base]) -> int:
        """Rows of a table."""
        with self.database.connect() as connection:
            return int(connection.execute(select(func.count()).select_from(table_of(model))).scalar_one())

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

    def work(self, release: Release) -> Work:
        """The pipelines of a release at work.

        Raises:
            OperationError: there are no tables yet.
        """
        from astra_assets.work import Work

        self.need_tables()
        return Work(self.settings, self.database, self.roots, release)

    def need_tables(self) -> None:
        """Raise OperationError where `init` has not run."""
        if self.tables_missing:
            raise OperationError(f"{self.database.location} has no tables yet; type: astra-assets migrate")

    # --- products ---------------------------------------------------------------------------------

    def create(
        self,
        name: str,
        release: Release,
        *,
        overwrite: bool = False,
        limit: int | None = None,
        run_id: str | None = None,
        say: Say,
    ) -> CreateReport:
        """Write a summary product, unless its inputs are what they were.

        Args:
            name: name of the product.
            release: named in the header.
            overwrite: write also when nothing changed.
            limit: write a sample of at most so many rows for each HDU instead.
            run_id: named in the header.
            say: where progress is reported.

        Raises:
            OperationError: there is no such product, or no tables yet.
        """
        from astra_assets.products.create import create
        from astra_assets.products.provenance import Provenance

        declared = all_products().get(name)
        if declared is None:
            raise OperationError(f"no product {name!r}; there are: {', '.join(all_products())}")
        self.need_tables()
        provenance = Provenance(release.run2d, release.apred, git_revision(), run_id)
        with self.alone(f"create-{name}", say):
            report = create(
                declared.product,
                self.database,
                v_astra=release.v_astra,
                mwm_astra=self.settings.products_root,
                release=release.name,
                provenance=provenance,
                limit=limit,
                force=overwrite,
            )
        say(report.summary)
        return report

    def picture(self, declared: DeclaredProduct, report: CreateReport) -> bytes | None:
        """A small diagram of a product; None where it has nothing to show. Kept, so that it is drawn once."""
        from astra_assets.fits.atomic import atomic_write
        from astra_assets.products.pictures import draw, panels_for
        from astra_assets.products.sample import sample_columns

        kept = self.settings.home / "pictures" / f"{declared.name}-{report.fingerprint[:16]}.png"
        if kept.is_file():
            return kept.read_bytes()

        panels = panels_for({name for name, _ in declared.columns()})
        if not panels or not sum(report.rows):
            return None
        needed = {name for panel in panels for name in panel.needs}
        rows = sample_columns(self.database, declared.product, needed, v_astra=self.release().v_astra)
        drawn = draw(panels, rows)
        for old in kept.parent.glob(f"{declared.name}-*.png"):
            old.unlink(missing_ok=True)
        with atomic_write(kept) as partial:
            partial.write_bytes(drawn)
        return drawn

    def listing(self, release: Release) -> list[Listed]:
        """The products of a release as they are on disk, and its per-source files."""
        from astra_assets.listing import listed_product

        root = self.settings.products_root
        found = [
            listed_product(each.product, release.v_astra, root) for each in products_of(release).values()
        ]
        return [*found, *self.source_files(release)]

    def source_files(self, release: Release) -> list[Listed]:
        """The per-source files of a release."""
        from astra_assets.listing import listed_sources

        if self.tables_missing:
            return []
        return listed_sources(self.database, release.v_astra, self.settings.products_root)

    def attempt(self, pipeline: str, files: Sequence[str], *, air: bool = False) -> Iterator[Trial]:
        """Run a pipeline on spectrum files, without a database."""
        from astra_assets.trial import attempt

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
        first = str(error.orig or error).strip().splitlines()[0]
        return (
            f"the database does not answer: {first}; check ASTRA_DATABASE_URL, or type: astra-assets doctor"
        )
    return None


@cache
def git_revision() -> str | None:
    """Revision of this package where it is a checkout with git at hand, else None."""
    folder = Path(__file__).parents[1]
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
