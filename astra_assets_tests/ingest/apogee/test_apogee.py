"""allVisit and allStar into the tables of APOGEE spectra."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from astra_assets.ingest.apogee.apogee_columns import ALL_STAR, ALL_VISIT
from astra_assets.ingest.apogee.summary_files import KNOWN, SummaryFile, ingest_summary, summary_files
from astra_assets.ingest.report import IngestError
from astra_assets_tests.ingest.apogee_samples import (
    APRED,
    dr17_stars,
    dr17_visits,
    star_rows,
    visit_rows,
    write_summaries,
)
from astra_assets_tests.ingest.samples import content, write_table

VISITS, STARS = ALL_VISIT.table, ALL_STAR.table


def ingest(database, path, columns=None, *, summary=ALL_VISIT, apred=APRED, **options):
    if columns is not None:
        write_table(path, columns)
    return ingest_summary(database, SummaryFile(summary, Path(path), apred), **options)


def counts(report):
    return report.read, report.added, report.updated, report.unchanged, report.repeated, report.n_refused


def test_every_column_of_a_visit_arrives(database, tmp_path):
    report = ingest(
        database, tmp_path / "v.fits", visit_rows(1, 1) | {"VISIT_PK": np.array([77], dtype=np.int64)}
    )
    assert counts(report) == (1, 1, 0, 0, 0, 0)
    row = content(database, VISITS)[0]
    expected = {
        "release": "sdss5", "filetype": "apVisit", "apred": "1.5", "plate": "15001", "telescope": "apo25m", "fiber": 10,
        "mjd": 59600, "field": "20916", "prefix": "ap", "reduction": "", "obj": "2M00000000+0000000", "catalogid": 4_000_000_000,
        "visit_pk": 77, "rv_visit_pk": None, "jd": 2_459_600.75,
        "input_ra": 10.0, "input_dec": 20.0, "snr": 80.0, "spectrum_flags": 0, "bc": -4.5, "v_rel": 12.5, "v_rad": 8.0,
        "doppler_rchi2": 2.5, "doppler_teff": 4800.0, "n_components": 1, "exptime": None, "dithered": None,
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    assert str(row["date_obs"]) == "2022-01-20 06:00:00.500000"
    assert row["xcorr_v_rad"] == pytest.approx(8.1)
    assert 0.3 < row["f_night_time"] < 0.5  # six hours UT are an hour before midnight in New Mexico
    assert row["spectrum_pk"] is not None
    assert [(known["spectrum_pk"], known["sdss_id"]) for known in content(database, KNOWN)] == [
        (row["spectrum_pk"], 500)
    ]


def test_every_column_of_a_star_arrives(database, tmp_path):
    columns = star_rows(2)
    columns["HEALPIX"][1] = -1
    ingest(database, tmp_path / "s.fits", columns, summary=ALL_STAR)
    first, second = content(database, STARS)
    expected = {
        "release": "sdss5", "filetype": "apStar", "apred": "1.5", "apstar": "stars", "obj": "2M00000000+0000000",
        "telescope": "apo25m", "healpix": 70_000, "field": "", "prefix": "ap", "min_mjd": 59600, "max_mjd": 59601,
        "starver": 59700, "n_visits": 2, "n_good_visits": 2, "n_good_rvs": 2, "snr": 110.0, "mean_fiber": None,
        "spectrum_flags": 16, "v_rad": 8.0, "e_v_rad": None, "doppler_rchi2": 2.0, "star_pk": 900,
    }  # fmt: skip
    assert {name: first[name] for name in expected} == expected
    assert second["healpix"] == 64271  # of its position
    assert [row["catalogid"] for row in content(database, KNOWN)] == [4_000_000_000, 4_000_000_001]


def test_sdss4_files_have_other_columns_and_other_signs_for_nothing(database, tmp_path):
    ingest(database, tmp_path / "v.fits", dr17_visits(), apred="dr17")
    ingest(database, tmp_path / "s.fits", dr17_stars(), summary=ALL_STAR, apred="dr17")
    north, south, small = content(database, VISITS)
    assert [row["prefix"] for row in (north, south, small)] == ["ap", "as", "ap"]
    assert (small["reduction"], small["fiber"], small["plate"], south["reduction"]) == ("VESTA", -1, "", "")
    assert (north["release"], north["spectrum_flags"], small["spectrum_flags"], south["doppler_flags"]) == (
        "dr17",
        512,
        0,
        4,
    )
    assert (south["snr"], small["snr"], south["v_rel"], south["v_rad"], small["jd"]) == (None,) * 5
    assert (north["v_rad"], north["ccfwhm"]) == (-33.1, 48.0)
    assert north["f_night_time"] is not None
    assert small["f_night_time"] is None
    stars = content(database, STARS)
    assert [(row["field"], row["prefix"]) for row in stars] == [
        ("N1333", "ap"),
        ("M83", "as"),
        ("calibration", "ap"),
    ]
    assert (stars[0]["mean_fiber"], stars[0]["min_mjd"]) == (128.0, None)


def test_lower_case_names_and_lacking_columns_are_no_matter(sqlite, tmp_path):
    needed = ("APOGEE_ID", "TELESCOPE", "FIELD", "PLATE", "MJD", "FIBERID")
    columns = {name.lower(): values for name, values in visit_rows().items() if name in needed}
    assert counts(ingest(sqlite, tmp_path / "v.fits", columns)) == (6, 6, 0, 0, 0, 0)
    row = content(sqlite, VISITS)[0]
    assert (row["snr"], row["f_night_time"], row["spectrum_flags"], row["catalogid"]) == (None, None, 0, None)


def test_an_unchanged_file_is_not_read_again_and_a_new_copy_changes_nothing(database, tmp_path):
    path = tmp_path / "v.fits"
    ingest(database, path, visit_rows())
    before = content(database, VISITS)
    again = ingest(database, path)
    assert again.skipped
    assert again.unchanged == 6
    reordered = {name: values[::-1] for name, values in visit_rows().items()}
    assert counts(ingest(database, path, reordered)) == (6, 0, 0, 6, 0, 0)
    assert content(database, VISITS) == before


def test_late_visits_are_added_and_late_reductions_update_their_row_only(database, tmp_path):
    path = tmp_path / "v.fits"
    ingest(database, path, {name: values[1:] for name, values in visit_rows().items()})
    before = content(database, VISITS)
    columns = visit_rows()
    columns["VRAD"][3] = 99
    assert counts(ingest(database, path, columns)) == (6, 1, 1, 4, 0, 0)
    after = content(database, VISITS)
    assert [row["spectrum_pk"] for row in after[:5]] == [row["spectrum_pk"] for row in before]
    assert [old == new for old, new in zip(before, after, strict=False)] == [True, True, False, True, True]
    assert (after[2]["v_rad"], after[2]["modified"] > before[2]["modified"]) == (99.0, True)


def test_of_several_versions_of_a_star_the_newest_counts_wherever_it_stands(database, tmp_path):
    columns = visit_rows(2, 2)
    twice = {name: np.concatenate([values, values]) for name, values in columns.items()}
    twice["STARVER"] = np.array([b"59700", b"59900", b"59700", b"59700", b"59800", b"59800", b"59700", b""])
    twice["VRAD"] = np.arange(8, dtype=np.float32)
    report = ingest(database, tmp_path / "v.fits", twice, chunk_rows=3)
    assert [row["v_rad"] for row in content(database, VISITS)] == [1.0, 2.0, 3.0, 4.0]
    assert counts(report) == (8, 4, 0, 0, 3, 1)
    assert "row 7: an earlier row has the same MJD, PLATE" in str(report.refused[0])


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        ("MJD", 0, "MJD is 0, expected a whole number, at least 1"),
        ("FIBERID", 301, "FIBERID is 301, expected 1 to 300"),
        ("PLATE", b"", "PLATE is '', expected a plate or design"),
        (
            "TELESCOPE",
            b"apo2.5m",
            "TELESCOPE is 'apo2.5m', expected apo1m or apo25m or lco25m",
        ),
        ("FIELD", b"../x", "FIELD '../x' could lead out of the folder"),
        ("APOGEE_ID", b"a/b", "APOGEE_ID 'a/b' could lead out"),
        ("DATEOBS", b"yesterday", "DATEOBS is 'yesterday', expected a date"),
    ],
)
def test_a_bad_row_is_refused_alone_with_its_reason(sqlite, tmp_path, column, value, text):
    columns = visit_rows()
    columns[column][4] = value
    report = ingest(sqlite, tmp_path / "v.fits", columns)
    assert counts(report) == (6, 5, 0, 0, 0, 1)
    assert report.refused[0].row == 5
    assert text in str(report.refused[0])


def test_keys_of_the_reduction_move_to_the_rows_that_the_newest_file_gives_them(database, tmp_path):
    path, columns = tmp_path / "v.fits", visit_rows()
    columns["VISIT_PK"] = np.arange(6, dtype=np.int64) + 1
    ingest(database, path, columns)
    columns["VISIT_PK"] = columns["VISIT_PK"][::-1].copy()
    columns["VISIT_PK"][5] = 6  # a second time
    report = ingest(database, path, columns, chunk_rows=2)
    assert [row["visit_pk"] for row in content(database, VISITS)] == [6, 5, 4, 3, 2, None]
    assert "VISIT_PK 6 is that of an earlier row" in str(report.refused[0])


@pytest.mark.parametrize("keep", [0.4, 0.9])
def test_a_file_that_is_cut_off_is_refused_and_nothing_of_it_is_written(sqlite, tmp_path, keep):
    path = write_table(tmp_path / "v.fits", visit_rows(200))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(IngestError, match=r"v\.fits: breaks off after row .*fetch the file again and repeat"):
        ingest(sqlite, path)
    assert content(sqlite, VISITS) == []
    path.write_bytes(whole)
    assert ingest(sqlite, path).added == 400


def test_a_file_of_another_kind_or_without_rows_is_refused(sqlite, tmp_path):
    with pytest.raises(IngestError, match=r"2 columns are missing: PLATE, FIBERID or FIBER; the file has"):
        ingest(
            sqlite,
            tmp_path / "v.fits",
            {name: values for name, values in visit_rows().items() if name not in ("PLATE", "FIBERID")},
        )
    with pytest.raises(IngestError, match="has 0 rows in HDU 1"):
        ingest(sqlite, tmp_path / "w.fits", {name: values[:0] for name, values in visit_rows().items()})
    (tmp_path / "x.fits").write_text("no FITS file")
    with pytest.raises(IngestError, match="no FITS header where HDU 0 should start"):
        ingest(sqlite, tmp_path / "x.fits")
    stars = {name: values for name, values in dr17_stars().items() if name != "FIELD"}
    with pytest.raises(IngestError, match="1 columns are missing: FIELD"):
        ingest(sqlite, tmp_path / "y.fits", stars, summary=ALL_STAR, apred="dr17")


def test_a_telescope_without_a_file_is_a_note_and_a_reduction_without_one_an_error(tmp_path):
    write_summaries(tmp_path, visit_rows(), star_rows(), telescope=1)
    files, notes, errors = summary_files(tmp_path, APRED)
    assert [file.label for file in files] == ["allVisit 1.5 lco25m", "allStar 1.5 lco25m"]
    assert len(notes) == 2
    assert "allVisit-1.5-apo25m.fits: no such file; its telescope is left out" in notes[0]
    assert errors == []
    files, notes, errors = summary_files(tmp_path, "dr17")
    assert (files, notes, len(errors)) == ([], [], 2)
    assert "no allVisit file of the APOGEE reduction dr17" in errors[0]
    assert "check SAS_BASE_DIR and --apred" in errors[0]


def test_a_limit_reads_part_of_a_file_which_then_does_not_count_as_ingested(sqlite, tmp_path):
    path = tmp_path / "v.fits"
    assert counts(ingest(sqlite, path, visit_rows(), limit=4)) == (4, 4, 0, 0, 0, 0)
    assert counts(ingest(sqlite, path)) == (6, 2, 0, 4, 0, 0)


def test_a_second_telescope_and_a_second_reduction_leave_the_rows_of_the_first_alone(database, tmp_path):
    ingest(database, tmp_path / "a.fits", visit_rows())
    before = content(database, VISITS)
    ingest(database, tmp_path / "b.fits", visit_rows(telescope="lco25m"))
    assert counts(ingest(database, tmp_path / "c.fits", visit_rows(), apred="1.6")) == (6, 6, 0, 0, 0, 0)
    after = content(database, VISITS)
    assert after[:6] == before
    assert [(row["apred"], row["prefix"]) for row in after[6:]] == [("1.5", "as")] * 6 + [("1.6", "ap")] * 6
    assert len(content(database, KNOWN)) == 18
