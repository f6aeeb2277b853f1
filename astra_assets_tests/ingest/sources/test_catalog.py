"""Catalogue files into the table of sources."""

from __future__ import annotations

import gzip

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from astropy.io import fits
from sqlalchemy import insert

from astra_assets.ingest.links import link_spectra
from astra_assets.ingest.report import IngestError
from astra_assets.ingest.sources import catalog
from astra_assets.ingest.sources.catalog import ingest_catalogs
from astra_assets.ingest.sources.derived import SOURCES, count_visits, derive_missing
from astra_assets.models.base import layout
from astra_assets.models.source import Source
from astra_assets.registry.columns import info
from astra_assets.registry.kinds import Kind
from astra_assets_tests.ingest.samples import content, write_table


def ingest(database, *paths, **options):
    reports = ingest_catalogs(database, paths, **{"chunk_rows": 3, **options})
    return reports[0] if len(reports) == 1 else reports


def catalogue(count=10, **changes):
    """A few columns of sources with distinct identifiers."""
    number = np.arange(count)
    return {
        "sdss_id": 54_000_000 + number,
        "gaia_dr3_source_id": np.where(number % 4 == 3, -1, 10**18 + number),
        "catalogid": 4_375_924_413 + number,
        "n_associated": np.where(number % 2, 2, 1).astype(np.int32),
        "ra": number * 30.0,
        "dec": number * 10.0 - 45,
        "g_mag": np.where(number == 1, np.nan, 15.0 + number).astype(np.float32),
        "lead": np.where(number == 2, "", "gaia").astype("S4"),
        "w1_flux": np.where(number == 5, -1.0, 100.0 + number).astype(np.float32),
        "w1_dflux": np.full(count, 2.0, dtype=np.float32),
        "sdss5_target_flags": np.tile(np.array([0, 1, 2, 0, 0], dtype=np.uint8), (count, 1)),
    } | changes


def by_id(database):
    return {row["sdss_id"]: row for row in content(database, SOURCES)}


def test_sources_are_added_with_nulls_where_files_have_fill_values(database, tmp_path):
    report = ingest(database, write_table(tmp_path / "catalog.fits", catalogue()))
    assert (report.read, report.added, report.updated, report.unchanged, report.n_refused) == (
        10,
        10,
        0,
        0,
        0,
    )
    rows = [row for _, row in sorted(by_id(database).items())]
    assert [row["gaia_dr3_source_id"] for row in rows[:4]] == [10**18, 10**18 + 1, 10**18 + 2, None]
    assert (rows[1]["g_mag"], rows[3]["g_mag"]) == (None, 18.0)
    assert (rows[2]["lead"], rows[3]["lead"]) == (None, "gaia")
    assert rows[0]["sdss5_target_flags"] == b"\0\1\2"
    assert (rows[0]["n_neighborhood"], rows[0]["ebv_flags"]) == (-1, 0)
    assert rows[7]["n_associated"] == 2


def test_columns_that_follow_from_others_come_with_them(database, tmp_path):
    ingest(
        database,
        write_table(tmp_path / "catalog.fits", catalogue(l=np.full(10, 61.27), healpix=np.full(10, 7))),
    )
    rows = by_id(database)
    from astropy.coordinates import SkyCoord

    place = SkyCoord(120, -5, unit="deg").galactic
    assert rows[54_000_004]["l"] == pytest.approx(place.l.deg, abs=1e-9)
    assert rows[54_000_004]["b"] == pytest.approx(place.b.deg, abs=1e-9)
    assert rows[54_000_004]["healpix"] != 7
    assert rows[54_000_004]["w1_mag"] == pytest.approx(-2.5 * np.log10(104) + 22.5 - 0.004)
    assert rows[54_000_004]["e_w1_mag"] == pytest.approx(2.5 / np.log(10) * 2 / 104)
    assert rows[54_000_005]["w1_mag"] is None


