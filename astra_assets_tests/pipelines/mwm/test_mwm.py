"""mwmVisit and mwmStar files from the rows of a database and specFull files."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from astropy.io import fits
from sqlalchemy import func, literal, select, update

from astra_assets.models.base import table_of
from astra_assets.models.boss import BossCombinedSpectrum, BossRestFrameVisitSpectrum, BossVisitSpectrum
from astra_assets.models.source import Source
from astra_assets.models.spectrum import SpectrumKey
from astra_assets.pipelines.base import Unusable, WorkContext
from astra_assets.pipelines.mwm import HAS_SPECTRA
from astra_assets.pipelines.mwm.gather import gather
from astra_assets.pipelines.mwm.source_files import CREATED_STAR, CREATED_VISIT
from astra_assets.spectra.mwm_header import SOURCE_COLUMNS
from astra_assets.spectra.read import load
from astra_assets_tests.pipelines.mwm_survey import OTHER_STAR, PLANNED, STEP, WHITE_DWARF


def test_a_source_gets_both_files_and_a_row_for_each_spectrum(survey):
    source = survey.source(123456)
    drp = [survey.visit(source, mjd) for mjd in (59002, 59001)] + [
        survey.visit(source, 59005, telescope="lco25m")
    ]
    products = survey.made(source)
    assert products.status == {"flags": CREATED_VISIT | CREATED_STAR}
    assert products.problems == []
    visits = products.rows[BossRestFrameVisitSpectrum]
    assert [row["drp_spectrum_pk"] for row in visits] == [drp[1], drp[0], drp[2]]
    assert [row["mjd"] for row in visits] == [59001, 59002, 59005]
    assert visits[0]["delta_ra"] == [0.1, 0.2]
    assert all(row["in_stack"] for row in visits)
    coadds = products.rows[BossCombinedSpectrum]
    assert [(row["telescope"], row["n_visits"]) for row in coadds] == [("apo25m", 2), ("lco25m", 1)]
    assert coadds[0]["v_rad"] == pytest.approx(30.0)
    assert coadds[0]["healpix"] == 9
    with fits.open(survey.path("visit", 123456)) as hdus:
        assert [len(hdu.data) for hdu in hdus[1:]] == [2, 1, 0, 0]
        assert list(hdus[1].data["spectrum_pk_id"]) == [row["spectrum_pk"] for row in visits[:2]]
    with fits.open(survey.path("star", 123456)) as hdus:
        assert hdus[0].header["SDSS_ID"] == 123456
        assert hdus[0].header["RA"] == 10.5
        assert [len(hdu.data) for hdu in hdus[1:]] == [1, 1, 0, 0]
    survey.store(products)
    for row in coadds:
        spectrum = load(BossCombinedSpectrum, row, survey.roots)
        np.testing.assert_allclose(spectrum.flux[spectrum.ivar > 0], 5.0, rtol=1e-6)


def test_spectra_that_are_made_again_keep_their_keys(survey):
    source = survey.source(123456)
    survey.visit(source, 59001)
    first = survey.made(source)
    survey.store(first)
    survey.visit(source, 59002)
    again = survey.made(source)
    assert (
        again.rows[BossCombinedSpectrum][0]["spectrum_pk"]
        == first.rows[BossCombinedSpectrum][0]["spectrum_pk"]
    )
    assert again.rows[BossCombinedSpectrum][0]["n_visits"] == 2
    keys = [row["spectrum_pk"] for row in again.rows[BossRestFrameVisitSpectrum]]
    assert keys[0] == first.rows[BossRestFrameVisitSpectrum][0]["spectrum_pk"]
    assert len({*keys, again.rows[BossCombinedSpectrum][0]["spectrum_pk"]}) == 3


def test_gathering_reserves_no_more_keys_than_there_are_new_spectra(survey):
    plain, faint, empty = survey.source(1), survey.source(2), survey.source(3)
    survey.visit(plain, 59001)
    survey.visit(faint, 59001, snr=1.0, catalogid=5)

    def count() -> int:
        with survey.database.connect() as connection:
            return connection.scalar(select(func.count()).select_from(table_of(SpectrumKey)))

    before = count()
    rows = survey.gathered(plain, faint, empty)
    assert count() - before == 3
    assert [len(row["visits"]) for row in rows] == [1, 1, 0]
    assert [[known["telescope"] for known in row["coadds"]] for row in rows] == [["apo25m"], [], []]


def test_a_minor_version_has_its_own_coadds_and_a_patch_takes_over_those_before_it(sqlite_survey):
    survey = sqlite_survey
    source = survey.source(123456)
    survey.visit(source, 59001)
    first = survey.made(source)
    survey.store(first)
    kept = first.rows[BossCombinedSpectrum][0]["spectrum_pk"]
    for version, same in (("0.8.2", True), ("0.9.0", False)):
        survey.context = WorkContext(survey.roots, version, PLANNED)
        (row,) = survey.gathered(source)
        assert (row["coadds"][0]["spectrum_pk"] == kept) is same
        # A visit has one rest-frame row whatever the version: its key is unique in the table.
        rest_frame = first.rows[BossRestFrameVisitSpectrum][0]["spectrum_pk"]
        assert row["visits"][0]["rest_frame_spectrum_pk"] == rest_frame


def test_without_a_stacked_visit_there_is_no_star_file(sqlite_survey):
    survey = sqlite_survey
    source = survey.source(7)
    survey.visit(source, 59001, snr=2.0)
    old = survey.path("star", 7)
    old.parent.mkdir(parents=True)
    old.write_text("from before the visit was found to be faint")
    products = survey.made(source)
    assert products.status == {"flags": CREATED_VISIT}
    assert products.rows[BossCombinedSpectrum] == []
    assert products.rows[BossRestFrameVisitSpectrum][0]["in_stack"] is False
    assert not old.exists()


def test_white_dwarfs_are_stacked_though_xcsao_doubts_them(sqlite_survey):
    survey = sqlite_survey
    doubtful = {"xcsao_rxc": 1.5, "xcsao_v_rad": None}
    white_dwarf, star = survey.source(1, WHITE_DWARF), survey.source(2)
    survey.visit(white_dwarf, 59001, **doubtful)
    survey.visit(star, 59001, catalogid=5, **doubtful)
    assert len(survey.made(white_dwarf).rows[BossCombinedSpectrum]) == 1
    assert survey.made(star).rows[BossCombinedSpectrum] == []


def test_a_visit_that_cannot_be_read_is_a_problem_and_the_others_go_through(sqlite_survey):
    survey = sqlite_survey
    source = survey.source(7)
    survey.visit(source, 59001)
    missing = survey.visit(source, 59002, file=False)
    broken = survey.visit(source, 59003)
    elsewhere = survey.visit(source, 59004, telescope="apo1m")
    (path,) = survey.roots.sas_base_dir.rglob("spec-*-59003-*.fits")
    path.write_bytes(path.read_bytes()[:20000])
    products = survey.made(source)
    codes = {problem.spectrum_pk: problem.code for problem in products.problems}
    assert codes == {missing: "missing_file", broken: "unreadable_file", elsewhere: "unknown_telescope"}
    assert str(path) in next(
        problem.message for problem in products.problems if problem.spectrum_pk == broken
    )
    assert products.rows[BossCombinedSpectrum][0]["n_visits"] == 1


def test_a_source_without_a_readable_visit_is_unusable_and_leaves_no_file(sqlite_survey):
    survey = sqlite_survey
    source = survey.source(7)
    survey.visit(source, 59001, file=False)
    with pytest.raises(Unusable, match=r"sdss_id 7.*there is no such file") as caught:
        survey.made(source)
    assert caught.value.code == "no_readable_visit"
    assert not survey.roots.mwm_astra.exists()


def test_the_same_photons_are_not_stacked_twice(sqlite_survey):
    survey = sqlite_survey
    source = survey.source(7)
    survey.visit(source, 59001, run2d="v6_1_3", catalogid=1)
    latest = survey.visit(source, 59001, run2d="v6_2_1", catalogid=2)
    earlier_only = survey.visit(source, 59003, run2d="v6_1_3", catalogid=1)
    rows = survey.made(source).rows[BossRestFrameVisitSpectrum]
    assert [row["drp_spectrum_pk"] for row in rows] == [latest, earlier_only]


def test_the_same_source_twice_gives_the_same_bytes(sqlite_survey):
    survey = sqlite_survey
    source = survey.source(7)
    survey.visit(source, 59001)
    survey.store(survey.made(source))
    first = [survey.path(kind, 7).read_bytes() for kind in ("star", "visit")]
    survey.made(source)
    assert [survey.path(kind, 7).read_bytes() for kind in ("star", "visit")] == first


def test_a_visit_newer_than_the_files_makes_them_stale(survey):
    source = survey.source(7)
    pk = survey.visit(source, 59001)
    lonely = survey.source(8)
    stale = STEP.stale(literal(PLANNED, type_=Source.c.modified.type))

    def stale_sources() -> list[int]:
        with survey.database.connect() as connection:
            return list(connection.scalars(select(Source.c.pk).where(stale).order_by(Source.c.pk)))

    def touch(when: datetime) -> None:
        visits = table_of(BossVisitSpectrum)
        with survey.database.begin() as connection:
            connection.execute(update(visits).where(visits.c.spectrum_pk == pk).values(modified=when))

    touch(PLANNED - timedelta(seconds=1))
    assert stale_sources() == []
    touch(PLANNED + timedelta(microseconds=1))
    assert stale_sources() == [source]
    with survey.database.connect() as connection:
        assert list(connection.scalars(select(Source.c.pk).where(HAS_SPECTRA))) == [source]
    assert lonely not in stale_sources()


def test_sources_without_sdss_id_or_outside_the_programs_are_skipped():
    columns = {
        "sdss_id": np.array([1.0, np.nan, 3.0]),
        "sdss5_target_flags": np.array([OTHER_STAR, OTHER_STAR, None], dtype=object),
        "sdss4_apogee_id": np.array([None, None, None], dtype=object),
    }
    passed = {requirement.code: requirement.test(columns).tolist() for requirement in STEP.requires}
    assert passed == {"no_sdss_id": [True, False, True], "not_stellar_like": [True, True, False]}
    columns["sdss4_apogee_id"][2] = "2M00000000+0000000"
    assert STEP.requires[1].test(columns).tolist() == [True, True, True]


def test_the_manifest_has_all_that_the_header_shows(sqlite_survey):
    survey = sqlite_survey
    source = survey.source(7)
    (row,) = survey.gathered(source)
    assert set(SOURCE_COLUMNS) <= set(row)
    assert isinstance(survey.gathered(source), list)
    empty = pa.table({"source_pk": pa.array([], pa.int64()), "sdss5_target_flags": pa.array([], pa.binary())})
    with survey.database.begin() as connection:
        assert gather(connection, empty, survey.context).num_rows == 0
