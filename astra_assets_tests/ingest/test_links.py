"""Spectra and their sources."""

from __future__ import annotations

from datetime import datetime

import pytest
from sqlalchemy import insert, update

from astra_assets.ingest.boss.spall import VISITS
from astra_assets.ingest.links import link_spectra
from astra_assets.ingest.sources.derived import SOURCES
from astra_assets_tests.ingest.samples import content

LONG_AGO = datetime(2020, 1, 1)  # noqa: DTZ001 (as the database has it)


def add_visits(database, *catalogids):
    rows = [
        {"release": "sdss5", "run2d": "v6_2_1", "mjd": 59000 + number, "fieldid": 1, "catalogid": catalogid,
         "healpix": 1, "spec_file": "", "modified": LONG_AGO}
        for number, catalogid in enumerate(catalogids)
    ]  # fmt: skip
    with database.begin() as connection:
        connection.execute(insert(VISITS), rows)


def add_sources(database, *rows):
    names = ("sdss_id", "catalogid", "catalogid31", "catalogid25", "catalogid21", "n_associated")
    with database.begin() as connection:
        connection.execute(insert(SOURCES), [{name: row.get(name) for name in names} for row in rows])


def links(database):
    """The sdss_id of each visit's source."""
    names = {row["pk"]: row["sdss_id"] for row in content(database, SOURCES)}
    return [names.get(row["source_pk"]) for row in content(database, VISITS)]


def test_any_of_the_four_catalogids_links(database):
    add_visits(database, 10, 20, 30, 40, 50, -1)
    add_sources(
        database,
        {"sdss_id": 1, "catalogid": 10, "catalogid31": 20},
        {"sdss_id": 2, "catalogid25": 30, "catalogid": -1},
        {"sdss_id": 3, "catalogid21": 40},
    )
    report = link_spectra(database)
    assert links(database) == [1, 1, 2, 3, None, None]
    assert (report.linked, report.relinked, report.unlinked, report.ambiguous) == (4, 0, 2, 0)


def test_linking_again_changes_nothing(database):
    add_visits(database, 10, 20)
    add_sources(database, {"sdss_id": 1, "catalogid": 10})
    link_spectra(database)
    before = content(database, VISITS)
    report = link_spectra(database)
    assert not report.changed
    assert content(database, VISITS) == before
    assert before[0]["modified"] > LONG_AGO
    assert before[1]["modified"] == LONG_AGO


def test_the_earlier_column_then_the_fewest_associated_then_the_smallest_sdss_id_wins(database):
    add_visits(database, 10, 20, 30)
    add_sources(
        database,
        {"sdss_id": 1, "catalogid21": 10, "n_associated": 1},
        {"sdss_id": 2, "catalogid": 10, "n_associated": 5},
        {"sdss_id": 3, "catalogid31": 20, "n_associated": 3},
        {"sdss_id": 4, "catalogid31": 20, "n_associated": 2},
        {"sdss_id": 5, "catalogid31": 20},
        {"sdss_id": 7, "catalogid25": 30, "n_associated": 1},
        {"sdss_id": 6, "catalogid25": 30, "n_associated": 1},
    )
    report = link_spectra(database)
    assert links(database) == [2, 4, 6]
    assert report.ambiguous == 3


def test_a_source_with_the_same_id_in_several_columns_is_not_ambiguous(database):
    add_visits(database, 10)
    add_sources(database, {"sdss_id": 1, "catalogid": 10, "catalogid31": 10, "catalogid25": 10})
    assert link_spectra(database).ambiguous == 0


def test_a_source_that_arrives_later_gets_its_spectra(database):
    add_visits(database, 10, 20)
    add_sources(database, {"sdss_id": 1, "catalogid21": 10})
    link_spectra(database)
    add_sources(database, {"sdss_id": 2, "catalogid": 10}, {"sdss_id": 3, "catalogid": 20})
    report = link_spectra(database)
    assert (report.linked, report.relinked) == (1, 1)
    assert links(database) == [2, 3]


def test_a_link_is_not_removed_when_no_source_has_the_catalogid(database):
    add_visits(database, 10)
    add_sources(database, {"sdss_id": 1, "catalogid": 10})
    link_spectra(database)
    with database.begin() as connection:
        connection.execute(update(SOURCES).values(catalogid=11))
    assert not link_spectra(database).changed
    assert links(database) == [1]


@pytest.mark.parametrize("again", [True, False])
def test_spectra_with_a_source_are_looked_at_only_when_asked(sqlite, again):
    add_visits(sqlite, 10)
    add_sources(sqlite, {"sdss_id": 1, "catalogid21": 10})
    link_spectra(sqlite)
    add_sources(sqlite, {"sdss_id": 2, "catalogid": 10})
    link_spectra(sqlite, again=again)
    assert links(sqlite) == [2 if again else 1]
