"""Writing a summary product: from the database to a file beside, verified, to its place; or leaving it alone.

A product whose inputs have not changed since it was written (`fingerprint.py`) is left as it is. A sample
(`limit`) is a file of its own, with `sample` in its name, and never takes the product's place. What is in a
product is said in `summary.py` and `rows.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from astra_assets.fits.atomic import atomic_write
from astra_assets.fits.header import Card, section
from astra_assets.fits.writer import FitsWriteError, FitsWriter, TableWriter, WidthError
from astra_assets.models.database import Database
from astra_assets.models.errors import ExpectedError
from astra_assets.models.paths import inside, summary_path
from astra_assets.products import manifest
from astra_assets.products.fingerprint import KEYWORD, fingerprint, read_primary_header
from astra_assets.products.provenance import Provenance, version_cards
from astra_assets.products.rows import Measure, fits_columns, measure, select_rows
from astra_assets.products.stream import read_ahead
from astra_assets.products.summary import SummaryProduct, SummaryTable
from astra_assets.products.verify import ExpectedTable, VerificationError, Verified, verify

BATCH_ROWS = 8192
"""Rows that are converted at a time; large enough to be fast, small enough that memory stays low (16 MB a
batch).
"""
ATTEMPTS = 3
"""How often writing starts again when rows change between counting and reading."""
SAMPLE_KEYWORD = "SAMPLE"
"""Header card of samples: how many rows each table has at most."""

Progress = Callable[[int, int], None]


class ProductExistsError(ExpectedError, FileExistsError):
    """A product is there, its inputs have changed, and it was not to be overwritten."""


class CreateError(ExpectedError, RuntimeError):
    """A product could not be written: the disk, the database or the network failed. An older file stays."""


class InputsChangedError(CreateError):
    """Rows were written to the database faster than they could be read."""


@dataclass(frozen=True)
class CreateReport:
    """What became of a product: `rows` of each table HDU, and whether the file is new (`written`)."""

    product: str
    path: Path
    rows: tuple[int, ...]
    written: bool
    reason: str
    sha256: str
    fingerprint: str
    size_bytes: int
    elapsed_s: float

    @property
    def summary(self) -> str:
        """One line for people."""
        rows = " + ".join(f"{count:,}" for count in self.rows)
        action = "written" if self.written else "left alone"
        return f"{self.product}: {action} ({self.reason}), {rows} rows, {self.path}"


@dataclass(frozen=True)
class _Task:
    """One product to be written, with all that decides what is in it."""

    product: SummaryProduct
    database: Database
    v_astra: str
    release: str
    provenance: Provenance
    limit: int | None
    fingerprint: str


def product_path(product: SummaryProduct, *, v_astra: str, mwm_astra: Path, limit: int | None = None) -> Path:
    """Where a product is, or a sample of it."""
    path = inside(mwm_astra, summary_path(product.name, v_astra))
    return path if limit is None else path.with_name(path.name.replace(".fits", "-sample.fits"))


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
    progress: Progress | None = None,
) -> CreateReport:
    """Write a product, unless a file made from the same inputs is there.

    `limit` writes a sample of at most so many rows a table. `force` writes also when nothing has changed.
    `progress` is called with the rows written so far and all rows.

    Raises ProductExistsError when the file is there, made from other inputs, and `overwrite` is False;
    FitsWriteError when a value does not fit its column; VerificationError when the file read back is not
    right; CreateError when disk or database fail, or when the tables change faster than they are read. An
    existing file stays as it is in every case.
    """
    started = time.monotonic()
    if limit is not None and limit < 1:
        raise ValueError(f"a sample has at least one row, found limit={limit}")
    made_of = Provenance() if provenance is None else provenance
    mark = fingerprint(database, product, v_astra=v_astra, limit=limit)
    path = product_path(product, v_astra=v_astra, mwm_astra=mwm_astra, limit=limit)
    reason = "new"
    if path.exists():
        left = _unchanged(product, path, mark, started)
        if left is not None and not force:
            return left
        same_inputs = "asked for" if left is not None else "the file is not what was written"
        reason = same_inputs if _mark_of(path) == mark else "inputs changed"
        if not overwrite:
            raise ProductExistsError(
                f"{path} exists and {reason}; pass --overwrite to write {product.name} anew"
            )
    task = _Task(product, database, v_astra, release, made_of, limit, mark)
    done = _write(task, path, progress)
    manifest.record(path, done.sha256)
    elapsed = time.monotonic() - started
    return CreateReport(
        product.name, path, done.rows, True, reason, done.sha256, mark, done.size_bytes, elapsed
    )


def written_rows(product: SummaryProduct, path: Path) -> tuple[int, ...]:
    """Rows of each table HDU of a product that is there, according to its header; empty where it says nothing."""
    header = read_primary_header(path)
    if header is None or _rows_keyword(1) not in header:
        return ()
    return tuple(int(header[_rows_keyword(number)]) for number in range(1, len(product.tables) + 1))


def _mark_of(path: Path) -> str | None:
    """The fingerprint that a file was written with; None where it has none."""
    header = read_primary_header(path)
    return None if header is None else header.get(KEYWORD)


def _unchanged(product: SummaryProduct, path: Path, mark: str, started: float) -> CreateReport | None:
    """The report on a file that is there already, None when it was made from other inputs."""
    if _mark_of(path) != mark:
        return None
    rows = written_rows(product, path)
    digest = manifest.sha256(path)
    if manifest.recorded(path) != digest:
        return None  # damaged since it was written, or its writer was killed before the checksum was recorded
    elapsed = time.monotonic() - started
    size = path.stat().st_size
    return CreateReport(product.name, path, rows, False, "inputs unchanged", digest, mark, size, elapsed)


def _write(task: _Task, path: Path, progress: Progress | None) -> Verified:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _write_once(task, path, progress)
        except (WidthError, _CountError) as error:
            if attempt == ATTEMPTS:
                raise InputsChangedError(
                    f"{task.product.name}: the tables changed while they were read, {ATTEMPTS} times "
                    f"in a row (last: {error}); wait until ingestion and pipelines are done and try again"
                ) from error
        except (FitsWriteError, VerificationError):
            raise
        except Exception as error:
            raise CreateError(
                f"{task.product.name}: {path} could not be written, an older version of it stays: "
                f"{type(error).__name__}: {error}"
            ) from error
    raise AssertionError("unreachable")


class _CountError(Exception):
    """Another number of rows than was counted."""


def _write_once(task: _Task, path: Path, progress: Progress | None) -> Verified:
    measures = [
        measure(task.database, task.product, table, v_astra=task.v_astra, limit=task.limit)
        for table in task.product.tables
    ]
    created = datetime.now(UTC)
    with atomic_write(path) as partial:
        with FitsWriter(
            partial, created=created, label=task.product.name, compress=path.suffix == ".gz"
        ) as out:
            out.primary(_primary_cards(task, measures, created), _descriptions(task.product))
            counter = _Counter(progress, sum(measured.rows for measured in measures))
            for table, measured in zip(task.product.tables, measures, strict=True):
                cards = _table_cards(task, table, created)
                columns = fits_columns(task.product, table, measured)
                with out.table(columns, cards, key=task.product.key(table)) as writer:
                    _copy_rows(task, table, writer, counter)
                if writer.rows != measured.rows:
                    raise _CountError(f"{measured.rows} rows were counted and {writer.rows} read")
        return verify(partial, _expected(task.product, measures), label=task.product.name)


class _Counter:
    """Rows written so far over all tables."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0

    def add(self, rows: int) -> None:
        self._done += rows
        if self._progress is not None:
            self._progress(self._done, self._total)


