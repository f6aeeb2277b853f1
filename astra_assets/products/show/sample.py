"""A few columns of a product's rows, straight from the database, for pictures."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np
import pyarrow as pa

from astra_assets.database.database import Database
from astra_assets.products.rows import ProductRows
from astra_assets.products.show.pictures import SAMPLE_ROWS
from astra_assets.products.summary import SummaryProduct


def sample_columns(
    database: Database,
    product: SummaryProduct,
    names: AbstractSet[str],
    *,
    v_astra: str,
    limit: int = SAMPLE_ROWS,
) -> dict[str, np.ndarray[Any, Any]]:
    """Read the first rows of each table of a product, one table after the other.

    Returns:
        An array for each name: numbers as float64 with NaN where there is none, text as objects. Tables that lack a
        column are left out.
    """
    found: dict[str, list[np.ndarray[Any, Any]]] = {name: [] for name in names}
    for table in ProductRows(product, database.inventory, v_astra, limit).tables:
        query = table.query
        columns = [column for column in query.selected_columns if column.key in names]
        if len(columns) < len(names):
            continue
        rows = database.arrow_table(query.with_only_columns(*columns, maintain_column_froms=True))
        for name in names:
            found[name].append(as_array(rows.column(name)))
    return {name: np.concatenate(parts) if parts else np.array([]) for name, parts in found.items()}


def as_array(column: pa.ChunkedArray) -> np.ndarray[Any, Any]:
    """Return numbers as float64, text as objects with "" for NULL."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return np.array([value or "" for value in column.to_pylist()], dtype=object)
    array: np.ndarray[Any, Any] = column.cast(pa.float64()).to_numpy()
    return array
