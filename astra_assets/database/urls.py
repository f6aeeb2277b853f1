"""URLs of databases: which are accepted, what each driver gets, and how they are shown without secrets.

SQLAlchemy and libpq document URLs of their own. Both are accepted here and become one SQLAlchemy URL, from which
psycopg connects; ADBC gets what that connection found out (`reader_conninfo`), so that it reads from the same server.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from astra_assets.errors import ExpectedError

if TYPE_CHECKING:
    import psycopg

EXAMPLES = "use postgresql://user@host/name or sqlite:////path/to/astra.db"
ENCODE = "in user and password write @ as %40, : as %3A, / as %2F and ? as %3F"

POSTGRESQL_DRIVERS = frozenset(
    {"asyncpg", "pg8000", "psycopg", "psycopg2", "psycopg2cffi", "psycopg_async", "pygresql"}
)
"""Drivers that a URL may name; psycopg takes their place."""

SQLITE_DRIVERS = frozenset({"aiosqlite", "pysqlite", "pysqlite_numeric"})
"""Drivers that a URL may name; Python's sqlite3 takes their place."""

SECRET_OPTIONS = ("password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key")
"""Parameters of libpq that nobody else may see."""

HIDDEN = "***"
"""What is shown instead of a secret."""


class UnusableUrlError(ExpectedError, ValueError):
    """A database URL cannot be used; the message says why, without its secrets, and what to write."""


def parse_url(text: str) -> URL:
    """Return the SQLAlchemy URL of a database, with our driver in it.

    A PostgreSQL URL is read as SQLAlchemy documents it, else as libpq does (several hosts, percent-encoded hosts). The
    path of a SQLite URL becomes absolute.

    Raises:
        UnusableUrlError: it is neither SQLite nor PostgreSQL, or not a URL, or has options that nobody knows.
    """
    text = text.strip()
    name, separator, rest = text.partition("://")
    backend, _, driver = name.partition("+")
    if not separator or not re.fullmatch(r"\w+", backend):
        raise UnusableUrlError(
            f"a text without a scheme such as postgresql:// is no database that we know; {EXAMPLES}"
        )
    if "\0" in unquote(text):
        raise UnusableUrlError(f"the {backend} URL has a NUL character, which no driver accepts; {EXAMPLES}")
    if backend == "sqlite":
        return _sqlite_url(driver, rest)
    if backend in ("postgresql", "postgres"):
        return _postgresql_url(driver, rest)
    raise UnusableUrlError(
        f"{backend} is no database that we know; {EXAMPLES} (it is neither SQLite nor PostgreSQL)"
    )


def _sqlite_url(driver: str, rest: str) -> URL:
    if driver and driver not in SQLITE_DRIVERS:
        raise UnusableUrlError(f"sqlite+{driver} is no database that we know; {EXAMPLES}")
    try:
        found = make_url(f"sqlite://{rest}")
    except (ArgumentError, ValueError):
        found = URL.create("sqlite", host=rest)
    if found.host or found.username:
        raise UnusableUrlError(
            "a SQLite URL has no host: write sqlite:///astra.db for a file of the current folder, "
            "sqlite:////path/to/astra.db for any other"
        )
    if found.query:
        raise UnusableUrlError(
            f"the options {', '.join(found.query)} of a SQLite URL are not supported, since we set them; "
            "use sqlite:////path/to/astra.db"
        )
    if not found.database or ":memory:" in found.database:
        raise UnusableUrlError(
            "a SQLite database needs a file, since several processes use it: sqlite:////path/to/astra.db"
        )
    path = Path(found.database).expanduser().absolute()
    try:
        is_folder = path.is_dir()
    except OSError as error:
        raise UnusableUrlError(f"the file of the SQLite URL cannot be opened: {error.strerror}") from None
    if is_folder:
        raise UnusableUrlError(
            f"{path} is a folder; a SQLite URL names a file: sqlite:///{path / 'astra.db'}"
        )
    return URL.create("sqlite", database=str(path))


