"""Making a product: leaving it alone when nothing changed, else writing it and the files beside it.

A product whose inputs have not changed since it was written (`fingerprint.py`) is left as it is; a file beside it that
is missing or damaged is made anew. A sample (`limit`) is a file of its own, with `sample` in its name, and never takes
the product's place. How it is written is in `write.py`, what is in it in `summary.py` and `rows.py`.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import compress
from pathlib import Path

from astra_assets.database.allocators import keep_little
from astra_assets.database.database import Database
from astra_assets.database.inventory import Inventory, MissingColumnError, MissingTableError
from astra_assets.errors import ExpectedError
from astra_assets.files import sha256sums
from astra_assets.files.atomic import remove_leftovers
from astra_assets.files.staged import staging
from astra_assets.fits.writer import WidthError
from astra_assets.products.bundle import Bundle, bundle_of, product_path
from astra_assets.products.compare.content import not_judged
from astra_assets.products.compare.diff import Diff, compare
from astra_assets.products.compare.previous import previous_bundle, previous_values
from astra_assets.products.compare.tabular import tables_of
from astra_assets.products.findings import FILE, FILLED, KEYS, POSITIONS, TWIN, Finding
from astra_assets.products.release.frozen import refuse_if_frozen
from astra_assets.products.summary import SummaryProduct
from astra_assets.products.write.fingerprint import fingerprint
from astra_assets.products.write.headers import Heading, mark_of, written_rows
from astra_assets.products.write.provenance import Provenance
from astra_assets.products.write.rows import output_columns
from astra_assets.products.write.write import Attempt, CountError, Progress, Task, Written
from astra_assets.registry.kinds import Definition

ATTEMPTS = 3
"""How often writing starts again when rows change between counting and reading."""
CHECKS = (FILE, KEYS, TWIN, POSITIONS, FILLED)
"""What is checked before a product gets its name."""


class ProductExistsError(ExpectedError, FileExistsError):
    """A product is there, its inputs have changed, and it was not to be overwritten."""


class CreateError(ExpectedError, RuntimeError):
    """A product could not be written: the disk, the database or the network failed. An older file stays."""


class InputsChangedError(CreateError):
    """Rows were written to the database faster than they could be read."""


@dataclass(frozen=True)
class CreateReport:
    """What became of a product.

    Attributes:
        product: its name.
        path: of the FITS file.
        rows: of each table HDU.
        written: whether any file is new.
        reason: why, or why not.
        sha256: of the FITS file.
        fingerprint: of its inputs.
        size_bytes: of the FITS file.
        elapsed_s: how long it took.
        files: every file of the product.
        findings: what the checks found.
        diff: how it differs from the version before; None where there is none or nothing was written.
        limit: rows of each table at most, when it is a sample.
    """

    product: str
    path: Path
    rows: tuple[int, ...]
    written: bool
    reason: str
    sha256: str
    fingerprint: str
    size_bytes: int
    elapsed_s: float
    files: tuple[Path, ...] = ()
    findings: tuple[Finding, ...] = ()
    diff: Diff | None = None
    limit: int | None = None

    @property
    def summary(self) -> str:
        """One line for people."""
        rows = " + ".join(f"{count:,}" for count in self.rows)
        action = "written" if self.written else "left alone"
        return f"{self.product}: {action} ({self.reason}), {rows} rows, {self.path}"


def create(
    product: SummaryProduct,
    database: Database,
    *,
    v_astra: str,
    mwm_astra: Path,
    release: str,
    provenance: Provenance | None = None,
    overwrite: bool = True,
    limit: int | None = None,
    force: bool = False,
    plain: bool = False,
    tiles: bool = False,
    accept_empty: Collection[str] = (),
    progress: Progress | None = None,
) -> CreateReport:
    """Write a product and the files beside it, unless files made from the same inputs are there. On errors old ones stay.

    `limit` writes a sample of at most so many rows a table instead. `force` writes also when nothing has changed.
    `plain` makes a copy without gzip, `tiles` one with tile-compressed tables, which are kept up to date from then
    on. `accept_empty` names columns that may have lost all their values. `progress` is called with rows done and all.

    Raises ProductExistsError when the file is there, made from other inputs, and `overwrite` is False; FrozenError
    when it would have to change and its version is frozen; MissingTableError or MissingColumnError when the database
    lacks what is needed; FitsWriteError when a value does not fit its column; VerificationError when the files read back
    are not right; CreateError when disk or database fail, or when the tables change faster than they are read.
    """
    started = time.monotonic()
    if limit is not None and limit < 1:
        raise ValueError(f"a sample has at least one row, found limit={limit}")
    survey = database.look()
    mark = _fingerprint(database, product, survey, v_astra, limit)
    path = product_path(product, v_astra=v_astra, mwm_astra=mwm_astra, limit=limit)
    files = bundle_of(product, path, limit=limit)
    wanted = tuple(dict.fromkeys([*files.wanted, *compress([files.plain, files.tiles], [plain, tiles])]))
    stock = _take_stock(files, wanted, mark)
    if stock.whole and not force:
        return CreateReport(
            product.name, path, written_rows(product, path), False, stock.reason, stock.digest, mark,
            path.stat().st_size, time.monotonic() - started, wanted, _unchanged(stock.digest, limit), None, limit,
        )  # fmt: skip
    chosen, reason = _to_make(product, files, wanted, stock, force=force, overwrite=overwrite)
    refuse_if_frozen(mwm_astra, v_astra, "summary", f"{product.name} ({reason})")
    heading = Heading(product, v_astra, release, provenance or Provenance(), mark, datetime.now(UTC))
    task = Task(product, database, survey, heading, limit, accept_empty)
    done = _Making(task, files, chosen, mwm_astra, progress).make()
    return CreateReport(
        product.name, path, done.written.rows, True, reason, done.written.sha256, mark, path.stat().st_size,
        time.monotonic() - started, wanted, done.written.findings, done.diff, limit,
    )  # fmt: skip


def _fingerprint(
    database: Database, product: SummaryProduct, survey: Inventory, v_astra: str, limit: int | None
) -> str:
    """The fingerprint of the inputs; what the database lacks for it is told with the product's name."""
    try:
        return fingerprint(database, product, survey, v_astra=v_astra, limit=limit)
    except (MissingColumnError, MissingTableError) as error:
        raise type(error)(f"{product.name}: {error}") from error


