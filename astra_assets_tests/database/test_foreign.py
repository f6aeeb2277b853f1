"""Tables of another Astra that demand more than ours: it is filled, or told before anything is computed."""

from __future__ import annotations

import pyarrow as pa
import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import InternalError

from astra_assets.database.bulk import NullNotAllowedError
from astra_assets.database.database import Database
from astra_assets.database.inventory import DemandedColumnError, MissingColumnError
from astra_assets.database.placement import OUR_TABLES
from astra_assets.models.apogee import ApogeeRestFrameVisitSpectrum
from astra_assets.models.base import table_of
from astra_assets.models.source import Source
from astra_assets.models.spectrum import SpectrumKey
from astra_assets.operations.deployment import expected_text
from astra_assets.operations.doctor import check_database

MODEL = ApogeeRestFrameVisitSpectrum
TABLE = table_of(MODEL).name
KEYWORDS = {"release": "sdss5", "v_astra": "0.8.1", "sdss_id": 7, "apred": "1.3", "plate": "1", "telescope": "apo25m",
            "fiber": 1, "mjd": 2, "field": "f", "prefix": "ap", "in_stack": True}  # fmt: skip


@pytest.fixture
def foreign(postgresql_url):
    """Gives a database as another Astra made it, after statements that make it differ from ours."""
    made = Database(postgresql_url)
    made.create_tables()

    def change(*statements):
        with made.begin() as connection:
            for name in OUR_TABLES:
                connection.execute(text(f"DROP TABLE {name}"))
            for statement in statements:
                connection.execute(text(statement))
        return Database(postgresql_url)

    yield change
    made.engine.dispose()


def store(database, **columns):
    with database.begin() as connection:
        spectrum = connection.scalar(insert(SpectrumKey).returning(SpectrumKey.c.pk))
        rows = pa.table(
            {name: [value] for name, value in (KEYWORDS | columns | {"spectrum_pk": spectrum}).items()}
        )
        return database.upsert(connection, MODEL, rows, ["spectrum_pk"])


def test_times_and_flags_that_another_astra_demands_are_filled_in(foreign):
    database = foreign(
        f"ALTER TABLE {TABLE} ADD COLUMN created timestamp NOT NULL, ADD COLUMN modified timestamp NOT NULL, "
        "ADD COLUMN zwarning_flags bigint NOT NULL, ADD COLUMN label text NOT NULL DEFAULT 'none'"
    )
    assert database.foreign
    database.need_writable(MODEL, Source)
    assert store(database, snr=4.5) == 1
    assert store(database, mjd=3) == 1
    with database.connect() as connection:
        found = connection.execute(
            text(f"SELECT created, modified, zwarning_flags, label FROM {TABLE} WHERE snr = 4.5")
        ).one()
    assert found.created == found.modified
    assert (found.zwarning_flags, found.label) == (0, "none")
    database.engine.dispose()


def test_a_time_of_modification_follows_the_rows(foreign):
    database = foreign(
        f"ALTER TABLE {TABLE} ADD COLUMN created timestamp NOT NULL, ADD COLUMN modified timestamp NOT NULL"
    )
    with database.begin() as connection:
        spectrum = connection.scalar(insert(SpectrumKey).returning(SpectrumKey.c.pk))
    times = []
    for snr in (1.0, 2.0):
        with database.begin() as connection:
            rows = pa.table(
                {name: [value] for name, value in (KEYWORDS | {"spectrum_pk": spectrum, "snr": snr}).items()}
            )
            database.upsert(connection, MODEL, rows, ["spectrum_pk"])
            times.append(connection.execute(text(f"SELECT created, modified FROM {TABLE}")).one())
    assert times[0].created == times[1].created
    assert times[0].modified < times[1].modified
    database.engine.dispose()


def test_a_column_that_nothing_computes_is_told_before(foreign):
    database = foreign(
        f"ALTER TABLE {TABLE} ADD COLUMN reviewer text NOT NULL, ADD COLUMN grade real NOT NULL"
    )
    told = f"the table {TABLE} of this database demands reviewer, grade, which nothing here computes"
    with pytest.raises(DemandedColumnError, match=told):
        database.need_writable(MODEL)
    with pytest.raises(DemandedColumnError, match=told):
        store(database)
    assert [each.weight for each in check_database(database) if told in each.text] == [1]
    database.engine.dispose()


def test_a_database_that_may_only_be_read_is_told_in_words(foreign):
    database = foreign()
    read_only = Database(f"{database.url}?options=-c%20default_transaction_read_only%3Don")
    with pytest.raises(InternalError) as caught:
        store(read_only)
    assert "cannot execute INSERT in a read-only transaction" in expected_text(caught.value)
    with pytest.raises(InternalError) as caught, read_only.begin() as connection:
        read_only.insert(connection, Source, pa.table({"sdss_id": [1]}))
    assert "cannot execute COPY FROM in a read-only transaction" in expected_text(caught.value)
    for each in (database, read_only):
        each.engine.dispose()


def test_a_column_of_ours_that_is_not_there_is_told_before(foreign):
    database = foreign(f"ALTER TABLE {TABLE} DROP COLUMN snr")
    with pytest.raises(MissingColumnError, match=f"{TABLE} of this database lacks snr, which our rows have"):
        database.need_writable(MODEL)
    database.engine.dispose()


def test_a_value_that_another_astra_demands_and_a_row_lacks_is_told_in_words(foreign):
    database = foreign(f"ALTER TABLE {TABLE} ALTER COLUMN snr SET NOT NULL")
    database.need_writable(MODEL)
    assert store(database, snr=1.5) == 1
    for columns in ({"snr": None}, {"snr": float("nan")}, {}):
        with pytest.raises(NullNotAllowedError, match=f"the table {TABLE} of this database demands snr"):
            store(database, **columns)
    database.engine.dispose()


def test_tables_that_we_made_are_not_asked(database):
    database.need_writable(MODEL, Source)
    assert store(database) == 1
