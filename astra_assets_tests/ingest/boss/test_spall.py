"""spAll files into boss_visit_spectrum."""

from __future__ import annotations

import os

import numpy as np
import pytest
from sqlalchemy import func, select, update

from astra_assets.ingest.boss import spall
from astra_assets.ingest.boss.spall import VISITS, ingest_spall
from astra_assets.ingest.report import IngestError
from astra_assets.models.base import table_of
from astra_assets.models.ingest import IngestFile
from astra_assets.models.spectrum import SpectrumKey
from astra_assets_tests.ingest.samples import RUN2D, content, spall_rows, write_spall


def ingest(database, folder, columns, *, name="spAll.fits.gz", chunk_rows=30, nulls=None, **options):
    """Ingests columns as an spAll file; small chunks, so that several transactions are made."""
    path = write_spall(folder / name, columns, nulls=nulls)
    return ingest_spall(database, path, run2d=RUN2D, sas_base_dir=folder, chunk_rows=chunk_rows, **options)


def test_every_column_is_mapped(database, tmp_path):
    columns = spall_rows(3)
    columns["DELTA_RA_LIST"][1], columns["DELTA_DEC_LIST"][1] = b"0.5 nan", b"0.0 0.0"
    columns["MOON_DIST"][1] = b"100 101 nan"
    columns["XCSAO_RV"][2] = np.nan
    report = ingest(database, tmp_path, columns)
    assert (report.read, report.added, report.updated, report.unchanged, report.n_refused) == (3, 3, 0, 0, 0)
    first, second, third = content(database, VISITS)
    assert (first["release"], first["filetype"], first["run2d"]) == ("sdss5", "specFull", RUN2D)
    assert (first["fieldid"], first["mjd"], first["catalogid"]) == (15000, 59146, 4375924413)
    assert first["spec_file"] == "spec-015000-59146-4375924413.fits"
    assert (first["telescope"], second["telescope"]) == ("lco25m", "apo25m")
    assert first["healpix"] == columns["HEALPIX"][0]
    assert first["n_exp"] == columns["NEXP"][0]
    names = {"snr": "SN_MEDIAN_ALL", "seeing": "SEEING50", "airmass": "AIRMASS", "exptime": "EXPTIME",
             "xcsao_v_rad": "XCSAO_RV", "xcsao_e_v_rad": "XCSAO_ERV", "xcsao_rxc": "XCSAO_RXC",
             "xcsao_teff": "XCSAO_TEFF", "xcsao_e_teff": "XCSAO_ETEFF", "xcsao_logg": "XCSAO_LOGG",
             "xcsao_e_logg": "XCSAO_ELOGG", "xcsao_fe_h": "XCSAO_FEH", "xcsao_e_fe_h": "XCSAO_EFEH"}  # fmt: skip
    for name, original in names.items():
        assert first[name] == float(columns[original][0]), name
    assert (second["moon_dist_mean"], second["moon_phase_mean"]) == (100.5, 0.25)
    assert second["delta_ra"][0] == 0.5
    assert np.isnan(second["delta_ra"][1])
    assert second["delta_dec"] == [0.0, 0.0]
    assert (first["fiber_offset"], second["fiber_offset"]) == (False, True)
    assert third["xcsao_v_rad"] is None
    assert (first["gri_gaia_transform_flags"], first["zwarning_flags"]) == (1, 0)
    assert len({row["spectrum_pk"] for row in (first, second, third)}) == 3
    assert (first["n_guide"], first["alt"], first["source_pk"]) == (None, None, None)


def test_a_second_reading_of_the_same_rows_writes_nothing(database, tmp_path):
    columns = spall_rows(100)
    ingest(database, tmp_path, columns)
    before = content(database, VISITS)
    report = ingest(database, tmp_path, columns, name="copy.fits")
    assert (report.added, report.updated, report.unchanged) == (0, 0, 100)
    assert content(database, VISITS) == before
    with database.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(table_of(SpectrumKey))) == 100


