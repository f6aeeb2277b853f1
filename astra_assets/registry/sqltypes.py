"""SQL types that SQLite and PostgreSQL do not share: arrays of floats and byte strings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from sqlalchemy import Double, LargeBinary
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

FLOAT_ARRAY_DTYPE = np.dtype("<f8")
"""How SQLite stores the values of a float array: little-endian float64, one after the other."""


def encode_floats(values: Iterable[float]) -> bytes:
    """The SQLite form of a float array: little-endian float64 values, NaN included."""
    return np.asarray(list(values), dtype=FLOAT_ARRAY_DTYPE).tobytes()


def decode_floats(blob: bytes) -> list[float]:
    """The values of a float array as SQLite stores it.

    Raises ValueError when the length is no multiple of 8.
    """
    if len(blob) % FLOAT_ARRAY_DTYPE.itemsize:
        raise ValueError(f"a float array in SQLite has a multiple of 8 bytes, found {len(blob)}")
    values: list[float] = np.frombuffer(blob, dtype=FLOAT_ARRAY_DTYPE).tolist()
    return values


class FloatArray(TypeDecorator[list[float]]):
    """A list of floats: `double precision[]` in PostgreSQL, a blob of little-endian float64 in SQLite."""

    impl = LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The type that the dialect stores."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(postgresql.ARRAY(Double()))
        return dialect.type_descriptor(LargeBinary())

    def process_bind_param(self, value: Iterable[float] | None, dialect: Dialect) -> Any:
        """Values on their way into the database."""
        if value is None:
            return None
        if dialect.name == "postgresql":
            return [float(x) for x in value]
        return encode_floats(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> list[float] | None:
        """Values on their way out of the database."""
        if value is None:
            return None
        return list(value) if dialect.name == "postgresql" else decode_floats(value)


class Bytes(TypeDecorator[bytes]):
    """A byte string that can also be written as a literal into the text of a query."""

    impl = LargeBinary
    cache_ok = True

    def literal_processor(self, dialect: Dialect) -> Callable[[bytes], str]:
        """How a value is written into the text of a query."""

        def render(value: bytes) -> str:
            digits = bytes(value).hex()
            return f"decode('{digits}', 'hex')" if dialect.name == "postgresql" else f"X'{digits}'"

        return render
