"""The small database of Astra 0.8.0 below `data/`: restoring, changing and reading it, products from it, comparing them."""

from __future__ import annotations

import gzip
import subprocess
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psycopg
from astropy.io import fits

from astra_assets.config.declared import product_named
from astra_assets.database.database import Database
from astra_assets.products.headers import Provenance
from astra_assets.products.make import make_product
from astra_assets_tests.conftest import server_program
from astra_assets_tests.project import DATA

FOLDER = DATA / "astra-0.8.0"
DUMP = FOLDER / "astra-0.8.0.sql.gz"
V_ASTRA = "0.8.1"
DOUBLE = {"ra", "dec", "l", "b", "jd"}
"""Columns that are double in our files and single in Astra's."""

CATALOGUE = """
SELECT 'column', n.nspname, c.relname, a.attname, a.atttypid::text, a.attnotnull::text, a.attidentity::text
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
UNION ALL
SELECT 'class', n.nspname, c.relname, c.relkind::text, c.relhastriggers::text, c.relacl::text, c.reloptions::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
UNION ALL
SELECT 'constraint', n.nspname, c.conname, c.contype::text, pg_get_constraintdef(c.oid), NULL, NULL
FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace
UNION ALL SELECT 'schema', nspname, NULL, NULL, NULL, NULL, nspacl::text FROM pg_namespace WHERE nspname !~ '^pg_'
UNION ALL SELECT 'comment', classoid::text, objoid::text, objsubid::text, description, NULL, NULL FROM pg_description
"""
"""Everything that a schema consists of, so that any change shows."""


def restore(url: str) -> None:
    """Put Astra's tables into an empty database."""
    program = server_program("psql")
    assert program, "the PostgreSQL client psql is not installed: install Debian's package postgresql-client"
    # Newer pg_dump writes two lines that older psql does not know.
    lines = gzip.decompress(DUMP.read_bytes()).splitlines(keepends=True)
    script = b"".join(line for line in lines if not line.startswith((b"\\restrict", b"\\unrestrict")))
    subprocess.run(
        [program, "-q", "-X", "-v", "ON_ERROR_STOP=1", "-d", url],
        input=script,
        check=True,
        capture_output=True,
    )


def assert_same(ours: Path, theirs: Path, *, ordered: bool) -> None:
    """Ours has the HDUs, columns, formats and values of Astra's file, but for the declared improvements."""
    with fits.open(ours) as made, fits.open(theirs) as expected:
        assert len(made) == len(expected)
        for mine, other in zip(made[1:], expected[1:], strict=True):
            assert mine.columns.names == other.columns.names
            assert len(mine.data) == len(other.data)
            places = [np.arange(len(hdu.data)) for hdu in (mine, other)]
            if not ordered:
                places = [np.argsort(hdu.data["spectrum_pk"], kind="stable") for hdu in (mine, other)]
            for column in other.columns:
                form = "D" if column.name in DOUBLE else column.format
                found = mine.columns[column.name]
                assert (found.format, found.dim) == (form, column.dim), column.name
                values = mine.data[column.name][places[0]].astype(other.data[column.name].dtype)
                np.testing.assert_array_equal(values, other.data[column.name][places[1]], err_msg=column.name)


OF_THE_DUMP = {
    "mwmTargets": (112,),
    "mwmAllVisit": (224, 112),
    "mwmAllStar": (112, 112),
    "astraAllStarSnowWhite": (150, 0),
    "astraAllVisitSnowWhite": (300, 0),
    "astraAllStarBOSSNet": (150, 0),
    "astraAllVisitBOSSNet": (300, 0),
    "astraAllStarLineForest": (150, 0),
    "astraAllVisitLineForest": (0, 0),
    "astraAllStarAPOGEENet": (0, 150),
    "astraAllVisitAPOGEENet": (0, 150),
}
"""Rows of the tables of each product."""


@contextmanager
def opened(url, **options):
    database = Database(url, **options)
    try:
        yield database
    finally:
        database.engine.dispose()


def change(url, *statements):
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def rows_of(url, query):
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()


def catalogue(url):
    return sorted(map(str, rows_of(url, CATALOGUE)))


def written(url, name, folder, **options):
    """Write a product; returns its report."""
    with opened(url, **options) as database:
        product = product_named(name).product
        return make_product(product, database, folder, Provenance(V_ASTRA, "main"))


def columns_of(path, number=1):
    with fits.open(path) as hdus:
        return hdus[number].columns.names


OLD_CORV = """
CREATE TABLE corv (source_pk integer, spectrum_pk integer NOT NULL, task_pk serial PRIMARY KEY, v_astra text NOT NULL,
  created timestamp, modified timestamp, t_elapsed real, t_overhead real, tag text, v_rad real, e_v_rad real, teff real,
  e_teff real, logg real, e_logg real, initial_teff real, initial_logg real, initial_v_rad real, rchi2 real,
  result_flags bigint)"""
