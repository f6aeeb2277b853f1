"""Connections, transactions, creating tables and keys of spectra, on SQLite and PostgreSQL."""

from __future__ import annotations

import pickle
import sqlite3
import subprocess
import sys

import numpy as np
import pytest
from sqlalchemy import func, insert, inspect, select, text

from astra_assets.database import database as database_module
from astra_assets.database.database import Database, DatabaseLocked
from astra_assets.models.base import Base
from astra_assets.models.boss import BossVisitSpectrum
from astra_assets.models.source import Source
from astra_assets.models.spectrum import SpectrumKey


def test_tables_are_created_once_and_never_altered(database_url):
    made = Database(database_url)
    first = made.create_tables([SpectrumKey, Source])
    assert sorted(first) == ["source", "spectrum"]
    with made.begin() as connection:
        connection.execute(text("ALTER TABLE source ADD COLUMN extra integer"))
    rest = made.create_tables()
    assert {"boss_visit_spectrum", "compute_batch", "ingest_file", "apogee_visit_spectrum"} <= set(rest)
    assert not {"source", "spectrum"} & set(rest)
    assert made.create_tables() == []
    assert "extra" in {column["name"] for column in inspect(made.engine).get_columns("source")}
    made.engine.dispose()


def test_every_declared_index_is_there(database):
    found = inspect(database.engine)
    for table in (BossVisitSpectrum.__table__, Source.__table__):
        assert {index.name for index in table.indexes} <= {
            index["name"] for index in found.get_indexes(table.name)
        }
        assert set(table.columns.keys()) == {column["name"] for column in found.get_columns(table.name)}


def test_columns_are_those_that_the_database_has(database_url):
    database = Database(database_url)
    database.create_tables([SpectrumKey, Source])
    names = list(Source.c.keys())
    assert [column.key for column in database.columns(Source)] == names
    with database.begin() as connection:
        connection.execute(text("ALTER TABLE source DROP COLUMN crossmatch_flags"))
    assert [column.key for column in database.columns(Source)] == [
        name for name in names if name != "crossmatch_flags"
    ]
    database.engine.dispose()


def test_begin_commits_and_rolls_back(database):
    with database.begin() as connection:
        connection.execute(insert(Source).values(sdss_id=1))

    def stop_after_writing():
        with database.begin() as connection:
            connection.execute(insert(Source).values(sdss_id=2))
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        stop_after_writing()
    with database.connect() as connection:
        assert connection.scalars(select(Source.c.sdss_id)).all() == [1]


def test_row_times_are_filled_in(database):
    with database.begin() as connection:
        connection.execute(insert(Source).values(sdss_id=1))
    with database.connect() as connection:
        created, modified, flags = connection.execute(
            select(Source.c.created, Source.c.modified, Source.c.ebv_flags)
        ).one()
    assert created.tzinfo is None
    assert abs((modified - created).total_seconds()) < 60
    assert flags == 0


def test_foreign_keys_are_enforced(database):
    from sqlalchemy.exc import IntegrityError

    values = {
        "release": "sdss5",
        "run2d": "v6_2_1",
        "mjd": 1,
        "fieldid": 1,
        "catalogid": 1,
        "healpix": 1,
        "spec_file": "",
    }
    with pytest.raises(IntegrityError), database.begin() as connection:
        connection.execute(insert(BossVisitSpectrum).values(spectrum_pk=99, **values))


def test_reserved_keys_are_new_ascending_and_unique(database):
    with database.begin() as connection:
        first = database.reserve_spectrum_pks(connection, 1000)
        second = database.reserve_spectrum_pks(connection, 5)
        assert database.reserve_spectrum_pks(connection, 0).size == 0
    assert first.dtype == np.int64
    both = np.concatenate([first, second])
    assert np.unique(both).size == 1005
    assert np.all(np.diff(both) > 0)
    with database.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(SpectrumKey)) == 1005


