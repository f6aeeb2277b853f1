"""Parquet files are read in order, whole or in part, whatever their row groups."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from astra_assets.files.row_groups import batches


@pytest.fixture
def path(tmp_path):
    """1,000 rows in groups of 300."""
    found = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"a": np.arange(1000), "b": np.arange(1000) * 0.5}), found, row_group_size=300)
    return found


@pytest.mark.parametrize("rows", [1, 70, 300, 5000])
def test_every_row_comes_once_and_in_order(path, rows):
    with pq.ParquetFile(path) as file:
        found = list(batches(file, rows))
    assert pa.Table.from_batches(found) == pq.read_table(path)
    assert max(batch.num_rows for batch in found) == min(rows, 300)


def test_only_the_columns_asked_for_are_read(path):
    with pq.ParquetFile(path) as file:
        found = pa.Table.from_batches(list(batches(file, 128, ["b"])))
    assert found.column_names == ["b"]
    assert found["b"].to_pylist() == [number * 0.5 for number in range(1000)]


def test_a_file_without_rows_has_no_batch(tmp_path):
    pq.write_table(pa.table({"a": pa.array([], pa.int64())}), tmp_path / "none.parquet")
    with pq.ParquetFile(tmp_path / "none.parquet") as file:
        assert list(batches(file, 10)) == []