def test_a_second_reading_writes_nothing(database, tmp_path):
    path = write_table(tmp_path / "catalog.fits", catalogue())
    ingest(database, path)
    before = content(database, SOURCES)
    skipped = ingest(database, path)
    assert "unchanged since it was ingested" in skipped.skipped
    again = ingest(database, write_table(tmp_path / "copy.fits.gz", catalogue()))
    assert (again.added, again.updated, again.unchanged) == (0, 0, 10)
    assert content(database, SOURCES) == before


def test_only_rows_that_differ_are_updated_and_what_follows_from_them(database, tmp_path):
    ingest(database, write_table(tmp_path / "catalog.fits", catalogue()))
    before = by_id(database)
    changes = catalogue()
    changes["dec"][4] += 1
    changes["w1_dflux"][6] = 3.0
    changes["sdss5_target_flags"][8, 4] = 128
    report = ingest(database, write_table(tmp_path / "catalog.fits", changes))
    assert (report.added, report.updated, report.unchanged) == (0, 3, 7)
    after = by_id(database)
    changed = {key for key in before if before[key]["modified"] != after[key]["modified"]}
    assert changed == {54_000_004, 54_000_006, 54_000_008}
    assert after[54_000_004]["b"] != before[54_000_004]["b"]
    assert after[54_000_006]["e_w1_mag"] == pytest.approx(1.5 * before[54_000_006]["e_w1_mag"])
    assert after[54_000_006]["created"] == before[54_000_006]["created"]
    assert after[54_000_008]["sdss5_target_flags"] == b"\0\1\2\0\x80"


def test_a_value_that_a_catalogue_lacks_does_not_erase_one_that_is_there(database, tmp_path):
    ingest(database, write_table(tmp_path / "a.fits", catalogue()))
    before = content(database, SOURCES)
    nothing = {"sdss_id": 54_000_000 + np.arange(10), "g_mag": np.full(10, np.nan), "lead": np.full(10, b""),
               "catalogid": np.full(10, -1)}  # fmt: skip
    report = ingest(database, write_table(tmp_path / "b.fits", nothing))
    assert (report.updated, report.unchanged) == (0, 10)
    assert content(database, SOURCES) == before


def test_a_public_mwm_targets_file_works_as_it_is(sqlite, tmp_path):
    count = 4
    columns: dict[str, np.ndarray] = {}
    for entry in layout(Source):
        definition = info(entry.column).definition
        width = {Kind.text: "S3", Kind.bytes: None}.get(definition.kind, "f4")
        if definition.kind is Kind.bytes:
            columns[entry.name] = np.zeros((count, 71), dtype=np.uint8)
        elif definition.kind is Kind.boolean:
            columns[entry.name] = np.zeros(count, dtype=bool)
        elif definition.kind in (Kind.int32, Kind.int64, Kind.bits):
            fill = 0 if definition.kind is Kind.bits else -1
            columns[entry.name] = np.full(
                count, fill, dtype=np.int32 if definition.kind is Kind.int32 else np.int64
            )
        elif definition.kind is Kind.datetime:
            columns[entry.name] = np.full(count, b"2025-01-01T00:00:00.000000")
        else:
            columns[entry.name] = (
                np.zeros(count, dtype="S1") if width == "S3" else np.full(count, np.nan, width)
            )
    columns.pop("pk")
    columns["sdss_id"] = np.arange(count) + 7
    columns["ra"], columns["dec"] = (
        np.full(count, value, dtype=np.float32) for value in (113.17667, -31.404102)
    )
    columns["l"], columns["b"] = (np.full(count, value, dtype=np.float32) for value in (61.27163, -5.82869))
    columns["n_boss_visits"] = np.full(count, 3, dtype=np.int32)
    report = ingest(sqlite, write_table(tmp_path / "mwmTargets-0.8.1.fits.gz", columns))
    assert (report.added, report.n_refused, report.notes) == (count, 0, [])
    row = content(sqlite, SOURCES)[0]
    set_columns = {
        name
        for name, value in row.items()
        if value is not None and info(SOURCES.c[name]).definition.kind is not Kind.bits
    }
    assert set_columns == {
        "pk", "created", "modified", "sdss_id", "healpix", "ra", "dec", "l", "b", "n_neighborhood", "sdss5_dr19_apogee_flag",
    }  # fmt: skip
    assert row["l"] == pytest.approx(245.36, abs=0.01)  # the published value is wrong
    assert row["created"].year > 2025