def test_float_arrays_come_back_as_lists(database):
    values = {"release": "sdss5", "run2d": "v6_2_1", "mjd": 1, "fieldid": 1, "healpix": 1, "spec_file": ""}
    with database.begin() as connection:
        connection.execute(
            insert(BossVisitSpectrum).values(catalogid=1, delta_ra=[0.1, -2.5], delta_dec=[], **values)
        )
    with database.connect() as connection:
        row = connection.execute(select(*BossVisitSpectrum.c["delta_ra", "delta_dec", "seeing"])).one()
    assert row == ([0.1, -2.5], [], None)


def test_url_decides_the_driver_and_hides_the_password():
    made = Database("postgresql://user:secret@host/astra")
    assert made.engine.url.drivername == "postgresql+psycopg"
    assert made.dialect == "postgresql"
    assert "secret" not in repr(made)
    assert "secret" not in made.location
    assert Database("sqlite:///x.db").dialect == "sqlite"


def test_database_can_be_sent_to_another_process(tmp_path):
    made = Database(f"sqlite:///{tmp_path}/a.db")
    assert made.engine is made.engine
    sent = pickle.loads(pickle.dumps(made))
    assert sent == made
    assert sent.create_tables([SpectrumKey]) == ["spectrum"]


@pytest.mark.parametrize(
    ("url", "schema", "message"),
    [
        ("mysql://host/x", None, "neither SQLite nor PostgreSQL"),
        ("sqlite://", None, "needs a file"),
        ("sqlite:///x.db", "astra", "no schemas"),
    ],
)
def test_unusable_settings_are_refused(url, schema, message):
    with pytest.raises(ValueError, match=message):
        Database(url, schema)


def test_sqlite_file_is_in_wal_mode_with_its_folder_made(tmp_path):
    made = Database(f"sqlite:///{tmp_path}/new/folder/astra.db")
    made.create_tables([SpectrumKey])
    with made.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_locked_sqlite_file_is_waited_for_then_named(tmp_path, monkeypatch):
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT_S", 0.2)
    made = Database(f"sqlite:///{tmp_path}/astra.db")
    made.create_tables([SpectrumKey])
    program = (
        "import sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute('BEGIN IMMEDIATE')\n"
        "print('locked', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, tmp_path / "astra.db"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout.readline().strip() == "locked"
        with (
            pytest.raises(DatabaseLocked, match=r"astra\.db: another process.*fuser") as caught,
            made.begin(),
        ):
            pass
        with made.connect() as connection:
            assert connection.scalars(select(SpectrumKey.c.pk)).all() == []
        holder.stdin.close()
    assert isinstance(caught.value.__cause__, sqlite3.OperationalError)


def test_writers_wait_for_each_other(tmp_path):
    made = Database(f"sqlite:///{tmp_path}/astra.db")
    made.create_tables([SpectrumKey])
    program = (
        "import sys\nfrom sqlalchemy import func, select\n"
        "from astra_assets.database.database import Database\n"
        "from astra_assets.models.spectrum import SpectrumKey\n"
        "made = Database(sys.argv[1])\n"
        "for _ in range(20):\n"
        "    with made.begin() as c:\n"
        "        c.scalar(select(func.count()).select_from(SpectrumKey))\n"
        "        made.reserve_spectrum_pks(c, 3)\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", program, made.url]) for _ in range(2)]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    with made.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(SpectrumKey)) == 120


def test_postgresql_schema_is_created_and_used(postgresql_url):
    made = Database(postgresql_url, "astra_080")
    assert "source" in made.create_tables([Source, SpectrumKey])
    assert made.create_tables([Source]) == []
    with made.begin() as connection:
        connection.execute(insert(Source).values(sdss_id=5))
        assert made.reserve_spectrum_pks(connection, 2).tolist() == [1, 2]
    assert made.arrow_table(select(Source.c.sdss_id)).to_pylist() == [{"sdss_id": 5}]
    plain = Database(postgresql_url)
    assert "source" in plain.create_tables([Source])
    assert plain.arrow_table(select(Source.c.sdss_id)).num_rows == 0
    for each in (made, plain):
        each.engine.dispose()


def test_all_tables_of_this_layer_are_known_without_importing_them_by_hand():
    found = Base.metadata.tables
    for name in database_module.MODEL_MODULES:
        __import__(f"astra_assets.models.{name}")
    assert {"source", "spectrum", "mwm_spectrum_product_status", "apogee_combined_spectrum"} <= set(found)
