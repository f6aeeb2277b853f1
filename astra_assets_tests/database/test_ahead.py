"""Reading ahead keeps order, stops early without leaving a thread, and passes errors on."""

from __future__ import annotations

import threading

import pytest

from astra_assets.database.ahead import read_ahead


def test_items_come_in_order():
    with read_ahead(iter(range(100))) as ahead:
        assert list(ahead) == list(range(100))


def test_an_error_reaches_the_reader_after_the_items_before_it():
    def broken():
        yield 1
        raise ConnectionError("the server went away")

    seen = []

    def read():
        with read_ahead(broken()) as ahead:
            seen.extend(ahead)

    with pytest.raises(ConnectionError, match="went away"):
        read()
    assert seen == [1]


def test_at_most_so_many_items_wait():
    made = []

    def items():
        for number in range(1000):
            made.append(number)
            yield number

    with read_ahead(items(), depth=3) as ahead:
        assert next(ahead) == 0
    assert len(made) < 10


def test_the_iterator_is_closed_on_its_own_thread_when_the_reader_stops():
    ends = []

    def items():
        try:
            yield from range(1000)
        finally:
            ends.append(threading.current_thread().name)

    with read_ahead(items()) as ahead:
        next(ahead)
    assert ends == ["read-ahead"]
    assert "read-ahead" not in {thread.name for thread in threading.enumerate()}