def test_new_rows_are_added_and_changed_rows_updated_whatever_their_night(database, tmp_path):
    columns = spall_rows(100)
    ingest(database, tmp_path, {name: values[20:] for name, values in columns.items()})
    before = {row["catalogid"]: row for row in content(database, VISITS)}
    columns["MJD"][:20] = 59000  # earlier nights that came late
    columns["SN_MEDIAN_ALL"][50] += 1
    columns["DELTA_RA_LIST"][60] = b"9.5"
    columns["XCSAO_RV"][70] = np.nan
    report = ingest(database, tmp_path, columns)
    assert (report.added, report.updated, report.unchanged) == (20, 3, 77)
    after = {row["catalogid"]: row for row in content(database, VISITS)}
    changed = {
        catalogid for catalogid, row in before.items() if row["modified"] != after[catalogid]["modified"]
    }
    assert changed == {int(columns["CATALOGID"][i]) for i in (50, 60, 70)}
    for catalogid in changed:
        old, new = before[catalogid], after[catalogid]
        assert new["modified"] > old["modified"]
        assert [new[k] for k in ("pk", "spectrum_pk", "created")] == [
            old[k] for k in ("pk", "spectrum_pk", "created")
        ]
    assert after[int(columns["CATALOGID"][60])]["delta_ra"] == [9.5]
    assert after[int(columns["CATALOGID"][70])]["xcsao_v_rad"] is None


def test_a_changed_row_has_its_header_read_again(database, tmp_path):
    columns = spall_rows(10)
    ingest(database, tmp_path, columns)
    with database.begin() as connection:
        connection.execute(update(VISITS).values(n_guide=7, airmass=VISITS.c.airmass))
    columns["SN_MEDIAN_ALL"][3] += 1
    ingest(database, tmp_path, columns)
    assert [row["n_guide"] for row in content(database, VISITS)] == [7, 7, 7, None, 7, 7, 7, 7, 7, 7]


def test_an_airmass_that_only_the_header_had_stays(sqlite, tmp_path):
    columns = spall_rows(5)
    columns["AIRMASS"][:] = np.nan
    ingest(sqlite, tmp_path, columns)
    with sqlite.begin() as connection:
        connection.execute(update(VISITS).values(airmass=1.25))
    report = ingest(sqlite, tmp_path, columns, name="copy.fits")
    assert (report.updated, report.unchanged) == (0, 5)


def test_unusable_rows_are_refused_one_by_one(sqlite, tmp_path):
    columns = spall_rows(100)
    columns["MJD"] = columns["MJD"].astype(float)
    columns["MJD"][3] = np.nan
    columns["FIELD"][4] = -5
    columns["SPEC_FILE"][5] = b"../../x"
    columns["SPEC_FILE"][6] = b".."
    columns["CATALOGID"][8] = -7
    columns["MOON_DIST"][9] = b"1.0 a"
    columns["HEALPIX"][10] = -999
    columns["FIELD"][40], columns["CATALOGID"][40] = columns["FIELD"][11], columns["CATALOGID"][11]
    columns["MJD"][12] = 59146.5
    report = ingest(sqlite, tmp_path, columns)
    assert (report.added, report.n_refused) == (91, 9)
    reasons = {refusal.row: (refusal.code, refusal.reason) for refusal in report.refused}
    assert set(reasons) == {4, 5, 6, 7, 9, 10, 11, 13, 41}
    assert reasons[4] == ("bad_mjd", "MJD is nan, expected a whole number, at least 1")
    assert "FIELD is -5" in reasons[5][1]
    assert reasons[6][0] == reasons[7][0] == "leaves_root"
    assert str(tmp_path) in reasons[6][1]
    assert "'../../x'" in reasons[6][1]
    assert "CATALOGID is -7" in reasons[9][1]
    assert "MOON_DIST is '1.0 a'" in reasons[10][1]
    assert "HEALPIX is -999" in reasons[11][1]
    assert "59146.5" in reasons[13][1]
    assert "an earlier row has the same FIELD 15000, MJD 59146 and CATALOGID 4375924424" in reasons[41][1]
    assert str(report.refused[0]).startswith(f"{tmp_path / 'spAll.fits.gz'}, row 4: MJD is nan")
    assert len(content(sqlite, VISITS)) == 91


