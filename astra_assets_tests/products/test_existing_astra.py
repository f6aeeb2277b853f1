"""Products from the database of another Astra: equal to Astra's own files, and nothing there is touched."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import pytest
from astropy.io import fits
from sqlalchemy import select
from sqlalchemy.exc import ProgrammingError

from astra_assets.config.declared import product_named
from astra_assets.config.settings import Settings
from astra_assets.database.database import NotAllowedError
from astra_assets.fits.writer import FitsWriteError
from astra_assets.models.compute import ComputeOutcome
from astra_assets.models.source import Source
from astra_assets.operations.create import available_products
from astra_assets.operations.create import create as create_product
from astra_assets.operations.deployment import Deployment, OperationError, expected_text
from astra_assets.operations.doctor import check_database
from astra_assets.operations.freeze import freeze
from astra_assets.operations.init import init
from astra_assets.operations.migrate import migrate
from astra_assets.operations.news import news
from astra_assets.operations.products import products
from astra_assets.operations.tables import declare_tables
from astra_assets.operations.verify import verify
from astra_assets.pipelines.snow_white import SnowWhite
from astra_assets.products.headers import Provenance
from astra_assets.products.make import make_product
from astra_assets_tests.products.astra_database import (
    FOLDER,
    OF_THE_DUMP,
    OLD_CORV,
    V_ASTRA,
    assert_same,
    catalogue,
    change,
    opened,
    rows_of,
    written,
)


@pytest.mark.parametrize(
    ("name", "theirs", "ordered"),
    [
        ("astraAllVisitSnowWhite", "astraAllVisitSnowWhite-0.8.fits.gz", True),
        ("astraAllStarBossNet", "astraAllStarBossNet-0.8.fits.gz", True),
        ("mwmAllStar", "mwmAllStar-0.8.fits.gz", False),
    ],
)
def test_products_are_those_that_astra_wrote(template, tmp_path, name, theirs, ordered):
    assert_same(written(template, name, tmp_path).path, FOLDER / theirs, ordered=ordered)


def test_every_product_of_the_tables_has_their_rows_and_leaves_them_alone(template, tmp_path):
    before = catalogue(template)
    with opened(template) as database:
        for name, rows in OF_THE_DUMP.items():
            product = product_named(name).product
            report = make_product(product, database, tmp_path, Provenance(V_ASTRA, "main"))
            assert report.rows == rows, name
    assert catalogue(template) == before


def as_views(url):
    return [f"CREATE VIEW theirs.{name} AS SELECT * FROM public.{name}" for name in TABLES]


def as_tables_of_another_server(url):
    parts = urlsplit(url)
    where = f"host '127.0.0.1', port '{parts.port}', dbname '{parts.path[1:]}'"
    return [
        "CREATE EXTENSION postgres_fdw",
        f"CREATE SERVER other FOREIGN DATA WRAPPER postgres_fdw OPTIONS ({where})",
        "CREATE USER MAPPING FOR astra SERVER other OPTIONS (user 'astra')",
        "IMPORT FOREIGN SCHEMA public FROM SERVER other INTO theirs",
    ]


def as_partitions(url):
    made = [
        f"CREATE TABLE theirs.{name} (LIKE public.{name} INCLUDING DEFAULTS) PARTITION BY RANGE ({key})"
        for name, key in TABLES.items()
    ]
    for name in TABLES:
        made += [
            f"CREATE TABLE theirs.{name}_1 PARTITION OF theirs.{name} FOR VALUES FROM (MINVALUE) TO (50)",
            f"CREATE TABLE theirs.{name}_2 PARTITION OF theirs.{name} FOR VALUES FROM (50) TO (MAXVALUE)",
            f"INSERT INTO theirs.{name} SELECT * FROM public.{name}",
        ]
    return made


TABLES = {
    "source": "pk",
    "spectrum": "pk",
    "boss_visit_spectrum": "pk",
    "boss_combined_spectrum": "pk",
    "boss_net": "task_pk",
}


@pytest.mark.parametrize("made", [as_views, as_tables_of_another_server, as_partitions])
def test_tables_may_be_views_partitions_or_on_another_server(astra_url, tmp_path, made):
    change(astra_url, "CREATE SCHEMA theirs", *made(astra_url))
    for name in ("mwmTargets", "astraAllStarBOSSNet"):
        report = written(astra_url, name, tmp_path, schema="theirs")
        assert report.rows[0] == OF_THE_DUMP[name][0]
        assert not written(astra_url, name, tmp_path, schema="theirs").written


def test_a_product_whose_tables_are_as_they_were_is_left_alone(template, tmp_path):
    assert written(template, "astraAllStarBOSSNet", tmp_path).written
    assert not written(template, "astraAllStarBOSSNet", tmp_path).written


def test_values_of_a_product_are_those_of_the_tables(template, tmp_path):
    """A product that Astra's files do not show: every value against a query of its own."""
    path = written(template, "astraAllVisitAPOGEENet", tmp_path).path
    query = """
        SELECT s.sdss_id, v.spectrum_pk, i.drp_spectrum_pk, n.task_pk, n.result_flags, n.v_astra, v.mjd, v.fiber,
               v.jd::float8, v.snr::float8, n.teff::float8, n.raw_e_fe_h::float8
        FROM apogee_net n JOIN apogee_visit_spectrum_in_ap_star i USING (spectrum_pk)
        JOIN source s ON s.pk = i.source_pk LEFT JOIN apogee_visit_spectrum v ON v.spectrum_pk = i.drp_spectrum_pk
        WHERE n.v_astra_major_minor = 8 ORDER BY i.spectrum_pk"""
    names = (
        "sdss_id spectrum_pk drp_spectrum_pk task_pk result_flags v_astra mjd fiber jd snr teff raw_e_fe_h"
    )
    expected = dict(zip(names.split(), zip(*rows_of(template, query), strict=True), strict=True))
    with fits.open(path) as hdus:
        for name, values in expected.items():
            integers = name not in ("jd", "snr", "teff", "raw_e_fe_h")
            fill = (0 if name == "result_flags" else -1) if integers else np.nan
            filled = np.array([fill if value is None else value for value in values])
            found = hdus[2].data[name]
            np.testing.assert_array_equal(found, filled.astype(found.dtype), err_msg=name)


