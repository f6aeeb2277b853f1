"""Keys that occurred before."""

from __future__ import annotations

import numpy as np

from astra_assets.ingest.seen import SeenKeys, hash_rows


def test_repetitions_are_found_within_and_between_blocks():
    seen = SeenKeys()
    first = hash_rows([np.array([1, 2, 1]), np.array([5, 5, 5])])
    assert seen.repeated(first).tolist() == [False, False, True]
    second = hash_rows([np.array([3, 2, 1]), np.array([5, 5, 6])])
    assert seen.repeated(second).tolist() == [False, True, False]


def test_many_blocks_are_remembered_in_few_runs():
    rng = np.random.default_rng(3)
    keys = rng.permutation(20_000)
    seen = SeenKeys()
    for start in range(0, len(keys), 100):
        assert not seen.repeated(hash_rows([keys[start : start + 100]])).any()
    assert len(seen._runs) < 16
    assert sum(len(run) for run in seen._runs) == len(keys)
    assert seen.repeated(hash_rows([keys[::7]])).all()


def test_the_order_of_columns_matters():
    one, two = np.array([1, 2]), np.array([2, 1])
    assert not (hash_rows([one, two]) == hash_rows([two, one])).any()


def test_an_empty_block_is_nothing():
    seen = SeenKeys()
    empty = hash_rows([np.empty(0, dtype=np.int64)])
    assert seen.repeated(empty).size == 0
    assert not seen.repeated(hash_rows([np.array([1])])).any()
