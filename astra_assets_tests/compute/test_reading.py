"""Unprocessed inputs are read in order, each once, whether in one stream or in pieces, and stop when asked to."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest
from sqlalchemy import delete, select

from astra_assets.compute.inputs import Selection
from astra_assets.compute.lookups import Lookup
from astra_assets.compute.reading import READERS, unprocessed_inputs
from astra_assets.models.base import table_of
from astra_assets.models.boss import BossVisitSpectrum
from astra_assets.models.source import Source
from astra_assets.models.sqlite_reader import SqliteReadError
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
    found = Lookup.read(bench.database, query)
    assert found.of(pa.chunked_array([[5, 6], [7, 8, 5]])).to_pylist() == ["only", None, "best", None, "only"]


def test_where_there_is_nothing_to_look_up_values_are_missing(bench):
    found = Lookup.read(bench.database, lookup_query(bench, []))
    assert found.of(pa.chunked_array([[5, 6]])).equals(pa.array([None, None], pa.string()))
