"""What the summary files of all reductions have in common on their way into a table of spectra."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlalchemy import Connection, Table

from astra_assets.database.database import Database
from astra_assets.fits.read_table import FitsTable
from astra_assets.ingest.ledger import FileLedger, Stamp
from astra_assets.ingest.report import IngestReport, Mend, Refusal, Say
from astra_assets.ingest.seen import SeenKeys, hash_rows

CHUNK_ROWS = 50_000
"""Rows of one transaction: about 200 MB of memory, and a second or two of SQLite's write lock."""

PROGRESS_SECONDS = 10.0
"""Seconds between two lines of progress."""


@dataclass
class Mapped:
    """Rows of a summary file, mapped.

    Attributes:
        rows: usable rows with the columns of the table that they go to.
        numbers: their row numbers in the file.
        refusals: the rows that cannot be used.
        mended: the values that were mended.
    """

    rows: pa.Table
    numbers: NDArray[np.int64]
    refusals: list[Refusal]
    mended: list[Mend] = field(default_factory=list)

    def keep(self, chosen: NDArray[np.bool_]) -> Mapped:
        """Leave out the rows that are not chosen."""
        return replace(self, rows=self.rows.filter(pa.array(chosen)), numbers=self.numbers[chosen])

    def refuse_repeated(
        self, again: NDArray[np.bool_], reason: Callable[[int], str], path: Path | str
    ) -> Mapped:
        """Leave out the rows whose key an earlier row of the file has, and say so; `reason` of one row."""
        refusals = [
            Refusal(
                int(self.numbers[index]), f"{reason(index)}; the first is used", "repeated_key", str(path)
            )
            for index in np.flatnonzero(again).tolist()
        ]
        return replace(self.keep(~again), refusals=[*self.refusals, *refusals])


def first_of_each_key(mapped: Mapped, key: Sequence[str], wording: str, seen: SeenKeys, path: str) -> Mapped:
    """Refuse rows whose key (whole numbers) an earlier row of the file has.

    `wording` names the values of the key, with a pair of braces for each.
    """
    columns = [np.asarray(mapped.rows[name], dtype=np.int64) for name in key]
    again = seen.repeated(hash_rows(columns))

    def reason(index: int) -> str:
        return "an earlier row has the same " + wording.format(*(int(column[index]) for column in columns))

    return mapped.refuse_repeated(again, reason, path) if again.any() else mapped


def add_spectra(
    database: Database, connection: Connection, target: Table, rows: pa.Table
) -> NDArray[np.int64]:
    """Insert new spectra, each with a key of its own among all spectra; returns the keys."""
    keys = database.reserve_spectrum_pks(connection, len(rows))
    database.insert(connection, target, rows.append_column("spectrum_pk", pa.array(keys)))
    return keys


def note_read(
    ledger: FileLedger,
    table: FitsTable,
    report: IngestReport,
    stamp: Stamp,
    *,
    kind: str,
    version: str,
    limit: int | None,
) -> None:
    """Remember that a file was read completely; where a `limit` left rows out, the report says so instead."""
    if limit is None or limit >= table.rows:
        ledger.note(stamp, kind, table.rows, table.finish(), version)
    else:
        report.notes.append(
            f"{report.path}: only the first {limit:,} of {table.rows:,} rows were read (limit)"
        )


def teller(name: str, total: int, say: Say) -> Callable[[int], None]:
    """Tells how many rows are done, not more often than every `PROGRESS_SECONDS`, and at the end."""
    started = last = time.monotonic()

    def tell(done: int) -> None:
        nonlocal last
        now = time.monotonic()
        if done < total and now - last < PROGRESS_SECONDS:
            return
        last = now
        say(f"{name}: {done:,} of {total:,} rows, {done / max(now - started, 1e-3):,.0f} rows/s")

    return tell
