"""An engine on a real cluster, for the tests of what happens there."""

from __future__ import annotations

import pytest

from astra_assets.database.database import Database
from astra_assets_tests.compute.slurm.real import Real


@pytest.fixture
def real(slurm, tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'astra.db'}")
    database.create_tables()
    real = Real(database, tmp_path)
    yield real
    real.pool.shutdown()
