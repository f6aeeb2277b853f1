"""Rows of queries as Arrow batches, on SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pyarrow as pa
import pytest
from sqlalchemy import URL, Integer, Text, func, literal, literal_column, null, select, type_coerce, union_all

from astra_assets.database import arrow
from astra_assets.database.arrow import WrongValueError, floats_from_blobs, to_type
from astra_assets.database.database import Database
from astra_assets.models.boss import BossVisitSpectrum
from astra_assets.models.source import Source
from astra_assets.registry.sqltypes import decode_floats, encode_floats

VISIT = {"release": "sdss5", "run2d": "v6_2_1", "fieldid": 15000, "healpix": 1, "spec_file": ""}


def visits(number, **columns):
    """Rows of visits that differ by their MJD."""
    constant = {name: [value] * number for name, value in VISIT.items()}
    return pa.table(constant | {"mjd": range(number), "catalogid": [2**60 + 1] * number} | columns)


def store(database, model, rows):
    with database.begin() as connection:
        database.insert(connection, model, rows)


def test_types_are_right_where_the_first_rows_are_null(database):
    number = 3000
    late = [None] * (number - 1)
    store(
        database,
        BossVisitSpectrum,
        visits(
            number,
            snr=pa.array([*late, 3.5]),
            telescope=pa.array([*late, "lco25m"]),
            fiber_offset=pa.array([*late, True]),
            tai_beg=pa.array([*late, 2**53 + 1]),
            delta_ra=pa.array([*late, [0.5, np.nan]], pa.list_(pa.float64())),
            n_exp=pa.array([*late, 4], pa.int32()),
        ),
    )
    names = ["snr", "telescope", "fiber_offset", "tai_beg", "delta_ra", "n_exp", "modified", "zwarning_flags"]
    query = select(*BossVisitSpectrum.c[*names]).order_by(BossVisitSpectrum.c.mjd)
    batches = list(database.arrow_batches(query, batch_rows=500))
    expected = pa.schema(
        {
            "snr": pa.float64(),
            "telescope": pa.string(),
            "fiber_offset": pa.bool_(),
            "tai_beg": pa.int64(),
            "delta_ra": pa.list_(pa.float64()),
            "n_exp": pa.int32(),
            "modified": pa.timestamp("us"),
            "zwarning_flags": pa.int64(),
        }
    )
    assert all(batch.schema == expected and batch.num_rows <= 500 for batch in batches)
    rows = pa.Table.from_batches(batches)
    assert rows.num_rows == number
    assert rows["snr"].null_count == number - 1
    last = rows.slice(number - 1).to_pylist()[0]
    assert last | {"modified": None} == {
        "snr": 3.5,
        "telescope": "lco25m",
        "fiber_offset": True,
        "tai_beg": 2**53 + 1,
        "n_exp": 4,
        "modified": None,
        "zwarning_flags": 0,
        "delta_ra": pytest.approx([0.5, np.nan], nan_ok=True),
    }
    assert isinstance(last["modified"], datetime)


def test_values_survive_the_way_in_and_out(database):
    rng = np.random.default_rng(3)
    number = 1000
    rows = visits(
        number,
        seeing=pa.array(
            rng.normal(size=number) * 10.0 ** rng.integers(-12, 12, number), mask=rng.random(number) < 0.2
        ),
        zwarning_flags=pa.array(rng.integers(0, 2**55, number)),
        tai_end=pa.array(rng.integers(-(2**62), 2**62, number), mask=rng.random(number) < 0.2),
        fiber_offset=pa.array(rng.random(number) < 0.5, mask=rng.random(number) < 0.2),
        telescope=pa.array(["", 'a,"b"\n\\', "Ångström %s", None] * (number // 4)),
        delta_dec=pa.array([[], [1.5], None, [float("inf"), 2.0, -0.1]] * (number // 4)),
        modified=pa.array(rng.integers(0, 2**50, number), pa.timestamp("us")),
    )
    store(database, BossVisitSpectrum, rows)
    read = database.arrow_table(
        select(*BossVisitSpectrum.c[*rows.column_names]).order_by(BossVisitSpectrum.c.mjd)
    )
    for name in rows.column_names:
        assert read[name].to_pylist() == rows[name].to_pylist(), name


def test_bytes_of_any_length_survive(database):
    bits = [None, b"", b"\x00", bytes(range(256))[:71], b"\xff" * 73]
    store(
        database, Source, pa.table({"sdss_id": range(5), "sdss5_target_flags": pa.array(bits, pa.binary())})
    )
    read = database.arrow_table(select(Source.c.sdss5_target_flags).order_by(Source.c.sdss_id))
    assert read["sdss5_target_flags"].to_pylist() == bits


def test_a_query_without_rows_has_a_schema_and_no_batches(database):
    query = select(Source.c.sdss_id, Source.c.ra, Source.c.created).where(Source.c.pk < 0)
    assert list(database.arrow_batches(query)) == []
    assert database.arrow_table(query).schema == database.arrow_schema(query)
    assert database.arrow_schema(query).names == ["sdss_id", "ra", "created"]


def test_columns_are_taken_by_position_and_duplicate_names_numbered(database):
    store(database, Source, pa.table({"sdss_id": [10, 11], "ra": [1.0, 2.0]}))
    store(database, BossVisitSpectrum, visits(2, source_pk=[2, 1]))
    visit, source = BossVisitSpectrum.c, Source.c
    query = (
        select(
            visit.pk,
            source.pk,
            visit.modified,
            source.modified,
            source.ra.label("x"),
            (source.ra * 2).label("twice"),
        )
        .join_from(BossVisitSpectrum, Source, visit.source_pk == source.pk)
        .order_by(visit.pk)
    )
    rows = database.arrow_table(query)
    assert rows.column_names == ["pk", "pk_1", "modified", "modified_1", "x", "twice"]
    assert rows.select(["pk", "pk_1", "x", "twice"]).to_pylist() == [
        {"pk": 1, "pk_1": 2, "x": 2.0, "twice": 4.0},
        {"pk": 2, "pk_1": 1, "x": 1.0, "twice": 2.0},
    ]


def test_types_are_known_through_aliases_subqueries_aggregates_and_unions(database):
    store(database, Source, pa.table({"sdss_id": [1, 2], "healpix": [7, 8]}))
    inner = select(Source.c.healpix.label("pixel"), Source.c.created).subquery()
    outer = select(
        inner.c.pixel, func.max(inner.c.created).label("newest"), func.count().label("n")
    ).group_by(inner.c.pixel)
    schema = database.arrow_schema(outer)
    assert [field.type for field in schema] == [pa.int32(), pa.timestamp("us"), pa.int64()]
    assert sorted(database.arrow_table(outer)["pixel"].to_pylist()) == [7, 8]
    alias = Source.__table__.alias("other")
    both = union_all(select(alias.c.sdss_id), select(Source.c.sdss_id))
    assert sorted(database.arrow_table(both)["sdss_id"].to_pylist()) == [1, 1, 2, 2]


def test_values_in_conditions_are_quoted(database):
    names = ["2M' OR 1=1", "100%", "back\\slash", ":colon", "ü"]
    store(
        database,
        Source,
        pa.table({"sdss_id": range(5), "sdss4_apogee_id": names, "sdss5_target_flags": [b"'\x00%"] * 5}),
    )
    for number, name in enumerate(names):
        query = select(Source.c.sdss_id).where(
            Source.c.sdss4_apogee_id == name,
            Source.c.sdss5_target_flags == b"'\x00%",
            Source.c.modified > datetime.fromisoformat("2020-01-01 00:00:00.000005"),
            Source.c.sdss_id.in_([number, 2**60]),
            Source.c.ra.is_(None),
        )
        assert database.arrow_table(query)["sdss_id"].to_pylist() == [number]
    like = select(Source.c.sdss_id).where(Source.c.sdss4_apogee_id.like("100\\%", escape="\\"))
    assert database.arrow_table(like)["sdss_id"].to_pylist() == [1]
    assert database.arrow_table(
        select(literal("50%").label("a"), type_coerce(null(), Text).label("b"))
    ).to_pylist() == [{"a": "50%", "b": None}]


def test_an_expression_without_type_is_refused_with_what_to_do(database):
    with pytest.raises(TypeError, match="type_coerce"):
        database.arrow_schema(select(literal_column("1")))
    query = select(type_coerce(literal_column("1"), Integer).label("one"))
    assert database.arrow_table(query).to_pylist() == [{"one": 1}]
    with pytest.raises(ValueError, match="batch_rows=0"):
        next(database.arrow_batches(query, batch_rows=0))


def test_batches_have_as_many_rows_as_were_asked_for(database):
    store(database, Source, pa.table({"sdss_id": range(1000)}))
    query = select(Source.c.sdss_id).order_by(Source.c.sdss_id)
    sizes = [batch.num_rows for batch in database.arrow_batches(query, batch_rows=100)]
    assert sum(sizes) == 1000
    assert sizes.count(100) >= 9, (
        sizes
    )  # a row that stands for all types makes the first one shorter in SQLite


def test_reading_sees_what_is_committed_while_others_write(database):
    store(database, Source, pa.table({"sdss_id": range(1000)}))
    query = select(Source.c.sdss_id).order_by(Source.c.sdss_id)
    batches = database.arrow_batches(query, batch_rows=100)
    seen = [next(batches)]
    with database.begin() as connection:
        connection.execute(Source.__table__.delete())
        seen.append(next(batches))
    seen.extend(batches)
    assert pa.Table.from_batches(seen)["sdss_id"].to_pylist() == list(range(1000))
    assert database.arrow_table(query).num_rows == 0


def test_an_abandoned_read_leaves_no_file(tmp_path):
    folder = tmp_path / "a b%20c#d"
    url = URL.create("sqlite", database=str(folder / "astra.db"))
    database = Database(url.render_as_string())
    database.create_tables([Source])
    store(database, Source, pa.table({"sdss_id": range(100)}))
    batches = database.arrow_batches(select(Source.c.sdss_id), batch_rows=10)
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert [path for path in folder.iterdir() if not path.name.startswith("astra.db")] == []


def test_drivers_hand_over_rows_in_parts_of_bounded_size(database, monkeypatch):
    number, size, limit = 4000, 2000, 400_000
    monkeypatch.setattr(arrow, "POSTGRESQL_BATCH_BYTES", limit)
    store(
        database, Source, pa.table({"sdss_id": range(number), "sdss5_target_flags": [bytes(size)] * number})
    )
    query = select(Source.c.sdss5_target_flags)
    if database.dialect == "postgresql":
        parts = arrow.driver_batches(database.engine, query)
    else:
        parts = arrow._sqlite(database.engine, query, arrow.query_schema(query), limit // size)
    sizes = [part.nbytes for part in parts]
    assert sum(sizes) >= number * size
    assert max(sizes) < 2 * limit


def test_float_arrays_in_blobs():
    assert decode_floats(encode_floats([1.0, -0.5])) == [1.0, -0.5]
    with pytest.raises(ValueError, match="multiple of 8"):
        decode_floats(b"1234567")
    with pytest.raises(ValueError, match="multiple of 8"):
        floats_from_blobs(pa.array([b"123"]))
    made = floats_from_blobs(pa.array([encode_floats([1.0]), None, b"", encode_floats([2.0, 3.0])]))
    assert made.to_pylist() == [[1.0], None, [], [2.0, 3.0]]


def test_types_of_drivers_become_those_of_the_registry():
    assert to_type(pa.array([0, 1, None]), pa.bool_()).to_pylist() == [False, True, None]
    assert to_type(pa.array([1.5], pa.float32()), pa.float64()).type == pa.float64()
    assert to_type(pa.array([[1.5]], pa.list_(pa.float32())), pa.list_(pa.float64())).to_pylist() == [[1.5]]
    assert to_type(pa.array(["12"]), pa.int64()).to_pylist() == [12]
    time_text = to_type(pa.array(["2025-01-31 12:00:00.000001", None]), pa.timestamp("us"))
    assert time_text.to_pylist() == [datetime.fromisoformat("2025-01-31 12:00:00.000001"), None]


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("ra", "north", "column ra: expected values like 0.0, found string .*, row 6"),
        ("healpix", 1.5, "column healpix: Float value .*, row 6"),
        ("healpix", 2**31, "column healpix: Integer value 2147483648 not in range: .*, row 6"),
        ("created", "yesterday", "column created: Failed to parse string: 'yesterday' .*, row 6"),
        ("lead", b"\xff", "column lead: expected values like '-', found binary among them.*, row 6"),
    ],
)
def test_a_value_of_another_type_in_sqlite_is_an_error_that_names_column_and_row(
    tmp_path, column, value, reason
):
    database = Database(f"sqlite:///{tmp_path / 'astra.db'}")
    database.create_tables([Source])
    store(database, Source, pa.table({"sdss_id": range(10)}))
    with database.begin() as connection:
        connection.exec_driver_sql(f"UPDATE source SET {column} = ? WHERE sdss_id = 5", (value,))
    query = select(Source.c.sdss_id, Source.c[column])
    with pytest.raises(WrongValueError, match=reason) as caught:
        database.arrow_table(query)
    assert caught.value.record.column("sdss_id").to_pylist() == [5]


def test_a_value_of_another_type_after_the_first_rows_names_the_column(tmp_path):
    """The driver only says where it is: in a column that it has given a type already."""
    database = Database(f"sqlite:///{tmp_path / 'astra.db'}")
    database.create_tables([Source])
    store(database, Source, pa.table({"sdss_id": range(10), "plx": [0.5] * 10}))
    with database.begin() as connection:
        connection.exec_driver_sql("UPDATE source SET plx = 'far' WHERE sdss_id = 9")
    query = select(Source.c.sdss_id, Source.c.plx).order_by(Source.c.sdss_id)
    with pytest.raises(
        WrongValueError, match=r"column plx: expected values like 0\.0, found STRING"
    ) as caught:
        list(database.arrow_batches(query, batch_rows=4))
    assert caught.value.row is None


def test_texts_with_nul_survive_in_sqlite(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'astra.db'}")
    database.create_tables([Source])
    store(database, Source, pa.table({"sdss_id": [1], "sdss4_apogee_id": ["2M\0x"]}))
    assert database.arrow_table(select(Source.c.sdss4_apogee_id)).to_pylist() == [
        {"sdss4_apogee_id": "2M\0x"}
    ]
