"""Headers of apVisit and apStar files, links, and all of APOGEE's ingestion in order."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from sqlalchemy import insert

from astra_assets.files.paths import ap_star_path, ap_visit_path, apogee_summary_paths
from astra_assets.ingest import all_files as migrate_module
from astra_assets.ingest.all_files import MigrateError, ingest_all
from astra_assets.ingest.apogee import ap_star_headers, ap_visit_headers
from astra_assets.ingest.apogee.ap_star_headers import INSIDE, parse_file_name
from astra_assets.ingest.apogee.apogee_columns import ALL_STAR, ALL_VISIT
from astra_assets.ingest.apogee.apogee_rows import CORRUPTED
from astra_assets.ingest.apogee.summary_files import KNOWN
from astra_assets.ingest.sources.derived import SOURCES
from astra_assets.models.apogee import (
    ApogeeCoaddedSpectrumInApStar,
    ApogeeVisitSpectrum,
    ApogeeVisitSpectrumInApStar,
)
from astra_assets.spectra.base import Roots
from astra_assets.spectra.read import load
from astra_assets_tests.ingest.apogee_samples import (
    APRED,
    dr17_stars,
    dr17_visits,
    star_rows,
    visit_rows,
    write_ap_star,
    write_ap_visit,
    write_summaries,
)
from astra_assets_tests.ingest.samples import content, write_table

VISITS, STARS = ALL_VISIT.table, ALL_STAR.table


def visit_keys(columns, row):
    """What the path of an apVisit file is made of."""
    return {
        "release": "sdss5", "apred": APRED, "telescope": "apo25m", "prefix": "ap", "reduction": "",
        "plate": columns["PLATE"][row].decode(), "field": columns["FIELD"][row].decode(),
        "mjd": int(columns["MJD"][row]), "fiber": int(columns["FIBERID"][row]),
    }  # fmt: skip


def star_keys(columns, row):
    """What the path of an apStar file is made of."""
    return {
        "release": "sdss5", "apred": APRED, "apstar": "stars", "telescope": "apo25m", "prefix": "ap", "field": "",
        "obj": columns["APOGEE_ID"][row].decode(), "healpix": int(columns["HEALPIX"][row]),
    }  # fmt: skip


@pytest.fixture
def survey(tmp_path):
    """A root with the files of three stars that were visited twice each, and a catalogue of two of them."""
    visits, stars = visit_rows(), star_rows()
    write_summaries(tmp_path, visits, stars)
    for row in range(6):
        write_ap_visit(tmp_path, visit_keys(visits, row), n_pixels=2048 if row == 5 else 4096)
    for row in range(3):
        write_ap_star(tmp_path, star_keys(stars, row), [visit_keys(visits, 2 * row + n) for n in range(2)])
    columns = {
        "sdss_id": np.array([500, 501]),
        "catalogid": np.array([4_000_000_000, 7]),  # the second is found by its sdss_id
        "ra": np.full(2, 10.0),
        "dec": np.full(2, 20.0),
    }
    write_table(tmp_path / "catalog.fits", columns)
    return tmp_path


def run(database, root, **options):
    return ingest_all(database, apred=[APRED], catalogs=[root / "catalog.fits"], sas_base_dir=root, **options)


def steps(report):
    return {step.step: step for step in report.steps}


def everything(database):
    return [content(database, table) for table in (VISITS, STARS, INSIDE, SOURCES, KNOWN)]


def test_everything_comes_in_and_a_second_run_writes_nothing(database, survey, monkeypatch):
    report = run(database, survey)
    visits, stars, inside, sources, _ = everything(database)
    assert [row["dithered"] for row in visits] == [True] * 5 + [False]
    assert all((row["exptime"], row["n_frames"], row["spectrum_flags"]) == (2002.04, 8, 0) for row in visits)
    assert [row["drp_spectrum_pk"] for row in inside] == [row["spectrum_pk"] for row in visits]
    shared = ("release", "apred", "plate", "telescope", "mjd", "fiber", "source_pk", "obj")
    assert all(a[name] == b[name] for a, b in zip(inside, visits, strict=True) for name in shared)
    assert all((row["filetype"], row["healpix"] // 1000) == ("apStar", 70) for row in inside)
    pks = [row["spectrum_pk"] for row in (*visits, *stars, *inside)]
    assert len(set(pks)) == 15
    assert [row["sdss_id"] for row in sources] == [500, 501]
    first, second = (row["pk"] for row in sources)
    assert [row["source_pk"] for row in visits] == [first, first, second, second, None, None]
    assert [row["source_pk"] for row in stars] == [first, second, None]
    assert [(row["n_apogee_visits"], row["apogee_min_mjd"], row["apogee_max_mjd"]) for row in sources] == [
        (2, 59600, 59601)
    ] * 2
    assert all((row["mean_fiber"], row["std_fiber"], row["e_v_rad"]) == (10.5, 0.5, 0.05) for row in stars)
    assert all((row["snr"], row["v_rad"]) == (110.0, 8.0) for row in stars)  # those of allStar go before
    made = steps(report)
    assert (made["visits in apStar"].read, made["visits in apStar"].added) == (6, 6)
    assert made["APOGEE links"].added == 6
    assert made["APOGEE links"].remark == "3 spectra without source, 0 ambiguous"
    assert any("allVisit-1.5-lco25m.fits: no such file" in line for line in report.details)
    before = everything(database)
    for module in (ap_visit_headers, ap_star_headers):
        monkeypatch.setattr(module, "read_header", lambda path: pytest.fail(f"{path} is read again"))
    again = run(database, survey)
    assert not again.changed
    assert everything(database) == before


def test_a_file_that_cannot_be_read_is_flagged_and_tried_again(database, survey):
    visits = visit_rows()
    missing, damaged = (survey / ap_visit_path(visit_keys(visits, row)) for row in (0, 3))
    whole = damaged.read_bytes()
    missing.unlink()
    damaged.write_bytes(whole[:2000])
    report = run(database, survey)
    rows = content(database, VISITS)
    assert [row["spectrum_flags"] for row in rows] == [CORRUPTED, 0, 0, CORRUPTED, 0, 0]
    assert [row["dithered"] for row in rows][:4] == [None, True, True, None]
    made = steps(report)["apVisit headers"]
    assert (made.read, made.updated, made.unchanged, made.refused) == (6, 6, 0, 2)
    assert f"{missing}: there is no such file" in report.table()
    assert f"{damaged}: the header of HDU 0 has no END within 2,000 bytes; it is cut off" in report.table()
    assert not run(database, survey).changed
    damaged.write_bytes(whole)
    assert steps(run(database, survey))["apVisit headers"].updated == 1
    assert content(database, VISITS)[3]["spectrum_flags"] == 0


def test_the_flag_of_a_missing_file_does_not_make_a_row_differ_from_its_summary(sqlite, survey):
    columns = visit_rows()
    (survey / ap_visit_path(visit_keys(columns, 0))).unlink()
    run(sqlite, survey)
    before = content(sqlite, VISITS)
    columns["SNR"][1] = 5.0
    columns["STARFLAG"][1] = 16
    write_table(survey / apogee_summary_paths("allVisit", APRED)[0], columns)
    report = run(sqlite, survey)
    after = content(sqlite, VISITS)
    assert steps(report)["allVisit 1.5 apo25m"].updated == 1
    assert [old == new for old, new in zip(before, after, strict=True)] == [
        True,
        False,
        True,
        True,
        True,
        True,
    ]
    assert (after[1]["spectrum_flags"], after[1]["dithered"], after[1]["exptime"]) == (16, True, 2002.04)


def test_a_visit_that_comes_later_is_found_in_the_star_and_a_new_star_version_is_read_again(database, survey):
    columns = visit_rows()
    path = survey / apogee_summary_paths("allVisit", APRED)[0]
    write_table(path, {name: values[1:] for name, values in columns.items()})
    report = run(database, survey)
    assert steps(report)["visits in apStar"].remark == "1 of 6 not among the visits"
    assert "apVisit-1.5-apo25m-15001-59600-010.fits: no visit of the object has this name" in report.table()
    before = content(database, INSIDE)
    assert [row["n_unmatched"] for row in content(database, KNOWN) if row["catalogid"]] == [1, 0, 0]
    write_table(path, columns)
    assert steps(run(database, survey))["visits in apStar"].added == 1
    after = content(database, INSIDE)
    assert after[:5] == before
    assert (after[5]["obj"], after[5]["mjd"]) == ("2M00000000+0000000", 59600)
    stars = star_rows()
    stars["STARVER"][1] = b"59800"
    write_table(survey / apogee_summary_paths("allStar", APRED)[0], stars)
    made = steps(run(database, survey))
    assert (made["apStar headers"].read, made["visits in apStar"].unchanged) == (1, 2)


def test_two_stars_that_list_one_visit_share_nothing(sqlite, survey):
    visits, stars = visit_rows(), star_rows()
    shown = [visit_keys(visits, 0), visit_keys(visits, 0), visit_keys(visits, 1)]
    write_ap_star(survey, star_keys(stars, 0), shown, SFILE9="apVisit-of-nothing.fits")
    report = run(sqlite, survey)
    assert "or listed twice" in report.table() or "it is listed twice" in report.table()
    assert len(content(sqlite, INSIDE)) == 6


@pytest.mark.parametrize(
    ("name", "apred", "expected"),
    [
        ("apVisit-1.5-apo25m-15001-59600-010.fits", "1.5", ("15001", 59600, 10, "")),
        ("asVisit-dr17-9753-57884-007.fits", "dr17", ("9753", 57884, 7, "")),
        ("apVisit-dr17-56654-VESTA.fits", "dr17", ("", 56654, -1, "VESTA")),
        ("apVisit-dr17-56654-2M0000-0001.fits", "dr17", ("", 56654, -1, "2M0000-0001")),
        ("apStar-1.5-apo25m-2M.fits", "1.5", None),
        ("", "1.5", None),
    ],
)
def test_names_of_visit_files_say_which_visit_it_is(name, apred, expected):
    found = parse_file_name(name, apred)
    assert (None if found is None else tuple(found.values())) == expected


def test_sdss4_spectra_find_their_source_by_name_and_their_files(database, tmp_path):
    visits, stars = dr17_visits(), dr17_stars()
    write_summaries(tmp_path, visits, stars, apred="dr17")
    with database.begin() as connection:
        names = (
            {"sdss_id": 1, "sdss4_apogee_id": "2M01183798+8403419"},
            {"sdss_id": 2, "sdss4_apogee_id": "VESTA"},
        )
        connection.execute(insert(SOURCES), list(names))
    common = {"release": "dr17", "apred": "dr17", "apstar": "stars", "prefix": "ap", "healpix": None}
    north = {
        **common,
        "telescope": "apo25m",
        "field": "N1333",
        "plate": "5095",
        "mjd": 55844,
        "fiber": 128,
        "reduction": "",
    }
    small = {
        **common,
        "telescope": "apo1m",
        "field": "calibration",
        "plate": "",
        "mjd": 56654,
        "fiber": -1,
        "reduction": "VESTA",
    }
    for row, obj in ((north, "2M01183798+8403419"), (small, "VESTA")):
        write_ap_visit(tmp_path, row)
        write_ap_star(tmp_path, {**row, "obj": obj}, [row])
    ingest_all(database, apred=["dr17"], catalogs=[], sas_base_dir=tmp_path)
    rows, coadds, inside, sources, _ = everything(database)
    assert [row["source_pk"] for row in rows] == [sources[0]["pk"], None, sources[1]["pk"]]
    assert [row["source_pk"] for row in coadds] == [row["source_pk"] for row in rows]
    assert [(row["reduction"], row["fiber"], row["drp_spectrum_pk"]) for row in inside] == [
        ("", 128, rows[0]["spectrum_pk"]), ("VESTA", -1, rows[2]["spectrum_pk"]),
    ]  # fmt: skip
    assert (coadds[0]["min_mjd"], coadds[0]["max_mjd"], coadds[2]["mean_fiber"]) == (55844, 55844, 10.5)
    assert [row["dithered"] for row in rows] == [True, None, True]


def test_a_catalogid_goes_before_an_sdss_id_and_links_move_when_a_better_source_comes(database, survey):
    run(database, survey)
    sources = {row["sdss_id"]: row["pk"] for row in content(database, SOURCES)}
    assert content(database, STARS)[1]["source_pk"] == sources[501]
    columns = {"sdss_id": np.array([500, 501, 900, 901]), "catalogid": np.array([4_000_000_000, 7, 8, 4_000_000_002]),
               "catalogid31": np.array([1, 2, 4_000_000_001, 3])}  # fmt: skip
    write_table(survey / "catalog.fits", columns)
    report = run(database, survey)
    sources = {row["sdss_id"]: row["pk"] for row in content(database, SOURCES)}
    for table, each in ((STARS, 1), (VISITS, 2), (INSIDE, 2)):
        wanted = [sources[number] for number in (500, 900, 901) for _ in range(each)]
        assert [row["source_pk"] for row in content(database, table)] == wanted
    made = steps(report)["APOGEE links"]
    assert (made.added, made.updated) == (3, 3)
    counted = {row["sdss_id"]: row["n_apogee_visits"] for row in content(database, SOURCES)}
    assert counted == {500: 2, 501: 0, 900: 2, 901: 2}


def test_a_reduction_without_files_is_an_error_at_the_end_and_the_others_come_in(sqlite, survey):
    with pytest.raises(MigrateError, match=r"no allVisit file of the APOGEE reduction 1\.9") as caught:
        ingest_all(sqlite, apred=["1.9", APRED], catalogs=[survey / "catalog.fits"], sas_base_dir=survey)
    assert len(caught.value.report.errors) == 2
    assert [len(rows) for rows in everything(sqlite)[:3]] == [6, 3, 6]


def test_missing_star_files_do_not_stop_anything_and_are_tried_again(sqlite, survey):
    path = survey / ap_star_path(star_keys(star_rows(), 1))
    whole = path.read_bytes()
    path.unlink()
    assert steps(run(sqlite, survey))["apStar headers"].refused == 1
    assert len(content(sqlite, INSIDE)) == 4
    path.write_bytes(whole)
    made = steps(run(sqlite, survey))
    assert (made["apStar headers"].read, made["visits in apStar"].added) == (1, 2)
    assert [row["source_pk"] for row in content(sqlite, INSIDE)][4:] == [
        content(sqlite, SOURCES)[1]["pk"]
    ] * 2


@pytest.mark.parametrize(
    "step", ["ingest_summary", "read_ap_visit_headers", "read_ap_star_headers", "link_apogee", "count_visits"]
)
def test_a_run_killed_between_steps_is_completed_by_the_next(sqlite, survey, monkeypatch, step):
    def killed(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(migrate_module, step, killed)
    with pytest.raises(KeyboardInterrupt):
        run(sqlite, survey)
    monkeypatch.undo()
    run(sqlite, survey)
    visits, stars, inside, sources, _ = everything(sqlite)
    assert [row["n_apogee_visits"] for row in sources] == [2, 2]
    assert [row["source_pk"] is not None for row in (*stars, *inside)] == [True, True, False] + [True] * 4 + [
        False
    ] * 2
    assert all(row["dithered"] is not None for row in visits)


def test_real_files_go_through_ingestion_and_reading(sqlite, real_spectra, tmp_path):
    star_file = real_spectra / "apogee" / "apStar-r6-2M19535443+4424541.fits"
    visit_file = real_spectra / "apogee" / "apVisit-r13-5095-55844-128.fits"
    visits = {
        "APOGEE_ID": np.array([b"2M01183798+8403419", b"2M19535443+4424541", b"2M19535443+4424541"]),
        "PLATE": np.array([b"5095", b"7018", b"7018"]), "MJD": np.array([55844, 56465, 56470]),
        "FIBERID": np.array([128, 214, 219]), "TELESCOPE": np.full(3, b"apo25m"),
        "FIELD": np.array([b"N1333", b"K14_080+08", b"K14_080+08"]),
    }  # fmt: skip
    stars = {name: visits[name][1:2] for name in ("APOGEE_ID", "TELESCOPE", "FIELD")}
    write_summaries(tmp_path, visits, stars, apred="dr17")
    common = {
        "release": "dr17",
        "apred": "dr17",
        "apstar": "stars",
        "prefix": "ap",
        "telescope": "apo25m",
        "reduction": "",
    }
    visit = common | {"field": "N1333", "plate": "5095", "mjd": 55844, "fiber": 128}
    star = common | {"field": "K14_080+08", "obj": "2M19535443+4424541"}
    for source, relative in ((visit_file, ap_visit_path(visit)), (star_file, ap_star_path(star))):
        path = tmp_path / relative
        path.parent.mkdir(parents=True)
        path.write_bytes(source.read_bytes())
    for number in (1, 2):  # the files of DR17 bear its name where this older one bears r6
        name = fits.getval(path, f"SFILE{number}").replace("-r6-", "-dr17-")
        fits.setval(path, f"SFILE{number}", value=name)
    ingest_all(sqlite, apred=["dr17"], catalogs=[], sas_base_dir=tmp_path)
    rows, coadds, inside, _, _ = everything(sqlite)
    assert (rows[0]["dithered"], rows[0]["exptime"], rows[0]["n_frames"]) == (True, 2002.04, 8)
    assert [row["spectrum_flags"] for row in rows] == [0, CORRUPTED, CORRUPTED]
    coadd = coadds[0]
    expected = {"snr": 148.793, "mean_fiber": 217.114, "std_fiber": 3.53553, "v_rad": 10.0029, "std_v_rad": 0.303082,
                "e_v_rad": 0.0642723, "median_e_v_rad": 0.0903723, "n_visits": 2, "min_mjd": 56465, "max_mjd": 56470}  # fmt: skip
    assert {name: coadd[name] for name in expected} == pytest.approx(expected)
    assert [row["drp_spectrum_pk"] for row in inside] == [row["spectrum_pk"] for row in rows[1:]]
    roots = Roots(tmp_path, tmp_path)
    assert load(ApogeeVisitSpectrum, rows[0], roots).flux.shape == (3 * 4096,)
    seen = [load(ApogeeCoaddedSpectrumInApStar, coadd, roots)]
    seen += [load(ApogeeVisitSpectrumInApStar, row, roots) for row in inside]
    assert all(spectrum.flux.shape == (8575,) and (spectrum.ivar > 0).any() for spectrum in seen)
    assert not np.array_equal(seen[1].flux, seen[2].flux)
