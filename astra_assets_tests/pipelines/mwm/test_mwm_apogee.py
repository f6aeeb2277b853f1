"""The APOGEE rows of mwmVisit and mwmStar files, from the rows of a database and apStar and apVisit files."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pytest
from astropy.io import fits
from sqlalchemy import literal, select, update

from astra_assets.compute.batch import EnginePaths
from astra_assets.compute.engine import Engine
from astra_assets.files.paths import ap_star_path, ap_visit_name, ap_visit_path
from astra_assets.models.apogee import (
    ApogeeCoaddedSpectrumInApStar,
    ApogeeCombinedSpectrum,
    ApogeeRestFrameVisitSpectrum,
    ApogeeVisitSpectrum,
    ApogeeVisitSpectrumInApStar,
)
from astra_assets.models.base import table_of, utcnow
from astra_assets.models.boss import BossCombinedSpectrum, BossRestFrameVisitSpectrum
from astra_assets.models.compute import ComputeOutcome
from astra_assets.models.source import Source
from astra_assets.pipelines.base import Unusable, WorkContext
from astra_assets.pipelines.mwm import HAS_SPECTRA, MWM, source_files
from astra_assets.pipelines.mwm.source_files import CREATED_STAR, CREATED_VISIT
from astra_assets_tests.compute.conftest import QUICK, Directly
from astra_assets_tests.pipelines.mwm_survey import PLANNED, STEP
from astra_assets_tests.spectra.apogee_files import ap_star


def combined(products):
    return products.rows[ApogeeCombinedSpectrum]


def visits_of(products):
    return products.rows[ApogeeRestFrameVisitSpectrum]


def test_a_source_has_the_coadds_of_the_reduction_and_its_visits_stacked_or_not(survey):
    source = survey.source(123456)
    second, first, other = (survey.apogee_visit(source, mjd) for mjd in (59602, 59601, 59603))
    coadd = survey.apogee_coadd(source, [first, second])
    south = survey.apogee_visit(source, 59610, telescope="lco25m", prefix="as")
    survey.apogee_coadd(source, [south], telescope="lco25m", prefix="as")
    survey.visit(source, 59001)
    products = survey.made(source)
    assert products.status == {"flags": CREATED_VISIT | CREATED_STAR}
    assert products.problems == []
    rows = combined(products)
    assert [(row["telescope"], row["n_visits"], row["v_rad"]) for row in rows] == [
        ("apo25m", 2, 9.0),
        ("lco25m", 1, 9.0),
    ]
    assert (rows[0]["filetype"], rows[0]["sdss_id"], rows[0]["healpix"]) == ("mwmStar", 123456, 9)
    assert rows[0]["spectrum_pk"] != coadd["spectrum_pk"]
    rows = visits_of(products)
    assert [(row["mjd"], row["in_stack"]) for row in rows] == [
        (59601, True), (59602, True), (59603, False), (59610, True),
    ]  # fmt: skip
    with fits.open(survey.path("star", 123456)) as hdus:
        assert [len(hdu.data) for hdu in hdus[1:]] == [1, 0, 1, 1]
        assert set(hdus[3].data["flux"][0]) == {1.0}
        assert set(hdus[3].data["ivar"][0]) == {4.0}
    with fits.open(survey.path("visit", 123456)) as hdus:
        assert [len(hdu.data) for hdu in hdus[1:]] == [1, 0, 3, 1]
        data = hdus[3].data
        assert list(data["spectrum_pk"]) == [row["spectrum_pk"] for row in rows[:3]]
        assert [set(flux) for flux in data["flux"][:2]] == [{3.0}, {4.0}]
        seen = data["ivar"][2] > 0
        assert 8000 < seen.sum() < 8575
        np.testing.assert_allclose(data["flux"][2][seen], 7.0, rtol=1e-6)
        assert set(hdus[4].data["flux"][0]) == {1.0}
    assert other["spectrum_pk"] not in {row["spectrum_pk"] for row in rows}
    survey.store(products)


def test_a_source_with_apogee_spectra_only_gets_files(sqlite_survey):
    survey = sqlite_survey
    source = survey.source(7)
    survey.apogee_coadd(source, [survey.apogee_visit(source, 59601)])
    products = survey.made(source)
    assert products.status == {"flags": CREATED_VISIT | CREATED_STAR}
    assert products.rows[BossCombinedSpectrum] == products.rows[BossRestFrameVisitSpectrum] == []
    with fits.open(survey.path("star", 7)) as hdus:
        assert [len(hdu.data) for hdu in hdus[1:]] == [0, 0, 1, 0]


def test_a_coadd_without_visits_is_shown_and_old_visits_are_taken_away(sqlite_survey):
    survey = sqlite_survey
    source = survey.source(7)
    survey.apogee_coadd(source, [])
    old = survey.path("visit", 7)
    old.parent.mkdir(parents=True)
    old.write_text("from before")
    assert survey.made(source).status == {"flags": CREATED_STAR}
    assert not old.exists()


def test_without_a_coadd_apogee_visits_are_not_shown(sqlite_survey):
    survey = sqlite_survey
    source = survey.source(7)
    survey.apogee_visit(source, 59601)
    survey.visit(source, 59001)
    products = survey.made(source)
    assert combined(products) == visits_of(products) == []
    assert products.problems == []
    with survey.database.connect() as connection:
        lonely = survey.source(8)
        survey.apogee_visit(lonely, 59601, fiber=3)
        assert list(connection.scalars(select(Source.c.pk).where(HAS_SPECTRA))) == [source]


def test_spectra_that_are_made_again_keep_their_keys(survey):
    source = survey.source(123456)
    first = survey.apogee_visit(source, 59601, release="dr17", apred="dr17")
    survey.apogee_coadd(source, [first], release="dr17", apred="dr17")
    made = survey.made(source)
    survey.store(made)
    later = survey.apogee_visit(source, 59602)
    survey.apogee_coadd(source, [later])
    again = survey.made(source)
    (row,) = combined(again)
    # The coadd is another one now; it is still the coadd of this source and observatory.
    assert (row["release"], row["apred"]) == ("sdss5", "1.5")
    assert row["spectrum_pk"] == combined(made)[0]["spectrum_pk"]
    keys = [row["spectrum_pk"] for row in visits_of(again)]
    assert keys[0] == visits_of(made)[0]["spectrum_pk"]
    assert len({*keys, row["spectrum_pk"]}) == 3
    survey.context = WorkContext(survey.roots, "0.9.0", PLANNED)
    of_next_version = survey.made(source)
    assert combined(of_next_version)[0]["spectrum_pk"] != row["spectrum_pk"]


def test_of_several_coadds_that_of_sdss5_and_of_the_large_telescope_counts(sqlite_survey):
    survey = sqlite_survey
    source = survey.source(7)
    survey.apogee_coadd(source, [], release="dr17", apred="dr17", n_visits=9)
    survey.apogee_coadd(source, [], apred="1.3")
    survey.apogee_coadd(source, [], apred="1.10")
    survey.apogee_coadd(source, [], apred="1.10", telescope="apo1m")
    (row,) = combined(survey.made(source))
    assert (row["release"], row["apred"], row["telescope"]) == ("sdss5", "1.10", "apo25m")


def test_a_visit_that_was_reduced_again_is_shown_once_as_the_coadd_has_it(sqlite_survey):
    survey = sqlite_survey
    source = survey.source(7)
    stacked = survey.apogee_visit(source, 59601, apred="1.3")
    survey.apogee_visit(source, 59601, apred="1.5")
    survey.apogee_visit(source, 59602, release="dr17", apred="dr17")
    survey.apogee_visit(source, 59602, apred="1.5")
    survey.apogee_coadd(source, [stacked], apred="1.3")
    rows = visits_of(survey.made(source))
    assert [(row["mjd"], row["apred"], row["in_stack"]) for row in rows] == [
        (59601, "1.3", True), (59602, "1.5", False),
    ]  # fmt: skip


def test_a_visit_that_cannot_be_read_is_a_problem_and_the_others_go_through(sqlite_survey):
    survey = sqlite_survey
    source = survey.source(7)
    good = survey.apogee_visit(source, 59601)
    missing = survey.apogee_visit(source, 59602, file=False)
    broken = survey.apogee_visit(source, 59603)
    survey.apogee_coadd(source, [good])
    path = survey.roots.sas_base_dir / ap_visit_path(broken)
    path.write_bytes(path.read_bytes()[:20_000])
    products = survey.made(source)
    codes = {problem.spectrum_pk: problem.code for problem in products.problems}
    assert codes == {missing["spectrum_pk"]: "missing_file", broken["spectrum_pk"]: "unreadable_file"}
    assert [row["mjd"] for row in visits_of(products)] == [59601]
    assert len(combined(products)) == 1


def test_a_star_file_that_cannot_be_read_loses_neither_boss_nor_the_other_observatory(sqlite_survey):
    survey = sqlite_survey
    source = survey.source(7)
    north = survey.apogee_coadd(source, [survey.apogee_visit(source, 59601)], file=False)
    south = survey.apogee_visit(source, 59610, telescope="lco25m")
    survey.apogee_coadd(source, [south], telescope="lco25m")
    survey.visit(source, 59001)
    products = survey.made(source)
    (problem,) = products.problems
    assert (problem.spectrum_pk, problem.code) == (north["spectrum_pk"], "missing_file")
    assert ap_star_path(north) in problem.message
    assert [row["telescope"] for row in visits_of(products)] == ["lco25m"]
    assert len(products.rows[BossCombinedSpectrum]) == 1


def test_a_visit_that_its_star_file_lacks_is_a_problem(sqlite_survey):
    survey = sqlite_survey
    source = survey.source(7)
    listed, absent = survey.apogee_visit(source, 59601), survey.apogee_visit(source, 59602)
    row = survey.apogee_coadd(source, [listed, absent])
    path = survey.roots.sas_base_dir / ap_star_path(row)
    fits.delval(path, "SFILE2")
    products = survey.made(source)
    assert [(problem.spectrum_pk, problem.code) for problem in products.problems] == [
        (absent["spectrum_pk"], "wrong_row")
    ]
    assert len(visits_of(products)) == 1


def test_a_source_whose_only_spectrum_cannot_be_read_is_unusable(sqlite_survey):
    survey = sqlite_survey
    source = survey.source(7)
    survey.apogee_coadd(source, [], file=False)
    with pytest.raises(Unusable, match=r"sdss_id 7.*apStar-1\.5.*there is no such file"):
        survey.made(source)


def test_the_bit_that_says_that_the_visits_file_is_missing_is_not_in_the_file(sqlite_survey):
    survey = sqlite_survey
    source = survey.source(7)
    visit = survey.apogee_visit(source, 59601, file=False, spectrum_flags=(1 << 26) | (1 << 4))
    survey.apogee_coadd(source, [visit])
    assert [row["spectrum_flags"] for row in visits_of(survey.made(source))] == [1 << 4]


def test_a_star_file_is_opened_once(sqlite_survey, monkeypatch):
    survey = sqlite_survey
    source = survey.source(7)
    survey.apogee_coadd(source, [survey.apogee_visit(source, mjd) for mjd in range(59601, 59606)])
    opened = []
    load_ap_star = source_files.load_ap_star  # type: ignore[attr-defined]

    def noted(*given):
        opened.append(given)
        return load_ap_star(*given)

    monkeypatch.setattr(source_files, "load_ap_star", noted)
    assert len(visits_of(survey.made(source))) == 5
    assert len(opened) == 1


def test_the_same_source_twice_gives_files_that_differ_in_their_time_only(sqlite_survey):
    survey = sqlite_survey
    source = survey.source(7)
    survey.visit(source, 59001)
    survey.apogee_coadd(source, [survey.apogee_visit(source, 59601)])
    survey.apogee_visit(source, 59602)
    survey.store(survey.made(source))
    first = [survey.path(kind, 7).read_bytes() for kind in ("star", "visit")]
    survey.made(source)
    assert [survey.path(kind, 7).read_bytes() for kind in ("star", "visit")] == first
    survey.context = WorkContext(survey.roots, "0.8.1", PLANNED + timedelta(days=1))
    survey.made(source)
    for before, kind in zip(first, ("star", "visit"), strict=True):
        changed = survey.path(kind, 7).read_bytes()
        assert len(changed) == len(before)
        differing = {
            before[at : at + 8]
            for at in range(0, len(before), 80)
            if before[at : at + 80] != changed[at : at + 80]
        }
        assert differing <= {b"CREATED ", b"CHECKSUM", b"DATASUM "}


@pytest.mark.parametrize(
    "model", [ApogeeCoaddedSpectrumInApStar, ApogeeVisitSpectrum, ApogeeVisitSpectrumInApStar]
)
def test_an_apogee_spectrum_newer_than_the_files_makes_them_stale(sqlite_survey, model):
    survey = sqlite_survey
    source, other = survey.source(7), survey.source(8)
    for number in (source, other):
        visit = survey.apogee_visit(number, 59601, fiber=number)
        survey.apogee_coadd(number, [visit], obj=f"2M{number}")
    stale = STEP.stale(literal(PLANNED, type_=Source.c.modified.type))

    def touch(model, when: datetime, *which) -> None:
        with survey.database.begin() as connection:
            connection.execute(update(table_of(model)).where(*which).values(modified=when))

    for each in (ApogeeCoaddedSpectrumInApStar, ApogeeVisitSpectrum, ApogeeVisitSpectrumInApStar):
        touch(each, PLANNED - timedelta(seconds=1))
    touch(model, PLANNED + timedelta(microseconds=1), model.c.source_pk == source)
    with survey.database.connect() as connection:
        assert list(connection.scalars(select(Source.c.pk).where(stale))) == [source]
        assert list(connection.scalars(select(Source.c.pk).where(HAS_SPECTRA).order_by(Source.c.pk))) == [
            source,
            other,
        ]


def test_rows_reach_the_database_and_are_replaced_there_by_those_made_again(survey, tmp_path):
    """The engine's whole way, without processes: planned, made, collected, and made again when something is new."""
    engine = Engine(
        survey.database, EnginePaths(tmp_path / "home", survey.roots), "0.8.1", {}, Directly(), limits=QUICK
    )
    source, other = survey.source(7), survey.source(8)
    stacked, gone = survey.apogee_visit(source, 59601), survey.apogee_visit(source, 59602)
    coadd = survey.apogee_coadd(source, [stacked], file=False)
    survey.visit(source, 59001)
    survey.apogee_coadd(other, [survey.apogee_visit(other, 59601, fiber=1)], obj="2M8")

    def rows(model, *names) -> list[tuple]:
        with survey.database.connect() as connection:
            query = select(*(model.c[name] for name in names)).order_by(
                model.c.source_pk, model.c.spectrum_pk
            )
            return [tuple(row) for row in connection.execute(query)]

    def problems() -> list[tuple]:
        names = ("spectrum_pk", "step", "code")
        with survey.database.connect() as connection:
            return [
                tuple(row) for row in connection.execute(select(*(ComputeOutcome.c[name] for name in names)))
            ]

    account = engine.run(MWM, STEP)
    assert (account.inputs, account.results, account.balanced) == (2, 2, True)
    assert problems() == [(coadd["spectrum_pk"], "star/visit", "missing_file")]
    assert [row[0] for row in rows(ApogeeCombinedSpectrum, "sdss_id")] == [8]
    (eighth,) = rows(ApogeeRestFrameVisitSpectrum, "pk", "spectrum_pk", "date_obs", "field", "in_stack")
    ap_star(survey.roots.sas_base_dir / ap_star_path(coadd), 1, SFILE1=ap_visit_name(stacked))
    _touch(survey, source)
    engine.run(MWM, STEP)
    assert problems() == []
    names = ("source_pk", "mjd", "spectrum_pk", "in_stack")
    before = rows(ApogeeRestFrameVisitSpectrum, *names)
    assert [(row[1], row[3]) for row in before] == [(59601, True), (59602, False), (59601, True)]
    (survey.roots.sas_base_dir / ap_visit_path(gone)).unlink()
    _touch(survey, source)
    engine.run(MWM, STEP)
    assert problems() == [(gone["spectrum_pk"], "star/visit", "missing_file")]
    assert rows(ApogeeRestFrameVisitSpectrum, *names) == [before[0], before[2]]
    assert (
        rows(ApogeeRestFrameVisitSpectrum, "pk", "spectrum_pk", "date_obs", "field", "in_stack")[1] == eighth
    )
    assert [row[0] for row in rows(ApogeeCombinedSpectrum, "sdss_id")] == [7, 8]
    assert rows(BossCombinedSpectrum, "telescope") == [("apo25m",)]


def _touch(survey, source_pk: int) -> None:
    spectra = table_of(ApogeeVisitSpectrum)
    with survey.database.begin() as connection:
        connection.execute(
            update(spectra)
            .where(spectra.c.source_pk == source_pk)
            .values(modified=utcnow() + timedelta(seconds=1))
        )