def _copy_rows(task: _Task, table: SummaryTable, writer: TableWriter, counter: _Counter) -> None:
    query = select_rows(
        task.product, table, v_astra=task.v_astra, dialect=task.database.dialect, limit=task.limit
    )
    batches = task.database.arrow_batches(query, batch_rows=BATCH_ROWS)
    with read_ahead(batches) as ahead:
        for batch in ahead:
            writer.write(batch)
            counter.add(batch.num_rows)


def _expected(product: SummaryProduct, measures: list[Measure]) -> list[ExpectedTable]:
    # Rows of spectra that were made from visits are ordered by their own key, and show that of the visit.
    return [
        ExpectedTable(
            fits_columns(product, table, measured),
            measured.rows,
            product.key(table),
            ordered=table.reduction is None,
        )
        for table, measured in zip(product.tables, measures, strict=True)
    ]


def _rows_keyword(number: int) -> str:
    return f"NROWS{number}"


def _primary_cards(task: _Task, measures: list[Measure], created: datetime) -> list[Card]:
    pipeline = (
        [] if task.product.pipeline is None else [Card("PIPELINE", task.product.pipeline, "Pipeline name")]
    )
    sample = (
        []
        if task.limit is None
        else [Card(SAMPLE_KEYWORD, task.limit, "A sample: at most so many rows a table")]
    )
    return [
        *section("Metadata"),
        *pipeline,
        *version_cards(task.v_astra, created),
        *sample,
        *task.provenance.cards(task.release),
        Card(KEYWORD, task.fingerprint),
        *(
            Card(_rows_keyword(n), measured.rows, f"Rows of HDU {n}")
            for n, measured in enumerate(measures, start=1)
        ),
    ]


def _table_cards(task: _Task, table: SummaryTable, created: datetime) -> list[Card]:
    instrument = [] if table.instrument is None else [Card("INSTRMNT", table.instrument, "Instrument")]
    pipeline = (
        [] if task.product.pipeline is None else [Card("PIPELINE", task.product.pipeline, "Pipeline name")]
    )
    return [*section("Metadata"), *instrument, *pipeline, *version_cards(task.v_astra, created)]


def _descriptions(product: SummaryProduct) -> list[str]:
    tables = (f"HDU {number}: {table.description}" for number, table in enumerate(product.tables, start=1))
    return ["HDU 0: Summary information only", *tables]