def test_rows_without_catalogid_get_minus_one(sqlite, tmp_path):
    columns = spall_rows(60)
    columns["CATALOGID"][[1, 21, 41]] = [-999, -1, -77]
    report = ingest(sqlite, tmp_path, columns, nulls={"CATALOGID": -77})
    assert report.n_refused == 0
    assert [row["catalogid"] for row in content(sqlite, VISITS)][1::20] == [-1, -1, -1]


def test_field_zero_is_a_field_though_tnull_says_otherwise(sqlite, tmp_path):
    columns = spall_rows(2)
    columns["FIELD"][0] = 0
    assert ingest(sqlite, tmp_path, columns, nulls={"FIELD": 0}).n_refused == 0
    assert content(sqlite, VISITS)[0]["fieldid"] == 0


def test_a_missing_pixel_is_that_of_the_position(sqlite, tmp_path):
    columns = spall_rows(2) | {"RACAT": np.array([83.6, np.nan]), "DECCAT": np.array([22.0, 0.0])}
    columns["HEALPIX"] = np.array([-1, -1])
    report = ingest(sqlite, tmp_path, columns)
    assert [refusal.row for refusal in report.refused] == [2]
    from astropy_healpix import HEALPix

    pixel = HEALPix(128, "ring").lonlat_to_healpix(
        *(np.radians([83.6, 22.0]) * __import__("astropy").units.rad)
    )
    assert content(sqlite, VISITS)[0]["healpix"] == pixel


def test_columns_of_another_numeric_type_and_case_are_read(sqlite, tmp_path):
    columns = {name.lower(): values for name, values in spall_rows(4).items()}
    columns["catalogid"] = np.array([b"4375924413", b"  22 ", b"", b"u12"])
    columns["moon_dist"] = np.array([1.5, 2.5, np.nan, 4.0])
    columns["sn_median_all"] = columns["sn_median_all"].astype(float)
    del columns["gri_gaia_transform"]
    report = ingest(sqlite, tmp_path, columns)
    assert [refusal.reason for refusal in report.refused] == [
        "CATALOGID is 'u12', expected a positive number, or -1 for none"
    ]
    rows = content(sqlite, VISITS)
    assert [row["catalogid"] for row in rows] == [4375924413, 22, -1]
    assert [row["moon_dist_mean"] for row in rows] == [1.5, 2.5, None]
    assert rows[0]["gri_gaia_transform_flags"] == 0


def test_an_unchanged_file_is_skipped_and_says_so(database, tmp_path):
    columns = spall_rows(10)
    ingest(database, tmp_path, columns)
    lines = []
    path = tmp_path / "spAll.fits.gz"
    old = path.stat().st_mtime_ns - 10**12
    os.utime(path, ns=(old, old))  # another time, the same content
    again = ingest_spall(database, path, run2d=RUN2D, sas_base_dir=tmp_path, progress=lines.append)
    assert "unchanged since it was ingested" in again.skipped
    assert lines == [again.skipped]
    assert (again.read, again.unchanged) == (0, 10)
    with database.connect() as connection:
        entry = connection.execute(select(table_of(IngestFile))).one()
    assert (entry.kind, entry.run2d, entry.rows, entry.mtime_ns) == ("spall", RUN2D, 10, old)


def test_the_same_file_as_another_reduction_is_read(sqlite, tmp_path):
    ingest(sqlite, tmp_path, spall_rows(10))
    other = ingest_spall(sqlite, tmp_path / "spAll.fits.gz", run2d="v6_2_0", sas_base_dir=tmp_path)
    assert other.added == 10


def test_a_file_read_only_in_part_is_read_again(sqlite, tmp_path):
    columns = spall_rows(100)
    first = ingest(sqlite, tmp_path, columns, limit=40)
    assert (first.read, first.added) == (40, 40)
    assert "only the first 40 of 100 rows" in first.notes[0]
    again = ingest_spall(sqlite, tmp_path / "spAll.fits.gz", run2d=RUN2D, sas_base_dir=tmp_path)
    assert (again.skipped, again.added, again.unchanged) == ("", 60, 40)


