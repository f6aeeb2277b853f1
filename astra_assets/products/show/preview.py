"""A few rows of a product for people to look at, as a Markdown table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq

from astra_assets.models.base import layout
from astra_assets.products.summary import SummaryProduct
from astra_assets.registry.columns import COMMON_COLUMNS, info
from astra_assets.registry.kinds import Kind
from astra_assets.text import markdown_table

PREVIEW_ROWS = 10
PREVIEW_COLUMNS = 10
_FIRST = ("sdss_id", "spectrum_pk")
_TELLING = (
    "telescope",
    "mjd",
    "ra",
    "dec",
    "g_mag",
    "snr",
    "v_rad",
    "n_boss_visits",
    "n_apogee_visits",
    "n_visits",
)
_SHOWN_KINDS = frozenset(Kind) - {Kind.bytes, Kind.floats, Kind.pixels, Kind.datetime}


def preview(product: SummaryProduct, parquet: Sequence[Path]) -> str | None:
    """Return the first rows of the first table that has any; None where no row is to be seen."""
    for path in parquet:
        if not path.exists():
            continue
        with pq.ParquetFile(path) as file:
            names = _columns(product, file.schema_arrow.names)
            batch = next(file.iter_batches(batch_size=PREVIEW_ROWS, columns=names), None)
        if batch is not None and batch.num_rows:
            rows = ([_cell(row[name]) for name in names] for row in batch.to_pylist())
            return "\n".join(markdown_table(names, rows))
    return None


def _columns(product: SummaryProduct, present: Sequence[str]) -> list[str]:
    """Keys, then what a pipeline found out, then what is telling of any star."""
    own = [
        info(entry.column).summary_name
        for entry in (layout(product.result) if product.result is not None else ())
        if entry.column is not None
        and entry.definition.kind in _SHOWN_KINDS
        and entry.column.key not in COMMON_COLUMNS
    ]
    room = PREVIEW_COLUMNS - len(_FIRST)
    wanted = (*_FIRST, *own[:room], *_TELLING)
    return [name for name in dict.fromkeys(wanted) if name in present][:PREVIEW_COLUMNS]


def _cell(value: object) -> object:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else value