def test_identical_rows_are_one_and_contradicting_rows_are_refused(sqlite, tmp_path):
    rows = catalogue(8)
    order = np.array([0, 1, 2, 3, 4, 5, 6, 7, 1, 2, 2])
    rows = {name: values[order] for name, values in rows.items()}
    rows["ra"][10] += 1  # a third row of the object in row 3 says something else
    report = ingest(sqlite, write_table(tmp_path / "catalog.fits", rows))
    assert (report.read, report.added, report.repeated, report.n_refused) == (11, 7, 1, 3)
    assert [refusal.row for refusal in report.refused] == [3, 10, 11]
    assert "sdss_id 54000002 occurs in rows that differ; none of them is used" in report.refused[0].reason
    assert 54_000_002 not in by_id(sqlite)
    assert 54_000_001 in by_id(sqlite)


def test_an_identifier_of_two_objects_is_refused_not_a_crash(database, tmp_path):
    rows = catalogue(8)
    rows["gaia_dr3_source_id"][6] = rows["gaia_dr3_source_id"][0]
    report = ingest(database, write_table(tmp_path / "catalog.fits", rows))
    assert [(refusal.row, refusal.code) for refusal in report.refused] == [
        (1, "shared_identifier"),
        (7, "shared_identifier"),
    ]
    assert report.added == 6
    other = {"sdss_id": np.array([99, 100]), "gaia_dr3_source_id": np.array([10**18 + 1, 5])}
    report = ingest(database, write_table(tmp_path / "other.fits", other))
    assert report.added == 1
    assert report.refused[0].reason == (
        f"gaia_dr3_source_id {10**18 + 1} is that of the source with sdss_id 54000001"
    )


def test_rows_that_cannot_be_used_are_refused_with_file_row_and_reason(sqlite, tmp_path):
    rows = catalogue(6)
    rows["sdss_id"][2] = -1
    rows["dec"][3] = 95.0
    path = write_table(tmp_path / "catalog.fits", rows)
    report = ingest(sqlite, path)
    assert [str(refusal) for refusal in report.refused] == [
        f"{path}, row 3: sdss_id is -1, expected a number, at least 0",
        f"{path}, row 4: dec is 95.0, expected -90 to 90 degrees",
    ]
    assert report.added == 4


@pytest.mark.parametrize("kind", ["parquet", "csv", "csv.gz", "tsv", "ecsv", "fits.gz"])
def test_all_formats_give_the_same_sources(sqlite, tmp_path, kind):
    from astropy.table import Table

    columns = catalogue()
    del columns["sdss5_target_flags"]
    path = tmp_path / f"catalog.{kind}"
    if kind == "parquet":
        table = {
            name: pa.array(values.astype(str) if values.dtype.kind == "S" else values)
            for name, values in columns.items()
        }
        pyarrow.parquet.write_table(pa.table(table), path, row_group_size=4)
    elif kind == "fits.gz":
        write_table(path, columns)
    else:
        plain = tmp_path / "plain"
        text = {
            name: values.astype(str) if values.dtype.kind == "S" else values
            for name, values in columns.items()
        }
        formats = {"ecsv": "ascii.ecsv", "tsv": "ascii.tab"}
        Table(text).write(plain, format=formats.get(kind, "ascii.csv"))
        path.write_bytes(gzip.compress(plain.read_bytes()) if kind == "csv.gz" else plain.read_bytes())
    report = ingest(sqlite, path)
    assert (report.added, report.n_refused) == (10, 0)
    found = [
        [row[name] for name in ("sdss_id", "gaia_dr3_source_id", "n_associated", "ra", "g_mag", "lead")]
        for row in content(sqlite, SOURCES)
    ]
    assert found[0] == [54_000_000, 10**18, 1, 0.0, 15.0, "gaia"]
    assert found[1][4] is None
    assert found[2][5] is None
    assert found[3][1] is None


