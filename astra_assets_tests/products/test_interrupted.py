"""Writers that are killed, disks that fill up, servers that hang up: never half a file under a final name."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from sqlalchemy import text

from astra_assets.database import arrow
from astra_assets.database.database import Database
from astra_assets.errors import PassingError
from astra_assets.files import sha256sums
from astra_assets.files.atomic import PARTIAL_PREFIX
from astra_assets.fits.read_header import read_primary_header
from astra_assets.models.cartons import cartons, pack
from astra_assets.models.source import Source
from astra_assets.products.headers import Provenance
from astra_assets.products.make import make_product
from astra_assets.products.summary import MWM_TARGETS

pytestmark = pytest.mark.processes

END_OTHERS = """
WITH others AS MATERIALIZED (
  SELECT pid FROM pg_stat_activity
  WHERE datname = current_database() AND pid <> pg_backend_pid() AND state = 'active'
)
SELECT pg_terminate_backend(pid) FROM others
"""

WRITE = """
import resource, sys, time
from pathlib import Path
from astra_assets.database.database import Database
from astra_assets.products.make import make_product
from astra_assets.products.headers import Provenance
from astra_assets.products.summary import MWM_TARGETS

def told(done, total):
    print(done, flush=True)
    time.sleep(float(sys.argv[3]))

if int(sys.argv[4]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[4]), resource.RLIM_INFINITY))
make_product(MWM_TARGETS, Database(sys.argv[1]), Path(sys.argv[2]), Provenance("0.8.1", "main"), force=True, progress=told)
"""


def fill(database: Database, number: int, further_bytes: int = 0) -> None:
    """Sources that are in the product, each with many carton bits."""
    mwm = next(carton.label for carton in cartons() if carton.mapper == "mwm")
    rows = pa.table(
        {
            "sdss_id": range(number),
            "sdss5_target_flags": [pack([mwm]) + bytes(further_bytes)] * number,
            "n_boss_visits": np.ones(number, "i4"),
        }
    )
    database.create_tables()
    with database.begin() as connection:
        database.insert(connection, Source, rows)


def write(database: Database, folder: Path, **options):
    return make_product(MWM_TARGETS, database, folder, Provenance("0.8.1", "main"), force=True, **options)


def start(database: Database, folder: Path, *, pause_s: float = 0.0, most_bytes: int = 0):
    command = [sys.executable, "-c", WRITE, database.url, str(folder), str(pause_s), str(most_bytes)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def state(folder: Path) -> dict[str, str]:
    """Names and checksums of all files, those that are being written left out."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return {path.name: sha256sums.sha256(path) for path in files}


def partials(folder: Path) -> list[Path]:
    return list(folder.rglob(f"{PARTIAL_PREFIX}*"))


@pytest.fixture
def sqlite(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'astra.db'}")
    fill(database, 20_000)
    return database


@pytest.mark.smoke
def test_a_killed_writer_leaves_the_old_files_and_the_next_run_succeeds(sqlite, tmp_path):
    folder = tmp_path / "mwm"
    first = write(sqlite, folder)
    before = state(folder)
    with start(sqlite, folder, pause_s=60) as writer:
        assert int(writer.stdout.readline()) > 0
        assert partials(folder)
        writer.send_signal(signal.SIGKILL)
        writer.wait(30)
    assert state(folder) == before
    again = write(sqlite, folder)
    assert again.written
    assert again.rows == first.rows
    assert partials(folder) == []
    assert read_primary_header(again.path)["NROWS1"] == 20_000


def test_a_disk_that_fills_up_leaves_the_old_files(sqlite, tmp_path):
    folder = tmp_path / "mwm"
    write(sqlite, folder)
    before = state(folder)
    with start(sqlite, folder, most_bytes=200_000) as writer:
        _, errors = writer.communicate(timeout=120)
    assert writer.returncode == 1
    assert "CreateError: mwmTargets: " in errors
    assert "File too large" in errors
    assert state(folder) == before
    assert partials(folder) == []


def test_a_server_that_hangs_up_in_the_middle_is_an_error_and_leaves_the_old_files(
    postgresql_url, tmp_path, monkeypatch
):
    database = Database(postgresql_url)
    fill(database, 5000, further_bytes=4000)  # more than the sockets between us and the server can hold
    monkeypatch.setattr(arrow, "POSTGRESQL_BATCH_BYTES", 200_000)
    folder = tmp_path / "mwm"
    write(database, folder)
    before = state(folder)
    ended: list[bool] = []

    def hang_up(done: int, total: int) -> None:
        if not ended:
            with database.connect() as connection:
                ended.extend(connection.scalars(text(END_OTHERS)))
        time.sleep(0.01)

    with pytest.raises(
        PassingError, match=r"mwmTargets: .*could not be written, an older version of it stays"
    ):
        write(database, folder, progress=hang_up)
    assert ended == [True]
    assert state(folder) == before
    assert partials(folder) == []
    assert write(database, folder).rows == (5000,)
    database.engine.dispose()