def test_a_killed_ingestion_goes_on_where_it_was(database, monkeypatch, tmp_path):
    columns = spall_rows(100)
    write = spall._write
    calls = []

    def killed(*arguments, **options):
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(1)
        return write(*arguments, **options)

    monkeypatch.setattr(spall, "_write", killed)
    with pytest.raises(KeyboardInterrupt):
        ingest(database, tmp_path, columns)
    monkeypatch.undo()
    before = content(database, VISITS)
    assert len(before) == 60
    again = ingest_spall(
        database, tmp_path / "spAll.fits.gz", run2d=RUN2D, sas_base_dir=tmp_path, chunk_rows=30
    )
    assert (again.added, again.updated, again.unchanged) == (40, 0, 60)
    assert content(database, VISITS)[:60] == before


def test_a_truncated_file_keeps_its_rows_and_is_read_again(sqlite, tmp_path):
    columns = spall_rows(400)
    columns["NOISE"] = np.random.default_rng(1).normal(size=(400, 100))
    path = write_spall(tmp_path / "spAll.fits.gz", columns)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        IngestError,
        match=r"spAll\.fits\.gz: breaks off after row \d+ of 400 \(the compressed data end too early",
    ):
        ingest_spall(sqlite, path, run2d=RUN2D, sas_base_dir=tmp_path, chunk_rows=50)
    kept = len(content(sqlite, VISITS))
    assert 50 < kept < 400
    path.write_bytes(whole)
    report = ingest_spall(sqlite, path, run2d=RUN2D, sas_base_dir=tmp_path, chunk_rows=50)
    assert (report.added, report.updated, report.unchanged) == (400 - kept, 0, kept)


def test_a_file_without_rows_is_an_error(sqlite, tmp_path):
    with pytest.raises(IngestError, match=r"spAll\.fits: has 0 rows"):
        ingest(sqlite, tmp_path, spall_rows(0), name="spAll.fits")


def test_missing_columns_that_are_needed_are_named_with_those_that_are_called_alike(sqlite, tmp_path):
    columns = spall_rows(5)
    columns["FIELDID"] = columns.pop("FIELD")
    del columns["HEALPIX"]
    lacking = "FIELD, HEALPIX or RACAT and DECCAT or FIBER_RA and FIBER_DEC or PLUG_RA and PLUG_DEC"
    with pytest.raises(
        IngestError, match=f"2 columns are missing: {lacking}; the file has FIELDID.* called alike"
    ) as error:
        ingest(sqlite, tmp_path, columns)
    assert "XCSAO_TEFF" not in str(error.value)
    assert content(sqlite, VISITS) == []


def test_descriptive_columns_that_a_published_file_lacks_stay_without_a_value(sqlite, tmp_path):
    lacking = [name for name in spall_rows(1) if name not in ("FIELD", "MJD", "CATALOGID", "HEALPIX")]
    used = [name for name in lacking if name not in ("CLASS", "CALIBFLUX")]
    columns = {name: values for name, values in spall_rows(5).items() if name not in lacking}
    report = ingest(sqlite, tmp_path, columns)
    assert (report.added, report.n_refused, len(report.notes)) == (5, 0, 1)
    told = report.notes[0].split(" has no ")[1].split(";")[0]
    assert sorted(told.split(", ")) == sorted(used)
    assert "all spectra are of apo25m" in report.notes[0]
    row = content(sqlite, VISITS)[0]
    assert (row["telescope"], row["spec_file"], row["zwarning_flags"]) == ("apo25m", "", 0)
    for name in ("n_exp", "seeing", "snr", "moon_dist_mean", "delta_ra", "delta_dec", "fiber_offset"):
        assert row[name] is None, name


