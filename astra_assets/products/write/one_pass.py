"""Writing the tables of a product in one pass over its rows: FITS file, Parquet twins, and what is counted on the way."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from astra_assets.database.arrow import WrongValueError
from astra_assets.database.database import Database
from astra_assets.files.staged import Staged
from astra_assets.fits.writer import FitsWriteError, FitsWriter
from astra_assets.products.bundle import FITS_SUFFIX, PARQUET_SUFFIX, Bundle
from astra_assets.products.check.census import Census
from astra_assets.products.headers import ProductHeaders
from astra_assets.products.rows import MeasuredTable
from astra_assets.products.write.copying import RowSink, copy_rows
from astra_assets.products.write.excerpt import SAMPLE_ROWS, Excerpt
from astra_assets.products.write.parquet import ParquetTwin

BATCH_ROWS = {"postgresql": 4096, "sqlite": 1536}
"""Rows that are converted at a time, by database; large enough to be fast, small enough that memory stays low (8 MB a
batch of 4096, of which about ten are alive). The process that reads SQLite has some more.
"""

Progress = Callable[[int, int], None]
"""Called with the rows that are done and with all."""


class CountError(Exception):
    """Another number of rows than was counted: they changed in between."""


@dataclass(frozen=True)
class SeenRows:
    """What was kept of the rows of one table while they were written.

    Attributes:
        census: counts of what stands in its columns.
        excerpt: the rows of the sample file.
    """

    census: Census
    excerpt: Excerpt


class ProductWriter:
    """Writes the tables of a product into files beside their names; which, `wanted` says.

    A FITS table is never written without a Parquet file of the same rows, since the two are compared. Where there is to
    be none beside the FITS file, it goes to the folder `scratch`.

    Attributes:
        seen: what was kept of each table.
        twins: where the Parquet file of each table is written; None where it is not.
        sample_twins: the same of the sample file.
    """

    def __init__(
        self,
        tables: Sequence[MeasuredTable],
        headers: ProductHeaders,
        files: Bundle,
        wanted: Collection[Path],
        *,
        staged: Staged,
        scratch: Path,
    ) -> None:
        self._tables = tables
        self._headers = headers
        self._files = files
        self._wanted = wanted
        self._staged = staged
        self._name = headers.product.name
        self.seen = [
            SeenRows(
                Census(each.table.key, [column.name for column in each.columns]), Excerpt(each.table.key)
            )
            for each in tables
        ]
        beside = [staged.partial(path) if path in wanted else None for path in files.parquet]
        self.twins = beside if any(beside) else self._scratch_twins(files.fits, scratch)
        self.sample_twins = self._scratch_twins(files.sample, scratch)

    def _scratch_twins(self, fits: Path, scratch: Path) -> Sequence[Path | None]:
        if fits not in self._wanted:
            return [None] * len(self._tables)
        stem = fits.name.removesuffix(FITS_SUFFIX)
        return [
            scratch / f"{stem}-{number}{PARQUET_SUFFIX}" for number, _ in enumerate(self._tables, start=1)
        ]

    def write(
        self, database: Database, *, limit: int | None = None, progress: Progress | None = None
    ) -> None:
        """Read the rows and write the FITS file and the Parquet files. `limit` is said in the header of a sample.

        Raises:
            FitsWriteError: a value does not fit its column.
            CountError: there are more or fewer rows than were counted.
        """
        rows = [table.rows for table in self._tables]
        done = 0

        def tell(count: int) -> None:
            nonlocal done
            done += count
            if progress is not None:
                progress(done, sum(rows))

        with self._fits_file(self._files.fits, rows, limit) as out:
            for number, (table, seen) in enumerate(zip(self._tables, self.seen, strict=True)):
                with self._written(out, self.twins[number], number) as sinks:
                    batches = self._batches(database, table)
                    count = copy_rows(batches, [*sinks, seen.census, seen.excerpt], tell)
                if count != table.rows:
                    raise CountError(f"{table.rows} rows were counted and {count} read")

    def write_sample(self) -> None:
        """Write the sample file from the rows that were kept for it."""
        excerpts = [list(seen.excerpt.batches()) for seen in self.seen]
        rows = [sum(batch.num_rows for batch in batches) for batches in excerpts]
        with self._fits_file(self._files.sample, rows, SAMPLE_ROWS) as out:
            for number, batches in enumerate(excerpts):
                with self._written(out, self.sample_twins[number], number) as sinks:
                    copy_rows(iter(batches), sinks)

    @contextlib.contextmanager
    def _fits_file(self, path: Path, rows: Sequence[int], sample: int | None) -> Iterator[FitsWriter | None]:
        """A FITS file with its primary header, None when it is not wanted."""
        if path not in self._wanted:
            yield None
            return
        created = self._headers.created
        compress = path.suffix == ".gz"
        with FitsWriter(
            self._staged.partial(path), created=created, label=self._name, compress=compress
        ) as out:
            out.primary(self._headers.primary(rows, sample), self._headers.descriptions())
            yield out

    @contextlib.contextmanager
    def _written(self, out: FitsWriter | None, twin: Path | None, number: int) -> Iterator[list[RowSink]]:
        """The files, FITS and Parquet, that the rows of a table go to."""
        table = self._tables[number]
        cards = self._headers.table(table.table)
        sinks: list[RowSink] = []
        with contextlib.ExitStack() as stack:
            if out is not None:
                sinks.append(stack.enter_context(out.table(table.columns, cards, key=table.table.key)))
            if twin is not None:
                told = [*self._headers.primary([each.rows for each in self._tables]), *cards]
                sinks.append(
                    stack.enter_context(
                        ParquetTwin(
                            twin,
                            table.columns,
                            name=self._name,
                            description=table.table.description,
                            cards=list({card.keyword: card for card in told}.values()),
                        )
                    )
                )
            yield sinks

    def _batches(self, database: Database, table: MeasuredTable) -> Iterator[pa.RecordBatch]:
        try:
            yield from database.arrow_batches(table.query, batch_rows=BATCH_ROWS[database.dialect])
        except WrongValueError as error:
            key = table.table.key
            row = "" if error.record is None else f" ({key} {error.record.column(key)[0].as_py()})"
            raise FitsWriteError(f"{self._name}: {error}{row}") from error
