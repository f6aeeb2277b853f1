"""The rows of a query, read once and handed to every file that shows them.

Database, conversion and writing overlap, each on a thread of its own.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, Self

import pyarrow as pa

from astra_assets.database.ahead import read_ahead

WAITING_BATCHES = 1
"""Batches that wait at most before each sink, and after the database; more of them only take memory."""


class RowSink(Protocol):
    """Something that takes rows in order: a table of a FITS file, a Parquet file."""

    def write(self, batch: pa.RecordBatch) -> object:
        """Append the rows of a batch."""


def copy_rows(
    batches: Iterator[pa.RecordBatch],
    sinks: Sequence[RowSink],
    on_rows: Callable[[int], None] | None = None,
) -> int:
    """Read `batches` to their end, once, and write each of them to every sink; returns the number of rows.

    The batches are read on a thread of their own, and every sink but the first writes on one of its own; the
    first writes here, and `on_rows` is called here with the rows of each batch that it has written. Sinks are
    not closed: that is the business of whoever opened them.

    What a reader or a sink raises is raised here, after all threads have ended; `batches` is then closed.
    """
    rows = 0
    with contextlib.ExitStack() as stack:
        ahead = stack.enter_context(read_ahead(batches, WAITING_BATCHES))
        first, *others = sinks
        writers = [stack.enter_context(_SinkThread(sink)) for sink in others]
        for batch in ahead:
            for writer in writers:
                writer.put(batch)
            first.write(batch)
            rows += batch.num_rows
            if on_rows is not None:
                on_rows(batch.num_rows)
    return rows


class _SinkThread:
    """A sink on a thread of its own."""

    def __init__(self, sink: RowSink) -> None:
        self._sink = sink
        self._queue: queue.Queue[pa.RecordBatch | None] = queue.Queue(WAITING_BATCHES)
        self._error: BaseException | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="row-sink", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def put(self, batch: pa.RecordBatch) -> None:
        """Hand a batch over; raises what writing an earlier one raised."""
        if self._error is not None:
            raise self._error
        self._queue.put(batch)

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if kind is not None:
            self._stopped.set()
        self._queue.put(None)
        self._thread.join()
        if kind is None and self._error is not None:
            raise self._error

    def _run(self) -> None:
        # The queue is emptied to its end in any case, so that nobody waits for room in it.
        while (batch := self._queue.get()) is not None:
            if self._error is not None or self._stopped.is_set():
                continue
            try:
                self._sink.write(batch)
            except BaseException as error:  # noqa: BLE001 (it is raised again where batches are handed over)
                self._error = error
