"""Making a product: leaving it alone when nothing changed, else writing it and the files beside it.

A product whose inputs have not changed since it was written (`fingerprint.py`) is left as it is; a file beside it that
is missing or damaged is made anew. A sample (`limit`) is a file of its own, with `sample` in its name, and never takes
the product's place.

What is in a product follows from its declaration (`summary.py`) and the database (`rows.py`). Files are written beside
their names (`write/`), checked (`check/`), and get their names together.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from astra_assets.database.allocators import give_back, keep_little
from astra_assets.database.database import Database
from astra_assets.database.inventory import MissingColumnError, MissingTableError
from astra_assets.errors import ExpectedError, PassingError
from astra_assets.files import sha256sums
from astra_assets.files.atomic import remove_leftovers
from astra_assets.files.staged import Staged, staging
from astra_assets.files.streams import copy_content
from astra_assets.fits.read_header import read_primary_header
from astra_assets.fits.tiles import pack
from astra_assets.fits.writer import WidthError
from astra_assets.products.bundle import Bundle, bundle_of, product_path
from astra_assets.products.check.census import Census
from astra_assets.products.check.check_fits import ExpectedTable, Verified, check_fits, findings
from astra_assets.products.check.content import Previous, check_filled, check_positions, not_judged
from astra_assets.products.compare.previous import previous_bundle, previous_values
from astra_assets.products.compare.tabular import tables_of
from astra_assets.products.compare.versions import Diff, compare_versions
from astra_assets.products.findings import CHECKS, FILLED, TWIN, Finding
from astra_assets.products.fingerprint import fingerprint
from astra_assets.products.headers import FINGERPRINT_KEYWORD, ProductHeaders, Provenance, rows_keyword
from astra_assets.products.release.frozen import refuse_if_frozen
from astra_assets.products.rows import MeasuredTable, ProductRows, measure
from astra_assets.products.show.page import page
from astra_assets.products.summary import SummaryProduct
from astra_assets.products.write.excerpt import SAMPLE_ROWS
from astra_assets.products.write.one_pass import CountError, ProductWriter, Progress

ATTEMPTS = 3
"""How often writing starts again when rows change between counting and reading."""


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


def make_product(
    product: SummaryProduct,
    database: Database,
    mwm_astra: Path,
    provenance: Provenance,
    *,
    limit: int | None = None,
    force: bool = False,
    formats: Collection[str] = (),
    accept_empty: Collection[str] = (),
    progress: Progress | None = None,
) -> CreateReport:
    """Write a product and the files beside it, unless files made from the same inputs are there. On errors old ones stay.

    Args:
        product: its tables and what selects their rows.
        database: where the rows are.
        mwm_astra: the folder of all versions.
        provenance: the version that is written, and what else the files say about their origin.
        limit: write a sample of at most so many rows of each table instead.
        force: write also when nothing has changed.
        formats: copies in other formats that are made, too, and kept up to date from then on: see `Bundle.copies`.
        accept_empty: columns that may have lost all their values.
        progress: called with rows done and all.

    Raises:
        FrozenError: the product would have to change, and its version is frozen.
        MissingTableError: the database lacks a table that is needed.
        MissingColumnError: the database lacks a column that is needed.
        FitsWriteError: a value does not fit its column.
        VerificationError: the files read back are not right.
        CreateError: disk or database failed, or the tables change faster than they are read.
    """
    started = time.monotonic()
    if limit is not None and limit < 1:
        raise ValueError(f"a sample has at least one row, found limit={limit}")
    rows = ProductRows(product, database.look(), provenance.v_astra, limit)
    try:
        mark = fingerprint(database, rows)
    except (MissingColumnError, MissingTableError) as error:
        raise type(error)(f"{product.name}: {error}") from error
    path = product_path(product, v_astra=provenance.v_astra, mwm_astra=mwm_astra, limit=limit)
    files = bundle_of(product, path, limit=limit)
    wanted = files.wanted_with(formats)
    report = partial(
        CreateReport, product=product.name, path=path, fingerprint=mark, files=wanted, limit=limit
    )

    stock = _take_stock(files, wanted, mark, len(product.tables))
    if stock.whole and not force:
        return report(
            rows=stock.rows,
            written=False,
            reason=stock.reason,
            sha256=stock.digest,
            size_bytes=path.stat().st_size,
            elapsed_s=time.monotonic() - started,
            findings=_unchanged(stock.digest, limit),
        )
    reason = "asked for" if stock.sound and force else stock.reason
    refuse_if_frozen(mwm_astra, provenance.v_astra, "summary", f"{product.name} ({reason})")
    making = _Making(
        rows,
        database,
        ProductHeaders(product, provenance, mark, datetime.now(UTC)),
        files,
        chosen=wanted if force else tuple(each for each in wanted if each not in stock.sound),
        mwm_astra=mwm_astra,
        accept_empty=accept_empty,
        progress=progress,
    )
    made = making.make()
    return report(
        rows=made.rows,
        written=True,
        reason=reason,
        sha256=made.sha256,
        size_bytes=path.stat().st_size,
        elapsed_s=time.monotonic() - started,
        findings=made.findings,
        diff=made.diff,
    )


@dataclass(frozen=True)
class _Stock:
    """What is there of a product.

    Attributes:
        reason: why something has to be written, or why not.
        sound: files that are as they were written, from the same inputs; none when the FITS file is not.
        digest: checksum of the FITS file; empty when it is not sound.
        whole: nothing has to be written.
        rows: of each table of the FITS file, where nothing has to be written.
    """

    reason: str
    sound: frozenset[Path] = frozenset()
    digest: str = ""
    whole: bool = False
    rows: tuple[int, ...] = ()


def _take_stock(files: Bundle, wanted: Sequence[Path], mark: str, tables: int) -> _Stock:
    """Look at the files of a product that are there.

    `mark` is the fingerprint of its inputs, `tables` the number of table HDUs.
    """
    for path in wanted:
        # What a killed process left goes, also where no file has to be written.
        if path.parent.is_dir():
            remove_leftovers(path)
    if not files.fits.exists():
        return _Stock("new")
    header = read_primary_header(files.fits)
    if header is None or header.text(FINGERPRINT_KEYWORD) != mark:
        return _Stock("inputs changed")
    recorded = sha256sums.read(files.fits.parent)
    digests = {path: sha256sums.sha256(path) for path in wanted if path.exists()}
    sound = frozenset(path for path, digest in digests.items() if recorded.get(path.name) == digest)
    if files.fits not in sound:
        # damaged since it was written, or its writer was killed before the checksum was recorded
        return _Stock("the file is not what was written")
    lacking = [path.name for path in wanted if path not in sound]
    reason = f"made anew: {', '.join(lacking)}" if lacking else "inputs unchanged"
    rows = tuple(header.integer(rows_keyword(number)) for number in range(1, tables + 1))
    return _Stock(reason, sound, digests[files.fits], whole=not lacking, rows=rows)


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
class _Made:
    """What was written: rows of each table, checksum of the FITS file, and what the checks found."""

    rows: tuple[int, ...]
    sha256: str
    findings: tuple[Finding, ...]
    diff: Diff | None


@dataclass(frozen=True)
class _Making:
    """The files of a product that have to be made, from which rows, and where."""

    rows: ProductRows
    database: Database
    headers: ProductHeaders
    files: Bundle
    chosen: tuple[Path, ...]
    mwm_astra: Path
    accept_empty: Collection[str]
    progress: Progress | None

    def make(self) -> _Made:
        """Try until the rows hold still while they are read."""
        keep_little()
        name, path = self.rows.product.name, self.files.fits
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._once()
            except (WidthError, CountError) as error:
                if attempt == ATTEMPTS:
                    raise InputsChangedError(
                        f"{name}: the tables changed while they were read, {ATTEMPTS} times "
                        f"in a row (last: {error}); wait until ingestion and pipelines are done and try again"
                    ) from error
            except PassingError as error:
                raise type(error)(
                    f"{name}: {path} could not be written, an older version of it stays: {error}"
                ) from error
            except ExpectedError:
                raise
            except Exception as error:
                raise CreateError(
                    f"{name}: {path} could not be written, an older version of it stays: "
                    f"{type(error).__name__}: {error}"
                ) from error
        raise AssertionError("unreachable")

    def _once(self) -> _Made:
        """Write all files beside their names, check them, and give them their names."""
        product, files = self.rows.product, self.files
        anew = files.fits in self.chosen and self.rows.limit is None
        previous = previous_values(product, files.fits, self.mwm_astra) if anew else None
        self.database.get_ready()
        tables = [measure(self.database, table) for table in self.rows.tables]
        with staging() as staged, TemporaryDirectory(prefix="astra-check-") as scratch:
            writer = ProductWriter(
                tables, self.headers, files, self.chosen, staged=staged, scratch=Path(scratch)
            )
            self._write(writer, tables, staged)
            verified, found = self._check(writer, tables, staged)
            if files.fits in self.chosen:
                found += self._judge([seen.census for seen in writer.seen], previous)
            self._write_copies(staged)
            diff = None if previous is None else self._compared(staged)
            self._place(staged, verified.sha256)
        return _Made(verified.rows, verified.sha256, tuple(found), diff)

    def _there(self, staged: Staged, path: Path) -> Path:
        """Where a file is before the new ones have their names."""
        return staged.partial(path) if path in self.chosen else path

    def _write(self, writer: ProductWriter, tables: Sequence[MeasuredTable], staged: Staged) -> None:
        files, chosen = self.files, self.chosen
        if {files.fits, files.sample, *files.parquet}.intersection(chosen):
            writer.write(self.database, limit=self.rows.limit, progress=self.progress)
            give_back()
        if files.sample in chosen:
            writer.write_sample()
        if files.page in chosen:
            text = page(self.rows.product, self.rows.v_astra, self.headers.fingerprint, tables, files)
            staged.partial(files.page).write_text(text)

    def _check(
        self, writer: ProductWriter, tables: Sequence[MeasuredTable], staged: Staged
    ) -> tuple[Verified, list[Finding]]:
        """Read the FITS files back and compare them with their twins; an old product, too, beside a new file."""
        files, chosen = self.files, self.chosen
        if files.sample in chosen:
            expected = _expected(tables, writer.sample_twins, SAMPLE_ROWS)
            check_fits(staged.partial(files.sample), expected, label=files.sample.name)
            give_back()
        expected = _expected(tables, writer.twins)
        verified = check_fits(self._there(staged, files.fits), expected, label=self.rows.product.name)
        return verified, findings(expected, twins=any(path in chosen for path in files.parquet))

    def _write_copies(self, staged: Staged) -> None:
        """Copies are made of a product that was checked."""
        fits = self._there(staged, self.files.fits)
        if self.files.plain in self.chosen:
            copy_content(fits, staged.partial(self.files.plain))
        if self.files.tiles in self.chosen:
            pack(fits, staged.partial(self.files.tiles))

    def _place(self, staged: Staged, sha256: str) -> None:
        """Give all files their names and record their checksums; that of the FITS file is known."""
        fits = self.files.fits
        digests = {
            path.name: sha256 if path == fits else sha256sums.sha256(staged.partial(path))
            for path in self.chosen
        }
        with sha256sums.locked(fits.parent):
            refuse_if_frozen(self.mwm_astra, self.rows.v_astra, "summary", self.rows.product.name)
            staged.place(fits, [path for path in self.chosen if path != fits])
            sha256sums.record_all(fits.parent, digests)

    def _judge(self, censuses: Sequence[Census], previous: Previous | None) -> list[Finding]:
        name, limit = self.rows.product.name, self.rows.limit
        positions = check_positions(name, censuses, foreign=self.rows.inventory.foreign)
        if limit is not None:
            return [positions, not_judged(FILLED, limit)]
        return [positions, check_filled(name, censuses, previous, self.accept_empty)]

    def _compared(self, staged: Staged) -> Diff | None:
        """How the new version differs from the one before, which still has its name."""
        product = self.rows.product
        before = previous_bundle(product, self.files.fits, self.mwm_astra)
        if before is None:
            return None
        definitions = {
            column.name: column.definition for table in self.rows.tables for column in table.columns
        }
        new = [self._there(staged, path) for path in self.files.parquet]
        with tables_of(before) as old:
            return compare_versions(product, (before.fits, self.files.fits), (old, new), definitions)


def _expected(
    tables: Sequence[MeasuredTable], twins: Sequence[Path | None], most: int | None = None
) -> list[ExpectedTable]:
    """What the tables of a file have to be, with at most so many rows each."""
    return [
        ExpectedTable(
            table.columns,
            table.rows if most is None else min(most, table.rows),
            table.table.key,
            # Rows of spectra that were made from visits are ordered by their own key, and show that of the visit.
            ordered=table.table.reduction is None,
            twin=twin,
        )
        for table, twin in zip(tables, twins, strict=True)
    ]
