"""Surveys for the making of mwm files."""

from __future__ import annotations

import pytest

from astra_assets.database.database import Database
from astra_assets_tests.pipelines.mwm_survey import Survey


@pytest.fixture
def survey(database, tmp_path) -> Survey:
    return Survey(database, tmp_path)


@pytest.fixture
def sqlite_survey(tmp_path) -> Survey:
    database = Database(f"sqlite:///{tmp_path / 'astra.db'}")
    database.create_tables()
    return Survey(database, tmp_path)
