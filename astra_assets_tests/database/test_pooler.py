"""A pooler in transaction mode: each transaction may have another server process, and nobody else sees what is set in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
import pyarrow as pa
import pytest
from sqlalchemy import Text, func, select

from astra_assets.database.database import Database
from astra_assets.models.source import Source
from astra_assets.models.spectrum import SpectrumKey
from astra_assets_tests.compute.conftest import Bench
from astra_assets_tests.compute.samples import CLASS, FLUX, SOURCES
from astra_assets_tests.conftest import free_port

ROWS = 5000


@contextmanager
def pooler(server_url, folder, size):
    """URL of the same database behind PgBouncer with `size` server processes."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("no pgbouncer: install Debian's package pgbouncer")
    parts, port = urlsplit(server_url), free_port()
    name = parts.path[1:]
    (folder / "users.txt").write_text('"astra" ""\n')
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n{name} = host={parts.hostname} port={parts.port} dbname={name}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = trust\nauth_file = {folder}/users.txt\npool_mode = transaction\ndefault_pool_size = {size}\n"
    )
    as_user: list[str] = []
    if os.geteuid() == 0:  # it refuses to run as root
        as_user = ["runuser", "-u", "nobody", "--"]
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, "nobody")
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [*as_user, program, folder / "pgbouncer.ini"], stdout=log, stderr=subprocess.STDOUT
        )
    url = f"postgresql://astra@127.0.0.1:{port}/{name}"
    try:
        wait_for(url, process, folder / "log")
        yield url
    finally:
        process.terminate()
        process.wait(30)


def wait_for(url, process, log):
    deadline = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"PgBouncer does not answer:\n{log.read_text()}")
            time.sleep(0.1)
        else:
            return


@pytest.fixture
def folder(tmp_path_factory):
    """A folder that another user can reach: pytest's own are closed to others."""
    import tempfile
    from pathlib import Path

    made = Path(tempfile.mkdtemp(prefix="astra-pooler-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


def filled(url):
    database = Database(url)
    database.create_tables([Source, SpectrumKey])
    with database.begin() as connection:
        database.insert(connection, Source, pa.table({"sdss_id": range(ROWS)}))
    return database


def test_many_work_at_the_same_time_through_few_server_processes(postgresql_url, folder):
    with pooler(postgresql_url, folder, size=2) as url:
        filled(url).engine.dispose()

        def work(number):
            """What a run does: short queries again and again, reading all rows, writing some."""
            database = Database(url)
            first = (number + 1) * ROWS
            for turn in range(12):
                with database.connect() as connection:
                    for key in range(10):  # what psycopg sees often it would prepare
                        assert connection.scalar(select(Source.c.pk).where(Source.c.sdss_id == key))
                        connection.commit()
                found = database.arrow_table(select(Source.c.sdss_id).where(Source.c.sdss_id < ROWS))
                assert found.num_rows == ROWS
                rows = pa.table({"sdss_id": [first, first + 1], "n_associated": [turn, turn]})
                with database.begin() as connection:
                    database.upsert(connection, Source, rows, ["sdss_id"])
                    database.reserve_spectrum_pks(connection, 3)
                with database.connect_to_scan() as connection:
                    assert connection.scalar(select(func.count()).select_from(Source)) >= ROWS
            database.engine.dispose()
            return number

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(work, range(4))) == [0, 1, 2, 3]
    with psycopg.connect(postgresql_url) as connection:
        counted = "SELECT (SELECT count(*) FROM source), (SELECT count(*) FROM spectrum)"
        assert connection.execute(counted).fetchone() == (ROWS + 8, 4 * 12 * 3)


def test_steps_of_pipelines_run_at_the_same_time(postgresql_url, folder, tmp_path):
    """Planning reads inputs while it looks others up, so that each step has several transactions at a time."""
    with pooler(postgresql_url, folder, size=12) as url:
        first = Bench(Database(url), tmp_path)
        first.database.create_tables()
        first.visits([0] * 40)

        def run(pipeline, step):
            """As another process would: with connections of its own."""
            bench = Bench(Database(url), tmp_path)
            account = bench.engine.run(pipeline, pipeline.step(step))
            bench.database.engine.dispose()
            return account.inputs, account.results, account.balanced

        steps = [(FLUX, "visit"), (CLASS, "visit"), (SOURCES, "star")]
        with ThreadPoolExecutor(3) as pool:
            accounts = list(pool.map(run, *zip(*steps, strict=True)))
        assert accounts == [(40, 40, True)] * 3
        first.database.engine.dispose()


def test_what_a_reader_sets_is_unknown_to_the_next_client(postgresql_url, folder):
    names = ("jit", "work_mem", "max_parallel_workers_per_gather")
    query = select(*(func.current_setting(name, type_=Text).label(name) for name in names))
    with psycopg.connect(postgresql_url) as connection:
        usual = connection.execute(
            "SELECT " + ", ".join(f"current_setting('{name}')" for name in names)
        ).fetchone()
    with pooler(postgresql_url, folder, size=1) as url:
        database = filled(url)
        (while_reading,) = database.arrow_table(query).to_pylist()
        assert while_reading == {"jit": "off", "work_mem": "64MB", "max_parallel_workers_per_gather": "0"}
        abandoned = database.arrow_batches(select(Source.c.sdss_id), batch_rows=10)
        next(abandoned)
        abandoned.close()
        with database.connect_to_scan() as connection:
            assert connection.scalar(select(func.current_setting("jit", type_=Text))) == "off"
            connection.commit()
        with database.connect() as connection:
            assert connection.execute(query).one() == usual
        database.engine.dispose()