def test_verdicts_follow_from_the_flags(template, tmp_path):
    path = written(template, "astraAllStarAPOGEENet", tmp_path).path
    with fits.open(path) as hdus:
        table = hdus[2].data
        np.testing.assert_array_equal(table["flag_warn"], table["result_flags"] & 8 > 0)
        np.testing.assert_array_equal(table["flag_bad"], table["result_flags"] & 15 > 0)
        assert 0 < table["flag_warn"].sum() < len(table)


def test_extreme_values_arrive(astra_url, tmp_path):
    lowest, highest = -(2**63), 2**63 - 1
    query = "SELECT task_pk FROM boss_net JOIN boss_combined_spectrum ON spectrum_pk = spectrum_pk_id LIMIT 1"
    ((task_pk,),) = rows_of(astra_url, query)
    change(
        astra_url,
        f"UPDATE boss_net SET result_flags = {lowest}, teff = '-Infinity', logg = 'NaN', e_teff = 3.4028235e38, "
        f"e_logg = 1e-45, tag = '' WHERE task_pk = {task_pk}",
        f"UPDATE source SET sdss_id = {highest}, tic_v8_id = {lowest}, n_associated = -2147483648, "
        "healpix = 2147483647, sdss5_target_flags = '' "
        f"WHERE pk = (SELECT source_pk FROM boss_net WHERE task_pk = {task_pk})",
    )
    with fits.open(written(astra_url, "astraAllStarBOSSNet", tmp_path).path) as hdus:
        (row,) = hdus[1].data[hdus[1].data["task_pk"] == task_pk]
    found = [
        row[name]
        for name in ("result_flags", "sdss_id", "tic_v8_id", "n_associated", "healpix", "teff", "tag")
    ]
    assert found == [lowest, highest, lowest, -(2**31), 2**31 - 1, -np.inf, ""]
    assert np.isnan(row["logg"])
    assert (row["e_teff"], row["e_logg"]) == (np.float32(3.4028235e38), np.float32(1e-45))
    assert not row["sdss5_target_flags"].any()


def test_a_time_that_files_cannot_hold_is_refused_by_product_column_and_key(astra_url, tmp_path):
    spectra = "boss_combined_spectrum c JOIN boss_net ON spectrum_pk = spectrum_pk_id"
    ((pk, key),) = rows_of(astra_url, f"SELECT c.source_pk, spectrum_pk_id FROM {spectra} LIMIT 1")
    for column, value in (("modified", "-infinity"), ("modified", "0044-03-15 BC"), ("created", "infinity")):
        change(astra_url, f"UPDATE source SET {column} = '{value}' WHERE pk = {pk}")
        told = rf"astraAllStarBOSSNet: column {column}: .* not within the years 1 to 9999 .*\(spectrum_pk {key}\)"
        with pytest.raises(FitsWriteError, match=told):
            written(astra_url, "astraAllStarBOSSNet", tmp_path)
    assert not list(tmp_path.rglob("*.fits*"))


