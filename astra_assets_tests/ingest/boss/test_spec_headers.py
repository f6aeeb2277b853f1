"""Headers of specFull files into boss_visit_spectrum."""

from __future__ import annotations

import numpy as np
import pytest
from sqlalchemy import update

from astra_assets.files.paths import spec_full_path
from astra_assets.fits.errors import FitsReadError
from astra_assets.ingest.boss import spec_headers
from astra_assets.ingest.boss.header_cards import read_header
from astra_assets.ingest.boss.spall import VISITS, ingest_spall
from astra_assets.ingest.boss.spec_headers import read_spec_headers
from astra_assets_tests.ingest.samples import RUN2D, content, spall_rows, write_spall, write_spec_full


def ingest(database, folder, columns):
    path = write_spall(folder / "spAll.fits", columns)
    return ingest_spall(database, path, run2d=RUN2D, sas_base_dir=folder)


def path_of(folder, row):
    return folder / spec_full_path(RUN2D, row["fieldid"], row["mjd"], row["catalogid"], row["spec_file"])


def test_every_key_fills_its_column(database, tmp_path):
    columns = spall_rows(3)
    columns["AIRMASS"][1] = np.nan
    ingest(database, tmp_path, columns)
    for row in content(database, VISITS):
        write_spec_full(path_of(tmp_path, row))
    report = read_spec_headers(database, tmp_path)
    assert (report.read, report.updated, report.n_problems) == (3, 3, 0)
    first, second, _ = content(database, VISITS)
    expected = {
        "plateid": 15000, "cartid": None, "mapid": 3, "slitid": None, "psfsky": 3, "preject": 0.2, "n_std": 20, "n_gal": None,
        "lowrej": 5, "highrej": 8, "scatpoly": 0, "proftype": 1, "nfitpoly": 1, "skychi2": 1.1, "schi2min": 1.0, "schi2max": 1.2,
        "alt": 65.5, "az": 120.25, "airtemp": None, "dewpoint": -3.5, "dust_a": 7009.5, "dust_b": 312.7, "gust_speed": 13.5,
        "gust_direction": 86.5, "humidity": 31.0, "pressure": 21.5, "wind_direction": 155.25, "wind_speed": 10.75, "n_guide": 42,
        "tai_beg": 59146 * 86400 + 21600, "tai_end": 59146 * 86400 + 27000,
    }  # fmt: skip
    assert {name: first[name] for name in expected} == expected
    assert first["airmass"] == float(columns["AIRMASS"][0])  # that of spAll
    assert second["airmass"] == 1.1
    assert 0 < second["f_night_time"] < first["f_night_time"] < 1  # the first is from the south-east


def test_headers_are_read_once(database, tmp_path, monkeypatch):
    ingest(database, tmp_path, spall_rows(5))
    for row in content(database, VISITS):
        write_spec_full(path_of(tmp_path, row), NGUIDE=None, ALT=None, NSTD=None)
    read_spec_headers(database, tmp_path)
    before = content(database, VISITS)
    assert (before[0]["n_guide"], before[0]["n_std"], before[0]["alt"]) == (-1, -1, None)
    monkeypatch.setattr(spec_headers, "read_header", lambda path: pytest.fail(f"{path} is read again"))
    report = read_spec_headers(database, tmp_path)
    assert (report.read, report.updated) == (0, 0)
    assert content(database, VISITS) == before


