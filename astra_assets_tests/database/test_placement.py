"""What is said where a database has no survey: what was looked for and where, and never how to make a second one."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from astra_assets.config.settings import Settings, usable_settings
from astra_assets.database.database import Database, NoSchemaError
from astra_assets.database.inventory import MissingTableError
from astra_assets.database.placement import neighbours
from astra_assets.models.source import Source
from astra_assets.models.spectrum import SpectrumKey
from astra_assets.operations.deployment import Deployment, OperationError
from astra_assets.operations.doctor import check_database, doctor
from astra_assets.operations.init import init


@pytest.fixture
def opened():
    """Opens databases that are closed at the end."""
    made = []

    def opened(url, *arguments):
        made.append(Database(url, *arguments))
        return made[-1]

    yield opened
    for each in made:
        each.engine.dispose()


def run(database, *statements):
    with database.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def schemas(database):
    with database.connect() as connection:
        found = connection.scalars(
            text("SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' ORDER BY 1")
        )
        return found.all()


def advice(database):
    """What everybody is told who needs the table of sources; nobody is told another thing."""
    with pytest.raises(MissingTableError) as caught:
        database.look().need(Source)
    told = str(caught.value)
    told_by_doctor = [each for each in check_database(database) if each.weight == 2]
    assert all(each.text == f"database: {told}" for each in told_by_doctor)
    return told


def test_a_schema_with_a_similar_name_is_asked_for_and_none_is_made(postgresql_url, opened, tmp_path):
    opened(postgresql_url, "astra_080").create_tables([Source, SpectrumKey])
    before = schemas(opened(postgresql_url))
    for typed in ("astra_08", "astra-080", "ASTRA_080", "astra_081"):
        database = opened(postgresql_url, typed)
        told = advice(database)
        assert told.startswith(f"there is no schema {typed} in postgresql://")
        assert told.endswith("; did you mean astra_080? Set ASTRA_DATABASE_SCHEMA")
        with pytest.raises(
            NoSchemaError, match=r"but astra_080: set ASTRA_DATABASE_SCHEMA .* nothing was created"
        ):
            database.create_tables()
        settings = Settings(database_url=postgresql_url, database_schema=typed, home=tmp_path)
        deployment = Deployment(settings)
        with pytest.raises(OperationError, match=f"^there is no schema {typed} .*did you mean astra_080"):
            deployment.need_tables()
        with pytest.raises(NoSchemaError):
            init(deployment, print)
        deployment.database.engine.dispose()
    assert schemas(opened(postgresql_url)) == before


def test_a_new_survey_is_made_where_somebody_made_the_schema_for_it(postgresql_url, opened):
    opened(postgresql_url, "astra_080").create_tables([Source, SpectrumKey])
    run(opened(postgresql_url), "CREATE SCHEMA astra_081")
    assert opened(postgresql_url, "astra_081").create_tables([Source, SpectrumKey]) == ["source", "spectrum"]


def test_the_schemas_that_have_a_survey_are_named(postgresql_url, opened):
    opened(postgresql_url, "mwm").create_tables([Source, SpectrumKey])
    expected = "tables of a survey are in mwm: set ASTRA_DATABASE_SCHEMA to the schema that is meant"
    told = advice(opened(postgresql_url))
    assert told.startswith("the schema public of postgresql://")
    assert told.endswith(f" has no table source; {expected}")
    told = advice(opened(postgresql_url, "results_of_2026"))
    assert told.startswith("there is no schema results_of_2026 in postgresql://")
    assert told.endswith(expected)


def test_tables_of_another_program_are_named(database_url, opened):
    database = opened(database_url)
    run(database, *(f"CREATE TABLE {name} (id integer)" for name in ("runs", "event_logs", "kvs", "ticks")))
    told = advice(database)
    assert (
        "has no table source; it has tables of another program (event_logs, kvs, runs and 1 more): set "
        in told
    )
    assert "astra-assets" not in told


def test_only_an_empty_place_is_filled_on_advice(database_url, opened):
    assert "has no table source; type: astra-assets init" in advice(opened(database_url))


def test_a_search_path_without_a_schema_is_told(postgresql_url, opened):
    database = opened(f"{postgresql_url}?options=-c search_path=nowhere")
    told = advice(database)
    assert told.startswith("no schema of the search path is in postgresql://")
    assert told.endswith("; set ASTRA_DATABASE_SCHEMA, or search_path in the options of the URL")
    assert not database.may_create_tables()


def test_tables_of_another_astra_are_recognised_anywhere_on_the_search_path(postgresql_url, opened):
    opened(postgresql_url).create_tables([Source, SpectrumKey])
    run(opened(postgresql_url), "CREATE SCHEMA mine")
    database = opened(f"{postgresql_url}?options=-c search_path=mine,public")
    assert database.foreign
    assert database.look().has(Source)


@pytest.mark.parametrize("kind", ["VIEW", "MATERIALIZED VIEW"])
def test_a_view_is_not_made_again_as_a_table(postgresql_url, opened, kind):
    database = opened(postgresql_url)
    database.create_tables()
    run(database, "ALTER TABLE source RENAME TO stars", f"CREATE {kind} source AS SELECT * FROM stars")
    again = opened(postgresql_url)
    assert again.create_tables() == []
    assert not again.look().need(Source).stored


def test_doctor_looks_at_no_other_database_than_the_one_that_is_set(monkeypatch, tmp_path):
    """The default would take its place, and the advice to make tables there would lead astray."""
    monkeypatch.setenv("ASTRA_HOME", str(tmp_path))
    monkeypatch.setenv("ASTRA_DATABASE_URL", "mysql://u:secret@host/survey")
    settings, problems = usable_settings()
    found = list(doctor(Deployment(settings), problems))
    assert "mysql is no database that we know" in found[0].text
    assert not [each for each in found if each.text.startswith("database:") or "secret" in each.text]


def test_similar_names():
    schemas = ["mwm", "astra_080", "catalogdb"]
    assert neighbours("mvm", schemas) == ("mwm",)
    assert neighbours("Catalogdb", schemas) == ("catalogdb",)
    assert neighbours("mwm", schemas) == ()
    assert neighbours("results", schemas) == ()
    assert neighbours(None, schemas) == ()