def test_coadds_of_all_versions_are_listed_as_in_astras_own_file(astra_url, tmp_path):
    change(astra_url, "UPDATE boss_combined_spectrum SET v_astra = '0.6.0' WHERE pk <= 40")
    assert written(astra_url, "mwmAllStar", tmp_path).rows == OF_THE_DUMP["mwmAllStar"]


def test_a_user_that_may_only_read_gets_products(astra_url, tmp_path):
    name = astra_url.rsplit("/", 1)[1]
    reader = f"reader_of_{name}"
    change(
        astra_url,
        f"CREATE ROLE {reader} LOGIN",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader}",
        f"REVOKE CREATE, TEMPORARY ON DATABASE {name} FROM PUBLIC",
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
    )
    url = astra_url.replace("astra@", f"{reader}@")
    for product in ("mwmTargets", "astraAllVisitSnowWhite"):
        assert written(url, product, tmp_path).rows == OF_THE_DUMP[product]
    with opened(url) as database:
        assert not database.may_create_tables()
        with pytest.raises(NotAllowedError, match="CREATE SCHEMA astra_assets AUTHORIZATION"):
            database.create_tables()
    change(astra_url, f"DROP OWNED BY {reader}", f"DROP ROLE {reader}")


def test_a_change_of_a_row_is_seen_without_any_table_of_ours(astra_url, tmp_path):
    assert written(astra_url, "mwmTargets", tmp_path).written
    change(astra_url, "UPDATE source SET plx = 1.25 WHERE pk = 1")
    assert written(astra_url, "mwmTargets", tmp_path).reason == "inputs changed"


@pytest.fixture
def deployment(astra_url, tmp_path):
    """What the verbs work on."""
    made = Deployment(Settings(database_url=astra_url, home=tmp_path / "home"))
    yield made
    made.database.engine.dispose()


def silent(_text):
    """Nobody listens."""


def test_tables_of_ours_go_to_our_own_schema(astra_url, deployment):
    before = [line for line in catalogue(astra_url) if "'public'" in line]
    created = init(deployment, silent)
    assert {"compute_batch", "compute_outcome", "corv", "mwm_spectrum_product_status"} <= set(created)
    assert not {"source", "snow_white", "boss_net"} & set(created)
    assert init(deployment, silent) == []
    assert [line for line in catalogue(astra_url) if "'public'" in line] == before
    placed = rows_of(astra_url, "SELECT tablename FROM pg_tables WHERE schemaname = 'astra_assets'")
    assert {name for (name,) in placed} == set(created)


def test_a_release_from_another_astra_is_all_that_it_has_results_for(deployment):
    """Whatever the release names: products without results are not waited for, others are looked at, too."""
    release = deployment.release("dr20")
    shown = available_products(deployment, release, silent)
    assert {"mwmTargets", "astraAllStarSnowWhite", "astraAllVisitSnowWhite", "astraAllVisitAPOGEENet"} <= set(
        shown
    )
    assert not {"astraAllVisitCorv", "astraAllStarCorv", "astraAllStarASPCAP"} & set(shown)
    for name in ("mwmTargets", "mwmAllVisit", "mwmAllStar", "astraAllVisitSnowWhite"):
        create_product(deployment, name, release, say=silent)
    found = {each.name: each.problems for each in verify(deployment, release, summary_only=True, say=silent)}
    assert "astraAllVisitCorv" not in found
    assert not found["astraAllVisitSnowWhite"]
    assert found["astraAllStarSnowWhite"][0] == "astraAllStarSnowWhite-0.8.1.fits.gz is not there"
    create_product(deployment, "astraAllStarSnowWhite", release, say=silent)
    listed = {each.name: each.rows for each in products(deployment, release)}
    assert listed["astraAllVisitSnowWhite"] == OF_THE_DUMP["astraAllVisitSnowWhite"]
    folder = deployment.settings.products_root / "0.8.1" / "summary"
    page = folder / "astraAllVisitSnowWhite-0.8.1.md"
    page.write_text("another")
    with pytest.raises(OperationError, match=r"astraAllVisitSnowWhite-0\.8\.1\.md: its checksum is not"):
        freeze(deployment, release, summary_only=True, incomplete=True, say=silent)


def test_ingestion_leaves_the_tables_of_another_astra_alone(deployment):
    with pytest.raises(OperationError, match="nothing was inserted"):
        migrate(deployment, deployment.release(), say=silent)
    assert news(deployment, deployment.release()).changed == {}


