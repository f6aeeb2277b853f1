"""The whole: what ingestion makes of the demo's APOGEE files."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from astra_assets.database.database import Database
from astra_assets.demo.spall_columns import RUN2D
from astra_assets.ingest.all_files import ingest_all
from astra_assets.models.apogee import (
    ApogeeCoaddedSpectrumInApStar,
    ApogeeVisitSpectrum,
    ApogeeVisitSpectrumInApStar,
)
from astra_assets.models.base import table_of
from astra_assets.models.boss import BossVisitSpectrum
from astra_assets.models.source import Source
from astra_assets.spectra.base import Roots
from astra_assets.spectra.read import load

VISITS, STARS, INSIDE, SOURCES = (
    table_of(model)
    for model in (ApogeeVisitSpectrum, ApogeeCoaddedSpectrumInApStar, ApogeeVisitSpectrumInApStar, Source)
)


@pytest.fixture(scope="module")
def ingested(demo, tmp_path_factory):
    """The database, and the report of ingestion."""
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('ingested') / 'astra.db'}")
    database.create_tables()
    report = ingest_all(
        database, run2d=[RUN2D], apred=["1.5", "dr17"], catalogs=[demo.catalog], sas_base_dir=demo.root
    )
    yield database, report
    database.engine.dispose()


def rows(database, query):
    with database.connect() as connection:
        return connection.execute(query).all()


def test_all_rows_are_ingested(ingested, truth):
    database, report = ingested
    steps = {step.step: step for step in report.steps}
    read = [step for step in report.steps if step.step.startswith(("all", "spAll", "catalog"))]
    assert len(read) == 8
    assert all(step.added == step.read and step.refused == 0 for step in read)
    missing = sum(not row["has_file"] for row in truth["APOGEE_VISITS"])
    assert steps["apVisit headers"].refused == missing == 1
    assert steps["apStar headers"].refused == 0
    assert not report.errors
    boss = rows(database, select(func.count()).select_from(table_of(BossVisitSpectrum)))[0][0]
    assert boss > len(truth["VISITS"])


def test_spectra_belong_to_the_sources_of_the_truth(ingested, truth):
    database, _ = ingested
    query = select(
        VISITS.c.release, VISITS.c.telescope, VISITS.c.plate, VISITS.c.mjd, VISITS.c.fiber, SOURCES.c.sdss_id
    )
    found = {tuple(row[:5]): row[5] for row in rows(database, query.outerjoin_from(VISITS, SOURCES))}
    for visit in truth["APOGEE_VISITS"]:
        key = tuple(visit[name] for name in ("release", "telescope", "plate", "mjd", "fiber"))
        assert found.pop(key) == visit["sdss_id"]
    assert found
    assert set(found.values()) == {None}
    for table in (STARS, INSIDE):
        linked, total = rows(
            database, select(func.count(table.c.source_pk), func.count()).select_from(table)
        )[0]
        assert 0.8 * total < linked < total


def test_visits_are_found_inside_the_coadds(ingested, truth):
    database, report = ingested
    step = next(step for step in report.steps if step.step == "visits in apStar")
    assert step.read == step.added
    stacked = select(VISITS.c.spectrum_pk).where(VISITS.c.v_rad.is_not(None))
    assert {row[0] for row in rows(database, stacked)} == {
        row[0] for row in rows(database, select(INSIDE.c.drp_spectrum_pk))
    }


def test_sources_count_their_visits(ingested, truth):
    database, _ = ingested
    query = select(SOURCES.c.sdss_id, SOURCES.c.n_boss_visits, SOURCES.c.n_apogee_visits)
    found = {row[0]: (row[1] or 0, row[2] or 0) for row in rows(database, query)}
    for source in truth["SOURCES"]:
        assert found[source["sdss_id"]] == (source["n_boss_visits"], source["n_apogee_visits"])
        assert (source["n_apogee_visits"] > 0) == source["has_apogee"]


@pytest.mark.parametrize(
    "model", [ApogeeVisitSpectrum, ApogeeCoaddedSpectrumInApStar, ApogeeVisitSpectrumInApStar]
)
def test_every_row_finds_its_pixels(ingested, demo, model):
    database, _ = ingested
    table = table_of(model)
    query = select(table)
    if model is ApogeeVisitSpectrum:
        query = query.where(table.c.dithered.is_not(None))
    roots = Roots(demo.root, demo.root)
    for row in rows(database, query):
        spectrum = load(model, dict(row._mapping), roots)
        assert len(spectrum.flux) in {8575, 3 * 2048, 3 * 4096}
        assert spectrum.snr > 1