def _postgresql_url(driver: str, rest: str) -> URL:
    from psycopg import ProgrammingError
    from psycopg.conninfo import make_conninfo

    if driver and driver not in POSTGRESQL_DRIVERS:
        raise UnusableUrlError(f"postgresql+{driver} is no driver that we know; write postgresql://")
    wanted = _parameters(rest)
    for name, part in (("host", "host"), ("dbname", "name of the database")):
        if "@" in wanted.get(name, ""):
            raise UnusableUrlError(f"the {part} in the PostgreSQL URL has an @; {ENCODE}")
    _remember_secrets(wanted)
    try:
        make_conninfo("", **wanted)
    except ProgrammingError as error:
        # What comes after an & in a password looks like an option.
        in_query = re.search(r"[?&](ssl)?password=", rest)
        reason = "in a password write & as %26" if in_query else hide_secrets(str(error).strip())
        raise UnusableUrlError(
            f"the PostgreSQL URL has an option that libpq does not know ({reason}); the options are those of "
            "https://www.postgresql.org/docs/current/libpq-connect.html"
        ) from None
    return _url_of(wanted)


def _parameters(rest: str) -> dict[str, str]:
    """The parameters of libpq that a URL gives; `rest` is what comes after `://`."""
    at, end = rest.find("@"), re.search("[/?]", rest)
    before = rest if end is None else rest[: end.start()]
    # For SQLAlchemy all before an @ is the password, whatever it is part of; libpq knows where a port ends.
    with_port = "@" in rest[len(before) :] and re.search(r":\d+$", before) is not None
    _check_query(rest[at + 1 :] if ":" in before and not with_port else rest)
    try:
        found = make_url(f"postgresql+psycopg://{rest}")
        # libpq decodes host names and takes several of them; SQLAlchemy does neither here.
        if not with_port and not re.search("[%,]", found.host or ""):
            return _connect_arguments(found)
    except (ArgumentError, ValueError, TypeError):
        pass
    return _libpq_parameters(rest)


def _check_query(rest: str) -> None:
    """Refuse what a parser would drop without a word."""
    query = rest.partition("?")[2]
    if not query:
        return
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True)
    except ValueError:
        raise UnusableUrlError(
            "an option of the PostgreSQL URL has no value: expected ?name=value&name=value after the name of the "
            f"database; {ENCODE}"
        ) from None
    names = [name for name, _ in pairs]
    twice = sorted({name for name in names if names.count(name) > 1 and name not in ("host", "port")})
    if twice:
        raise UnusableUrlError(f"the PostgreSQL URL has the option {twice[0]} more than once; give it once")


def _connect_arguments(found: URL) -> dict[str, str]:
    """What SQLAlchemy hands to psycopg. Raises ArgumentError, ValueError or TypeError for hosts that it cannot split."""
    _, arguments = found.get_dialect()().create_connect_args(found)
    made = {name: str(value) for name, value in arguments.items() if name != "context"}
    if "[" in made.get("host", ""):
        raise ValueError("an address in brackets is cut at its colons")
    return made


def _libpq_parameters(rest: str) -> dict[str, str]:
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        found = conninfo_to_dict(f"postgresql://{rest}")
    except ProgrammingError as error:
        # The message repeats the part that cannot be read, which may be one of the password.
        reason = re.sub(r'"[^"]*"', "...", str(error).strip())
        raise UnusableUrlError(f"the PostgreSQL URL cannot be read ({reason}); {EXAMPLES}") from None
    hosts = [value for name, value in parse_qsl(rest.partition("?")[2]) if name == "host"]
    if len(hosts) > 1:
        raise UnusableUrlError(
            "the hosts of the PostgreSQL URL cannot be told apart; write postgresql://user@host1:port1,host2:port2/name"
        )
    made = {name: str(value) for name, value in found.items() if value is not None}
    if not re.fullmatch(r"[\d,]*", made.get("port", "")):
        raise UnusableUrlError(f"the port in the PostgreSQL URL is no number; {ENCODE}")
    if not made.get("port", "").strip(","):
        made.pop("port", None)
    return made


