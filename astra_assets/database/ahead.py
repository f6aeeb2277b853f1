"""Reading ahead: an iterator on a thread of its own, so that the database works while rows are dealt with."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

Item = TypeVar("Item")


class _End:
    """The last thing in the queue; `error` is what ended the iterator early."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class _Reader(Generic[Item]):
    def __init__(self, items: Iterator[Item], depth: int) -> None:
        self._items = items
        self._queue: queue.Queue[Item | _End] = queue.Queue(depth)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="read-ahead", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        end = _End()
        try:
            for item in self._items:
                if not self._put(item):
                    break
        except BaseException as error:  # noqa: BLE001 (it is raised again where the items are read)
            end = _End(error)
        finally:
            close = getattr(self._items, "close", None)
            if close is not None:
                close()
        self._put(end)

    def _put(self, item: Item | _End) -> bool:
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def __iter__(self) -> Iterator[Item]:
        while True:
            item = self._queue.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()


@contextmanager
def read_ahead(items: Iterator[Item], depth: int = 2) -> Iterator[Iterator[Item]]:
    """Iterate over `items` with at most `depth` of them waiting; an error in it is raised to the reader.

    When the block ends, the iterator is closed, on the thread that ran it.
    """
    reader = _Reader(items, depth)
    try:
        yield iter(reader)
    finally:
        reader.stop()
