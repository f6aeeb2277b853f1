"""Writing the files of a product in one pass over its rows, checking them, and giving them their names.

Belongs here: one attempt, from the query to the renamed files. Does not belong here: whether to write at all and what to
tell about it (`create`), what a row is (`rows`), what is checked (`verify`, `content`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from astra_assets.database.allocators import give_back
from astra_assets.database.arrow import WrongValueError
from astra_assets.database.database import Database
from astra_assets.database.inventory import Inventory
from astra_assets.files import sha256sums
from astra_assets.files.staged import Staged
from astra_assets.files.streams import copy_content
from astra_assets.fits.formats import FitsColumn
from astra_assets.fits.tiles import pack
from astra_assets.fits.writer import FitsWriteError, FitsWriter
from astra_assets.products.bundle import Bundle
from astra_assets.products.compare.content import Previous, check_filled, check_positions, not_judged
from astra_assets.products.findings import FILLED, Finding
from astra_assets.products.show.page import DescribedTable, page
from astra_assets.products.summary import SummaryProduct, SummaryTable
from astra_assets.products.verify import ExpectedTable, Verified, findings, verify
from astra_assets.products.write.census import Census
from astra_assets.products.write.copying import RowSink, copy_rows
from astra_assets.products.write.excerpt import SAMPLE_ROWS, Excerpt
from astra_assets.products.write.headers import Heading
from astra_assets.products.write.parquet import ParquetTwin
from astra_assets.products.write.rows import Measure, fits_columns, measure, select_rows

BATCH_ROWS = {"postgresql": 4096, "sqlite": 1536}
"""Rows that are converted at a time, by database; large enough to be fast, small enough that memory stays low (8 MB a
batch of 4096, of which about ten are alive). The process that reads SQLite has some more.
"""

Progress = Callable[[int, int], None]


class CountError(Exception):
    """Another number of rows than was counted: they changed in between."""


@dataclass(frozen=True)
class Task:
    """One product to be written, with all that decides what is in it.

    Attributes:
        product: its tables and what selects their rows.
        database: where the rows are.
        survey: what that database has.
        heading: what the files say about themselves.
        limit: rows of each table at most, for a sample of the first rows.
        accepted: columns that may be without values although the version before has some.
    """

    product: SummaryProduct
    database: Database
    survey: Inventory
    heading: Heading
    limit: int | None = None
    accepted: Collection[str] = ()

    @property
    def name(self) -> str:
        """Name of the product."""
        return self.product.name


@dataclass(frozen=True)
class Written:
    """What was written: rows of each table, checksum of the FITS file, and what the checks found."""

    rows: tuple[int, ...]
    sha256: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class _Table:
    """A table HDU on its way."""

    table: SummaryTable
    columns: list[FitsColumn]
    rows: int
    key: str
    census: Census
    excerpt: Excerpt


class Attempt:
    """One try to write the files `wanted` of a bundle.

    `staged` has them beside their names when `write` is done; nothing is placed yet.
    """

    def __init__(self, task: Task, files: Bundle, wanted: Collection[Path], staged: Staged) -> None:
        self._task = task
        self._files = files
        self._wanted = wanted
        self._staged = staged
        task.database.get_ready()
        self._tables = [self._measured(table) for table in task.product.tables]

    def write(self, previous: Previous | None, progress: Progress | None) -> Written:
        """Write and check. Raises FitsWriteError, VerificationError, CountError."""
        wanted, files = self._wanted, self._files
        if {files.fits, files.sample, *files.parquet} & set(wanted):
            self._copy(progress)
            give_back()
        if files.sample in wanted:
            self._write_sample()
        if files.page in wanted:
            self._write_page()
        verified, found = self._verify()
        if files.fits in wanted:
            found += self._judge(previous)
        if files.plain in wanted:
            copy_content(self._there(files.fits), self._staged.partial(files.plain))
        if files.tiles in wanted:
            pack(self._there(files.fits), self._staged.partial(files.tiles))
        return Written(tuple(table.rows for table in self._tables), verified.sha256, tuple(found))

    def digests(self, fits: str) -> dict[str, str]:
        """Checksums of what was written, by final file name; that of the FITS file is known."""
        return {
            path.name: fits if path == self._files.fits else sha256sums.sha256(self._staged.partial(path))
            for path in self._wanted
        }

    def parquet(self) -> list[Path]:
        """Where the Parquet files are now."""
        return [self._there(path) for path in self._files.parquet]

    def _measured(self, table: SummaryTable) -> _Table:
        task = self._task
        measured: Measure = measure(
            task.database, task.product, table, task.survey, v_astra=task.heading.v_astra, limit=task.limit
        )
        columns = fits_columns(task.product, table, task.survey, measured)
        key = task.product.key(table)
        names = [column.name for column in columns]
        return _Table(table, columns, measured.rows, key, Census(key, names), Excerpt(key))

    def _there(self, path: Path) -> Path:
        return self._staged.partial(path) if path in self._wanted else path

    def _copy(self, progress: Progress | None) -> None:
        counter = _Counter(progress, sum(table.rows for table in self._tables))
        with self._fits_file(
            self._files.fits, [table.rows for table in self._tables], self._task.limit
        ) as out:
            for number, table in enumerate(self._tables):
                with self._sinks(out, number) as sinks:
                    rows = copy_rows(self._batches(table), sinks, counter.add)
                if rows != table.rows:
                    raise CountError(f"{table.rows} rows were counted and {rows} read")

    @contextlib.contextmanager
    def _fits_file(self, path: Path, rows: Sequence[int], sample: int | None) -> Iterator[FitsWriter | None]:
        """A FITS file with its primary header, None when it is not wanted."""
        if path not in self._wanted:
            yield None
            return
        heading = self._task.heading
        partial = self._staged.partial(path)
        with FitsWriter(
            partial, created=heading.created, label=self._task.name, compress=path.suffix == ".gz"
        ) as out:
            out.primary(heading.primary(rows, sample), heading.descriptions())
            yield out

    @contextlib.contextmanager
    def _sinks(self, out: FitsWriter | None, number: int) -> Iterator[list[RowSink]]:
        """Everything that is to see the rows of a table."""
        table = self._tables[number]
        sinks: list[RowSink] = []
        with contextlib.ExitStack() as stack:
            if out is not None:
                cards = self._task.heading.table(table.table)
                sinks.append(stack.enter_context(out.table(table.columns, cards, key=table.key)))
            if self._files.parquet and self._files.parquet[number] in self._wanted:
                sinks.append(stack.enter_context(self._twin(number)))
            yield [*sinks, table.census, table.excerpt]

    def _twin(self, number: int) -> ParquetTwin:
        table, heading = self._tables[number], self._task.heading
        cards = [*heading.primary([each.rows for each in self._tables]), *heading.table(table.table)]
        return ParquetTwin(
            self._staged.partial(self._files.parquet[number]),
            table.columns,
            name=self._task.name,
            description=table.table.description,
            cards=list({card.keyword: card for card in cards}.values()),
        )

    def _batches(self, table: _Table) -> Iterator[pa.RecordBatch]:
        task = self._task
        query = select_rows(
            task.product, table.table, task.survey, v_astra=task.heading.v_astra, limit=task.limit
        )
        try:
            yield from task.database.arrow_batches(query, batch_rows=BATCH_ROWS[task.database.dialect])
        except WrongValueError as error:
            key = (
                "" if error.record is None else f" ({table.key} {error.record.column(table.key)[0].as_py()})"
            )
            raise FitsWriteError(f"{task.name}: {error}{key}") from error

    def _write_sample(self) -> None:
        excerpts = [list(table.excerpt.batches()) for table in self._tables]
        rows = [sum(batch.num_rows for batch in batches) for batches in excerpts]
        with self._fits_file(self._files.sample, rows, SAMPLE_ROWS) as out:
            assert out is not None
            for table, batches in zip(self._tables, excerpts, strict=True):
                cards = self._task.heading.table(table.table)
                with out.table(table.columns, cards, key=table.key) as writer:
                    for batch in batches:
                        writer.write(batch)

    def _write_page(self) -> None:
        tables = [DescribedTable(table.table, table.columns, table.rows) for table in self._tables]
        heading = self._task.heading
        text = page(self._task.product, heading.v_astra, heading.fingerprint, tables, self._files)
        self._staged.partial(self._files.page).write_text(text)

    def _verify(self) -> tuple[Verified, list[Finding]]:
        files = self._files
        new = {path: number for number, path in enumerate(files.parquet) if path in self._wanted}
        twins = {number: self._staged.partial(path) for path, number in new.items()}
        expected = self._expected([table.rows for table in self._tables], twins)
        if files.sample in self._wanted:
            rows = [min(table.rows, SAMPLE_ROWS) for table in self._tables]
            verify(self._staged.partial(files.sample), self._expected(rows, {}), label=files.sample.name)
            give_back()
        verified = verify(self._there(files.fits), expected, label=self._task.name)
        return verified, findings(expected)

    def _expected(self, rows: Sequence[int], twins: dict[int, Path]) -> list[ExpectedTable]:
        # Rows of spectra that were made from visits are ordered by their own key, and show that of the visit.
        return [
            ExpectedTable(
                table.columns,
                rows[number],
                table.key,
                ordered=table.table.reduction is None,
                twin=twins.get(number),
            )
            for number, table in enumerate(self._tables)
        ]

    def _judge(self, previous: Previous | None) -> list[Finding]:
        task = self._task
        censuses = [table.census for table in self._tables]
        found = [check_positions(task.name, censuses, foreign=task.survey.foreign)]
        if task.limit is not None:
            return [*found, not_judged(FILLED, task.limit)]
        return [*found, check_filled(task.name, censuses, previous, task.accepted)]


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