def test_missing_and_damaged_files_are_counted_with_reasons_and_tried_in_the_next_run(
    sqlite, tmp_path, monkeypatch
):
    monkeypatch.setattr(spec_headers, "CHUNK_FILES", 2)
    ingest(sqlite, tmp_path, spall_rows(6))
    paths = [path_of(tmp_path, row) for row in content(sqlite, VISITS)]
    for path in paths[:5]:
        write_spec_full(path)
    whole = paths[1].read_bytes()
    paths[1].write_bytes(whole[:1500])
    paths[2].write_bytes(b"")
    paths[3].write_bytes(b"not a FITS file" * 500)
    report = read_spec_headers(sqlite, tmp_path)
    assert (report.read, report.updated, report.n_problems) == (2, 2, 4)
    assert report.by_code == {"unreadable_file": 3, "missing_file": 1}
    assert all(str(tmp_path) in problem.message for problem in report.problems)
    assert report.problems[-1].message == f"{paths[5]}: there is no such file"
    for path in paths:
        path.write_bytes(whole)
    again = read_spec_headers(sqlite, tmp_path)
    assert (again.read, again.n_problems) == (4, 0)
    assert all(row["alt"] == 65.5 for row in content(sqlite, VISITS))


def test_a_name_that_leads_out_of_the_root_is_not_followed(sqlite, tmp_path):
    ingest(sqlite, tmp_path, spall_rows(2))
    paths = [path_of(tmp_path, row) for row in content(sqlite, VISITS)]
    write_spec_full(paths[1])
    with sqlite.begin() as connection:  # as a database made by others may have it
        connection.execute(update(VISITS).where(VISITS.c.pk == 1).values(spec_file="../../../../../../../x"))
    report = read_spec_headers(sqlite, tmp_path)
    assert (report.read, dict(report.by_code)) == (1, {"outside_root": 1})


def test_a_re_reduced_spectrum_has_its_header_read_again(sqlite, tmp_path):
    columns = spall_rows(2)
    ingest(sqlite, tmp_path, columns)
    paths = [path_of(tmp_path, row) for row in content(sqlite, VISITS)]
    for path in paths:
        write_spec_full(path)
    read_spec_headers(sqlite, tmp_path)
    columns["XCSAO_RV"][1] += 1
    ingest(sqlite, tmp_path, columns)
    write_spec_full(paths[1], ALT=50.0)
    assert read_spec_headers(sqlite, tmp_path).read == 1
    assert [row["alt"] for row in content(sqlite, VISITS)] == [65.5, 50.0]


def test_a_time_of_another_night_gives_no_fraction(sqlite, tmp_path):
    ingest(sqlite, tmp_path, spall_rows(1))
    row = content(sqlite, VISITS)[0]
    write_spec_full(path_of(tmp_path, row), **{"TAI-BEG": 50_000 * 86_400.0, "TAI-END": 50_000 * 86_400.0})
    read_spec_headers(sqlite, tmp_path)
    assert content(sqlite, VISITS)[0]["f_night_time"] is None
    with sqlite.begin() as connection:
        connection.execute(update(VISITS).values(n_guide=None, telescope=None))
    write_spec_full(path_of(tmp_path, row))
    read_spec_headers(sqlite, tmp_path)
    assert content(sqlite, VISITS)[0]["f_night_time"] is None


def test_a_long_header_is_read_to_its_end(tmp_path):
    path = write_spec_full(tmp_path / "a.fits", **{f"KEY{n}": n for n in range(2000)}, ALT=11.0)
    assert read_header(path)["alt"] == 11.0


def test_an_end_inside_a_card_does_not_end_the_header(tmp_path):
    path = write_spec_full(tmp_path / "a.fits", AAA="x" * 20)
    text = path.read_bytes()
    place = text.index(b"xxxxxxxxxxxxxxxxxxxx")
    path.write_bytes(text[:place] + b"END" + text[place + 3 :])
    assert read_header(path)["alt"] == 65.5


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(FitsReadError, match="cannot be read"):
        read_header(tmp_path)


def test_a_real_header_is_read(real_spectra):
    values = read_header(real_spectra / "boss_wd" / "spec-4455-55539-0692.fits")
    assert (values["plateid"], values["cartid"], values["n_std"]) == (4455, 15, 20)
    assert values["skychi2"] == 1.18853011814
    assert (values["alt"], values["n_guide"]) == (None, -1)
