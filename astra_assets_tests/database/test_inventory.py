"""What a database has of our tables, on SQLite and PostgreSQL; those of another Astra are in products/test_existing_astra.py."""

from __future__ import annotations

import pytest
from sqlalchemy import insert, select, text

from astra_assets.database.database import Database
from astra_assets.database.inventory import DECLARED, MissingTableError
from astra_assets.database.placement import Placement, is_foreign
from astra_assets.models.base import layout, table_of
from astra_assets.models.boss import BossVisitSpectrum
from astra_assets.models.source import Source
from astra_assets.models.spectrum import SpectrumKey
from astra_assets.registry.columns import info
from astra_assets.registry.kinds import Kind


def test_tables_that_we_made_stand_as_they_are_declared(database):
    survey = database.look()
    for model in (Source, SpectrumKey, BossVisitSpectrum):
        shape = survey.need(model)
        assert shape.table is table_of(model)
        assert list(shape.layout) == layout(model)
        assert (shape.missing, shape.additional, shape.retyped) == ((), (), ())
    assert not survey.foreign


def test_columns_lacking_and_columns_added_are_seen(database_url):
    database = Database(database_url)
    database.create_tables([SpectrumKey, Source])
    assert database.inventory.shape(Source).missing == ()
    with database.begin() as connection:
        connection.execute(text("ALTER TABLE source DROP COLUMN plx"))
        connection.execute(text("ALTER TABLE source ADD COLUMN name TEXT"))
        connection.execute(insert(Source).values(sdss_id=5))
        connection.execute(text("UPDATE source SET name = 'Vega'"))
    shape = database.look().shape(Source)
    assert (shape.missing, shape.additional) == (("plx",), ("name",))
    assert "plx" not in shape.table.columns
    assert shape.layout[-1].name == "name"
    assert info(shape.column("name")).definition.kind is Kind.text
    query = select(shape.column("sdss_id"), shape.column("name"))
    assert database.arrow_table(query).to_pylist() == [{"sdss_id": 5, "name": "Vega"}]
    database.engine.dispose()


def test_a_survey_is_kept_until_tables_are_created(database_url):
    database = Database(database_url)
    database.create_tables([SpectrumKey])
    kept = database.inventory
    assert database.inventory is kept
    assert not kept.has(Source)
    with pytest.raises(MissingTableError, match="no table source; type: astra-assets init"):
        kept.need(Source)
    database.create_tables([Source])
    assert database.inventory.has(Source)
    database.engine.dispose()


def test_what_we_declare_has_everything():
    assert DECLARED.has(Source)
    assert DECLARED.need(Source).table is table_of(Source)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((), False),
        (("source", "spectrum", "boss_net"), True),
        (("spectrum",), True),
        (("something_else",), False),
        (("source", "spectrum", "compute_batch"), False),
        (("source", "ingest_file"), False),
    ],
)
def test_a_schema_is_foreign_when_it_has_astras_tables_and_none_of_ours(names, expected):
    assert is_foreign(names) is expected


def test_tables_are_where_they_are_found_else_in_our_schema():
    placed = Placement("mwm", "ours", frozenset({"source", "corv"}))
    assert [placed.of(name) for name in ("source", "corv", "compute_batch")] == ["mwm", "mwm", "ours"]
    assert Placement("mwm", "ours", frozenset()).of("compute_batch") == "mwm"
    assert Placement(None, "ours").of("compute_batch") is None
