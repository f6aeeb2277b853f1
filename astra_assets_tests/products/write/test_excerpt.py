"""The sample of a product: spread, the same stars everywhere, the same however rows are batched."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from astra_assets.products.write.excerpt import Excerpt


def table(keys, stars) -> pa.RecordBatch:
    return pa.record_batch(
        {"spectrum_pk": pa.array(keys, pa.int64()), "sdss_id": pa.array(stars, pa.int64())}
    )


def chosen(excerpt: Excerpt) -> list[tuple[int, int | None]]:
    return [(row["spectrum_pk"], row["sdss_id"]) for batch in excerpt.batches() for row in batch.to_pylist()]


def filled(batch: pa.RecordBatch, rows: int, size: int) -> Excerpt:
    excerpt = Excerpt("spectrum_pk", rows)
    for start in range(0, batch.num_rows, size):
        excerpt.write(batch.slice(start, size))
    return excerpt


@pytest.mark.parametrize("size", [1, 7, 100, 20_000])
def test_the_choice_does_not_depend_on_batches(size):
    rows = table(np.arange(5000), 54_000_000 + np.arange(5000) // 3)
    found = chosen(filled(rows, 50, size))
    assert found == chosen(filled(rows, 50, 5000))
    assert len(found) == 50
    assert found == sorted(found), "in the order of the product"


def test_it_is_spread_over_the_whole_product():
    found = [key for key, _ in chosen(filled(table(np.arange(100_000), np.arange(100_000)), 1000, 8192))]
    counts, _ = np.histogram(found, bins=10, range=(0, 100_000))
    assert counts.min() > 60
    assert counts.max() < 140


def test_two_products_show_the_same_stars():
    stars = {star for _, star in chosen(filled(table(np.arange(4000), np.arange(4000)), 100, 512))}
    visits = {star for _, star in chosen(filled(table(np.arange(12_000), np.arange(12_000) // 3), 300, 512))}
    assert stars == visits


def test_rows_that_come_later_change_it_little():
    before = set(chosen(filled(table(np.arange(4000), np.arange(4000)), 100, 512)))
    after = set(chosen(filled(table(np.arange(4400), np.arange(4400)), 100, 512)))
    assert len(before & after) > 75


def test_few_rows_and_rows_without_a_star_are_all_there():
    found = chosen(filled(table([1, 2, 3], [None, 5, None]), 10, 2))
    assert found == [(1, None), (2, 5), (3, None)]
    many = chosen(filled(table(np.arange(100), [None] * 90 + list(range(10))), 20, 8))
    assert len(many) == 20
    assert {star for _, star in many if star is not None} == set(range(10))


def test_nothing_is_kept_of_no_rows():
    assert chosen(Excerpt("spectrum_pk")) == []


def test_rows_that_come_few_at_a_time_are_held_in_few_pieces():
    # Each batch brings at most a row or two that could be chosen.
    excerpt = filled(table(np.arange(40_000), np.arange(40_000)), 500, 40)
    assert len(list(excerpt.batches())) == 1