def _tidy(wanted: Sequence[Path]) -> None:
    """Remove what a killed process left beside the files, also where none of them has to be written."""
    for path in wanted:
        if path.parent.is_dir():
            remove_leftovers(path)


@dataclass(frozen=True)
class _Stock:
    """What is there of a product.

    Attributes:
        usable: the FITS file is the one that was written, from the same inputs.
        sound: files that are as they were written.
        digest: checksum of the FITS file; empty where it is not known.
        reason: why something has to be written, or why not.
        whole: nothing has to be written.
    """

    usable: bool
    sound: frozenset[Path]
    digest: str
    reason: str
    whole: bool


def _take_stock(files: Bundle, wanted: Sequence[Path], mark: str) -> _Stock:
    _tidy(wanted)
    if not files.fits.exists():
        return _Stock(False, frozenset(), "", "new", False)
    if mark_of(files.fits) != mark:
        return _Stock(False, frozenset(), "", "inputs changed", False)
    recorded = sha256sums.read(files.fits.parent)
    digests = {path: sha256sums.sha256(path) for path in wanted if path.exists()}
    sound = frozenset(path for path, digest in digests.items() if recorded.get(path.name) == digest)
    if files.fits not in sound:
        # damaged since it was written, or its writer was killed before the checksum was recorded
        return _Stock(False, frozenset(), "", "the file is not what was written", False)
    lacking = [path.name for path in wanted if path not in sound]
    reason = f"made anew: {', '.join(lacking)}" if lacking else "inputs unchanged"
    return _Stock(True, sound, digests[files.fits], reason, not lacking)


def _to_make(
    product: SummaryProduct,
    files: Bundle,
    wanted: Sequence[Path],
    stock: _Stock,
    *,
    force: bool,
    overwrite: bool,
) -> tuple[tuple[Path, ...], str]:
    """The files that have to be made, and why. Raises ProductExistsError."""
    chosen = tuple(wanted) if force else tuple(each for each in wanted if each not in stock.sound)
    if files.fits.exists() and files.fits in chosen and not overwrite:
        raise ProductExistsError(
            f"{files.fits} exists and {stock.reason}; pass --overwrite to write {product.name} anew"
        )
    return chosen, "asked for" if stock.usable and force else stock.reason


def _unchanged(digest: str, limit: int | None) -> tuple[Finding, ...]:
    """What the checks say of files that are left alone."""
    text = (
        "the files are those that were checked when they were written: their checksums are the recorded ones"
    )
    return tuple(
        not_judged(check, limit)
        if limit is not None and check in (TWIN, FILLED)
        else Finding(check, text, facts={"sha256": digest})
        for check in CHECKS
    )


@dataclass(frozen=True)
class _Done:
    written: Written
    diff: Diff | None


@dataclass(frozen=True)
class _Making:
    """The files of a product that have to be made, and where."""

    task: Task
    files: Bundle
    chosen: tuple[Path, ...]
    mwm_astra: Path
    progress: Progress | None

    def make(self) -> _Done:
        """Try until the rows hold still while they are read."""
        keep_little()
        name, path = self.task.name, self.files.fits
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._once()
            except (WidthError, CountError) as error:
                if attempt == ATTEMPTS:
                    raise InputsChangedError(
                        f"{name}: the tables changed while they were read, {ATTEMPTS} times "
                        f"in a row (last: {error}); wait until ingestion and pipelines are done and try again"
                    ) from error
            except ExpectedError:
                raise
            except Exception as error:
                raise CreateError(
                    f"{name}: {path} could not be written, an older version of it stays: "
                    f"{type(error).__name__}: {error}"
                ) from error
        raise AssertionError("unreachable")

    def _once(self) -> _Done:
        task, files = self.task, self.files
        anew = files.fits in self.chosen and task.limit is None
        previous = previous_values(task.product, files.fits, self.mwm_astra) if anew else None
        with staging() as staged:
            attempt = Attempt(task, files, self.chosen, staged)
            written = attempt.write(previous, self.progress)
            diff = self._compared(attempt.parquet()) if previous is not None else None
            digests = attempt.digests(written.sha256)
            folder = files.fits.parent
            with sha256sums.locked(folder):
                refuse_if_frozen(self.mwm_astra, task.heading.v_astra, "summary", task.name)
                staged.place(files.fits, [path for path in self.chosen if path != files.fits])
                sha256sums.record_all(folder, digests)
        return _Done(written, diff)

    def _compared(self, parquet: Sequence[Path]) -> Diff | None:
        """How the new version differs from the one before, which still has its name."""
        product = self.task.product
        before = previous_bundle(product, self.files.fits, self.mwm_astra)
        if before is None:
            return None
        with tables_of(before) as old:
            return compare(product, (before.fits, self.files.fits), (old, parquet), self._definitions())

    def _definitions(self) -> Mapping[str, Definition]:
        task = self.task
        return {
            column.name: column.definition
            for table in task.product.tables
            for column in output_columns(task.product, table, task.survey)
        }
