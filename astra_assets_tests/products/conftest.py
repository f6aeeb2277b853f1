"""Fixtures: databases with a little of everything, and the one of another Astra, as it is and to be changed."""

from __future__ import annotations

import pytest

from astra_assets_tests.conftest import fresh_database
from astra_assets_tests.products.astra_database import restore
from astra_assets_tests.products.samples import fill, filled_sqlite


@pytest.fixture
def filled(database):
    """A database of each kind with the sample rows."""
    fill(database)
    return database


@pytest.fixture
def sqlite(tmp_path):
    """A file of SQLite with the sample rows."""
    return filled_sqlite(tmp_path)


@pytest.fixture(scope="session")
def template(postgresql_server):
    """URL of Astra's database, which no test changes."""
    with fresh_database(postgresql_server) as url:
        restore(url)
        yield url


@pytest.fixture
def astra_url(postgresql_server, template):
    """URL of a copy of Astra's database."""
    with fresh_database(postgresql_server, template=template.rsplit("/", 1)[1]) as url:
        yield url
