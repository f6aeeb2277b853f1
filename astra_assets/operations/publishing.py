"""What can be done with products: create, look at, compare, verify and freeze them.

Belongs here: putting settings, database and products together for each verb of a release. Does not belong here: how a verb
works inside (`products`), data and pipelines (`operations`), how a result is shown (`cli`, `assets`).
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select

from astra_assets import pipelines
from astra_assets.config.declared import all_products, further_products, product_named, products_of
from astra_assets.config.releases import Release
from astra_assets.config.settings import Settings
from astra_assets.database.database import Database
from astra_assets.errors import ExpectedError
from astra_assets.models.base import table_of
from astra_assets.models.compute import ComputeBatch
from astra_assets.pipelines.astra_files import file_kinds
from astra_assets.pipelines.base import Pipeline, Step
from astra_assets.registry.version import major_minor

if TYPE_CHECKING:
    from astra_assets.config.declared import DeclaredProduct
    from astra_assets.products.bundle import Bundle
    from astra_assets.products.compare.diff import Diff
    from astra_assets.products.release.audit import Audited
    from astra_assets.products.release.freeze import FreezeReport
    from astra_assets.products.write.create import CreateReport

Say = Callable[[str], None]
SPECTRA_PIPELINE = "mwm"
"""Key of the pipeline whose steps write the per-source files of spectra."""


class PublishingError(ExpectedError):
    """A verb cannot do what was asked; the message says why and what to type."""


class Publishing:
    """The products of a deployment.

    `database` gives the database, `alone` the lock of a verb, and `ready` raises when there are no tables yet.
    """

    def __init__(
        self,
        settings: Settings,
        database: Callable[[], Database],
        alone: Callable[[str, Say], AbstractContextManager[None]],
        ready: Callable[[], None],
    ) -> None:
        self.settings = settings
        self.root = settings.products_root
        self._database = database
        self._alone = alone
        self._ready = ready

    def create(
        self,
        name: str,
        release: Release,
        *,
        overwrite: bool = False,
        limit: int | None = None,
        formats: Collection[str] = (),
        accept_empty: Sequence[str] = (),
        run_id: str | None = None,
        say: Say,
    ) -> CreateReport:
        """Write a summary product and the files beside it, unless its inputs are what they were.

        Args:
            name: name of the product.
            release: named in the header.
            overwrite: write also when nothing changed.
            limit: write a sample of at most so many rows for each HDU instead.
            formats: also a copy without gzip (`plain`), with tile-compressed tables (`tiles`), from then on.
            accept_empty: columns that may have lost all values since the version before.
            run_id: named in the header.
            say: where progress is reported.

        Raises:
            ExpectedError: there is no such product or no table yet, or it cannot be written; see `products.create`.
        """
        from astra_assets.products.write.create import create
        from astra_assets.products.write.provenance import Provenance

        declared = self.declared(name)
        self._ready()
        with self._alone(f"create-{declared.name}", say):
            report = create(
                declared.product,
                self._database(),
                v_astra=release.v_astra,
                mwm_astra=self.root,
                release=release.name,
                provenance=Provenance(release.run2d, release.apred, git_revision(), run_id),
                limit=limit,
                force=overwrite,
                plain="plain" in formats,
                tiles="tiles" in formats,
                accept_empty=accept_empty,
            )
        say(report.summary)
        for warning in report.diff.warnings[:5] if report.diff else ():
            say(f"{declared.name}: differs from the version before: {warning}")
        return report

    def available(self, release: Release, say: Say) -> list[str]:
        """The products of a release whose tables the database has; that of another Astra may lack some, which is said.

        Of another Astra also those that the release does not name and that there are results for.
        """
        survey = self._database().look()
        tables = {name: each.product.result for name, each in products_of(release).items()}
        for name, table in tables.items():
            if table is not None and not survey.has(table):
                say(f"{name}: left out, since the database has no table {table_of(table).name}")
        found = [name for name, table in tables.items() if table is None or survey.has(table)]
        return [*found, *self._further(release)] if survey.foreign else found

    def _further(self, release: Release) -> Iterator[str]:
        """Products that the release does not name and that another Astra has results for."""
        from astra_assets.products.write.rows import has_any_row

        database = self._database()
        for name, declared in self._others_of(release).items():
            if has_any_row(database, declared.product, database.inventory, v_astra=release.v_astra):
                yield name

    @staticmethod
    def _others_of(release: Release) -> dict[str, DeclaredProduct]:
        own = products_of(release)
        return {name: each for name, each in (all_products() | further_products()).items() if name not in own}

    def others_on_disk(self, release: Release) -> dict[str, DeclaredProduct]:
        """The products that a release does not name and that have files of its version all the same."""
        return {
            name: each for name, each in self._others_of(release).items() if self._is_there(each, release)
        }

    def expected(self, release: Release) -> dict[str, DeclaredProduct]:
        """The products that a release has on disk, or should have: those of its own that there are rows for.

        One without rows may have been left out, since nobody could make any. Nothing is added to a frozen version.
        """
        from astra_assets.products.release.audit import frozen_files
        from astra_assets.products.write.rows import has_any_row

        is_frozen = frozen_files(self.root / release.v_astra, "summary") is not None

        def has_rows(each: DeclaredProduct) -> bool:
            database = self._database()
            return has_any_row(database, each.product, database.inventory, v_astra=release.v_astra)

        own = {
            name: each
            for name, each in products_of(release).items()
            if each.pipeline is None or self._is_there(each, release) or (not is_frozen and has_rows(each))
        }
        return own | self.others_on_disk(release)

    def _is_there(self, declared: DeclaredProduct, release: Release) -> bool:
        from astra_assets.products.bundle import bundle_of, product_path

        path = product_path(declared.product, v_astra=release.v_astra, mwm_astra=self.root)
        return any(each.exists() for each in bundle_of(declared.product, path).wanted)

    def declared(self, name: str) -> DeclaredProduct:
        """A product by its name. Raises PublishingError, which lists those that exist."""
        found = product_named(name)
        if found is None:
            raise PublishingError(f"no product {name!r}; there are: {', '.join(all_products())}")
        return found

    def picture(self, declared: DeclaredProduct, report: CreateReport, v_astra: str) -> bytes | None:
        """A small diagram of a product; None where it has nothing to show. Kept, so that it is drawn once."""
        from astra_assets.files.atomic import atomic_write
        from astra_assets.products.show.pictures import draw, panels_for
        from astra_assets.products.show.sample import sample_columns

        kept = self.settings.home / "pictures" / f"{declared.name}-{report.fingerprint[:16]}.png"
        if kept.is_file():
            return kept.read_bytes()

        panels = panels_for({name for name, _ in declared.columns()})
        if not panels or not sum(report.rows):
            return None
        needed = {name for panel in panels for name in panel.needs}
        rows = sample_columns(self._database(), declared.product, needed, v_astra=v_astra)
        drawn = draw(panels, rows)
        for old in kept.parent.glob(f"{declared.name}-*.png"):
            old.unlink(missing_ok=True)
        with atomic_write(kept) as partial:
            partial.write_bytes(drawn)
        return drawn

    def preview(self, declared: DeclaredProduct, report: CreateReport) -> str | None:
        """The first rows of a product as a Markdown table; None where there is none."""
        from astra_assets.products.show.preview import preview

        return preview(declared.product, [path for path in report.files if path.suffix == ".parquet"])

    # --- releases ---------------------------------------------------------------------------------

    def freeze(self, release: Release, *, summary_only: bool = False, say: Say) -> FreezeReport:
        """Make the files of a release's version read-only and write down their checksums.

        Raises:
            PublishingError: products are not sound, or a batch that writes per-source files is active.
            FreezeError: there is nothing to freeze.
        """
        from astra_assets.products.release.freeze import freeze

        found = [each for each in self.verify(release, summary_only=True, say=say) if each.problems]
        if found:
            told = "\n  ".join(text for each in found for text in each.problems)
            raise PublishingError(
                f"{release.v_astra} is not frozen, since files are not sound:\n  {told}\n"
                "type astra-assets create all, and freeze again"
            )
        if not summary_only:
            self._need_no_batch(release)
        with ExitStack() as stack:
            for name in sorted(all_products() | further_products()):
                stack.enter_context(self._alone(f"create-{name}", say))
            return freeze(
                self.root,
                release.v_astra,
                release=release.name,
                git_revision=git_revision() or "",
                parts=("summary",) if summary_only else ("summary", "spectra"),
                say=say,
            )

    def _need_no_batch(self, release: Release) -> None:
        table = ComputeBatch.c
        query = select(table.batch_id, table.pipeline, table.step).where(
            table.state == "active", table.v_astra_major_minor == major_minor(release.v_astra)
        )
        writers = {
            (each.name, step.name): each.key
            for each in pipelines.PIPELINES
            for step in each.steps
            if makes_source_files(each, step)
        }
        if not self._database().look().has(ComputeBatch):
            return
        with self._database().connect() as connection:
            active = connection.execute(query).all()
        for batch_id, *step in active:
            if tuple(step) in writers:
                raise PublishingError(
                    f"batch {batch_id} is writing per-source files: let it end (astra-assets run {writers[tuple(step)]}) or "
                    f"cancel it (astra-assets cancel {batch_id}), and freeze again; --summary-only leaves them out"
                )

    def need_unfrozen(self, pipeline: Pipeline, step: Step, release: Release) -> None:
        """Raise FrozenError when a step would write per-source files of a frozen version."""
        from astra_assets.products.release.frozen import refuse_if_frozen

        if makes_source_files(pipeline, step):
            refuse_if_frozen(
                self.root, release.v_astra, "spectra", "a per-source file of a new or changed source"
            )

    def verify(self, release: Release, *, summary_only: bool = False, say: Say) -> list[Audited]:
        """Check the files of a release that are on disk."""
        from astra_assets.products.release.audit import audit_others, audit_product, audit_sources
        from astra_assets.products.release.frozen import SOURCE_FOLDERS

        found = []
        products = self.expected(release)
        for name, declared in products.items():
            say(f"looking at {name}")
            found.append(audit_product(declared.product, release.v_astra, self.root))
        others = audit_others((each.product for each in products.values()), release.v_astra, self.root)
        if others.files or others.problems:
            found.append(others)
        for folder, kind in () if summary_only else product(SOURCE_FOLDERS, ("star", "visit")):
            say(f"looking at the per-source files of kind {kind} in {folder}")
            found.append(audit_sources(folder, kind, release.v_astra, self.root))
        return found

    def diff(self, old: str, new: str, names: Sequence[str] = ()) -> Iterator[Diff]:
        """Compare two versions, or two files of a product.

        Args:
            old: a version such as `0.8.0`, or the path of a FITS file of a product.
            new: the same.
            names: products to compare of two versions; all that both have by default.

        Raises:
            PublishingError: there is no such file, or the two are not of one product.
        """
        from astra_assets.products.compare.diff import compare
        from astra_assets.products.compare.tabular import tables_of

        for declared, before, after in self._pairs(old, new, names):
            with tables_of(before) as first, tables_of(after) as second:
                paths = (before.fits, after.fits)
                yield compare(declared.product, paths, (first, second), dict(declared.columns()))

    def _pairs(
        self, old: str, new: str, names: Sequence[str]
    ) -> Iterator[tuple[DeclaredProduct, Bundle, Bundle]]:
        from astra_assets.products.bundle import bundle_of, product_name, product_path

        files = [Path(each) for each in (old, new)]
        if all(path.is_file() for path in files):
            declared = [product_named(product_name(path) or "") for path in files]
            if declared[0] is None or declared[0] != declared[1]:
                raise PublishingError(
                    f"{old} and {new} are not two versions of one product: names of files begin with that of the product"
                )
            yield (
                declared[0],
                bundle_of(declared[0].product, files[0]),
                bundle_of(declared[0].product, files[1]),
            )
            return
        chosen = [self.declared(name) for name in names] or list(
            (all_products() | further_products()).values()
        )
        found = False
        for each in chosen:
            before, after = (
                product_path(each.product, v_astra=version, mwm_astra=self.root) for version in (old, new)
            )
            missing = [str(path) for path in (before, after) if not path.exists()]
            if names and missing:
                raise PublishingError(
                    f"{each.name} cannot be compared: there is no {' and no '.join(missing)}"
                )
            if not missing:
                found = True
                yield each, bundle_of(each.product, before), bundle_of(each.product, after)
        if not found:
            raise PublishingError(
                f"{old!r} and {new!r} have no product in common below {self.root}: give two versions such as 0.8.0 0.8.1, "
                "or the paths of two FITS files"
            )


def makes_source_files(pipeline: Pipeline, step: Step) -> bool:
    """True for the steps that write files of sources: of spectra, or of a pipeline's results."""
    return pipeline.key == SPECTRA_PIPELINE or bool(file_kinds(step))


@cache
def git_revision() -> str | None:
    """Revision of this package where it is a checkout with git at hand, else None."""
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