def test_lines_of_text_that_cannot_be_read_are_refused(sqlite, tmp_path):
    path = tmp_path / "catalog.csv"
    path.write_text("# made by hand\nSDSS_ID,g_mag,comment\n1,15.5,a\n2,bright,b\n3\n\n4,,d\n5,16,e,f\n")
    report = ingest(sqlite, path)
    assert {refusal.row: refusal.reason for refusal in report.refused if refusal.code != "no_sdss_id"} == {
        2: "g_mag is 'bright', expected a number",
        3: "has 1 values, expected 3",
        5: "has 4 values, expected 3",
    }
    assert sorted(by_id(sqlite)) == [1, 4]
    assert report.n_refused == 3
    assert report.notes == [f"{path}: 1 columns are none of a source: comment"]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.csv", b"ra,dec\n1,2\n", "is no catalogue"),
        ("a.parquet", b"PAR1 and then nothing", "no complete Parquet"),
        ("a.txt", b"", "is no catalogue"),
        ("a.gz", gzip.compress(b"sdss_id\n1\n", mtime=0)[:-9], "cannot be decompressed|cannot be read"),
        ("a.ecsv", b"# %ECSV 1.0\n# nonsense\nsdss_id\n1\n", "no ECSV"),
    ],
)
def test_what_is_no_catalogue_is_an_error_that_names_it(sqlite, tmp_path, name, data, message):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(IngestError, match=rf"{name}.*({message})"):
        ingest(sqlite, path)


def test_a_fits_file_without_sdss_id_is_an_error_that_lists_its_columns(sqlite, tmp_path):
    with pytest.raises(IngestError, match="no table with a column sdss_id; found HDU 1: ra, dec"):
        ingest(sqlite, write_table(tmp_path / "a.fits", {"ra": np.zeros(2), "dec": np.zeros(2)}))


def test_a_bad_file_does_not_keep_the_others_out(sqlite, tmp_path):
    good = write_table(tmp_path / "good.fits", catalogue())
    errors = []
    reports = ingest_catalogs(sqlite, [tmp_path / "missing.fits", good], on_error=errors.append)
    assert [report.added for report in reports] == [10]
    assert "missing.fits: no such file" in str(errors[0])


def test_a_catalogue_after_a_changed_one_is_read_again_so_that_it_has_the_last_word(sqlite, tmp_path):
    first = write_table(tmp_path / "a.fits", {"sdss_id": np.array([1]), "g_mag": np.array([10.0])})
    second = write_table(tmp_path / "b.fits", {"sdss_id": np.array([1]), "g_mag": np.array([20.0])})
    ingest(sqlite, first, second)
    assert by_id(sqlite)[1]["g_mag"] == 20
    write_table(first, {"sdss_id": np.array([1]), "g_mag": np.array([11.0])})
    reports = ingest(sqlite, first, second)
    assert [bool(report.skipped) for report in reports] == [False, False]
    assert by_id(sqlite)[1]["g_mag"] == 20
    assert all(report.skipped for report in ingest(sqlite, first, second))


def test_the_table_may_be_in_any_hdu(sqlite, tmp_path):
    table = fits.BinTableHDU.from_columns([fits.Column("SDSS_ID", "K", array=np.array([3, 4]))])
    other = fits.BinTableHDU.from_columns([fits.Column("x", "K", array=np.array([1]))])
    fits.HDUList([fits.PrimaryHDU(), other, fits.ImageHDU(np.zeros((5, 5))), table]).writeto(
        tmp_path / "a.fits"
    )
    assert ingest(sqlite, tmp_path / "a.fits").added == 2


def test_derived_columns_of_a_catalogue_without_their_inputs_are_taken_unless_we_know_better(
    sqlite, tmp_path
):
    with sqlite.begin() as connection:
        connection.execute(insert(SOURCES).values(sdss_id=1, ra=10.0, dec=20.0, l=119.0))
        connection.execute(insert(SOURCES).values(sdss_id=2))
    path = write_table(tmp_path / "a.fits", {"sdss_id": np.array([1, 2, 3]), "l": np.array([5.0, 6.0, 7.0])})
    report = ingest(sqlite, path)
    assert (report.added, report.updated, report.unchanged) == (1, 1, 1)
    assert [row["l"] for row in content(sqlite, SOURCES)] == [119.0, 6.0, 7.0]


