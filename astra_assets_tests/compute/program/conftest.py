"""An engine whose tasks run programs in this process: for tests of everything but who is killed."""

from __future__ import annotations

import shutil

import pytest

from astra_assets.database.database import Database
from astra_assets_tests.compute.conftest import Bench
from astra_assets_tests.compute.program.samples import Here, site


class ProgramBench(Bench):
    """With a site whose program goes wrong in a way that the test chooses."""

    def does(self, how, **options):
        """From now on the program does this; `options` are those of the site."""
        self.engine = self.make(Here(), programs=site(how, **options))
        return self.engine


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory):
    """A SQLite file with all tables: copying it is faster than making them."""
    path = tmp_path_factory.mktemp("programs") / "astra.db"
    database = Database(f"sqlite:///{path}")
    database.create_tables()
    database.engine.dispose()
    return path


@pytest.fixture
def bench(tmp_path, monkeypatch, empty_file):
    monkeypatch.setattr("astra_assets.compute.task_run.signal.signal", lambda *_: None)
    shutil.copy(empty_file, tmp_path / "astra.db")
    database = Database(f"sqlite:///{tmp_path / 'astra.db'}")
    yield ProgramBench(database, tmp_path)
    database.engine.dispose()
