"""E(B-V) of sources: the methods, the one that is adopted, and the dust map."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest
from astropy.io import fits
from sqlalchemy import insert, select, update

from astra_assets.ingest.all_files import MigrateError, ingest_all
from astra_assets.ingest.report import IngestError
from astra_assets.ingest.sources import reddening
from astra_assets.ingest.sources.catalog import ingest_catalogs
from astra_assets.ingest.sources.derived import INPUT_COLUMNS as INPUTS
from astra_assets.ingest.sources.derived import SOURCES, derive_columns, derive_missing, waiting_for_map
from astra_assets.ingest.sources.sfd import FILES, SfdMap, fill_sfd
from astra_assets.models.base import bit
from astra_assets.models.source import Source
from astra_assets_tests.ingest.samples import content, write_table

LONG_AGO = datetime(2020, 1, 1)  # noqa: DTZ001 (as the database has it)
NOWHERE = {"ra": 83.0, "dec": 22.0}  # b = -6.6 deg
POLE = {"ra": 192.0, "dec": 27.0}  # b = 89 deg
PHOTOMETRY = {"h_mag": 10.0, "e_h_mag": 0.03}
GLIMPSE = {"mag4_5": 9.5, "d4_5m": 0.04}
W2 = {"w2_mag": 9.7, "e_w2_mag": 0.04}
ZHANG = {"zgr_e": 0.2, "zgr_e_e": 0.01, "zgr_quality_flags": 7}
EDENHOFER = {"ebv_edenhofer_2023": 0.3, "e_ebv_edenhofer_2023": 0.02}
SFD = {"ebv_sfd": 0.9, "e_ebv_sfd": 0.1}


def flags(*names: str) -> int:
    return sum(bit(Source, "ebv_flags", name) for name in names)


def derived(**values) -> dict[str, float]:
    """What is derived for one source."""
    arrays = {name: np.array([values.get(name, np.nan)], dtype=float) for name in INPUTS}
    return {name: array[0] for name, array in derive_columns(arrays).items()}


def test_each_method_has_its_value_and_error():
    row = derived(**NOWHERE, **ZHANG, **PHOTOMETRY, **GLIMPSE, **W2)
    assert row["ebv_zhang_2023"] == pytest.approx(0.829 * 0.2)
    assert row["e_ebv_zhang_2023"] == pytest.approx(0.829 * 0.01)
    assert row["ebv_rjce_glimpse"] == pytest.approx(2.61 * (10.0 - 9.5 - 0.08))
    assert row["ebv_rjce_allwise"] == pytest.approx(2.61 * (10.0 - 9.7 - 0.08))
    assert row["e_ebv_rjce_glimpse"] == row["e_ebv_rjce_allwise"] == pytest.approx(2.61 * 0.05)
    value, error = reddening.sfd(np.array([0.0, 1.0]))
    np.testing.assert_allclose(value, [0.0, 0.884])
    np.testing.assert_allclose(error, [0.01, np.hypot(0.01, 0.0884)])


def test_what_glimpse_calls_no_magnitude_gives_no_reddening():
    row = derived(**NOWHERE, **PHOTOMETRY, mag4_5=99.999, d4_5m=99.999)
    assert np.isnan([row["ebv_rjce_glimpse"], row["e_ebv_rjce_glimpse"], row["ebv"]]).all()


def test_the_magnitude_of_w2_may_follow_from_its_flux():
    row = derived(**NOWHERE, **PHOTOMETRY, w2_flux=100_000.0, w2_dflux=1_000.0)
    assert (
        row["ebv"] == row["ebv_rjce_allwise"] == pytest.approx(2.61 * (10.0 - (22.5 - 0.032 - 12.5) - 0.08))
    )
    assert row["e_ebv"] == pytest.approx(2.61 * np.hypot(0.03, 0.010857), rel=1e-3)


@pytest.mark.parametrize(
    ("row", "ebv", "said"),
    [
        ({**ZHANG, **EDENHOFER, **SFD, "r_med_geo": 500.0}, 0.829 * 0.2, ["zhang_2023"]),
        ({"zgr_e": 0.2, "zgr_quality_flags": 8, **EDENHOFER, "r_med_geo": 500.0}, 0.3, ["edenhofer_2023"]),
        ({**EDENHOFER, **SFD, **POLE, "r_med_geo": 1249.0}, 0.3, ["edenhofer_2023"]),
        ({**EDENHOFER, **SFD, "r_med_geo": 50.0}, 0.3, ["edenhofer_2023", "upper_limit"]),
        ({**EDENHOFER, **SFD, **POLE, "r_med_geo": 1250.0}, 0.9, ["sfd"]),
        ({**SFD, **POLE, **PHOTOMETRY, **GLIMPSE}, 0.9, ["sfd"]),
        ({**SFD, **PHOTOMETRY, **GLIMPSE, **W2}, 2.61 * 0.42, ["rjce_glimpse"]),
        ({**SFD, **PHOTOMETRY, **W2}, 2.61 * 0.22, ["rjce_allwise"]),
        (SFD, 0.9, ["sfd", "upper_limit"]),
        # The method that is due is not at hand: no other takes its place.
        ({**SFD, **POLE, **PHOTOMETRY, **W2, "r_med_geo": 500.0}, None, []),
        ({**PHOTOMETRY, **GLIMPSE, **POLE}, None, []),
        ({}, None, []),
    ],
)  # fmt: skip
def test_the_first_method_in_order_is_adopted_or_none(row, ebv, said):
    made = derived(**{**NOWHERE, **row})
    if ebv is None:
        assert np.isnan([made["ebv"], made["e_ebv"]]).all()
        assert made["ebv_flags"] == -1
    else:
        assert made["ebv"] == pytest.approx(ebv)
        assert made["ebv_flags"] == flags(*said)


def add_sources(database, *rows):
    with database.begin() as connection:
        for number, row in enumerate(rows, 1):
            connection.execute(insert(SOURCES).values(modified=LONG_AGO, sdss_id=number, **row))


def random_source(rng) -> dict:
    """A source with each group of columns or without, and values on both sides of each limit."""
    groups = (
        ZHANG | {"zgr_quality_flags": int(rng.integers(6, 10))},
        EDENHOFER,
        SFD,
        PHOTOMETRY,
        GLIMPSE,
        W2,
    )
    row = {name: value for group in groups if rng.random() < 0.5 for name, value in group.items()}
    if rng.random() < 0.7:
        row["r_med_geo"] = float(rng.choice([50.0, 69.0, 500.0, 1250.0, 4000.0]))
    return row | (POLE if rng.random() < 0.5 else NOWHERE)


def test_the_condition_in_sql_is_that_of_the_choice(sqlite):
    rng = np.random.default_rng(3)
    add_sources(sqlite, *(random_source(rng) for _ in range(300)))
    assert derive_missing(sqlite) == 300
    with sqlite.connect() as connection:
        verdicts = connection.execute(
            select(SOURCES.c.pk, SOURCES.c.ebv, SOURCES.c.ebv_flags, reddening.has_choice())
        ).all()
    assert {bool(row[3]) for row in verdicts} == {True, False}
    for pk, ebv, said, has in verdicts:
        assert (ebv is not None, said > 0) == (bool(has), bool(has)), pk
    waiting = waiting_for_map(sqlite)
    assert sum(waiting.values()) == sum(not row[3] for row in verdicts)
    assert min(waiting.values()) > 0
    assert derive_missing(sqlite) == 0


def test_a_new_value_marks_the_source_as_modified_and_an_old_one_does_not(database):
    add_sources(database, {**NOWHERE, **PHOTOMETRY, **W2}, {**POLE, **PHOTOMETRY, **W2})
    assert derive_missing(database) == 2
    first = content(database, SOURCES)
    assert (first[0]["ebv_flags"], first[1]["ebv"], first[1]["ebv_flags"]) == (flags("rjce_allwise"), None, 0)
    assert first[0]["modified"] > LONG_AGO
    assert derive_missing(database) == 0
    assert content(database, SOURCES) == first


def test_what_a_catalogue_brings_later_changes_the_adopted_value_with_its_error(sqlite, tmp_path):
    add_sources(sqlite, {**NOWHERE, **PHOTOMETRY, **W2})
    derive_missing(sqlite)
    before = content(sqlite, SOURCES)[0]
    path = write_table(tmp_path / "zhang.fits", {"sdss_id": np.array([1]), "zgr_e": np.array([0.5])})
    ingest_catalogs(sqlite, [path])
    after = content(sqlite, SOURCES)[0]
    assert (after["ebv"], after["ebv_flags"]) == (pytest.approx(0.829 * 0.5), flags("zhang_2023"))
    assert after["e_ebv"] is None, "the error is not that of the value before"
    assert after["ebv_rjce_allwise"] == before["ebv_rjce_allwise"]
    assert after["modified"] > before["modified"]


def test_a_catalogues_own_value_stays_unless_the_source_has_what_it_follows_from(sqlite, tmp_path):
    own = {"sdss_id": np.array([1, 2]), "ebv": np.array([0.7, 0.8]), "ebv_flags": np.array([4, 4])}
    more = {"ra": np.array([192.0, 83.0]), "dec": np.array([27.0, 22.0]), "h_mag": np.array([10.0, 10.0])}
    path = write_table(tmp_path / "targets.fits", own | more | {"w2_mag": np.array([9.7, 9.7])})
    ingest_catalogs(sqlite, [path])
    rows = content(sqlite, SOURCES)
    assert [(row["ebv"], row["ebv_flags"]) for row in rows] == [
        (0.7, 4), (pytest.approx(2.61 * 0.22), flags("rjce_allwise")),
    ]  # fmt: skip
    path.touch()
    (report,) = ingest_catalogs(sqlite, [path])
    assert report.updated == 0
    assert content(sqlite, SOURCES) == rows


@pytest.fixture
def dust_map(tmp_path):
    """A map of 64 pixels across, in the projection of the real one, whose value is 1 + sin(b) / 2 + cos(l) cos(b) / 4."""
    for sign, name in FILES.items():
        header = fits.Header({
            "CTYPE1": "GLON-ZEA", "CTYPE2": "GLAT-ZEA", "CRVAL1": 0.0, "CRVAL2": 90.0 * sign, "LONPOLE": 180.0,
            "CRPIX1": 32.5, "CRPIX2": 32.5, "CD1_1": -2.55, "CD2_2": 2.55, "CD1_2": 0.0, "CD2_1": 0.0,
        })  # fmt: skip
        across = (np.arange(64) - 31.5) * np.radians(2.55)
        x, y = np.meshgrid(-across, across)
        # Schlegel, Finkbeiner & Davis (1998), appendix C: the radius is sqrt(2 (1 - |sin b|)).
        radius = np.hypot(x, y)
        sin_b = sign * (1 - radius**2 / 2)
        cos_l = np.divide(-sign * y, radius)
        value = 1 + sin_b / 2 + cos_l * np.sqrt(np.clip(1 - sin_b**2, 0, None)) / 4
        fits.PrimaryHDU(value.astype(np.float32), header).writeto(tmp_path / name)
    return tmp_path


def test_the_map_is_read_where_the_coordinates_are(dust_map):
    rng = np.random.default_rng(1)
    l, b = rng.uniform(0, 360, 300), np.degrees(np.arcsin(rng.uniform(-1, 1, 300)))  # noqa: E741 (Galactic longitude)
    expected = 1 + np.sin(np.radians(b)) / 2 + np.cos(np.radians(l)) * np.cos(np.radians(b)) / 4
    found = SfdMap(dust_map).value(l, b)
    np.testing.assert_allclose(found, expected, atol=6e-3)
    assert np.isnan(SfdMap(dust_map).value(np.array([np.nan]), np.array([np.nan]))).all()


def test_sources_get_the_value_of_the_map_once_and_what_follows_from_it(sqlite, dust_map):
    add_sources(sqlite, POLE, NOWHERE, {**POLE, **SFD}, {"ra": 10.0})
    assert fill_sfd(sqlite, SfdMap(dust_map)) == 2
    rows = content(sqlite, SOURCES)
    assert rows[0]["ebv"] == rows[0]["ebv_sfd"] == pytest.approx(0.884 * 1.5, rel=0.01)
    assert rows[0]["e_ebv"] == pytest.approx(np.hypot(0.01, 0.1 * rows[0]["ebv"]))
    assert [row["ebv_flags"] for row in rows[:2]] == [flags("sfd"), flags("sfd", "upper_limit")]
    assert rows[2]["ebv_sfd"] == 0.9
    assert rows[3]["modified"] == LONG_AGO
    assert fill_sfd(sqlite, SfdMap(dust_map)) == 0
    derive_missing(sqlite)
    assert content(sqlite, SOURCES)[0] == rows[0]


def test_a_map_that_is_not_there_or_no_map_is_refused(dust_map):
    path = dust_map / FILES[-1]
    fits.PrimaryHDU(np.ones((4, 4))).writeto(path, overwrite=True)
    with pytest.raises(IngestError, match=r"SFD_dust_4096_sgp\.fits: expected an image in GLON-ZEA"):
        SfdMap(dust_map).value(np.array([0.0]), np.array([-80.0]))
    path.write_text("no FITS file")
    with pytest.raises(
        IngestError, match=r"SFD_dust_4096_sgp\.fits: no FITS header where HDU 0 should start"
    ):
        SfdMap(dust_map).value(np.array([0.0]), np.array([-80.0]))
    path.unlink()
    with pytest.raises(IngestError, match=r"lacks .*SFD_dust_4096_sgp\.fits; correct ASTRA_SFD_MAP"):
        SfdMap(dust_map)


def test_ingestion_says_which_maps_sources_wait_for_and_goes_on_without_them(sqlite, tmp_path, dust_map):
    add_sources(sqlite, POLE, {**POLE, "r_med_geo": 300.0})
    arguments = {"catalogs": [], "sas_base_dir": tmp_path}
    with pytest.raises(MigrateError, match="correct ASTRA_SFD_MAP") as caught:
        ingest_all(sqlite, sfd_map=tmp_path / "nowhere", **arguments)
    (step,) = (step for step in caught.value.report.steps if step.step == "derived columns")
    assert step.remark == "1 sources wait for ebv_edenhofer_2023, 1 sources wait for ebv_sfd"
    steps = {step.step: step for step in ingest_all(sqlite, sfd_map=dust_map, **arguments).steps}
    assert (steps["SFD dust map"].updated, steps["derived columns"].updated) == (2, 0)
    with sqlite.begin() as connection:
        connection.execute(update(SOURCES).values(ebv_edenhofer_2023=0.1))
    (step,) = (step for step in ingest_all(sqlite, **arguments).steps if step.step == "derived columns")
    assert (step.updated, step.remark) == (1, "")
