"""Long lists of keys, in pieces that one query takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

K = TypeVar("K")

KEYS_AT_ONCE = 5_000
"""Keys in one IN (...) clause; SQLite allows 32,766 parameters in a query, PostgreSQL 65,535."""


def pieces(keys: Sequence[K]) -> Iterator[Sequence[K]]:
    """The keys in their order, at most `KEYS_AT_ONCE` at a time."""
    return (keys[start : start + KEYS_AT_ONCE] for start in range(0, len(keys), KEYS_AT_ONCE))