def _url_of(wanted: Mapping[str, str]) -> URL:
    """The SQLAlchemy URL of which SQLAlchemy makes these parameters again."""
    rest = dict(wanted)
    known: dict[str, Any] = {
        "username": rest.pop("user", None),
        "password": rest.pop("password", None),
        "database": rest.pop("dbname", None),
    }
    if known["password"] is not None and known["username"] is None:
        rest["password"] = known.pop("password")
    hosts, ports = rest.get("host", "").split(","), rest.get("port", "").split(",")
    if len(hosts) > 1 and len(ports) == 1:
        rest.pop("port", None)
        if ports[0]:
            rest["port"] = ",".join(ports * len(hosts))
    elif len(hosts) == 1 and hosts[0] and "/" not in hosts[0] and not hosts[0].startswith("@"):
        known["host"] = rest.pop("host")
        if ports[0]:
            known["port"] = int(rest.pop("port"))
    return URL.create("postgresql+psycopg", **known, query=rest)


def reader_conninfo(connection: psycopg.Connection[Any]) -> str:
    """Return the connection string with which another libpq reaches the server and database of a connection.

    The libpq that comes with another driver may look elsewhere for service files and sockets, and may choose another
    one of several hosts. So it gets what the connection found out.
    """
    from psycopg.conninfo import make_conninfo
    from psycopg.pq import Conninfo

    server = connection.pgconn
    built_in = {each.keyword: each.compiled for each in Conninfo.get_defaults()}
    wanted = {
        each.keyword: each.val
        for each in server.info
        if each.val is not None and each.val != built_in.get(each.keyword)
    }
    for name in (b"service", b"servicefile"):
        wanted.pop(name, None)
    if b"hostaddr" in wanted:
        wanted[b"hostaddr"] = server.hostaddr
    wanted |= {b"host": server.host, b"port": server.port, b"user": server.user, b"dbname": server.db}
    wanted[b"password"] = server.password
    # Arrow's texts are UTF-8, whatever the encoding of the database.
    wanted[b"client_encoding"] = b"UTF8"
    # libpq hands parameters through as they were given to it, whatever the encoding of the connection.
    texts = {name.decode(): value.decode(errors="replace") for name, value in wanted.items() if value}
    return make_conninfo("", **texts)


# --- secrets ------------------------------------------------------------------------------------------

_secrets: set[str] = set()
"""Secrets of the URLs that this process has read, as they may occur in a text."""

_IN_AUTHORITY = re.compile(r"(?<=://)([^\s:/?#@]*):\S*@")
_AS_OPTION = re.compile(
    rf"\b((?:pg)?(?:{'|'.join(SECRET_OPTIONS)}))(\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s&'\"]+)", re.IGNORECASE
)


def hide_secrets(text: str) -> str:
    """Return a text, such as a URL or the error of a driver, without passwords."""
    text = _without_marked(text)
    for secret in sorted(_secrets, key=len, reverse=True):
        # A short secret is hidden where it is a word of its own, not within others.
        text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", HIDDEN, text)
    return text


def _without_marked(text: str) -> str:
    """A text without what stands where secrets stand in URLs and connection strings."""
    return _AS_OPTION.sub(rf"\1\2{HIDDEN}", _IN_AUTHORITY.sub(rf"\1:{HIDDEN}@", text))


def shown(url: URL) -> str:
    """Return a URL as it is shown: without passwords, and without the name of our driver."""
    plain = url.set(drivername=url.get_backend_name()).render_as_string(hide_password=True)
    return _without_marked(plain)


def _remember_secrets(wanted: Mapping[str, str]) -> None:
    """Remember what `hide_secrets` hides; a password that equals a public part of the URL would hide that."""
    public = {value for name, value in wanted.items() if name not in SECRET_OPTIONS}
    found = {wanted[name] for name in SECRET_OPTIONS if name in wanted} | {os.environ.get("PGPASSWORD", "")}
    for secret in found - public - {""}:
        _secrets.update((secret, quote(secret, safe=""), quote_plus(secret)))
