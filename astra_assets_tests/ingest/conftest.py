"""Fixtures of the tests of ingestion."""

from __future__ import annotations

import pytest


@pytest.fixture
def sqlite(tmp_path):
    """A SQLite database with all tables, where the kind of database does not matter."""
    from astra_assets.database.database import Database

    made = Database(f"sqlite:///{tmp_path / 'astra.db'}")
    made.create_tables()
    yield made
    made.engine.dispose()
