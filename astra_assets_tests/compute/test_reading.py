"""Unprocessed inputs are read in order, each once, whether in one stream or in pieces, and stop when asked to."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pyarrow as pa
import pytest
from sqlalchemy import delete, select

from astra_assets.compute.lookups import Lookup, LookupQuery, Lookups, as_numpy, decoded
from astra_assets.compute.reading import READERS, can_leave_out_sources, unprocessed_inputs
from astra_assets.compute.step_inputs import Selection
from astra_assets.database.sqlite_reader import SqliteReadError
from astra_assets.models.base import table_of
from astra_assets.models.boss import BossVisitSpectrum
from astra_assets.models.source import Source
from astra_assets_tests.compute.samples import FLUX, SOURCES, touch

VISIT, STAR = FLUX.step("visit"), SOURCES.step("star")


def tables(bench, step, selection=None, rows=4, pipeline=FLUX):
    inputs = bench.engine.inputs(pipeline, step)
    with ThreadPoolExecutor(READERS) as readers:
        yield from unprocessed_inputs(bench.database, inputs, selection or Selection(), rows, readers)


def keys(found, name="spectrum_pk"):
    return [key for table in found for key in table[name].to_pylist()]


@pytest.mark.parametrize("count", [0, 1, 4, 5, 23])
def test_each_input_comes_once_and_in_order(bench, count):
    pks = bench.visits([0] * count)
    found = list(tables(bench, VISIT))
    assert keys(found) == sorted(pks)
    assert all(0 < table.num_rows <= 4 for table in found)


def test_gaps_between_keys_leave_nothing_out(bench):
    pks = bench.visits([0] * 30)
    gone = [*pks[3:14], *pks[20:22]]
    with bench.database.begin() as connection:
        connection.execute(
            delete(table_of(BossVisitSpectrum)).where(BossVisitSpectrum.c.spectrum_pk.in_(gone))
        )
    assert keys(tables(bench, VISIT)) == sorted(set(pks) - set(gone))


def test_pieces_without_unprocessed_inputs_are_left_out(bench):
    pks = bench.visits([0] * 20)
    bench.engine.run(FLUX, VISIT)
    touch(bench.database, BossVisitSpectrum, BossVisitSpectrum.c.spectrum_pk.in_([pks[1], pks[18]]))
    assert keys(tables(bench, VISIT)) == [pks[1], pks[18]]


def test_sources_are_read_by_their_own_keys(bench):
    bench.visits([0] * 9)
    with bench.database.connect() as connection:
        pks = connection.scalars(select(Source.pk).order_by(Source.pk)).all()
    assert keys(tables(bench, STAR, pipeline=SOURCES), "source_pk") == pks


def test_reading_stops_with_its_reader_and_leaves_no_thread(bench):
    bench.visits([0] * 40)
    before = threading.active_count()
    found = tables(bench, VISIT)
    assert next(found).num_rows == 4
    found.close()
    assert threading.active_count() == before


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_database_that_breaks_between_pieces_is_an_error(bench):
    bench.visits([0] * 40)
    found = tables(bench, VISIT)
    next(found)
    with bench.database.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE boss_visit_spectrum RENAME TO elsewhere")
    with pytest.raises(SqliteReadError, match="no such table"):
        list(found)


def of_sources(*chunks):
    return pa.table({"source_pk": pa.chunked_array(chunks, pa.int64())})


def lookup_query(bench, rows):
    """A query of made-up sources, values and preferences, kept in columns of visits."""
    for pk, (source, label, rank) in zip(bench.visits([0] * len(rows)), rows, strict=True):
        touch(
            bench.database, BossVisitSpectrum, BossVisitSpectrum.c.spectrum_pk == pk,
            mjd=source, run2d=label, snr=rank,
        )  # fmt: skip
    visits = BossVisitSpectrum.c
    return select(visits.mjd, visits.run2d, visits.snr)


def test_of_several_values_of_a_source_the_preferred_one_counts_and_null_is_last(bench):
    query = lookup_query(bench, [(7, "worse", 2.0), (7, "best", 1.0), (7, "none", None), (5, "only", None)])
    found = Lookup.read(bench.database, LookupQuery(query, ("label",)))
    added = found.add_to(of_sources([5, 6], [7, 8, 5]))
    assert added["label"].to_pylist() == ["only", None, "best", None, "only"]


def test_where_there_is_nothing_to_look_up_values_are_missing(bench):
    found = Lookup.read(bench.database, LookupQuery(lookup_query(bench, []), ("label",)))
    assert decoded(found.add_to(of_sources([5, 6])))["label"].equals(
        pa.chunked_array([[None, None]], pa.string())
    )


def test_several_values_of_a_source_are_looked_up_at_once_and_rows_without_a_required_one_are_left_out(bench):
    query = lookup_query(bench, [(5, "a", 1.5), (7, "b", 2.5)])
    found = Lookup.read(bench.database, LookupQuery(query, ("label", "snr"), required=True))
    added = found.add_to(of_sources([7, 6], [5, 5]))
    assert added.to_pydict() == {
        "source_pk": [7, 5, 5], "label": ["b", "a", "a"], "snr": [2.5, 1.5, 1.5],
    }  # fmt: skip


def test_texts_that_are_looked_up_are_one_object_each_for_requirements():
    texts = pa.chunked_array([["a", None, "b"], ["b"]]).dictionary_encode()
    found = as_numpy(texts)
    assert found.tolist() == ["a", None, "b", "b"]
    assert found[2] is found[3]
    assert as_numpy(texts.slice(0, 0)).tolist() == []


def test_few_inputs_look_up_their_sources_only_and_many_everything(bench, monkeypatch):
    query = lookup_query(bench, [(source, f"of {source}", 1.0) for source in range(5, 10)])
    sizes = []
    read = Lookup.read

    def noted(database, asked):
        made = read(database, asked)
        sizes.append(len(made.sources))
        return made

    monkeypatch.setattr(Lookup, "read", noted)
    with ThreadPoolExecutor(1) as readers:
        lookups = Lookups(bench.database, [LookupQuery(query, ("label",))], readers, few=3)
        labels = [
            lookups.add_to(of_sources(sources))["label"].to_pylist() for sources in ([5, 5], [9, 4], [6])
        ]
    assert labels == [["of 5", "of 5"], ["of 9", None], ["of 6"]]
    assert sizes == [1, 5]


@pytest.mark.parametrize("step", FLUX.steps, ids=lambda step: step.name)
def test_sources_looked_up_afterwards_give_what_the_join_gives(bench, step):
    bench.visits([0] * 9)
    inputs = bench.engine.inputs(FLUX, step)
    assert inputs.independent
    joined = bench.database.arrow_table(inputs.unprocessed(Selection()))
    (apart,) = (
        pa.Table.from_batches([each])
        for each in bench.database.arrow_batches(inputs.unprocessed(Selection(), untried=True))
    )
    assert set(joined.column_names) - set(apart.column_names) == set(inputs.of_source)
    with ThreadPoolExecutor(1) as readers:
        asked = inputs.lookups(with_sources=True)
        whole = decoded(Lookups(bench.database, asked, readers, few=0).add_to(apart))
    assert whole.select(joined.column_names).equals(joined)


def test_sources_are_joined_once_there_are_outcomes(bench):
    bench.visits([0, 0, 92])
    inputs = bench.engine.inputs(FLUX, VISIT)
    assert can_leave_out_sources(bench.database, inputs, Selection())
    assert not can_leave_out_sources(bench.database, inputs, Selection(sdss_ids=[1]))
    bench.engine.run(FLUX, VISIT)
    assert not can_leave_out_sources(bench.database, inputs, Selection())


@pytest.mark.parametrize(
    "changes",
    [
        {"columns": {"northern": Source.c.dec > 0}},
        {"eligible": Source.c.dec > 0},
        {"stale": lambda since: Source.c.modified > since},
    ],
    ids=["columns", "eligible", "stale"],
)
def test_sources_are_joined_for_a_step_that_asks_more_of_them_than_columns(bench, changes):
    step = replace(VISIT, **changes)
    pipeline = replace(FLUX, steps=(*FLUX.steps[:-1], step))
    assert not bench.engine.inputs(pipeline, step).independent