def test_a_catalogue_without_rows_says_so(sqlite, tmp_path):
    report = ingest(sqlite, write_table(tmp_path / "a.fits", catalogue(0)))
    assert (report.read, report.notes) == (0, [f"{tmp_path / 'a.fits'}: has 0 rows"])


def test_an_sdss_id_of_zero_is_the_sun(sqlite, tmp_path):
    assert ingest(sqlite, write_table(tmp_path / "a.fits", {"sdss_id": np.array([0, 1])})).added == 2


def test_a_killed_ingestion_goes_on_where_it_was(sqlite, tmp_path, monkeypatch):
    path = write_table(tmp_path / "catalog.fits", catalogue())
    derive, calls = catalog.derive, []  # type: ignore[attr-defined]

    def killed(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return derive(*arguments)

    monkeypatch.setattr(catalog, "derive", killed)
    with pytest.raises(KeyboardInterrupt):
        ingest(sqlite, path)
    monkeypatch.undo()
    before = content(sqlite, SOURCES)
    assert len(before) == 6
    report = ingest(sqlite, path)
    assert (report.added, report.updated, report.unchanged) == (4, 0, 6)
    assert content(sqlite, SOURCES)[:6] == before


def test_sources_go_to_the_schema_of_the_database(postgresql_url, tmp_path):
    from astra_assets.database.database import Database

    database = Database(postgresql_url, "astra")
    database.create_tables()
    ingest(database, write_table(tmp_path / "a.fits", catalogue()))
    changes = catalogue()
    changes["dec"][4] += 1
    report = ingest(database, write_table(tmp_path / "a.fits", changes))
    assert (report.added, report.updated, report.unchanged) == (0, 1, 9)
    assert link_spectra(database).unlinked == 0
    assert count_visits(database) == derive_missing(database) == 0
    database.engine.dispose()


def test_every_row_of_a_text_file_counts_also_one_that_looks_like_a_comment(sqlite, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('# a comment\nlead,sdss_id\n#1 catalogue,1\ntic,2\n"two\n\n# lines",3\ngaia,4\n')
    report = ingest(sqlite, path)
    assert (report.read, report.added, report.n_refused) == (4, 3, 1)
    assert "row 3: has a line break between quotation marks" in str(report.refused[0])
    assert {key: row["lead"] for key, row in by_id(sqlite).items()} == {
        1: "#1 catalogue",
        2: "tic",
        4: "gaia",
    }


def test_a_byte_that_is_no_text_is_an_error_with_its_line(sqlite, tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"lead,sdss_id\ntic,1\n\xe9,2\n")
    with pytest.raises(IngestError, match=r"a\.csv: .*the byte 0xe9 in line 3 is no UTF-8 text"):
        ingest(sqlite, path)


@pytest.mark.parametrize("suffix", [".csv", ".fits"])
def test_columns_that_differ_in_case_only_are_refused(sqlite, tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    if suffix == ".csv":
        path.write_text("sdss_id,ra,RA\n1,2,3\n")
    else:
        write_table(path, {"sdss_id": np.arange(2), "ra": np.zeros(2), "RA": np.ones(2)})
    with pytest.raises(IngestError, match="the columns ra and RA differ at most in case"):
        ingest(sqlite, path)


def test_truth_values_are_read_as_other_programs_write_them(sqlite, tmp_path):
    name = "sdss5_dr19_apogee_flag"
    path = write_table(tmp_path / "a.fits", {"sdss_id": np.arange(1, 6), name: np.ones(5, dtype=bool)})
    with fits.open(path) as hdus:
        start = hdus[1].fileinfo()["datLoc"]
    content = bytearray(path.read_bytes())
    for row, byte in enumerate(b"\x01tTFx"):
        content[start + 9 * row + 8] = byte
    path.write_bytes(content)
    report = ingest(sqlite, path)
    assert [str(each) for each in report.refused] == [f"{path}, row 5: {name} is 'x', expected true or false"]
    assert [row[name] for row in by_id(sqlite).values()] == [True, True, True, False]