def test_work_needs_tables_of_ours_and_says_so(deployment):
    with pytest.raises(OperationError, match=r"compute_batch yet.*astra-assets init"):
        deployment.need_tables()
    init(deployment, silent)
    deployment.need_tables()


def test_results_go_to_the_tables_of_astra_and_outcomes_to_ours(astra_url):
    """In a schema that is not the default one, through every way of writing and reading that we have."""
    change(astra_url, "ALTER SCHEMA public RENAME TO mwm")
    with opened(astra_url, schema="mwm") as database:
        database.create_tables()
        with database.begin() as connection:
            keys = database.reserve_spectrum_pks(connection, 2)
            rows = pa.table({"spectrum_pk": keys, "v_astra": [8001, 8001], "teff": [9000.5, None]})
            for teff in (9000.5, 8000.25):
                rows = rows.set_column(2, "teff", pa.array([teff, None]))
                database.upsert(connection, SnowWhite, rows, ["spectrum_pk", "v_astra_major_minor"])
            failed: dict[str, Any] = {
                name: [name] * 2 for name in ("pipeline", "step", "code", "code_version", "batch_id")
            }
            failed |= {"spectrum_pk": keys, "v_astra_major_minor": [8, 8], "state": ["failed", "skipped"]}
            database.insert(connection, ComputeOutcome, pa.table(failed))
        both = SnowWhite.c.spectrum_pk == ComputeOutcome.c.spectrum_pk
        query = select(SnowWhite.c.teff, ComputeOutcome.c.state).join_from(SnowWhite, ComputeOutcome, both)
        expected = [(8000.25, "failed"), (None, "skipped")]
        with database.connect() as connection:
            assert connection.execute(query.order_by(SnowWhite.c.spectrum_pk)).all() == expected
        found = database.arrow_table(query.order_by(SnowWhite.c.spectrum_pk))
        assert list(zip(*found.to_pydict().values(), strict=True)) == expected
    assert rows_of(astra_url, "SELECT count(*) FROM mwm.snow_white WHERE v_astra = 8001") == [(2,)]
    assert rows_of(astra_url, "SELECT count(*) FROM astra_assets.compute_outcome") == [(2,)]


def test_doctor_tells_how_the_tables_differ_without_calling_it_a_problem(astra_url):
    change(
        astra_url,
        OLD_CORV,
        "ALTER TABLE source ADD COLUMN lamost_id text",
        "ALTER TABLE boss_net DROP COLUMN bn_v_r",
        "CREATE SCHEMA astra_assets",
        "CREATE TABLE astra_assets.snow_white (task_pk integer)",
    )
    declare_tables()
    with opened(astra_url) as database:
        found = list(check_database(database))
    assert {each.weight for each in found} == {1}
    texts = "\n".join(each.text for each in found)
    for expected in (
        "the schema public was made by another Astra; its tables are never altered",
        "tables missing (apogee_combined_spectrum,",
        "table source: lacks crossmatch_flags, sdss5_dr19_apogee_flag; products are written without",
        "table source: has also lamost_id; products show them",
        "table boss_net: lacks bn_v_r",
        "table corv: lacks v_astra_major_minor",
        "table corv: other types: v_astra (text, expected int32)",
        "table snow_white: is in both schemas; the one in astra_assets is not used",
    ):
        assert expected in texts
    assert "boss_visit_spectrum" not in texts


def test_what_the_database_refuses_is_told_without_a_traceback(astra_url):
    change(astra_url, "ALTER TABLE source DROP COLUMN plx")
    with opened(astra_url) as database, database.connect() as connection:
        with pytest.raises(ProgrammingError) as caught:
            connection.execute(select(Source.c.plx))
        text = expected_text(caught.value)
    assert "column source.plx does not exist" in text
    assert "astra-assets doctor" in text


def test_another_name_for_our_schema(astra_url):
    with opened(astra_url, own_schema="ours") as database:
        assert "compute_batch" in database.create_tables()
        assert database.placement.of("compute_batch") == "ours"
        assert database.placement.of("source") is None
    with opened(astra_url, own_schema="ours") as again:
        assert again.foreign
        assert again.create_tables() == []


def test_a_schema_made_by_us_is_not_foreign(postgresql_url):
    with opened(postgresql_url, schema="mwm") as database:
        database.create_tables()
        assert not database.foreign
    with opened(postgresql_url, schema="mwm") as database:
        assert not database.foreign
        assert database.create_tables() == []
