"""Arrow tables into the database, on SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pyarrow as pa
import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped

from astra_assets.models.base import PipelineResult
from astra_assets.models.boss import BossCombinedSpectrum, BossVisitSpectrum
from astra_assets.models.source import Source
from astra_assets.registry.columns import flags, known

OLD, NEW = datetime.fromisoformat("2020-01-01"), datetime.fromisoformat("2026-01-01")


class BulkResult(PipelineResult):
    """A result table to write to."""

    teff: Mapped[float | None] = known("teff")
    result_flags: Mapped[int] = flags(low_snr="S/N is too low")


def read(database, *columns):
    with database.connect() as connection:
        return [tuple(row) for row in connection.execute(select(*columns).order_by(columns[0]))]


def upsert(database, model, rows, key, **options):
    with database.begin() as connection:
        return database.upsert(connection, model, pa.table(rows), key, **options)


def test_missing_columns_and_nulls_get_their_defaults(database):
    rows = pa.table(
        {"sdss_id": [1, 2], "ebv_flags": pa.array([None, 4]), "ra": [np.nan, 3.5], "g_mag": pa.nulls(2)}
    )
    with database.begin() as connection:
        assert database.insert(connection, Source, rows) == 2
    columns = [Source.c[name] for name in ("sdss_id", "ebv_flags", "n_neighborhood", "ra", "g_mag")]
    assert read(database, *columns) == [(1, 0, -1, None, None), (2, 4, -1, 3.5, None)]
    assert all(created is not None for _, created in read(database, Source.c.sdss_id, Source.c.created))


def test_rows_are_named_by_key_or_database_name(database):
    with database.begin() as connection:
        keys = database.reserve_spectrum_pks(connection, 2)
        constant = {"release": "sdss5", "v_astra": "0.8.1", "run2d": "v6_2_1", "telescope": "apo25m"}
        for name, key, sdss_id in (("spectrum_pk", keys[0], 1), ("spectrum_pk_id", keys[1], 2)):
            rows = {name: [key], "sdss_id": [sdss_id]} | {
                column: [value] for column, value in constant.items()
            }
            database.insert(connection, BossCombinedSpectrum, pa.table(rows))
    found = read(database, BossCombinedSpectrum.c.spectrum_pk, BossCombinedSpectrum.c.filetype)
    assert found == [(keys[0], "mwmStar"), (keys[1], "mwmStar")]


def test_upsert_updates_by_key_and_keeps_what_is_to_be_kept(database):
    upsert(
        database,
        Source,
        {"sdss_id": [1, 2], "ra": [1.0, 2.0], "created": [OLD] * 2, "modified": [OLD] * 2},
        ["sdss_id"],
    )
    second = {"sdss_id": [2, 3], "ra": [20.0, 30.0], "created": [NEW] * 2, "modified": [NEW] * 2}
    assert upsert(database, Source, second, ["sdss_id"]) == 2
    assert read(database, Source.c.sdss_id, Source.c.ra, Source.c.created, Source.c.modified) == [
        (1, 1.0, OLD, OLD),
        (2, 20.0, OLD, NEW),
        (3, 30.0, NEW, NEW),
    ]


def test_upsert_leaves_columns_alone_that_are_not_given_but_marks_the_row_modified(database):
    first = {"sdss_id": [1], "ra": [1.0], "ebv_flags": [4], "modified": [OLD]}
    upsert(database, Source, first, ["sdss_id"])
    upsert(database, Source, {"sdss_id": [1], "dec": [5.0]}, ["sdss_id"])
    found = read(database, Source.c.sdss_id, Source.c.ra, Source.c.dec, Source.c.ebv_flags, Source.c.modified)
    assert found[0][:4] == (1, 1.0, 5.0, 4)
    assert found[0][4] > OLD


def test_upsert_of_changed_rows_only(database):
    rows = {"sdss_id": [1, 2, 3], "ra": [1.0, None, 3.0], "modified": [OLD] * 3}
    upsert(database, Source, rows, ["sdss_id"])
    again = {"sdss_id": [1, 2, 3, 4], "ra": [1.0, 2.0, None, 4.0], "modified": [NEW] * 4}
    assert upsert(database, Source, again, ["sdss_id"], changed_only=True) == 3
    assert upsert(database, Source, again, ["sdss_id"], changed_only=True) == 0
    assert read(database, Source.c.sdss_id, Source.c.ra, Source.c.modified) == [
        (1, 1.0, OLD),
        (2, 2.0, NEW),
        (3, None, NEW),
        (4, 4.0, NEW),
    ]


def test_upsert_with_nothing_to_update_inserts_only(database):
    upsert(database, Source, {"sdss_id": [1], "modified": [OLD]}, ["sdss_id"])
    assert upsert(database, Source, {"sdss_id": [1, 2]}, ["sdss_id"], keep=["modified"]) == 1
    assert read(database, Source.c.sdss_id, Source.c.modified)[0] == (1, OLD)


def test_results_are_unique_per_minor_version(database):
    with database.begin() as connection:
        keys = database.reserve_spectrum_pks(connection, 2).tolist()
    key = ["spectrum_pk", "v_astra_major_minor"]
    upsert(database, BulkResult, {"spectrum_pk": keys, "v_astra": [8000, 8000], "teff": [1.0, 2.0]}, key)
    upsert(database, BulkResult, {"spectrum_pk": keys, "v_astra": [8001, 9000], "teff": [10.0, 20.0]}, key)
    columns = [
        BulkResult.c[name] for name in ("task_pk", "spectrum_pk", "v_astra", "v_astra_major_minor", "teff")
    ]
    first, second = keys
    assert [row[1:] for row in read(database, *columns)] == [
        (first, 8001, 8, 10.0),
        (second, 8000, 8, 2.0),
        (second, 9000, 9, 20.0),
    ]


def test_a_key_that_occurs_twice_is_refused(database):
    with pytest.raises(ValueError, match=r"1 keys occur more than once.*source.*'sdss_id': 7"):
        upsert(database, Source, {"sdss_id": [7, 8, 7], "ra": [1.0, 2.0, 3.0]}, ["sdss_id"])
    twice = {"spectrum_pk": [1, 1], "v_astra": [8001, 8001]}
    with pytest.raises(ValueError, match="occur more than once"):
        upsert(database, BulkResult, twice, ["spectrum_pk", "v_astra_major_minor"])


def test_wrong_rows_are_refused_with_table_column_and_row(database):
    with database.begin() as connection:
        with pytest.raises(KeyError, match="source has no column 'magnitude'"):
            database.insert(connection, Source, pa.table({"magnitude": [1.0]}))
        with pytest.raises(ValueError, match=r"lack the column 'release'"):
            database.insert(connection, BossVisitSpectrum, pa.table({"mjd": [1]}))
        rows = {
            "release": ["a", None],
            "run2d": ["b"] * 2,
            "mjd": [1, 2],
            "fieldid": [1] * 2,
            "catalogid": [1] * 2,
        }
        with pytest.raises(ValueError, match=r"release must not be NULL, but is in row 1 of 2"):
            database.insert(
                connection, BossVisitSpectrum, pa.table(rows | {"healpix": [1] * 2, "spec_file": [""] * 2})
            )
        with pytest.raises(ValueError, match=r"source\.healpix: values of type int64 do not fit int32"):
            database.insert(connection, Source, pa.table({"healpix": [2**40]}))


def test_a_row_that_breaks_a_constraint_writes_nothing(database):
    for _ in range(2):
        rows = pa.table({"sdss_id": [1, 2]})
        try:
            with database.begin() as connection:
                database.insert(connection, Source, rows)
        except IntegrityError:
            break
    else:
        pytest.fail("the second insert was accepted")
    assert [row[0] for row in read(database, Source.c.sdss_id)] == [1, 2]


def test_no_rows_are_no_work(database):
    empty = pa.table({"sdss_id": pa.array([], pa.int64())})
    with database.begin() as connection:
        assert database.insert(connection, Source, empty) == 0
        assert database.upsert(connection, Source, empty, ["sdss_id"]) == 0


def test_several_chunks_are_written_in_one_transaction(database, monkeypatch):
    from astra_assets.database import bulk

    monkeypatch.setattr(bulk, "CHUNK_ROWS", 10)
    lists = pa.array(
        [[float(row)] * (row % 3) if row % 5 else None for row in range(95)], pa.list_(pa.float64())
    )
    constant = {
        "release": "sdss5",
        "run2d": "v6_2_1",
        "fieldid": 1,
        "healpix": 1,
        "spec_file": "",
        "catalogid": 1,
    }
    rows = pa.table(
        {"mjd": range(95), "delta_ra": lists} | {name: [value] * 95 for name, value in constant.items()}
    )
    key = ["release", "run2d", "fieldid", "mjd", "catalogid"]
    with database.begin() as connection:
        assert database.upsert(connection, BossVisitSpectrum, rows, key) == 95
        assert database.upsert(connection, BossVisitSpectrum, rows, key) == 95
    found = database.arrow_table(select(BossVisitSpectrum.c.delta_ra).order_by(BossVisitSpectrum.c.mjd))
    assert found["delta_ra"].to_pylist() == lists.to_pylist()
