"""Every documented form of URL reaches the same database with every driver, or is refused in words without its secrets."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from sqlalchemy import ColumnElement, Integer, Text, func, select

from astra_assets.config.settings import SettingsError, load_settings
from astra_assets.database.arrow import PostgresqlReadError
from astra_assets.database.database import Database, NotAllowedError
from astra_assets.database.urls import UnusableUrlError, hide_secrets, parse_url
from astra_assets.errors import ExpectedError, PassingError
from astra_assets.models.source import Source
from astra_assets.operations.deployment import expected_text
from astra_assets_tests.conftest import free_port, fresh_database

PASSWORD = "b l#a/n@k:'%\"+?&ö\\"
ENCODED = "b%20l%23a%2Fn%40k%3A%27%25%22%2B%3F%26%C3%B6%5C"
WANTED: dict[str, ColumnElement[Any]] = {
    "user": func.current_user(type_=Text),
    "database": func.current_database(type_=Text),
    "port": func.inet_server_port(type_=Integer),
    "application": func.current_setting("application_name", type_=Text),
    "path": func.current_setting("search_path", type_=Text),
}


@contextmanager
def opened(url, **options):
    database = Database(str(url), **options)
    try:
        yield database
    finally:
        database.engine.dispose()


def seen_by_all(url):
    """What a connection is, for the writer and for the reader: they must agree."""
    query = select(*(expression.label(name) for name, expression in WANTED.items()))
    with opened(url) as database:
        with database.connect() as connection:
            written = dict(connection.execute(query).mappings().one())
        (read,) = database.arrow_table(query).to_pylist()
    assert read == written
    return written


class Place:
    """Where the server of the tests is, and a user who needs a password."""

    def __init__(self, url):
        parts = urlsplit(url)
        self.url = url
        self.port = parts.port
        self.name = parts.path[1:]
        self.user = f"odd user {self.name}"
        self.user_encoded = self.user.replace(" ", "%20")
        with psycopg.connect(url, autocommit=True) as connection:
            (self.socket,) = connection.execute("SHOW unix_socket_directories").fetchone()

    def change(self, *statements):
        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)


@pytest.fixture(scope="module")
def shared_place(postgresql_server):
    with fresh_database(postgresql_server) as url:
        yield from made_place(url)


@pytest.fixture
def place(shared_place, monkeypatch):
    for name in [name for name in os.environ if name.startswith("PG")]:
        monkeypatch.delenv(name)
    return shared_place


def made_place(url):
    made = Place(url)
    literal = PASSWORD.replace("'", "''")
    made.change(
        "DO $$ BEGIN CREATE ROLE checked; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
        f"CREATE ROLE \"{made.user}\" LOGIN PASSWORD '{literal}' IN ROLE checked",
    )
    yield made
    made.change(f'DROP ROLE "{made.user}"')


@pytest.mark.parametrize(
    "form",
    [
        "postgresql://{user}:{password}@127.0.0.1:{port}/{name}",
        "postgres://{user}:{password}@127.0.0.1:{port}/{name}",
        "postgresql+psycopg://{user}:{password}@127.0.0.1:{port}/{name}",
        "postgresql+psycopg2://{user}:{password}@127.0.0.1:{port}/{name}",
        "postgresql+asyncpg://{user}:{password}@127.0.0.1:{port}/{name}",
        "  postgresql://{user}:{password}@127.0.0.1:{port}/{name}\n",
        "postgresql://{user}@127.0.0.1:{port}/{name}?password={password}",
        "postgresql://127.0.0.1:{port}/{name}?user={user}&password={password}",
        "postgresql:///{name}?host=127.0.0.1&port={port}&user={user}&password={password}",
        "postgresql://{user}:{password}@/{name}?host=127.0.0.1:{port}",
        "postgresql://{user}:{password}@/{name}?host=127.0.0.1:1&host=127.0.0.1:{port}",
        "postgresql://{user}:{password}@/{name}?host=127.0.0.1,127.0.0.1&port=1,{port}",
        "postgresql://{user}:{password}@127.0.0.1:1,127.0.0.1:{port}/{name}",
        "postgresql://{user}:{password}@127.0.0.1:1,127.0.0.1:{port}/{name}?target_session_attrs=read-write",
        "postgresql://{user}:{password}@nowhere.invalid:{port}/{name}?hostaddr=127.0.0.1",
        "postgresql://{user}:{password}@127.0.0.1:{port}/{name}?sslmode=prefer&connect_timeout=3&client_encoding=latin1",
    ],
)
def test_a_documented_url_is_the_same_for_writer_and_reader(place, form):
    url = form.format(user=place.user_encoded, password=ENCODED, port=place.port, name=place.name)
    found = seen_by_all(url)
    assert (found["user"], found["database"], found["port"]) == (place.user, place.name, place.port)
    for text in (Database(url).location, repr(Database(url))):
        assert ENCODED not in text
        assert PASSWORD not in text


@pytest.mark.parametrize(
    ("options", "application", "path"),
    [
        ("application_name=astra%20products", "astra products", '"$user", public'),
        ("application_name=astra+products", "astra products", '"$user", public'),
        ("application_name=a@b", "a@b", '"$user", public'),
        ("options=-c%20search_path%3Dpublic", "", "public"),
        ("options=-csearch_path=mwm,public -c application_name=x", "x", "mwm,public"),
        ("options=-c%20search_path%3Dmwm\\,\\%20public", "", "mwm, public"),
    ],
)
def test_options_of_a_url_hold_for_writer_and_reader(place, options, application, path):
    found = seen_by_all(f"{place.url}?{options}")
    assert (found["application"], found["path"]) == (application, path)


@pytest.mark.parametrize("form", ["postgresql://astra@{host}:{port}/{name}", "postgresql://astra@/{name}?host={path}&port={port}",
                                  "postgresql:///{name}?host={host}&port={port}&user=astra"])  # fmt: skip
def test_a_unix_socket_is_reached_by_both(place, form):
    host = place.socket.replace("/", "%2F")
    found = seen_by_all(form.format(host=host, path=place.socket, port=place.port, name=place.name))
    assert (found["database"], found["port"]) == (place.name, None)


def test_a_service_file_serves_both(place, tmp_path, monkeypatch):
    file = tmp_path / "services.conf"
    file.write_text(
        f"[survey]\nhost=127.0.0.1\nport={place.port}\nuser={place.user}\npassword={PASSWORD}\ndbname={place.name}\n"
        "application_name=by service\n"
    )
    monkeypatch.setenv("PGSERVICEFILE", str(file))
    for url in ("postgresql:///?service=survey", "postgresql://?service=survey"):
        found = seen_by_all(url)
        assert (found["user"], found["database"], found["application"]) == (
            place.user,
            place.name,
            "by service",
        )
    monkeypatch.setenv("PGSERVICE", "survey")
    assert seen_by_all("postgresql://")["user"] == place.user


def test_passwords_come_from_environment_and_files_too(place, tmp_path, monkeypatch):
    url = f"postgresql://{place.user_encoded}@127.0.0.1:{place.port}/{place.name}"
    file = tmp_path / "pass"
    escaped = PASSWORD.replace("\\", "\\\\").replace(":", "\\:")
    file.write_text(f"*:*:*:{place.user}:{escaped}\n")
    file.chmod(stat.S_IRUSR | stat.S_IWUSR)
    assert seen_by_all(f"{url}?passfile={file}")["user"] == place.user
    monkeypatch.setenv("PGPASSFILE", str(file))
    assert seen_by_all(url)["user"] == place.user
    monkeypatch.delenv("PGPASSFILE")
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    assert seen_by_all(url)["user"] == place.user
    for name, value in {
        "HOST": "127.0.0.1",
        "PORT": place.port,
        "USER": place.user,
        "DATABASE": place.name,
    }.items():
        monkeypatch.setenv(f"PG{name}", str(value))
    assert seen_by_all("postgresql://")["user"] == place.user


def test_texts_are_read_whatever_the_encoding_of_the_database(place, monkeypatch):
    name = f"{place.name}_latin"
    place.change(f"CREATE DATABASE {name} ENCODING LATIN1 LOCALE 'C' TEMPLATE template0")
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    with opened(place.url.replace(place.name, name)) as database:
        database.create_tables([Source])
        with database.begin() as connection:
            connection.execute(Source.__table__.insert().values(sdss_id=1, lead="émile"))
        assert database.arrow_table(select(Source.c.lead)).to_pylist() == [{"lead": "émile"}]
    place.change(f"DROP DATABASE {name}")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("mysql://u:secret@h/d", "mysql is no database that we know; .*neither SQLite nor PostgreSQL"),
        ("oracle+cx://u:secret@h/d", "oracle is no database that we know"),
        ("u:secret@h/d", "without a scheme"),
        ("host=h password=secret", "without a scheme"),
        ("jdbc:postgresql://u:secret@h/d", "without a scheme"),
        ("://", "without a scheme"),
        ("postgresql:/h/d", "without a scheme"),
        ("postgresql+other://u:secret@h/d", r"postgresql\+other is no driver that we know"),
        ("postgresql://u:pass@secret@h/d", "the host in the PostgreSQL URL has an @; .* write @ as %40"),
        ("postgresql://u:12/secret@h/d", "the name of the database in the PostgreSQL URL has an @"),
        ("postgresql://u@h:secret/d", "the port in the PostgreSQL URL is no number"),
        ("postgresql://u:secret@h:5432x/d", "the port in the PostgreSQL URL is no number"),
        ("postgresql+asyncpg://u:secret@h/d?ssl=require", 'libpq does not know .*"ssl"'),
        ("postgresql://u:secret@h/d?prepare_threshold=5", 'libpq does not know .*"prepare_threshold"'),
        ("postgresql://h/d?password=half&secret=1", "libpq does not know .*in a password write & as %26"),
        ("postgresql://u:secret@h/d?sslmode", "an option of the PostgreSQL URL has no value"),
        ("postgresql://h/d?password=a&password=secret", "has the option password more than once"),
        ("postgresql://u:secret@/d?host=a&host=b&port=1&port=2", "the hosts of the PostgreSQL URL cannot be told apart"),
        ("postgresql://[::1/d", "cannot be read"),
        ("postgresql://u:secret%00@h/d", "NUL character"),
        ("sqlite://", "a SQLite database needs a file"),
        ("sqlite:///", "a SQLite database needs a file"),
        ("sqlite:///:memory:", "a SQLite database needs a file"),
        ("sqlite://astra.db", "a SQLite URL has no host: write sqlite:///astra.db"),
        ("sqlite://host:port/astra.db", "a SQLite URL has no host"),
        ("sqlite:////usr", "/usr is a folder; .* sqlite:////usr/astra.db"),
        ("sqlite:///astra.db?mode=ro&timeout=3", "the options mode, timeout of a SQLite URL are not supported"),
        (f"sqlite:////{'x' * 5000}", "cannot be opened: File name too long"),
        ("sqlite+pysqlcipher://:secret@/astra.db", r"sqlite\+pysqlcipher is no database that we know"),
    ],
)  # fmt: skip
def test_an_unusable_url_is_refused_in_one_sentence_when_settings_are_read(url, told, monkeypatch):
    monkeypatch.setenv("ASTRA_DATABASE_URL", url)
    with pytest.raises(SettingsError, match=f"ASTRA_DATABASE_URL .*: .*{told}") as caught:
        load_settings()
    with pytest.raises(UnusableUrlError, match=told) as also:
        Database(url)
    assert len(caught.value.problems) == 1
    for error in (caught, also):
        assert "secret" not in str(error.value)
    assert "\n" not in str(also.value)


def test_sqlite_files_are_those_of_the_moment_the_program_started(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for url in ("sqlite:///a%20b.db", "sqlite+pysqlite:///a%20b.db", "sqlite+aiosqlite:///a b.db"):
        monkeypatch.setenv("ASTRA_DATABASE_URL", url)
        found = load_settings().database
        with monkeypatch.context() as elsewhere:
            elsewhere.chdir("/")
            assert parse_url(found).database == str(tmp_path / "a b.db")
    assert parse_url("sqlite:///~/astra.db").database == str(Path.home() / "astra.db")


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(
        NotAllowedError, match=r"file/sub of the SQLite database cannot be made \(Not a directory\)"
    ):
        Database(f"sqlite:///{tmp_path}/file/sub/astra.db").create_tables()


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://user:secret@host/db",
        "postgresql+psycopg://user:pass@secret@host/db",
        "at postgresql:///db?user=u&password=secret&host=h, tried twice",
        "connection string: host=h password='secret \\' part' user=u",
        "PGPASSWORD=secret psql",
        "postgresql://h/db?sslpassword=secret",
        "Password = secret",
    ],
)
def test_secrets_are_hidden_where_urls_and_connection_strings_hold_them(text):
    shown = hide_secrets(text)
    assert "secret" not in shown
    assert "***" in shown


def test_a_secret_of_a_url_is_hidden_wherever_a_driver_repeats_it():
    parse_url("postgresql://someone:hush%20hush%21@host/survey")
    shown = hide_secrets('missing "=" after "hush hush!" in hush%20hush%21 and hush+hush%21')
    assert shown == 'missing "=" after "***" in *** and ***'
    parse_url("postgresql://astra:astra@host/survey")
    assert hide_secrets("type: astra-assets doctor") == "type: astra-assets doctor"


def test_settings_do_not_show_the_url(monkeypatch):
    monkeypatch.setenv("ASTRA_DATABASE_URL", "postgresql://u@h/d?password=tacit")
    assert "tacit" not in repr(load_settings())
    assert "tacit" not in Database(load_settings().database).location


def test_a_server_that_does_not_answer_is_told_without_the_password():
    with opened(f"postgresql://u:tacit@127.0.0.1:{free_port()}/d") as database:
        with pytest.raises(Exception, match="refused") as caught:
            database.look()
        text = expected_text(caught.value)
    assert text is not None
    assert "tacit" not in text


def test_what_the_reader_cannot_read_is_told_in_words(place):
    with opened(f"{place.url}?options=-c%20statement_timeout%3D50") as database:
        slow = select(func.pg_sleep(5, type_=Text))
        with pytest.raises(
            PostgresqlReadError, match="canceling statement due to statement timeout"
        ) as caught:
            database.arrow_table(slow)
        assert expected_text(caught.value) is not None
    with opened(place.url) as database:
        failing = select((1 / (func.generate_series(1, 100_000, type_=Integer) - 90_000)).label("x"))
        with pytest.raises(ExpectedError, match=r"could not be read: .*division by zero"):
            database.arrow_table(failing)


def test_a_reader_whose_connection_is_ended_says_that_it_may_be_tried_again(place):
    with opened(place.url) as database:
        rows = select(func.generate_series(1, 20_000_000, type_=Integer).label("n"))
        batches = database.arrow_batches(rows, batch_rows=1000)
        next(batches)
        place.change(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY%' "
            f"AND datname = '{place.name}'"
        )
        with pytest.raises(PassingError, match="Doing the same again loses nothing"):
            for _ in batches:
                pass
