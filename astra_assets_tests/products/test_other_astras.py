"""Products from databases of older and newer Astras: what they lack, what they add, what they call otherwise."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits

from astra_assets.database.inventory import MissingColumnError, MissingTableError
from astra_assets_tests.products.astra_database import (
    FOLDER,
    OLD_CORV,
    assert_same,
    change,
    columns_of,
    written,
)


def test_columns_that_the_database_lacks_are_left_out(astra_url, tmp_path):
    change(astra_url, "ALTER TABLE source DROP COLUMN zgr_teff", "ALTER TABLE boss_net DROP COLUMN bn_v_r")
    whole = columns_of(FOLDER / "astraAllStarBossNet-0.8.fits.gz")
    found = columns_of(written(astra_url, "astraAllStarBOSSNet", tmp_path).path)
    assert found == [name for name in whole if name not in ("zgr_teff", "bn_v_r")]


def test_columns_that_only_the_database_has_are_shown_after_those_before_them(astra_url, tmp_path):
    change(
        astra_url,
        "ALTER TABLE source ADD COLUMN crossmatch_flags bigint NOT NULL DEFAULT 3, ADD COLUMN lamost_id text, "
        "ADD COLUMN parallax_zp double precision, ADD COLUMN seen date DEFAULT '2026-01-02', "
        "ADD COLUMN weight numeric DEFAULT 1.5, ADD COLUMN orders integer[] DEFAULT '{1,2}'",
        "ALTER TABLE boss_net ADD COLUMN v_sini real DEFAULT 12.5, ADD COLUMN rho_teff_logg real, "
        "ADD COLUMN is_young boolean DEFAULT true, ADD COLUMN n_lines smallint DEFAULT -7",
        "COMMENT ON COLUMN source.parallax_zp IS 'Zero point of the parallax'",
        "UPDATE source SET lamost_id = 'J0001' WHERE pk % 2 = 0",
    )
    path = written(astra_url, "astraAllStarBOSSNet", tmp_path).path
    found = columns_of(path)
    new = ["lamost_id", "parallax_zp", "seen", "weight", "orders"]
    at = found.index("modified") + 1
    assert found[at : at + len(new)] == new
    assert found[found.index("n_neighborhood") + 1] == "crossmatch_flags"
    at = found.index("e_bn_v_r") + 1
    assert found[at : at + 4] == ["v_sini", "is_young", "n_lines", "source_pk"]
    with fits.open(path) as hdus:
        header, table = hdus[1].header, hdus[1].data
        forms = {name: hdus[1].columns[name].format for name in [*new, "v_sini", "is_young", "n_lines"]}
        said = {header[f"TTYPE{n}"]: header[f"TCOMM{n}"] for n in range(1, header["TFIELDS"] + 1)}
    assert list(forms.values()) == ["5A", "D", "10A", "D", "2E", "E", "L", "J"]
    assert said["parallax_zp"] == "Zero point of the parallax"
    assert said["lamost_id"].startswith("Not in the registry")
    assert set(table["lamost_id"]) == {"", "J0001"}
    assert set(table["seen"]) == {"2026-01-02"}
    assert set(table["weight"]) == {1.5}
    assert (table["orders"] == [1, 2]).all()
    assert set(table["crossmatch_flags"]) == {3}
    assert (set(table["v_sini"]), set(table["is_young"]), set(table["n_lines"])) == ({12.5}, {True}, {-7})


def test_columns_of_any_type_are_shown(astra_url, tmp_path):
    types = {
        "point": ("'(1,2)'", "5A", "(1,2)"),
        "mood": ("'ok'", "2A", "ok"),
        "jsonb": ("'{}'", "2A", "{}"),
        "timestamptz": ("'2026-01-01 00:00:00+02'", "26A", "2025-12-31T22:00:00.000000"),
        "text[]": ("'{a,b}'", "5A", "{a,b}"),
        "varchar(8)": ("'xy'", "2A", "xy"),
        "char(4)": ("'ab'", "2A", "ab"),
        "magnitude": ("2.5", "E", 2.5),
        "key": ("-5", "K", -5),
        "real": ("4", "E", 4.0),
        "numeric": ("0.1", "D", 0.1),
        "bytea": (r"'\x0102'", "2B", [1, 2]),
    }
    added = ", ".join(
        f'ADD COLUMN "odd %{n}" {name} DEFAULT {types[name][0]}' for n, name in enumerate(types)
    )
    change(
        astra_url,
        "CREATE TYPE mood AS ENUM ('sad', 'ok')",
        "CREATE DOMAIN magnitude AS real",
        "CREATE DOMAIN key AS bigint",
        f"ALTER TABLE source {added}",
    )
    with fits.open(written(astra_url, "mwmTargets", tmp_path).path) as hdus:
        for n, (name, (_, form, value)) in enumerate(types.items()):
            assert hdus[1].columns[f"odd %{n}"].format == form, name
            np.testing.assert_array_equal(hdus[1].data[f"odd %{n}"][0], value, err_msg=name)


@pytest.mark.parametrize("renamed", ["spectrum_pk", "spectrum_pk_id"])
def test_the_key_of_coadds_is_found_under_both_names(astra_url, tmp_path, renamed):
    if renamed != "spectrum_pk_id":
        change(astra_url, f"ALTER TABLE boss_combined_spectrum RENAME COLUMN spectrum_pk_id TO {renamed}")
    path = written(astra_url, "mwmAllStar", tmp_path).path
    assert_same(path, FOLDER / "mwmAllStar-0.8.fits.gz", ordered=False)


def test_results_with_the_version_as_text_are_those_of_the_minor_version(astra_url, tmp_path):
    change(
        astra_url,
        OLD_CORV,
        *(
            f"INSERT INTO corv (source_pk, spectrum_pk, v_astra, v_rad) SELECT source_pk, spectrum_pk, '{version}', {value} "
            f"FROM boss_visit_spectrum WHERE pk <= {count}"
            for version, value, count in (
                ("0.7.9", 1, 50),
                ("0.8.0", 2, 30),
                ("0.80.1", 3, 60),
                ("0.8.1", 4, 20),
            )
        ),
    )
    report = written(astra_url, "astraAllVisitCorv", tmp_path)
    assert report.rows == (30, 0)
    with fits.open(report.path) as hdus:
        table = hdus[1].data
        assert hdus[1].columns["v_astra"].format == "5A"
        assert list(np.unique(table["v_astra"], return_counts=True)[1]) == [10, 20]
        assert set(table["v_rad"][table["v_astra"] == "0.8.1"]) == {4}
        assert set(table["result_flags"]) == {0}
        assert list(table["spectrum_pk"]) == sorted(set(table["spectrum_pk"]))


def test_without_a_result_table_there_is_an_error_that_names_it(template, tmp_path):
    with pytest.raises(
        MissingTableError,
        match=r"^astraAllVisitCorv: the database has no table corv; type: astra-assets init",
    ):
        written(template, "astraAllVisitCorv", tmp_path)
    assert not list(tmp_path.rglob("*.fits*"))


def test_without_a_key_there_is_an_error_that_names_it(astra_url, tmp_path):
    change(
        astra_url,
        "ALTER TABLE boss_visit_spectrum RENAME COLUMN source_pk TO whose",
        "ALTER TABLE snow_white DROP COLUMN v_astra CASCADE",
    )
    for name, lacks in (
        ("mwmAllVisit", "boss_visit_spectrum .* no column 'source_pk'"),
        ("astraAllStarSnowWhite", "snow_white .* no column 'v_astra'"),
    ):
        with pytest.raises(MissingColumnError, match=rf"^{name}: the table {lacks}.*astra-assets doctor$"):
            written(astra_url, name, tmp_path)
    assert not list(tmp_path.rglob("*.fits*"))


def test_without_the_spectra_of_an_instrument_its_table_has_no_rows_and_all_columns(astra_url, tmp_path):
    whole = columns_of(written(astra_url, "mwmAllVisit", tmp_path).path, 2)
    change(astra_url, "DROP TABLE apogee_visit_spectrum CASCADE")
    report = written(astra_url, "mwmAllVisit", tmp_path / "without")
    assert report.rows == (224, 0)
    assert columns_of(report.path, 2) == whole
    assert written(astra_url, "astraAllVisitAPOGEENet", tmp_path).rows == (0, 150)


def test_views_are_read_like_tables(astra_url, tmp_path):
    change(
        astra_url,
        "CREATE SCHEMA shown",
        *(
            f"CREATE VIEW shown.{name} AS SELECT * FROM public.{name}"
            for name in ("source", "boss_combined_spectrum", "apogee_coadded_spectrum_in_ap_star")
        ),
    )
    path = written(astra_url, "mwmAllStar", tmp_path, schema="shown").path
    assert_same(path, FOLDER / "mwmAllStar-0.8.fits.gz", ordered=False)