def test_a_file_with_fewer_columns_does_not_erase_what_another_gave(sqlite, tmp_path):
    ingest(sqlite, tmp_path, spall_rows(5))
    before = content(sqlite, VISITS)
    lite = {name: v for name, v in spall_rows(5).items() if not name.startswith(("DELTA_", "XCSAO_"))}
    report = ingest(sqlite, tmp_path, lite, name="spAll-lite.fits")
    assert (report.unchanged, report.updated) == (5, 0)
    assert content(sqlite, VISITS) == before
    assert "DELTA_RA_LIST, DELTA_DEC_LIST" in report.notes[0]


def test_a_column_of_the_wrong_type_is_an_error_that_names_it(sqlite, tmp_path):
    columns = spall_rows(5) | {"MJD": np.zeros((5, 2))}
    with pytest.raises(IngestError, match="column MJD holds fixed_size_list"):
        ingest(sqlite, tmp_path, columns)


def test_a_missing_file_is_an_error_that_names_it(sqlite, tmp_path):
    with pytest.raises(IngestError, match=r"nowhere\.fits: no such file"):
        ingest_spall(sqlite, tmp_path / "nowhere.fits", run2d=RUN2D, sas_base_dir=tmp_path)


def test_a_file_that_is_written_to_meanwhile_does_not_count_as_ingested(sqlite, tmp_path, monkeypatch):
    write = spall._write

    def growing(*arguments, **options):
        with (tmp_path / "spAll.fits.gz").open("ab") as opened:
            opened.write(b"\0" * 10)
        return write(*arguments, **options)

    monkeypatch.setattr(spall, "_write", growing)
    with pytest.raises(IngestError, match="changed while it was read"):
        ingest(sqlite, tmp_path, spall_rows(5))
    with sqlite.connect() as connection:
        assert connection.execute(select(table_of(IngestFile))).all() == []


def test_progress_is_told(sqlite, tmp_path):
    lines = []
    ingest(sqlite, tmp_path, spall_rows(50), progress=lines.append)
    assert lines[-1].startswith("spAll.fits.gz: 50 of 50 rows, ")


def test_spectra_go_to_the_schema_of_the_database(postgresql_url, tmp_path):
    from astra_assets.database.database import Database

    database = Database(postgresql_url, "astra")
    database.create_tables()
    columns = spall_rows(20)
    path = write_spall(tmp_path / "spAll.fits", columns)
    for expected in ((20, 0), (0, 1)):
        report = ingest_spall(database, path, run2d=RUN2D, sas_base_dir=tmp_path)
        assert (report.added, report.updated) == expected
        columns["SN_MEDIAN_ALL"][0] += 1
        write_spall(path, columns)
    assert len(content(database, VISITS)) == 20
    database.engine.dispose()


@pytest.mark.parametrize(
    ("card", "value", "told"),
    [
        ("NAXIS2", "1000000000000", "breaks off after row 5 of 1,000,000,000,000 .end of file."),
        ("NAXIS1", "'abc'", "HDU 1: NAXIS1 is 'abc', expected a whole number"),
        ("NAXIS1", "200000000000", "NAXIS1 is 200000000000|columns need"),
        ("TFIELDS", "1000000000", "HDU 1: TFIELDS is 1000000000, expected 0 to 999"),
        ("TFIELDS", "2.5", r"HDU 1: TFIELDS is 2\.5"),
        ("TFORM1", "'9999999999J'", r"HDU 1: the columns need [\d]+ bytes per row"),
    ],
)
def test_a_header_that_claims_nonsense_is_an_error_with_file_and_card(sqlite, tmp_path, card, value, told):
    path = write_spall(tmp_path / "spAll.fits", spall_rows(5))
    content = path.read_bytes()
    start = content.index(f"{card:8}= ".encode(), 2880)
    path.write_bytes(content[:start] + f"{card:8}= {value:>20}".ljust(80).encode() + content[start + 80 :])
    with pytest.raises(IngestError, match=rf"spAll\.fits.*({told})"):
        ingest_spall(sqlite, path, run2d=RUN2D, sas_base_dir=tmp_path)
