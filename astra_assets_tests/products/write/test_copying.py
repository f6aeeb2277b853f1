"""One pass over the rows feeds every file, in order, on threads that end; what fails in any of them is raised."""

from __future__ import annotations

import threading
import time

import pyarrow as pa
import pytest

from astra_assets.products.write.copying import WAITING_BATCHES, copy_rows


def batches(count: int, rows: int = 10):
    for number in range(count):
        yield pa.record_batch({"x": range(number * rows, (number + 1) * rows)})


class Kept:
    """A sink that keeps what it gets, and may be slow or break."""

    def __init__(self, delay: float = 0.0, breaks_at: int | None = None) -> None:
        self.values: list[int] = []
        self.threads: set[str] = set()
        self._delay = delay
        self._breaks_at = breaks_at

    def write(self, batch: pa.RecordBatch) -> None:
        time.sleep(self._delay)
        if self._breaks_at is not None and len(self.values) >= self._breaks_at:
            raise OSError(28, "No space left on device")
        self.values += batch["x"].to_pylist()
        self.threads.add(threading.current_thread().name)


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate()} & {"row-sink", "read-ahead"}


def test_every_sink_gets_all_rows_in_order_from_one_reading():
    made = []

    def items():
        for batch in batches(50):
            made.append(batch)
            yield batch

    sinks = [Kept(), Kept(0.002), Kept()]
    seen: list[int] = []
    assert copy_rows(items(), sinks, seen.append) == 500
    assert len(made) == 50
    assert [sink.values for sink in sinks] == [list(range(500))] * 3
    assert sum(seen) == 500
    assert sinks[0].threads == {threading.current_thread().name}
    assert sinks[1].threads == {"row-sink"}
    assert threads() == set()


def test_no_rows_are_no_rows():
    assert copy_rows(iter(()), [Kept(), Kept()]) == 0


@pytest.mark.parametrize("broken", [0, 1, 2])
def test_what_a_sink_raises_is_raised_and_the_reading_ends(broken):
    closed = []

    def items():
        try:
            yield from batches(100_000)
        finally:
            closed.append(threading.current_thread().name)

    sinks = [Kept(breaks_at=30 if number == broken else None) for number in range(3)]
    with pytest.raises(OSError, match="No space left"):
        copy_rows(items(), sinks)
    assert closed == ["read-ahead"]
    assert threads() == set()


def test_a_sink_that_breaks_on_the_last_rows_is_noticed():
    with pytest.raises(OSError, match="No space left"):
        copy_rows(batches(4), [Kept(), Kept(0.02, breaks_at=30)])


def test_what_the_database_raises_is_raised_after_the_rows_before_it():
    def items():
        yield from batches(3)
        raise ConnectionError("the server went away")

    sinks = [Kept(), Kept(0.005)]
    with pytest.raises(ConnectionError, match="went away"):
        copy_rows(items(), sinks)
    assert sinks[0].values == list(range(30))
    assert threads() == set()


def test_a_slow_sink_holds_the_others_back():
    sinks = [Kept(), Kept(0.01)]
    ahead = []
    copy_rows(batches(20), sinks, lambda _: ahead.append(len(sinks[0].values) - len(sinks[1].values)))
    assert max(ahead) <= 10 * (WAITING_BATCHES + 2)
