"""Reading the unprocessed inputs of a step in the order of their keys, ahead of whoever deals with them.

PostgreSQL sends one stream; with several processors at it a million inputs were planned no faster. SQLite's inputs are
read in pieces, each a range of keys, by several processes side by side. Keys do not change and each is in one piece, so no
input is read twice or left out, whatever is written meanwhile. What is read is said in `step_inputs`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Executor, Future
from contextlib import closing
from itertools import islice
from typing import Any

import pyarrow as pa
from sqlalchemy import Select, select

from astra_assets.compute.step_inputs import Selection, StepInputs
from astra_assets.database.ahead import read_ahead
from astra_assets.database.database import Database

READERS = 2
"""Pieces that are read side by side; each needs a processor and some 75 MB."""

BATCH_ROWS = 4_000
"""Rows that the process that reads a piece has in memory."""


def can_leave_out_sources(database: Database, inputs: StepInputs, selection: Selection) -> bool:
    """True if nothing of outcomes and sources decides which inputs are read (`StepInputs.unprocessed`, `untried`)."""
    if selection.sdss_ids is not None or not inputs.independent:
        return False
    with database.connect() as connection:
        return not connection.scalar(inputs.tried())


def unprocessed_inputs(
    database: Database,
    inputs: StepInputs,
    selection: Selection,
    rows: int,
    readers: Executor,
    *,
    untried: bool = False,
) -> Generator[pa.Table]:
    """The rows of `StepInputs.unprocessed` in tables of at most `rows`; none is empty.

    `readers` are the threads that read pieces. A few tables wait in memory. Close the iterator to stop reading.
    """
    in_pieces = database.dialect == "sqlite" and selection.sdss_ids is None
    ranges = _ranges(database, inputs, rows) if in_pieces else []
    if len(ranges) < 2:
        whole = inputs.unprocessed(selection, untried=untried)
        with read_ahead(database.arrow_batches(whole, batch_rows=rows)) as batches:
            for batch in batches:
                yield pa.Table.from_batches([batch])
        return
    queries = (inputs.unprocessed(selection, keys, untried=untried) for keys in ranges)
    with closing(_side_by_side(database, queries, readers)) as pieces:
        for piece in pieces:
            if piece:
                yield pa.Table.from_batches(piece)


def _side_by_side(
    database: Database, queries: Iterator[Select[Any]], readers: Executor
) -> Generator[list[pa.RecordBatch]]:
    """The batches of one query after the other, while the next ones are read already."""

    def read(query: Select[Any]) -> list[pa.RecordBatch]:
        return list(database.arrow_batches(query, batch_rows=BATCH_ROWS))

    waiting: deque[Future[list[pa.RecordBatch]]] = deque()
    try:
        while True:
            room = READERS + 1 - len(waiting)
            waiting.extend(readers.submit(read, query) for query in islice(queries, room))
            if not waiting:
                return
            yield waiting.popleft().result()
    finally:
        for each in waiting:
            each.cancel()


def _ranges(database: Database, inputs: StepInputs, rows: int) -> list[tuple[int, int | None]]:
    """First key and end (exclusive, None for the last) of pieces that have `rows` rows of the table of inputs each."""
    key = inputs.key
    starts: list[int] = []
    with database.connect() as connection:
        found = connection.scalar(select(key).where(key.is_not(None)).order_by(key).limit(1))
        while found is not None:
            starts.append(found)
            after = select(key).where(key >= found).order_by(key)
            found = connection.scalar(after.offset(rows).limit(1))
    return list(zip(starts, [*starts[1:], None], strict=True)) if starts else []
