"""Columns of a source that follow from others."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest
from sqlalchemy import insert, update

from astra_assets.astronomy import sky
from astra_assets.ingest.boss.spall import VISITS
from astra_assets.ingest.sources.derived import SOURCES, count_visits, derive_missing, unwise_magnitude
from astra_assets.models.apogee import ApogeeVisitSpectrum
from astra_assets.models.base import table_of
from astra_assets_tests.ingest.samples import content

LONG_AGO = datetime(2020, 1, 1)  # noqa: DTZ001 (as the database has it)


def test_pixels_and_galactic_coordinates_agree_with_astropy():
    from astropy import units
    from astropy.coordinates import SkyCoord
    from astropy_healpix import HEALPix

    rng = np.random.default_rng(4)
    ra, dec = rng.uniform(0, 360, 50), np.degrees(np.arcsin(rng.uniform(-1, 1, 50)))
    ra[3], dec[4] = np.nan, 91.0
    good = np.array([number not in {3, 4} for number in range(50)])
    pixels = sky.healpix(ra, dec)
    expected = HEALPix(128, "ring").lonlat_to_healpix(ra[good] * units.deg, dec[good] * units.deg)
    assert (pixels[good] == expected).all()
    assert (pixels[~good] == -1).all()
    longitude, latitude = sky.galactic(ra, dec)
    place = SkyCoord(ra[good], dec[good], unit="deg").galactic
    np.testing.assert_allclose(longitude[good], place.l.deg)
    np.testing.assert_allclose(latitude[good], place.b.deg)
    assert np.isnan(longitude[~good]).all()


def test_the_galactic_pole_and_centre_are_where_they_should_be():
    _, latitude = sky.galactic(np.array([192.85948, 266.40499]), np.array([27.12825, -28.93617]))
    np.testing.assert_allclose(latitude, [90, 0], atol=1e-4)


def test_unwise_magnitudes_are_on_the_vega_scale():
    magnitude, error = unwise_magnitude(np.array([1.0, 100.0, 0.0, -5.0, np.nan]), np.array([0.1] * 5), "w2")
    np.testing.assert_allclose(magnitude[:2], [22.468, 17.468])
    np.testing.assert_allclose(error[:2], [0.108574, 0.00108574], rtol=1e-5)
    assert np.isnan(magnitude[2:]).all()
    assert np.isnan(error[2:]).all()


def add_sources(database, *rows):
    with database.begin() as connection:
        for row in rows:
            connection.execute(insert(SOURCES).values(modified=LONG_AGO, **row))


def test_missing_columns_are_filled_once(database):
    add_sources(
        database,
        {"sdss_id": 1, "ra": 10.0, "dec": 20.0},
        {"sdss_id": 2, "w1_flux": 10.0, "w1_dflux": 1.0, "w2_flux": -1.0},
        {"sdss_id": 3, "ra": 10.0},
        {"sdss_id": 4, "ra": 10.0, "dec": 99.0},
    )
    assert derive_missing(database) == 2
    rows = content(database, SOURCES)
    assert rows[0]["healpix"] == sky.healpix(np.array([10.0]), np.array([20.0]))[0]
    assert rows[0]["l"] == pytest.approx(sky.galactic(np.array([10.0]), np.array([20.0]))[0][0])
    assert rows[1]["w1_mag"] == pytest.approx(19.996)
    assert rows[1]["w2_mag"] is None
    assert [row["modified"] == LONG_AGO for row in rows] == [False, False, True, True]
    assert derive_missing(database) == 0
    assert content(database, SOURCES) == rows


def add_visit(database, source_pk, mjd, **changes):
    row = {"release": "sdss5", "run2d": "v6_2_1", "fieldid": 1, "catalogid": 5, "healpix": 1, "spec_file": "",
           "telescope": "apo25m", "plateid": 3}  # fmt: skip
    with database.begin() as connection:
        connection.execute(insert(VISITS).values(**{**row, "source_pk": source_pk, "mjd": mjd, **changes}))


def test_visits_are_counted_once_each_and_only_changed_sources_are_marked(database):
    add_sources(database, {"sdss_id": 1}, {"sdss_id": 2}, {"sdss_id": 3})
    first, second, _ = (row["pk"] for row in content(database, SOURCES))
    add_visit(database, first, 59010)
    add_visit(database, first, 59005)
    add_visit(database, first, 59005, run2d="v6_2_0")  # the same visit, reduced twice
    add_visit(database, first, 59005, fieldid=2)
    add_visit(database, second, 59001, telescope="lco25m")
    add_visit(database, None, 59002)
    assert count_visits(database) == 2
    rows = content(database, SOURCES)
    names = ("n_boss_visits", "boss_min_mjd", "boss_max_mjd", "n_apogee_visits")
    assert [[row[name] for name in names] for row in rows] == [
        [3, 59005, 59010, None], [1, 59001, 59001, None], [None, None, None, None],
    ]  # fmt: skip
    assert rows[2]["modified"] == LONG_AGO
    assert count_visits(database) == 0
    assert content(database, SOURCES) == rows
    add_visit(database, second, 59009)
    assert count_visits(database) == 1
    again = content(database, SOURCES)
    assert again[0] == rows[0]
    assert [again[1][name] for name in names] == [2, 59001, 59009, None]
    assert again[1]["modified"] > rows[1]["modified"]


def test_a_source_that_lost_its_visits_has_none(sqlite):
    add_sources(sqlite, {"sdss_id": 1}, {"sdss_id": 2})
    first, second = (row["pk"] for row in content(sqlite, SOURCES))
    add_visit(sqlite, first, 59010)
    count_visits(sqlite)
    with sqlite.begin() as connection:
        connection.execute(update(VISITS).values(source_pk=second))
    assert count_visits(sqlite) == 2
    names = ("n_boss_visits", "boss_min_mjd", "boss_max_mjd")
    assert [[row[name] for name in names] for row in content(sqlite, SOURCES)] == [
        [0, None, None],
        [1, 59010, 59010],
    ]


def test_apogee_visits_are_counted_too(sqlite):
    add_sources(sqlite, {"sdss_id": 1})
    visits = table_of(ApogeeVisitSpectrum)
    row = {"release": "sdss5", "apred": "1.3", "mjd": 59001, "plate": "1", "telescope": "apo25m", "field": "f", "fiber": 3,
           "prefix": "ap", "source_pk": content(sqlite, SOURCES)[0]["pk"]}  # fmt: skip
    with sqlite.begin() as connection:
        connection.execute(insert(visits).values(**row, reduction=""))
        connection.execute(insert(visits).values(**row | {"apred": "1.4"}, reduction=""))
    assert count_visits(sqlite) == 1
    assert content(sqlite, SOURCES)[0]["n_apogee_visits"] == 1
